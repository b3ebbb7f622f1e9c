package raft

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
)

func TestEntriesThatTheStorageWantsReleasedAreReleased(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b", "c", "d")
	f.store(leader).want(3)
	f.settle()
	if s := f.status(leader); s.FirstIndex != 4 || s.SnapshotIndex < 4 {
		t.Errorf("the log begins at %d behind a snapshot at %d, want it to begin at 4", s.FirstIndex, s.SnapshotIndex)
	}
	follower := f.others(leader)[0]
	if s := f.status(follower); s.FirstIndex != 1 {
		t.Errorf("the log of a member whose storage wants nothing begins at %d", s.FirstIndex)
	}
	f.apply(leader, "e")
	f.agree(1, 2, 3)
}

// A storage may want something while the raft actor has no turn, any number of times.
func TestOneWordOfAReleaseWaitsAtMost(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b", "c", "d")
	words := 0
	f.scheduler.Trace = func(_ *actor.PID, message any) {
		if batch, ok := actor.UnwrapEnvelopeMessage(message).(*mailbox.Batch); ok {
			for _, m := range batch.Control {
				if m == (releaseWanted{}) {
					words++
				}
			}
		}
	}
	f.hold(leader, "")
	for _, through := range []Index{2, 4, 0, 3, 4, 1} {
		f.store(leader).want(through)
	}
	clear(f.held)
	f.settle()
	if s := f.status(leader); s.FirstIndex != 5 || words != 1 {
		t.Errorf("the log begins at %d after %d words, want it to begin at 5 after one", s.FirstIndex, words)
	}
	f.store(leader).want(4)
	f.settle()
	if words != 2 {
		t.Errorf("%d words, want one more", words)
	}
}

// stored makes a snapshot durable behind the member's back, and returns its handle.
func (s *testStore) stored(tb testing.TB) any {
	tb.Helper()
	w, err := s.storage.CreateSnapshot(SnapshotMeta{})
	if err != nil {
		tb.Fatal(err)
	}
	handle, err := w.Commit()
	if err != nil {
		tb.Fatal(err)
	}
	return handle
}

func TestASnapshotThatComesTooLateIsGivenBack(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b")
	follower := f.others(leader)[0]
	done[*SnapshotTaken](f, follower, &TakeSnapshot{})
	store := f.store(follower)
	if len(store.committed) != 1 {
		t.Fatalf("%d snapshots, want the one of the log", len(store.committed))
	}
	saved := len(events[*SnapshotSaved](f))
	meta := store.storage.log.Snapshot()
	for name, message := range map[string]func(handle any) any{
		"own": func(handle any) any {
			return &snapshotEnded{meta: SnapshotMeta{Index: 1, Term: 1, Handle: handle}}
		},
		"own, again": func(handle any) any {
			return &snapshotEnded{meta: SnapshotMeta{Index: meta.Index, Term: meta.Term, Handle: handle}}
		},
		"of a leader": func(handle any) any {
			head := node.Header{
				From: leader, To: follower, Term: Term(f.status(leader).Term),
				FromIncarnation: node.Incarnation(1000 + leader), ToIncarnation: node.Incarnation(1000 + follower),
			}
			return &receivingEnded{
				from: &transferring{peer: leader}, handle: handle, offer: &node.InstallSnapshot{Header: head, Meta: meta},
			}
		},
	} {
		late := store.stored(t)
		f.system.Root.Send(f.pids[follower], message(late))
		f.settle()
		if store.committed[late] || !store.committed[meta.Handle] || len(store.committed) != 1 {
			t.Errorf("%s: %d snapshots are kept, want only that of the log", name, len(store.committed))
		}
	}
	if n := len(events[*SnapshotSaved](f)); n != saved {
		t.Errorf("%d snapshots are said to be saved that are not kept", n-saved)
	}
	f.apply(leader, "c")
	f.agree(1, 2, 3)
}

// A snapshot of the machine is written while a newer one of the leader's is installed.
func TestAnOwnSnapshotThatIsOvertakenIsGivenBack(t *testing.T) {
	l := newLag(t, 100)
	written := false
	l.machines[l.late].onWrite = func() error { written = true; return nil }
	l.held[Name("g", l.late)+"/applier/"] = true // the snapshotter has no turn
	in := l.ask(l.late, &TakeSnapshot{})
	l.network.heal()
	l.until("the leader's snapshot is restored", func() bool { return len(events[*SnapshotRestored](l.fixture)) > 0 })
	l.noReply(in)
	if written {
		t.Fatal("the snapshot is written already")
	}
	clear(l.held)
	l.settle()
	if !written {
		t.Fatal("the snapshot was never written")
	}
	only[*SnapshotTaken](l.fixture, in)
	l.caughtUp()
	store := l.store(l.late)
	if n := len(store.committed); n != 1 {
		t.Errorf("%d snapshots are kept, want the one of the log", n)
	}
}

// A machine is busy while the leader's snapshot is installed, and then a newer one: the file of the first is gone when
// it gets there.
func TestASnapshotThatIsReplacedBeforeItIsRestoredIsPassedOver(t *testing.T) {
	l := newLag(t, 100)
	store := l.store(l.late)
	store.replaces = true
	l.hold(l.late, "/applier")
	installed := func() Index { return store.storage.log.Snapshot().Index }
	l.network.heal()
	l.until("the snapshot is installed", func() bool { return installed() > 0 })
	l.pass(5) // and what follows it is handed over
	first := installed()
	query := l.ask(l.late, &Query{Consistency: Consistency_LOCAL})
	l.network.isolate(l.late, 1, 2, 3)
	l.pass(30)
	leader := l.fixture.leader()
	l.apply(leader, "more", "and more")
	for _, id := range l.others(l.late) {
		done[*SnapshotTaken](l.fixture, id, &TakeSnapshot{})
	}
	l.network.heal()
	l.until("the next one is installed", func() bool { return installed() > first })
	l.noReply(query)
	clear(l.held)
	l.settle()
	restored := events[*SnapshotRestored](l.fixture)
	if len(restored) != 1 || restored[0].Index != installed() {
		t.Errorf("got %v, want the newest restored, and no other", restored)
	}
	if a := only[*Answer](l.fixture, query); Index(a.Index) < first {
		t.Errorf("a query was answered as of %d, from a machine that was to restore %d", a.Index, first)
	}
	l.caughtUp()
}

// The storage may call back late, when the member lives again under the same name. What is durable then is not what
// the new life waits for.
func TestASyncOfAnEarlierLifeCompletesNoneOfThisOne(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.store(1).slow = true
	f.propose(1, "a")
	f.settle()
	earlier := f.store(1).storage.waiting[0].done
	f.stop(1)
	f.store(1).storage.waiting = nil
	f.spawn(1, &journal{})
	f.until("it votes for itself", func() bool { return f.store(1).waiting() > 0 })
	earlier(f.store(1).storage.waiting[0].seq, nil)
	f.settle()
	if s := f.status(1); s.Role == Status_LEADER {
		t.Errorf("member 1 leads term %d, and its vote is not durable", s.Term)
	}
	f.store(1).complete(1000)
	f.until("it leads", func() bool { return f.leader() == 1 })
}
