package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// unwell wants a member to have exactly these problems, and returns them.
func (f *fixture) unwell(id ID, want ...Problem_Kind) []*Problem {
	f.Helper()
	err := Health(f.Context(), f.system, f.pids[id])
	if len(want) == 0 {
		if err != nil {
			f.Fatalf("got %v, want nothing to be wrong", err)
		}
		return nil
	}
	var unhealthy *UnhealthyError
	if !errors.As(err, &unhealthy) {
		f.Fatalf("got %v, want %v", err, want)
	}
	var got []Problem_Kind
	for _, p := range unhealthy.Problems {
		got = append(got, p.Kind)
		if !strings.Contains(err.Error(), p.Detail) || p.Detail == "" {
			f.Errorf("%q does not say %q", err, p.Detail)
		}
	}
	if !slices.Equal(got, want) {
		f.Fatalf("got %v, want %v", got, want)
	}
	return unhealthy.Problems
}

// bad wants the member to be live and ready, or not.
func (f *fixture) bad(id ID, live, ready bool) {
	f.Helper()
	err := Health(f.Context(), f.system, f.pids[id])
	if errors.Is(err, ErrNotLive) == live || errors.Is(err, ErrNotReady) == ready {
		f.Errorf("%v: live should be %v, and ready %v", err, live, ready)
	}
}

func TestNothingIsWrongWithAGroupAtWork(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	for id := ID(1); id <= 3; id++ {
		f.unwell(id)
		f.bad(id, true, true)
	}
}

func TestAMemberThatIsNotThereIsNotLive(t *testing.T) {
	f, leader := newGroup(t)
	f.stop(leader)
	f.unwell(leader, Problem_STOPPED)
	f.bad(leader, false, false)
	f.pids[9] = actor.NewPID(f.system.Address(), Name("g", 9)) // never was
	f.unwell(9, Problem_STOPPED)
	if err := Health(f.Context(), f.system, nil); !errors.Is(err, ErrNotLive) {
		t.Errorf("got %v for nobody", err)
	}
	c := NewClient(f.system, f.pids[leader])
	if _, err := c.Status(f.Context(), nil); err == nil {
		t.Error("the status of nobody")
	}
	c.Close()
	if _, err := c.Status(within(t, 10*time.Second), f.pids[9]); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v from a client that is closed", err)
	}
}

func TestAMemberThatIsStoppingIsNotLive(t *testing.T) {
	f, leader := newGroup(t)
	f.hold(leader, "/applier")
	f.system.Root.Stop(f.pids[leader])
	f.run()
	f.unwell(leader, Problem_STOPPED)
}

func TestAMemberWithoutTurnsIsStalled(t *testing.T) {
	f, leader := newGroup(t)
	f.hold(leader, "")
	f.pass(9)
	f.unwell(leader) // an election timeout has ten ticks
	f.pass(1)
	f.unwell(leader, Problem_STALLED)
	f.bad(leader, false, false)
	clear(f.held)
	f.settle()
	f.bad(leader, true, false) // it has lost its office, and knows no leader yet
	f.elect()
	f.unwell(leader)
}

func TestAMemberWithoutALeaderIsNotReady(t *testing.T) {
	f, leader := newGroup(t)
	alone := f.others(leader)[0]
	f.network.isolate(alone, 1, 2, 3)
	f.pass(40)
	f.unwell(alone, Problem_NO_LEADER)
	f.bad(alone, true, false)
	f.bad(f.others(alone)[0], true, true)
}

func TestALeaderNamesTheVoterThatIsSilent(t *testing.T) {
	f, leader := newGroup(t)
	silent := f.others(leader)[1]
	done[*MembersChanged](f, leader, addLearner(7, "")) // a learner does not count
	f.network.isolate(silent, 1, 2, 3)
	f.pass(9)
	f.unwell(leader)
	f.pass(3)
	if p := f.unwell(leader, Problem_VOTER_SILENT); p[0].Member != uint64(silent) {
		t.Errorf("got %v, want member %d", p[0], silent)
	}
	f.bad(leader, true, true)
	f.network.heal()
	f.pass(10)
	f.unwell(leader)
}

func TestAMachineThatDoesNotApplyIsStalled(t *testing.T) {
	f, leader := newGroup(t)
	f.hold(leader, "/applier")
	f.pass(200)
	f.unwell(leader) // there is nothing to apply
	f.propose(leader, "a")
	f.settle()
	f.pass(99)
	f.unwell(leader)
	f.pass(1)
	f.unwell(leader, Problem_MACHINE_STALLED)
	f.bad(leader, true, false)
	clear(f.held)
	f.settle()
	f.unwell(leader)
}

func TestAMachineWithMuchToApplyIsBehind(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.UnappliedBytesMax = 1000 }
	f.spawnFounders()
	f.elect()
	f.hold(1, "/applier")
	f.propose(1, strings.Repeat("x", 600))
	f.settle()
	f.unwell(1)
	f.propose(1, strings.Repeat("x", 200))
	f.settle()
	f.unwell(1, Problem_MACHINE_BEHIND)
	f.bad(1, true, false)
}

func TestAMachineThatHasASnapshotToRestoreIsBehind(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b")
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.stop(leader)
	next := f.elect()
	f.hold(leader, "/applier")
	f.spawn(leader, &journal{})
	f.pass(10)
	f.unwell(leader, Problem_MACHINE_BEHIND)
	f.bad(leader, true, false)
	if s := f.status(leader); s.AppliedIndex != 0 || s.Leader != uint64(next) {
		t.Errorf("%d is applied, and %d leads", s.AppliedIndex, s.Leader)
	}
	clear(f.held)
	f.settle()
	f.unwell(leader)
}

func TestAQueueThatIsNearlyFullIsNamed(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RequestsMax = 8 }
	f.spawnFounders()
	f.elect()
	f.hold(1, "")
	for range 6 {
		f.propose(1, "a")
	}
	f.unwell(1)
	f.propose(1, "a")
	if p := f.unwell(1, Problem_QUEUE_NEARLY_FULL); p[0].Detail != "7 of Config.RequestsMax = 8" {
		t.Errorf("got %q", p[0].Detail)
	}
	f.bad(1, true, true)
}

// A probe that asks every second for a year leaves nothing behind.
func TestNothingIsLeftOfAProbe(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	processes := func() (n int) {
		for _, shard := range f.system.ProcessRegistry.LocalPIDs.LocalPIDs {
			n += shard.Count()
		}
		return n
	}
	before := processes()
	over, cancel := context.WithCancel(f.Context())
	cancel()
	silent := newInbox(f.system).pid
	for range 10 {
		f.bad(1, true, true)
		_ = Health(over, f.system, silent)
	}
	if n := processes(); n != before+1 {
		t.Errorf("%d processes, want the %d of before and the one that is silent", n, before)
	}
}

// A small queue is nearly full when it is, and not as soon as anything waits in it.
func TestASmallQueueIsNotNearlyFullAtOnce(t *testing.T) {
	for limit, want := range map[int]uint64{1: 2, 2: 3, 3: 4, 4: 4, 5: 5, 8: 7} {
		waiting := uint64(0)
		for !nearlyFull(waiting, limit) {
			waiting++
		}
		if waiting != want {
			t.Errorf("%d of %d are nearly full, want %d", waiting, limit, want)
		}
	}
}

// What a status must say for each problem, and what it may say without one.
func TestProblemsAreThoseOfTheStatus(t *testing.T) {
	c := Config{
		RequestsMax: 100, RequestBytesMax: 100, PeerBytesMax: 100, PendingMax: 100, UncommittedBytesMax: 100,
		UnappliedBytesMax: 100,
	}.withDefaults()
	for name, test := range map[string]struct {
		set    func(s *Status, n uint64)
		enough uint64
		want   Problem_Kind
	}{
		"stalled":         {func(s *Status, n uint64) { s.StalledMs = int64(n) }, 500, Problem_STALLED},
		"disk stalled":    {func(s *Status, n uint64) { s.UnsyncedMs = int64(n) }, 1000, Problem_STORAGE_STALLED},
		"machine stalled": {func(s *Status, n uint64) { s.MachineStalledMs = int64(n) }, 5000, Problem_MACHINE_STALLED},
		"machine behind":  {func(s *Status, n uint64) { s.CommitIndex += n }, 65_537, Problem_MACHINE_BEHIND},
		"unapplied bytes": {func(s *Status, n uint64) { s.Queues.UnappliedBytes = n }, 76, Problem_MACHINE_BEHIND},
		"silent": {func(s *Status, n uint64) {
			s.Members = []*MemberInfo{{Id: 2, LastContactMs: 1e6}, {Id: 3, Voter: true, LastContactMs: int64(n)}}
		}, 500, Problem_VOTER_SILENT},
		"requests":          {func(s *Status, n uint64) { s.Queues.Requests = n }, 76, Problem_QUEUE_NEARLY_FULL},
		"request bytes":     {func(s *Status, n uint64) { s.Queues.RequestBytes = n }, 76, Problem_QUEUE_NEARLY_FULL},
		"peer bytes":        {func(s *Status, n uint64) { s.Queues.PeerBytes = n }, 76, Problem_QUEUE_NEARLY_FULL},
		"pending":           {func(s *Status, n uint64) { s.Queues.Pending = n }, 76, Problem_QUEUE_NEARLY_FULL},
		"uncommitted bytes": {func(s *Status, n uint64) { s.Queues.UncommittedBytes = n }, 76, Problem_QUEUE_NEARLY_FULL},
		"log records":       {func(s *Status, n uint64) { s.Queues.LogRecords = n }, 3073, Problem_QUEUE_NEARLY_FULL},
		"events":            {func(s *Status, n uint64) { s.Queues.Events = n }, 3073, Problem_QUEUE_NEARLY_FULL},
		"no leader":         {func(s *Status, n uint64) { s.Leader = 1 - n }, 1, Problem_NO_LEADER},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []uint64{test.enough - 1, test.enough} {
				s := &Status{Leader: 1, CommitIndex: 10, AppliedIndex: 10, Queues: &Queues{}}
				test.set(s, n)
				var want []Problem_Kind
				if n == test.enough {
					want = []Problem_Kind{test.want}
				}
				var got []Problem_Kind
				for _, p := range c.problems(s) {
					got = append(got, p.Kind)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d: got %v, want %v", n, got, want)
				}
			}
		})
	}
	if got := c.problems(&Status{Leader: 1, Queues: &Queues{}}); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// Each kind of problem says how bad it is.
func TestEveryProblemIsAWarningOrMore(t *testing.T) {
	for kind, name := range Problem_Kind_name {
		e := &UnhealthyError{actor.NewPID("", "m"), []*Problem{{Kind: Problem_Kind(kind), Detail: "why"}}}
		live, ready := !errors.Is(e, ErrNotLive), !errors.Is(e, ErrNotReady)
		want := map[string]string{
			"STOPPED": "false false", "STALLED": "false false",
			"STORAGE_STALLED": "true false", "NO_LEADER": "true false", "MACHINE_STALLED": "true false", "MACHINE_BEHIND": "true false",
		}[name]
		if want == "" {
			want = "true true"
		}
		if got := fmt.Sprint(live, ready); got != want {
			t.Errorf("%s: live and ready are %s, want %s", name, got, want)
		}
	}
}

func TestAMemberThatDoesNotAnswerIsNotReady(t *testing.T) {
	f := newFixture(t, 1)
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	err := Health(ctx, f.system, newInbox(f.system).pid) // takes what comes, and says nothing
	if !errors.Is(err, ErrNotReady) || !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotLive) {
		t.Errorf("got %v", err)
	}
}
