package raft

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// pendingOnALeader is one request of each kind, none of which the leader can answer now, and a subscription.
type pendingOnALeader struct {
	propose, change, query, local, snapshot, transfer *inbox
	subscription                                      *inbox
}

func askAll(f *fixture, leader ID) pendingOnALeader {
	f.Helper()
	others := f.others(leader)
	f.apply(leader, "before")
	f.held[Name("g", leader)+"/applier"] = true // a busy machine
	f.network.cutWay(leader, others[0])
	p := pendingOnALeader{
		subscription: f.ask(leader, &Subscribe{FromIndex: 1}),
		snapshot:     f.ask(leader, &TakeSnapshot{}),
		local:        f.ask(leader, &Query{Consistency: Consistency_LOCAL}),
	}
	f.settle()
	f.network.isolate(leader, others...)
	p.query = f.ask(leader, &Query{})
	p.propose = f.propose(leader, "x")
	f.settle()
	p.change = f.ask(leader, addLearner(7, ""))
	f.settle()
	p.transfer = f.ask(leader, &TransferLeadership{Target: uint64(others[0])})
	f.settle()
	for _, in := range []*inbox{p.propose, p.change, p.query, p.local, p.snapshot, p.transfer} {
		f.noReply(in)
	}
	return p
}

// expectStopped wants all to have been told, once.
func (p pendingOnALeader) expectStopped(f *fixture) {
	f.Helper()
	f.rejected(p.propose, Code_STOPPED, Outcome_UNKNOWN)
	f.rejected(p.change, Code_STOPPED, Outcome_UNKNOWN)
	f.rejected(p.query, Code_STOPPED, Outcome_NOT_APPLIED)
	f.rejected(p.local, Code_STOPPED, Outcome_NOT_APPLIED)
	f.rejected(p.snapshot, Code_STOPPED, Outcome_UNKNOWN)
	f.rejected(p.transfer, Code_STOPPED, Outcome_UNKNOWN)
}

func TestStopAnswersAllThatIsPending(t *testing.T) {
	for name, stop := range map[string]func(*fixture, *actor.PID){
		"Stop":   func(f *fixture, pid *actor.PID) { f.system.Root.Stop(pid) },
		"Poison": func(f *fixture, pid *actor.PID) { f.system.Root.Poison(pid) },
	} {
		t.Run(name, func(t *testing.T) {
			f, leader := newGroup(t)
			p := askAll(f, leader)
			stop(f, f.pids[leader])
			f.settle()
			p.expectStopped(f) // though the machine is still busy
			clear(f.held)
			f.settle()
			f.expectGone(leader)
			p.expectStopped(f)
		})
	}
}

func TestStopEndsSubscriptions(t *testing.T) {
	f, leader := newGroup(t)
	in := f.ask(leader, &Subscribe{FromIndex: 1})
	last := f.apply(leader, "a")
	f.stop(leader)
	got := in.all()
	ended, ok := got[len(got)-1].(*SubscriptionEnded)
	if !ok || ended.Reason != SubscriptionEnded_STOPPED || ended.ResumeIndex != last.Index+1 {
		t.Errorf("got %v last, want STOPPED and to resume at %d", got[len(got)-1], last.Index+1)
	}
}

func TestPoisonComesAfterWhatWasAskedBefore(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	before := f.propose(1, "before")
	f.system.Root.Poison(f.pids[1])
	after := f.propose(1, "after")
	f.settle()
	f.expectGone(1)
	got := before.all()
	if len(got) != 1 {
		t.Fatalf("got %v, want one reply", got)
	}
	if r, ok := got[0].(*Rejected); ok && r.Outcome != Outcome_UNKNOWN {
		t.Errorf("got %v for what stands in the log", r)
	}
	if got := after.all(); len(got) != 1 {
		t.Errorf("got %v for what was asked behind the pill, want one reply", got)
	}
}

func TestRequestsAfterTheStopAreDeadLetters(t *testing.T) {
	f, leader := newGroup(t)
	f.stop(leader)
	for _, request := range []any{&Propose{}, &Query{}, &GetStatus{}, &Subscribe{}} {
		in := f.ask(leader, request)
		f.settle()
		only[*actor.DeadLetterResponse](f, in)
	}
}

// A machine may be busy for long when its member is told to stop, and only then are its children gone.
func TestRequestsWhileStoppingAreAnswered(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	f.held[Name("g", leader)+"/applier"] = true
	f.system.Root.Stop(f.pids[leader])
	f.settle()
	propose, query := f.propose(leader, "b"), f.ask(leader, &Query{Consistency: Consistency_LOCAL})
	transfer, change := f.ask(leader, &TransferLeadership{Target: 1}), f.ask(leader, addLearner(7, ""))
	subscription, status := f.ask(leader, &Subscribe{}), f.ask(leader, &GetStatus{})
	asked := &statusCall{status: make(chan *Status, 1)}
	f.system.Root.Send(f.pids[leader], asked)
	f.pass(200)
	f.rejected(propose, Code_STOPPED, Outcome_NOT_APPLIED)
	f.rejected(query, Code_STOPPED, Outcome_NOT_APPLIED)
	f.rejected(change, Code_STOPPED, Outcome_NOT_APPLIED)
	if r := only[*Rejected](f, transfer); r.Code != Code_STOPPED {
		t.Errorf("got %v", r)
	}
	if ended := only[*SubscriptionEnded](f, subscription); ended.Reason != SubscriptionEnded_STOPPED {
		t.Errorf("got %v", ended)
	}
	if r := only[*Rejected](f, status); r.Code != Code_STOPPED {
		t.Errorf("got %v", r)
	}
	select {
	case <-asked.status:
	default:
		t.Error("a status call gets no answer from a member that is stopping")
	}
	clear(f.held)
	f.settle()
	f.expectGone(leader)
}

func TestAMemberComesBackOnItsStore(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b")
	f.stop(leader)
	f.until("a new leader", func() bool { return f.leader() != 0 })
	f.apply(f.leader(), "c")
	f.spawn(leader, &journal{})
	f.elect()
	f.agree(1, 2, 3)
	if got := len(f.machines[leader].all()); got != 3 {
		t.Errorf("%d commands applied, want 3", got)
	}
}

func TestStoppingWhileASnapshotIsBeingTaken(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.apply(1, "a")
	in := f.ask(1, &TakeSnapshot{})
	f.run()
	only[*SnapshotTaken](f, in)
	f.apply(1, "b")

	// The view is captured and its writer has had no turn yet.
	in = f.ask(1, &TakeSnapshot{})
	for f.machines[1].views == 0 {
		f.scheduler.Step(0)
	}
	f.system.Root.Stop(f.pids[1])
	f.settle()
	f.expectGone(1)
	if len(in.all()) != 1 {
		t.Errorf("got %v, want one answer", in.all())
	}
	if f.machines[1].views != 0 {
		t.Error("a view was not released")
	}
	if f.store(1).writers != 0 {
		t.Error("a snapshot's writer was neither committed nor aborted")
	}
}

// endlessState is a machine whose snapshot has no end.
type endlessState struct {
	journal
	begun chan struct{}
}

func (s *endlessState) Snapshot() (View, error) { return endlessView{s.begun}, nil }

type endlessView struct{ begun chan struct{} }

func (v endlessView) WriteTo(w io.Writer) (int64, error) {
	close(v.begun)
	for total := int64(0); ; total++ {
		if _, err := w.Write([]byte{0}); err != nil {
			return total, err
		}
	}
}

func (endlessView) Release() {}

func TestStopDoesNotWaitForASnapshot(t *testing.T) {
	system := quietSystem()
	defer system.Shutdown()
	machine := &endlessState{begun: make(chan struct{})}
	pid, err := Spawn(system, Config{
		Group: "g", ID: 1, Members: []Member{{ID: 1}},
		Store: NewMemoryStore(), Transport: NewMemoryTransport(),
	}, machine)
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(system, pid)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := client.Propose(ctx, nil); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = client.TakeSnapshot(ctx, pid) }()
	<-machine.begun
	if err := system.Root.StopFuture(pid).Wait(); err != nil {
		t.Errorf("got %v, want that it stops", err)
	}
}

// A Subscribe that the applier has not come to is answered, too.
func TestASubscribeThatWaitsIsAnswered(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.held[Name("g", 1)+"/applier"] = true
	in := f.ask(1, &Subscribe{FromIndex: 2})
	f.settle()
	f.noReply(in)
	f.system.Root.Stop(f.pids[1])
	f.settle()
	if end := only[*SubscriptionEnded](f, in); end.Reason != SubscriptionEnded_STOPPED || end.ResumeIndex != 2 {
		t.Errorf("got %v, want STOPPED, to be resumed at 2", end)
	}
	f.held = map[string]bool{}
	f.settle()
}
