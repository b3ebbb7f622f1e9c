package raft

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

var errTest = errors.New("it broke")

// comeBack spawns a member again on its store, and wants it to be one of the group.
func (f *fixture) comeBack(id ID) {
	f.Helper()
	f.spawn(id, &journal{})
	f.apply(f.elect(), "after the return")
	f.agree(1, 2, 3)
	if got := len(events[*Failed](f)); got > 1 {
		f.Errorf("%d Failed published, want 1", got)
	}
}

func TestAMachineThatFailsEndsItsMember(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(*fixture, *journal)
		text   string
	}{
		"panic in Apply": {func(f *fixture, j *journal) {
			j.onApply = func(Command) error { panic("apply panics") }
			f.propose(f.leader(), "poison")
		}, "apply panics"},
		"error from Apply": {func(f *fixture, j *journal) {
			j.onApply = func(Command) error { return errTest }
			f.propose(f.leader(), "poison")
		}, errTest.Error()},
		"panic in Query": {func(f *fixture, j *journal) {
			j.onQuery = func([]byte) error { panic("query panics") }
			f.ask(1, &Query{Consistency: Consistency_LOCAL})
		}, "query panics"},
		"panic in Snapshot": {func(f *fixture, j *journal) {
			j.onSnapshot = func() error { panic("snapshot panics") }
			f.ask(1, &TakeSnapshot{})
		}, "snapshot panics"},
		"panic in WriteTo": {func(f *fixture, j *journal) {
			j.onWrite = func() error { panic("write panics") }
			f.ask(1, &TakeSnapshot{})
		}, "write panics"},
	} {
		for role, leads := range map[string]bool{"leader": true, "follower": false} {
			t.Run(name+" on the "+role, func(t *testing.T) {
				f := newFixture(t, 1, 2, 3)
				f.spawnFounders()
				leader := f.elect()
				if leads != (leader == 1) {
					target := 1
					if !leads {
						target = 2
					}
					done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: uint64(target)})
				}
				f.apply(f.elect(), "a")
				c.break_(f, f.machines[1])
				f.pass(3)
				f.failure(1, c.text)
				if f.machines[1].views != 0 {
					t.Error("a view was not released")
				}
				if f.store(1).writers != 0 {
					t.Error("a snapshot's writer was neither committed nor aborted")
				}
				f.until("a leader", func() bool { return f.leader() != 0 })
				f.comeBack(1)
			})
		}
	}
}

func TestFailureAnswersAllThatIsPending(t *testing.T) {
	f, leader := newGroup(t)
	p := askAll(f, leader)
	f.machines[leader].onSnapshot = func() error { panic("in the middle of it all") }
	f.machines[leader].onQuery = func([]byte) error { panic("in the middle of it all") }
	clear(f.held)
	f.settle()
	f.failure(leader, "in the middle of it all")
	p.expectStopped(f)
}

func TestAPanicEndsSubscriptions(t *testing.T) {
	for name, onApply := range map[string]func(Command) error{
		"panic": func(Command) error { panic("apply panics") },
		"error": func(Command) error { return errTest },
	} {
		t.Run(name, func(t *testing.T) {
			f, leader := newGroup(t)
			in := f.ask(leader, &Subscribe{FromIndex: 1})
			last := f.apply(leader, "a")
			f.machines[leader].onApply = onApply
			f.propose(leader, "poison")
			f.pass(3)
			f.failure(leader, "")
			got := in.all()
			ended, ok := got[len(got)-1].(*SubscriptionEnded)
			if !ok || ended.Reason != SubscriptionEnded_STOPPED || ended.ResumeIndex != last.Index+1 {
				t.Errorf("got %T{%v} last, want STOPPED", got[len(got)-1], got[len(got)-1])
			}
		})
	}
}

func TestNothingIsAskedOfAMachineThatHasFailed(t *testing.T) {
	for name, onApply := range map[string]func(Command) error{
		"panic": func(Command) error { panic("apply panics") },
		"error": func(Command) error { return errTest },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			f.spawnFounders()
			f.elect()
			j := f.machines[1]
			j.onApply = onApply
			j.onQuery = func([]byte) error { t.Error("queried after it failed"); return nil }
			f.held[Name("g", 1)+"/applier"] = true
			f.propose(1, "poison")
			f.run()
			f.ask(1, &Query{Consistency: Consistency_LOCAL})
			f.run()
			f.held = map[string]bool{Name("g", 1): true} // it does not get to know at once
			f.run()
			clear(f.held)
			f.settle()
			f.failure(1, "")
		})
	}
}

func TestAMachineThatCannotBeCapturedIsNoFailure(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	j := f.machines[leader]
	for name, set := range map[string]func(func() error){
		"Snapshot": func(e func() error) { j.onSnapshot = e },
		"WriteTo":  func(e func() error) { j.onWrite = e },
	} {
		set(func() error { return errTest })
		in := f.ask(leader, &TakeSnapshot{})
		f.settle()
		if r := f.rejected(in, Code_REFUSED, Outcome_NOT_APPLIED); !strings.Contains(r.Detail, errTest.Error()) {
			t.Errorf("%s: got %q", name, r.Detail)
		}
		set(nil)
		if j.views != 0 || f.store(leader).writers != 0 {
			t.Errorf("%s: %d views and %d writers are left", name, j.views, f.store(leader).writers)
		}
	}
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	if failed := events[*Failed](f); len(failed) > 0 {
		t.Errorf("got %v", failed)
	}
}

func TestARestoreThatFailsEndsTheMember(t *testing.T) {
	for name, onRestore := range map[string]func() error{
		"panic": func() error { panic("it broke") },
		"error": func() error { return errTest },
	} {
		t.Run(name, func(t *testing.T) {
			f, leader := newGroup(t)
			f.apply(leader, "a")
			done[*SnapshotTaken](f, leader, &TakeSnapshot{})
			f.stop(leader)
			f.spawn(leader, &journal{onRestore: onRestore})
			f.settle()
			f.failure(leader, "it broke")
			f.until("a leader", func() bool { return f.leader() != 0 })
			f.comeBack(leader)
		})
	}
}

func TestASnapshotThatCannotBeOpenedEndsTheMember(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.stop(leader)
	f.store(leader).openErr = errTest
	f.spawn(leader, &journal{})
	f.settle()
	if err := f.failure(leader, ""); !errors.Is(err, errTest) {
		t.Errorf("got %v, want it to wrap %v", err, errTest)
	}
	f.store(leader).openErr = nil
	f.until("a leader", func() bool { return f.leader() != 0 })
	f.comeBack(leader)
}

func TestAStorageErrorEndsTheMember(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(*testStore)
		mend   func(*testStore)
		ask    any
	}{
		"sync": {
			func(s *testStore) { s.slow, s.syncErr = true, errTest },
			func(s *testStore) { s.slow, s.syncErr = false, nil },
			&Propose{},
		},
		"append": {
			func(s *testStore) { s.storage.log.(*brokenLog).err = errTest },
			func(*testStore) {},
			&Propose{},
		},
		"compact": {
			func(s *testStore) { s.storage.log.(*brokenLog).err = errTest },
			func(*testStore) {},
			&TakeSnapshot{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1, 2, 3)
			for id := ID(1); id <= 3; id++ {
				f.store(id).wrap = func(l *node.MemoryLog) node.Log { return &brokenLog{MemoryLog: l} }
			}
			f.spawnFounders()
			leader := f.elect()
			f.apply(leader, "a")
			store := f.store(leader)
			store.set(c.break_)
			in := f.ask(leader, c.ask)
			f.settle()
			store.complete(1)
			f.settle()
			if err := f.failure(leader, ""); !errors.Is(err, errTest) {
				t.Errorf("got %v, want it to wrap %v", err, errTest)
			}
			if got := len(in.all()); got != 1 {
				t.Errorf("%d answers, want 1", got)
			}
			store.set(c.mend)
			f.until("a leader", func() bool { return f.leader() != 0 })
			f.comeBack(leader)
		})
	}
}

func TestASnapshotThatCannotBeStoredIsAStorageError(t *testing.T) {
	for name, set := range map[string]func(*testStore, error){
		"create": func(s *testStore, err error) { s.createErr = err },
		"write":  func(s *testStore, err error) { s.writeErr = err },
		"commit": func(s *testStore, err error) { s.commitErr = err },
	} {
		t.Run(name, func(t *testing.T) {
			f, leader := newGroup(t)
			f.apply(leader, "a")
			set(f.store(leader), errTest)
			in := f.ask(leader, &TakeSnapshot{})
			f.pass(2)
			if err := f.failure(leader, ""); !errors.Is(err, errTest) {
				t.Errorf("got %v, want it to wrap %v", err, errTest)
			}
			if r := only[*Rejected](f, in); r.Code != Code_STOPPED {
				t.Errorf("got %v", r)
			}
			if f.store(leader).writers != 0 || f.machines[leader].views != 0 {
				t.Error("a writer or a view is left")
			}
			set(f.store(leader), nil)
			f.until("a leader", func() bool { return f.leader() != 0 })
			f.comeBack(leader)
		})
	}
}

// A command that a failing step has left in the log may be applied when the member comes back.
func TestACommandOfAFailedStepIsNotCalledNotApplied(t *testing.T) {
	f := newFixture(t, 1)
	f.store(1).wrap = func(l *node.MemoryLog) node.Log { return &brokenLog{MemoryLog: l} }
	f.spawnFounders()
	f.elect()
	f.store(1).storage.log.(*brokenLog).err = errTest
	propose := f.propose(1, "in the log")
	f.settle()
	f.failure(1, errTest.Error())
	r := f.rejected(propose, Code_STOPPED, Outcome_UNKNOWN)
	f.spawn(1, &journal{})
	f.elect()
	if got := f.machines[1].all(); len(got) == 1 && r.Outcome == Outcome_NOT_APPLIED {
		t.Errorf("%v is applied, and was answered with %v", texts(got), r)
	}
}

func TestABrokenInvariantEndsTheMember(t *testing.T) {
	f, leader := newGroup(t)
	in := f.propose(leader, "x")
	f.system.Root.Send(f.pids[leader], &syncDone{seq: 1 << 40}) // more than was ever asked for
	f.settle()
	err := f.failure(leader, "invariant")
	var broken *node.InvariantError
	if !errors.As(err, &broken) || broken.ID != leader {
		t.Errorf("got %v, want an InvariantError of member %d", err, leader)
	}
	// The request came in the turn that did not come to its end.
	f.rejected(in, Code_STOPPED, Outcome_NOT_APPLIED)
	f.until("a leader", func() bool { return f.leader() != 0 })
	f.comeBack(leader)
}

// A raft actor that was restarted with an empty memory could vote twice.
func TestARaftActorIsNeverRestartedInPlace(t *testing.T) {
	f, leader := newGroup(t)
	in := f.propose(leader, "x")
	process, _ := f.system.ProcessRegistry.GetLocal(Name("g", leader))
	process.SendSystemMessage(f.pids[leader], &actor.Restart{})
	f.settle()
	f.pass(5)
	f.expectGone(leader)
	if len(in.all()) != 1 {
		t.Errorf("got %v, want one answer", in.all())
	}
	if len(f.network.links) != 2 {
		t.Errorf("%d members are joined to the network, want 2", len(f.network.links))
	}
	f.until("a leader", func() bool { return f.leader() != 0 })
	f.comeBack(leader)
}

func TestCommandsAreNeverLogged(t *testing.T) {
	secret := "a secret that must not be logged"
	var logged bytes.Buffer
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
	}))
	f := newFixture(t, 1)
	f.system = system
	f.configure = func(c *Config) { c.Logger = nil }
	f.spawnFounders()
	f.elect()
	f.apply(1, secret)
	f.stop(1)
	for _, m := range []any{
		&Propose{Command: []byte(secret)}, &Query{Payload: []byte(secret)}, &Proposed{Result: []byte(secret)},
		&Answer{Result: []byte(secret)}, &Applied{Command: []byte(secret)},
		&call{payload: []byte(secret)}, &work{items: []any{&applyRun{entries: []Entry{{Data: []byte(secret)}}}}},
		&PeerEnvelope{Messages: []node.Message{&node.AppendEntries{Entries: []Entry{{Data: []byte(secret)}}}}},
		&entriesFetched{event: node.EntriesRead{Entries: []Entry{{Data: []byte(secret)}}}},
	} {
		before := logged.Len()
		f.system.Root.Send(f.pids[1], m)
		in := newInbox(system)
		f.system.Root.RequestWithCustomSender(f.pids[1], m, in.pid)
		text := logged.String()[before:]
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprint([]byte(secret)[:5])[1:10]) {
			t.Errorf("a dead %v is logged with its contents", reflect.TypeOf(m))
		}
	}
	if logged.Len() == 0 || !strings.Contains(logged.String(), "member started") {
		t.Error("nothing of ours is logged at all")
	}
}

// Handlers of dead letters run on the goroutine of whoever sends: an answer to nobody is not sent.
func TestADeadLetterHandlerCannotHurtAMember(t *testing.T) {
	f, leader := newGroup(t)
	f.system.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*actor.DeadLetterEvent); ok {
			panic("a handler of the user's")
		}
	})
	gone := actor.NewPID(f.system.Address(), "gone")
	for _, m := range []any{&Propose{}, &Query{}, &ChangeMembers{}, &TransferLeadership{Target: 77}} {
		for _, id := range []ID{leader, f.others(leader)[0]} {
			f.system.Root.RequestWithCustomSender(f.pids[id], m, gone)
			f.pass(3)
		}
	}
	for _, e := range events[*Failed](f) {
		t.Errorf("member %d failed: %v", e.Member, e.Err)
	}
}

// Entries that cannot be read for another member are a storage error.
func TestAReadErrorForAPeerIsFinal(t *testing.T) {
	f, leader := newGroup(t)
	f.system.Root.Send(f.pids[leader], &entriesFetched{err: errTest})
	f.settle()
	f.failure(leader, errTest.Error())
}
