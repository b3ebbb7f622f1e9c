package raft

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func (g *realGroup) client(ids ...ID) *Client {
	var pids []*actor.PID
	for _, id := range ids {
		pids = append(pids, g.pids[id])
	}
	c := NewClient(g.system, pids...)
	g.Cleanup(c.Close)
	return c
}

func TestClientFindsTheLeader(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	ctx := within(t, 20*time.Second)
	for id := ID(1); id <= 3; id++ {
		c := g.client(id) // which knows one member only, most often not the leader
		result, err := c.Propose(ctx, []byte("x"))
		if err != nil || number(result.Data) != uint64(id) || result.Index == 0 || result.Term == 0 {
			t.Fatalf("got %+v, %v", result, err)
		}
		if got, err := c.Query(ctx, nil); err != nil || number(got.Data) != uint64(id) {
			t.Errorf("got %v, %v", got, err)
		}
		if got, err := g.client(id).QueryLocal(ctx, nil, result.Index); err != nil || number(got.Data) != uint64(id) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

func TestClientChangesTheGroup(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	ctx := within(t, 20*time.Second)
	leader := g.leader()
	c := g.client(1, 2, 3)
	founders := g.members
	g.members = nil
	g.stores[4] = NewMemoryStore()
	g.spawn(4)
	g.members = founders
	if err := c.AddMember(ctx, 4, ""); err != nil {
		t.Fatal(err)
	}
	for { // it is refused until it has caught up
		err := c.Promote(ctx, 4)
		if err == nil {
			break
		}
		var rejected *RejectedError
		if !errors.As(err, &rejected) || rejected.Code != Code_REFUSED || !errors.Is(err, ErrNotApplied) {
			t.Fatal(err)
		}
		g.pause(5 * time.Millisecond)
	}
	if err := c.Demote(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveMember(ctx, leader); err != nil {
		t.Fatal(err)
	}
	if err := c.TransferLeadership(ctx, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Propose(ctx, nil); err != nil {
		t.Fatal(err)
	}
	index, err := g.client(4).TakeSnapshot(ctx, g.pids[4])
	if err != nil || index == 0 {
		t.Errorf("got %d, %v", index, err)
	}
	s, err := c.Status(ctx, g.pids[4])
	if err != nil || s.Role != Status_LEADER || len(s.Members) != 3 {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestClientGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	g.leader()
	c := g.client(1, 2, 3)
	g.stop(1)
	g.stop(2) // there is no quorum
	for name, ask := range map[string]func(context.Context) error{
		"Query":       func(ctx context.Context) error { _, err := c.Query(ctx, nil); return err },
		"Propose":     func(ctx context.Context) error { _, err := c.Propose(ctx, nil); return err },
		"AddMember":   func(ctx context.Context) error { return c.AddMember(ctx, 9, "") },
		"QueryLocal":  func(ctx context.Context) error { _, err := c.QueryLocal(ctx, nil, 1000); return err },
		"the stopped": func(ctx context.Context) error { _, err := g.stoppedClient().Propose(ctx, nil); return err },
	} {
		err := ask(within(t, 300*time.Millisecond))
		if err == nil || (!errors.Is(err, ErrNotApplied) && !errors.Is(err, ErrUnknown)) {
			t.Errorf("%s: got %v, want an outcome", name, err)
		}
		if name == "Query" && !errors.Is(err, ErrNotApplied) {
			t.Errorf("%s: got %v, a query has no effect", name, err)
		}
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Propose(over, nil); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v, want context.Canceled and ErrNotApplied", err)
	}
}

// stoppedClient knows of actors that are not there only.
func (g *realGroup) stoppedClient() *Client {
	c := NewClient(g.system, actor.NewPID(g.system.Address(), Name("g", 77)))
	g.Cleanup(c.Close)
	return c
}

// A deadline of the member that is shorter than the caller's patience is not the caller's.
func TestClientAsksAgainWhatWasNotDoneInTime(t *testing.T) {
	f := newRealGroup(t, 1)
	f.leader()
	c := f.client(1)
	f.stop(1)
	f.configure = func(cfg *Config) { cfg.RequestTimeout = 30 * time.Millisecond }
	f.spawn(1)
	f.leader()
	answered := make(chan error, 1)
	at := f.propose(1, "a").Index
	go func() {
		_, err := c.QueryLocal(context.Background(), nil, Index(at)+1) // no deadline of its own
		answered <- err
	}()
	f.pause(200 * time.Millisecond)
	f.propose(1, "b")
	if err := <-answered; err != nil {
		t.Errorf("got %v although the context is not done", err)
	}
}

func TestClientWithoutMembers(t *testing.T) {
	c := NewClient(quietSystem())
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Propose(ctx, nil); err == nil {
		t.Error("proposed to nobody")
	}
	if _, err := c.TakeSnapshot(ctx, nil); err == nil {
		t.Error("nobody took a snapshot")
	}
}

func TestClientStatusOfAStoppedMember(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 1)
	pid := g.pids[1]
	c := g.client(1)
	g.stop(1)
	if s, err := c.Status(within(t, 10*time.Second), pid); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, %v, want an error at once", s, err)
	}
}

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	c := g.client(1, 2, 3)
	ctx := within(t, 20*time.Second)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if _, err := c.Propose(ctx, nil); err != nil {
					t.Error(err)
				}
				if _, err := c.Query(ctx, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, err := c.Query(ctx, nil); err != nil || number(got.Data) != 400 {
		t.Errorf("got %v, %v, want 400", got, err)
	}
}

func TestRejectedErrorTellsItsOutcome(t *testing.T) {
	for outcome, is := range map[Outcome]error{Outcome_NOT_APPLIED: ErrNotApplied, Outcome_UNKNOWN: ErrUnknown} {
		err := error((&Rejected{Code: Code_DEADLINE, Outcome: outcome, Leader: 3, Detail: "why"}).Err())
		var rejected *RejectedError
		if !errors.Is(err, is) || !errors.As(err, &rejected) || rejected.Leader != 3 ||
			errors.Is(err, ErrNotApplied) == errors.Is(err, ErrUnknown) {
			t.Errorf("got %v", err)
		}
	}
}

// Every client of an actor system hears of a dead letter, and none may be held up by another.
func TestStatusOfAStoppedMemberWithSeveralClients(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	clients := []*Client{NewClient(f.system, f.pids[1]), NewClient(f.system, f.pids[1])}
	f.stop(1)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, c := range clients {
		if _, err := c.Status(ctx, f.pids[1]); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the actor has stopped", err)
		}
		c.Close()
	}
}

// Who has given up does not take the place of others until the deadline.
func TestACancelledCallIsNotPending(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.PendingMax = 4 }
	f.spawnFounders()
	leader := f.elect()
	client := newClient(f.system, ClientConfig{Members: []*actor.PID{f.pids[leader]}, NoSession: true})
	defer client.Close()
	f.store(leader).slow = true // nothing is committed
	for range 4 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		ended := make(chan error, 1)
		go func() { _, err := client.Propose(ctx, nil); ended <- err }()
		for last := f.status(leader).LastIndex; f.status(leader).LastIndex == last; f.settle() {
			runtime.Gosched()
		}
		cancel()
		if err := <-ended; !errors.Is(err, ErrUnknown) {
			t.Fatalf("got %v, want %v", err, ErrUnknown)
		}
	}
	f.pass(2)
	in := f.propose(leader, "x")
	f.settle()
	f.noReply(in)
}

// nobody is an asker that does not care.
type nobody struct{}

func (nobody) answered(*call, reply) {}
func (nobody) forwarded(*actor.PID)  {}
