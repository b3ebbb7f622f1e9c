package raft

import (
	"testing"
)

func TestEventsTellWhatHappens(t *testing.T) {
	f, leader := newGroup(t)
	for id := ID(1); id <= 3; id++ {
		seen := false
		for _, e := range events[*LeaderChanged](f) {
			seen = seen || (e.Member == id && e.Leader == leader && e.Group == "g" && e.Term == Term(f.status(id).Term))
		}
		if !seen {
			t.Errorf("member %d has not told that %d leads", id, leader)
		}
	}
	f.events = nil
	at := done[*MembersChanged](f, leader, addLearner(7, "there"))
	f.pass(3)
	adopted, committed := map[ID]bool{}, map[ID]bool{}
	for _, e := range events[*MembershipChanged](f) {
		if m, ok := e.Configuration.Member(7); !ok || m.Address != "there" {
			continue
		}
		if e.Index != Index(at.Index) {
			t.Errorf("got %+v, want index %d", e, at.Index)
		}
		if !e.Committed {
			adopted[e.Member] = true
		} else if committed[e.Member] = true; !adopted[e.Member] {
			t.Errorf("member %d: committed before it was adopted", e.Member)
		}
	}
	if len(committed) != 3 {
		t.Errorf("committed on %v", committed)
	}

	taken := done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	if got := events[*SnapshotSaved](f); len(got) != 1 || *got[0] != (SnapshotSaved{"g", leader, Index(taken.Index)}) {
		t.Errorf("got %v", got)
	}
	f.stop(leader)
	f.spawn(leader, &journal{})
	if got := events[*SnapshotRestored](f); len(got) != 1 || *got[0] != (SnapshotRestored{"g", leader, Index(taken.Index)}) {
		t.Errorf("got %v", got)
	}
	f.until("that the leader is lost is told", func() bool {
		for _, e := range events[*LeaderChanged](f) {
			if e.Leader == 0 {
				return true
			}
		}
		return false
	})
}

func TestAHandlerThatBlocksHoldsNothingUp(t *testing.T) {
	g := newRealGroup(t, 3)
	release := make(chan struct{})
	g.system.EventStream.Subscribe(func(event any) {
		if _, ours := event.(*MembershipChanged); ours {
			<-release
		}
	})
	leader := g.leader()
	for id := ID(11); id < 20; id++ { // each is an event
		if _, ok := g.ask(leader, addLearner(id, "")).(*MembersChanged); !ok {
			t.Fatal("the group does not go on")
		}
	}
	g.propose(leader, "a")
	close(release)
}

// A handler that panics concerns nobody else, however often it does.
func TestAHandlerThatPanicsLosesNoLaterEvent(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.spawnFounders()
	panics := 0
	f.system.EventStream.Subscribe(func(event any) {
		if e, ours := event.(*MembershipChanged); ours && e.Member == 1 {
			panics++
			panic("a handler panics")
		}
	})
	leader := f.elect()
	for id := ID(11); id < 30; id++ {
		done[*MembersChanged](f, leader, addLearner(id, ""))
	}
	f.machines[1].onQuery = func([]byte) error { panic("the machine panics") }
	f.ask(1, &Query{Consistency: Consistency_LOCAL})
	f.settle()
	if panics < 20 {
		t.Errorf("the handler was called %d times", panics)
	}
	f.failure(1, "the machine panics")
}
