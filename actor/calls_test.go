package raft

import "testing"

// What is answered is garbage that the collector must mark as long as it is held: not until the next tick, and not more of it
// because there was a burst once.
func TestCallsThatAreAnsweredAreNotHeld(t *testing.T) {
	cfg := Config{PendingMax: 1 << 16, PendingBytesMax: 1 << 30}
	cs := &calls{}
	take := func() *call {
		t.Helper()
		c := &call{kind: proposeCall}
		if !cs.admit(c, 0, &cfg) {
			t.Fatal("there is no room")
		}
		return c
	}
	pour := func(waiting int) {
		t.Helper()
		for range 50_000 {
			take().answered.Store(true)
			if most := max(2*waiting, dropMin) + waiting; len(cs.open) > most {
				t.Fatalf("%d calls are held where %d wait, want at most %d", len(cs.open), waiting, most)
			}
		}
	}
	pour(0)
	var burst []*call
	for range 30_000 {
		burst = append(burst, take())
	}
	pour(len(burst))
	for _, c := range burst {
		c.answered.Store(true)
	}
	cs.expire(nil, 0)
	pour(0)
}
