package raft

import (
	"fmt"
	"strings"
	"testing"
)

// Three real raft actors with their appliers run on this goroutine through all that a group does, twice, and take
// the same turns with the same messages, and give the same answers.
func TestTheSameRunTwiceIsTheSame(t *testing.T) {
	first, second := simulate(t), simulate(t)
	for i := range max(len(first), len(second)) {
		if i >= len(first) || i >= len(second) || first[i] != second[i] {
			t.Fatalf("line %d of %d and %d differs:\n%s\n%s", i, len(first), len(second), at(first, i), at(second, i))
		}
	}
	for _, seen := range []string{"RequestVote", "AppendEntries", "ReadIndexRequest", "chunk", "TimeoutNow", "Proposed", "Answer"} {
		if !strings.Contains(strings.Join(first, "\n"), seen) {
			t.Errorf("%s does not occur in the run", seen)
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

func simulate(t *testing.T) (trace []string) {
	f := newFixture(t, 1, 2, 3)
	f.keepTrace = true
	f.configure = func(c *Config) { c.RetainEntries = 2 }
	var boxes []*inbox
	asks := func(id ID, request any) *inbox {
		boxes = append(boxes, f.ask(id, request))
		return boxes[len(boxes)-1]
	}
	f.spawnFounders()
	leader := f.elect()
	others := f.others(leader)

	asks(others[0], &Subscribe{FromIndex: 1})
	for i := range 20 {
		asks(leader, &Propose{Command: fmt.Append(nil, "command ", i)})
		asks(others[i%2], &Query{})
	}
	f.pass(4)
	asks(leader, &TakeSnapshot{})
	f.pass(2)

	f.stop(leader)
	f.until("a new leader", func() bool { return f.leader() != 0 })
	now := f.leader()
	for i := range 20 {
		asks(now, &Propose{Command: fmt.Append(nil, "later ", i)})
	}
	f.pass(4)
	asks(now, &TakeSnapshot{})
	f.pass(2)
	f.spawn(leader, &journal{}) // too late for the log
	f.elect()
	asks(now, &TransferLeadership{Target: uint64(leader)})
	f.pass(10)
	asks(f.leader(), &Propose{Command: []byte("the last")})
	f.pass(10)
	f.agree(1, 2, 3)
	if got := len(f.machines[1].all()); got != 41 {
		t.Fatalf("%d commands applied, want 41", got)
	}
	if s := f.status(leader); s.Role != Status_LEADER || s.SnapshotIndex == 0 {
		t.Fatalf("got %v", s)
	}

	trace = f.trace
	for _, in := range boxes {
		for _, m := range in.all() {
			trace = append(trace, fmt.Sprintf("%T%v", m, m))
		}
	}
	for _, e := range f.events {
		if e, ok := e.(*MembershipChanged); ok {
			trace = append(trace, fmt.Sprintf("%T%+v", e, *e))
			continue
		}
		trace = append(trace, fmt.Sprintf("%T%+v", e, e))
	}
	return trace
}

func TestAnotherSeedIsAnotherRun(t *testing.T) {
	leaders := map[ID]bool{}
	for seed := uint64(1); seed < 20; seed++ {
		f := newFixture(t, 1, 2, 3)
		f.seed = seed
		f.spawnFounders()
		leaders[f.elect()] = true
	}
	if len(leaders) < 2 {
		t.Errorf("always the same leader %v: the seed has no effect", leaders)
	}
}

// The network may deliver a message while the sender is in its turn; whoever keeps what it was sent must not see it
// change.
func TestWhatWasSentDoesNotChange(t *testing.T) {
	f, leader := newGroup(t)
	var sent []string
	var envelopes []*PeerEnvelope
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		sent, envelopes = append(sent, describe(e)), append(envelopes, e)
		return []*PeerEnvelope{e}
	}
	for i := range 50 {
		f.apply(leader, fmt.Sprint(i))
	}
	f.network.isolate(leader, f.others(leader)...)
	f.propose(leader, "lost")
	f.pass(40)
	f.network.heal()
	f.elect()
	for i, e := range envelopes {
		if got := describe(e); got != sent[i] {
			t.Fatalf("sent %s\n now %s", sent[i], got)
		}
	}
}
