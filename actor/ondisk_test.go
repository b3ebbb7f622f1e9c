package raft

import "testing"

// readerOf is the name of the actor that reads what is not in memory.
func readerOf(id ID) string { return Name("g", id) + "/reader" }

// newForgetful is a member alone with 20 commands, of whose entries it has the last few in memory, and with a
// subscriber whose place is on the disk: the reader has been asked, and has no turn.
func newForgetful(t *testing.T) (*fixture, *stream) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	forgetful(f, 20)
	f.spawnFounders()
	f.elect()
	f.applyMany(1, 20)
	f.held[readerOf(1)] = true
	s := f.subscribe(1, 1)
	s.take()
	if len(s.commands) > 0 {
		t.Fatalf("%d commands have come without the reader", len(s.commands))
	}
	return f, s
}

func TestEntriesThatAreReleasedBeforeTheyAreReadEndASubscription(t *testing.T) {
	f, s := newForgetful(t)
	done[*SnapshotTaken](f, 1, &TakeSnapshot{})
	first := f.status(1).FirstIndex
	if first < 20 {
		t.Fatalf("the log begins at %d still", first)
	}
	clear(f.held)
	f.settle()
	s.take()
	if len(s.commands) > 0 {
		t.Errorf("%d commands have come of a log that begins at %d", len(s.commands), first)
	}
	s.expectEnd(SubscriptionEnded_SNAPSHOT, first)
	again := f.subscribe(1, first)
	f.apply(1, "next")
	again.expect("next")
}

func TestAReadErrorForASubscriberIsFinal(t *testing.T) {
	f, _ := newForgetful(t)
	f.store(1).set(func(s *testStore) { s.readErr = errTest })
	clear(f.held)
	f.settle()
	f.failure(1, errTest.Error())
}

// newBehind is a group whose leader has to read for a member that is late, and whose reader has no turn.
func newBehind(t *testing.T) (f *fixture, leader, late ID) {
	f, leader = newGroup(t)
	late = f.others(leader)[0]
	f.stop(late)
	f.applyMany(leader, 50)
	forgetful(f, 45)
	others := f.others(0)
	for _, id := range others {
		f.stop(id)
	}
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	for _, id := range others {
		f.spawn(id, &journal{})
	}
	f.until("a leader", func() bool { return f.leader() != 0 })
	leader = f.leader()
	f.pass(5)
	f.held[readerOf(leader)] = true
	f.spawn(late, &journal{})
	f.pass(10)
	if s := f.status(late); s.LastIndex >= 45 {
		t.Fatalf("the late member has come to %d without the reader", s.LastIndex)
	}
	return f, leader, late
}

func TestEntriesThatAreReleasedBeforeTheyAreReadForAMemberGiveItASnapshot(t *testing.T) {
	f, leader, late := newBehind(t)
	f.store(leader).want(50)
	f.pass(3)
	if s := f.status(leader); s.FirstIndex <= 50 {
		t.Fatalf("the log begins at %d still", s.FirstIndex)
	}
	clear(f.held)
	f.elect()
	f.apply(f.leader(), "new")
	f.pass(5)
	f.agree(1, 2, 3)
	if got := events[*SnapshotRestored](f); len(got) != 1 || got[0].Member != late {
		t.Errorf("got %v, want one snapshot for member %d", got, late)
	}
	if failed := events[*Failed](f); len(failed) > 0 {
		t.Errorf("member %d failed: %v", failed[0].Member, failed[0].Err)
	}
}

func TestAReadErrorForAMemberIsFinal(t *testing.T) {
	f, leader, _ := newBehind(t)
	f.store(leader).set(func(s *testStore) { s.readErr = errTest })
	clear(f.held)
	f.settle()
	f.failure(leader, errTest.Error())
}
