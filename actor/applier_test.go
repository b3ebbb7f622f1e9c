package raft

import "testing"

// A member that has led twice may wait for the same indices twice. Only those of the one term are superseded.
func TestOnlyTheTermThatIsSupersededIsAnswered(t *testing.T) {
	system := quietSystem()
	a := &applier{system: system, vitals: &vitals{}, applied: 4}
	before := []*call{{kind: proposeCall}, {kind: proposeCall}}
	since := []*call{{kind: proposeCall}, {kind: proposeCall}}
	a.expect(newExpect(5, 3, before...))
	a.expect(newExpect(5, 4, since...))
	a.settle(&settle{first: 5, last: 6, term: 3, code: Code_SUPERSEDED})
	for i := range before {
		if !before[i].answered.Load() || since[i].answered.Load() {
			t.Errorf("call %d: of term 3 answered is %v, of term 4 %v", i, before[i].answered.Load(), since[i].answered.Load())
		}
	}
	if len(a.expected) != 1 {
		t.Errorf("%d runs are expected, want the one of term 4", len(a.expected))
	}
}
