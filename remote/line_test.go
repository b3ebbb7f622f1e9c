package raftremote

import "testing"

// What was meant for one life of a peer is not for the next: a number means another request there.
func TestALineForgetsWhatAnEarlierLifeOfThePeerWasToGet(t *testing.T) {
	a := startSystem(t, "a")
	one := a.join("g", 1)
	line := &a.peer("b:1").control
	stream := func(life uint64) *stream {
		s := newStream(a.links, nil, true)
		s.hello = &hello{system: "b", life: life}
		return s
	}
	line.mu.Lock()
	line.dialing = true // nobody dials while this test plays
	line.wantedUntil = a.now() + int64(controlWantedFor)
	line.mu.Unlock()
	first := stream(1)
	if err := line.install(first); err != nil {
		t.Fatal(err)
	}
	first.line = line
	one.Send(2, "b:1", envelopeOf(heartbeat(1, 1)))
	line.mu.Lock()
	line.open.add(&testForward{data: []byte("x")}, a.now())
	line.queue.putAnswer(wireAnswer{1, []byte("for the first life")})
	line.mu.Unlock()
	first.close(errGoAway)
	line.mu.Lock()
	if len(line.open.waiting) != 0 || line.queue.isEmpty() {
		t.Errorf("%d requests wait for answers that cannot come, and that something waits for the next stream is %t",
			len(line.open.waiting), !line.queue.isEmpty())
	}
	line.mu.Unlock()
	if got := one.lost(2); got != 1 {
		t.Errorf("the member was told %d times of the loss, want once", got)
	}
	if err := line.install(stream(2)); err != nil {
		t.Fatal(err)
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	if !line.queue.isEmpty() {
		t.Error("the next life gets what was meant for the first")
	}
	for key, f := range line.queue.flows {
		if f.told {
			t.Errorf("member %d would not be told when something gets lost from now on", key.from)
		}
	}
	line.queue.lost = losses{}
}
