package raft

import (
	"fmt"
	"slices"
	"testing"

	"example.com/raftactor/node"
)

func TestNothingIsPromisedBeforeItIsDurable(t *testing.T) {
	f, leader := newGroup(t)
	for id := ID(1); id <= 3; id++ {
		f.store(id).slow = true
	}
	followers := f.others(leader)
	in := f.propose(leader, "a")
	f.pass(3)
	f.noReply(in)
	for id := ID(1); id <= 3; id++ {
		if f.store(id).waiting() == 0 {
			t.Fatalf("member %d has not asked for a sync: leader and followers write at the same time", id)
		}
		if s := f.status(id); s.CommitIndex == s.LastIndex {
			t.Fatalf("member %d has committed what nobody has durably: %v", id, s)
		}
	}
	f.store(followers[0]).complete(100)
	f.pass(3)
	f.noReply(in) // one of three
	f.store(followers[1]).complete(100)
	f.settle()
	if s := f.status(leader); s.CommitIndex != s.LastIndex {
		t.Errorf("two of three have it durably, and it is not committed: %v", s)
	}
	f.noReply(in) // the leader does not have it durably itself
	f.store(leader).complete(100)
	f.settle()
	only[*Proposed](f, in)
}

func TestSyncsThatAreUnderWayAreMerged(t *testing.T) {
	f, leader := newGroup(t)
	f.store(leader).slow = true
	var asked []*inbox
	for i := range 10 {
		asked = append(asked, f.propose(leader, fmt.Sprint(i)))
		f.settle()
	}
	if got := f.store(leader).waiting(); got != 10 {
		t.Fatalf("%d syncs wait, want 10: a turn does not wait for the one before", got)
	}
	for _, in := range asked {
		f.noReply(in)
	}
	f.store(leader).complete(7) // one completion for seven
	f.settle()
	for i, in := range asked {
		if i < 7 {
			only[*Proposed](f, in)
		} else {
			f.noReply(in)
		}
	}
	f.store(leader).complete(100)
	f.settle()
	only[*Proposed](f, asked[9])
}

func TestEachPromiseWaitsForItsOwnSync(t *testing.T) {
	f, leader := newGroup(t)
	followers := f.others(leader)
	for _, id := range followers {
		f.store(id).slow = true
	}
	first := f.propose(leader, "a")
	f.settle()
	second := f.propose(leader, "b")
	f.settle()
	f.noReply(first)
	f.store(followers[0]).complete(1)
	f.settle()
	only[*Proposed](f, first)
	f.noReply(second)
	f.store(followers[1]).complete(1)
	f.settle()
	f.noReply(second)
	f.store(followers[1]).complete(1)
	f.settle()
	only[*Proposed](f, second)
}

func TestManyProposalsOfATurnAreOneSync(t *testing.T) {
	f, leader := newGroup(t)
	f.store(leader).slow = true
	for i := range 100 {
		f.propose(leader, fmt.Sprint(i))
	}
	f.settle()
	if got := f.store(leader).waiting(); got != 1 {
		t.Errorf("%d syncs for one turn, want 1", got)
	}
}

func TestADeadlineDoesNotWaitForTheDisk(t *testing.T) {
	f, leader := newGroup(t)
	for id := ID(1); id <= 3; id++ {
		f.store(id).slow = true
	}
	in := f.ask(leader, &Propose{TimeoutMs: 500})
	f.pass(13)
	f.rejected(in, Code_DEADLINE, Outcome_UNKNOWN)
	if s := f.status(leader); s.Role != Status_LEADER {
		t.Errorf("heartbeats need no disk, and the leader is %v", s)
	}
}

func TestAVoteIsNotGivenBeforeItIsDurable(t *testing.T) {
	f, leader := newGroup(t)
	f.stop(leader)
	for _, id := range f.others(leader) {
		f.store(id).slow = true
	}
	granted := 0
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		for _, m := range e.Messages {
			if m, ok := m.(*node.RequestVoteReply); ok && m.Granted {
				granted++
			}
		}
		return []*PeerEnvelope{e}
	}
	f.pass(60)
	if granted > 0 || f.leader() != 0 {
		t.Fatalf("%d votes were given and %d leads, with no disk that answers", granted, f.leader())
	}
	for _, id := range f.others(leader) {
		f.store(id).slow = false
		f.store(id).complete(1000)
	}
	f.until("a leader", func() bool { return f.leader() != 0 })
}

func TestWhatWasNotSyncedIsLostAndWasNotPromised(t *testing.T) {
	f := newFixture(t, 1)
	f.store(1).loses = true
	f.spawnFounders()
	f.elect()
	f.apply(1, "durable")
	f.store(1).slow = true
	in := f.propose(1, "lost")
	f.settle()
	f.noReply(in)
	f.stop(1)
	f.rejected(in, Code_STOPPED, Outcome_UNKNOWN)
	f.store(1).slow = false
	f.spawn(1, &journal{})
	f.elect()
	if got := texts(f.machines[1].all()); len(got) != 1 {
		t.Errorf("applied %v, want the durable one only", got)
	}
}

func TestASyncThatCompletesAfterTheStopIsHarmless(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.store(1).slow = true
	f.propose(1, "x")
	f.settle()
	f.stop(1)
	f.store(1).complete(100)
	f.settle()
	if failed := events[*Failed](f); len(failed) > 0 {
		t.Errorf("got %v", failed)
	}
}

// A change is committed by the followers' disks while the leader's is slow; asked for again, it is accepted where it
// stands, and both have to be told when it is applied.
func TestAChangeAskedForTwiceIsAnsweredTwice(t *testing.T) {
	f, leader := newGroup(t)
	f.store(leader).slow = true
	first := f.ask(leader, addLearner(7, "there"))
	f.pass(3)
	f.noReply(first)
	second := f.ask(leader, addLearner(7, "there"))
	f.settle()
	f.noReply(second)
	f.store(leader).slow = false
	f.store(leader).complete(100)
	f.pass(3)
	a, b := only[*MembersChanged](f, first), only[*MembersChanged](f, second)
	if a.Index != b.Index {
		t.Errorf("got %v and %v", a, b)
	}
}

// forgetful has every log withhold the entries below an index.
func forgetful(f *fixture, inMemory Index) {
	for id := ID(1); id <= 4; id++ {
		f.store(id).wrap = func(l *node.MemoryLog) node.Log { return &forgetfulLog{l, inMemory} }
	}
}

func TestAMemberRecoversFromEntriesThatAreNotInMemory(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.spawnFounders()
	leader := f.elect()
	f.applyMany(leader, 50)
	forgetful(f, 40)
	for id := ID(1); id <= 3; id++ {
		f.stop(id)
	}
	f.spawnFounders()
	f.elect()
	f.apply(f.leader(), "new")
	f.agree(1, 2, 3)
	if got := len(f.machines[1].all()); got != 51 {
		t.Errorf("%d commands applied, want 51", got)
	}
}

func TestALateFollowerIsSentEntriesThatAreNotInMemory(t *testing.T) {
	f, leader := newGroup(t)
	late := f.others(leader)[0]
	f.stop(late)
	f.applyMany(leader, 50)
	forgetful(f, 45)
	for _, id := range f.others(0) {
		f.stop(id)
	}
	for id := ID(1); id <= 3; id++ {
		f.spawn(id, &journal{})
	}
	f.elect()
	f.apply(f.leader(), "new")
	f.pass(5)
	f.agree(1, 2, 3)
	if got := events[*SnapshotRestored](f); len(got) > 0 {
		t.Errorf("a snapshot was sent: %v", got)
	}
}

func TestASubscriptionReplaysEntriesThatAreNotInMemory(t *testing.T) {
	f := newFixture(t, 1)
	forgetful(f, 30)
	f.spawnFounders()
	f.elect()
	f.applyMany(1, 50)
	in := f.ask(1, &Subscribe{FromIndex: 1})
	f.settle()
	s := newStream(t, in)
	s.take()
	if len(s.commands) != 50 {
		t.Errorf("%d commands, want 50", len(s.commands))
	}
}

func TestAReadErrorOfTheStorageEndsTheMemberThatNeedsIt(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.applyMany(1, 20)
	f.stop(1)
	forgetful(f, 15)
	f.store(1).readErr = errTest
	f.spawn(1, &journal{})
	f.pass(50)
	f.failure(1, errTest.Error())
	f.store(1).readErr = nil
	f.spawn(1, &journal{})
	f.elect()
	if got := len(f.machines[1].all()); got != 20 {
		t.Errorf("%d commands applied, want 20", got)
	}
}

func TestHeartbeatsDoNotWaitForTheReader(t *testing.T) {
	f, leader := newGroup(t)
	late := f.others(leader)[0]
	f.stop(late)
	f.applyMany(leader, 50)
	forgetful(f, 45)
	others := f.others(0)
	for _, id := range others {
		f.stop(id)
		f.held[Name("g", id)+"/reader"] = true
	}
	for _, id := range slices.Concat(others, []ID{late}) {
		f.spawn(id, &journal{})
	}
	f.until("a leader", func() bool { return f.leader() != 0 })
	term := f.status(f.leader()).Term
	f.pass(1000)
	if s := f.status(f.leader()); s.Term != term {
		t.Errorf("the term went from %d to %d", term, s.Term)
	}
	clear(f.held)
	f.elect()
	f.apply(f.leader(), "new")
	f.pass(5)
	f.agree(1, 2, 3)
}

func TestAPeerThatCannotBeReachedIsNotStreamedTo(t *testing.T) {
	f, leader := newGroup(t)
	gone := f.others(leader)[0]
	entries := 0
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if e.To != gone {
			return []*PeerEnvelope{e}
		}
		for _, m := range e.Messages {
			if m, ok := m.(*node.AppendEntries); ok {
				entries += len(m.Entries)
			}
		}
		f.network.lose(e)
		return nil
	}
	for i := range 20 {
		f.apply(leader, fmt.Sprint(i))
	}
	if entries > 3 {
		t.Errorf("%d entries were sent to a member that is known not to be there", entries)
	}
	f.network.fault = nil
	f.pass(5)
	f.agree(1, 2, 3)
}
