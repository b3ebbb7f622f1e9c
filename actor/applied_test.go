package raft

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// collect ranges over applied commands until there are enough.
func collect(ctx context.Context, c *Client, from Index, count int) (got []Command, err error) {
	for command, err := range c.Applied(ctx, from) {
		if err != nil {
			return got, err
		}
		if got = append(got, command); len(got) == count {
			break
		}
	}
	return got, nil
}

func TestAppliedYieldsWhatIsThereAndWhatComes(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	ctx := within(t, 30*time.Second)
	c := g.client(1, 2, 3)
	const count = 5000
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range count {
			if _, err := c.Propose(ctx, fmt.Append(nil, i)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 3 {
		for k, command := range collectAll(t, ctx, c, 1, count) {
			if string(command.Data) != fmt.Sprint(k) || command.Index == 0 || command.Term == 0 {
				t.Fatalf("command %d is %v", k, command)
			}
		}
	}
	<-ended
}

func collectAll(t *testing.T, ctx context.Context, c *Client, from Index, count int) []Command {
	t.Helper()
	got, err := collect(ctx, c, from, count)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAppliedFromNowOn(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 1)
	leader := g.leader()
	ctx := within(t, 30*time.Second)
	g.propose(leader, "before")
	c, first := g.client(1), make(chan string)
	go func() {
		defer close(first)
		for command, err := range c.Applied(ctx, 0) {
			if err != nil {
				t.Error(err)
				return
			}
			first <- string(command.Data)
			return
		}
	}()
	// The loop has begun when the member knows of it.
	g.waitFor("a subscriber", func() bool { return g.status(1).Subscribers == 1 })
	g.propose(leader, "after")
	if got := <-first; got != "after" {
		t.Errorf("got %q", got)
	}
}

// Each member is stopped in turn, and comes back. Whoever ranges over the commands does not notice.
func TestAppliedGoesOnAtAnotherMember(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	g.leader()
	ctx, cancel := context.WithCancel(within(t, 60*time.Second))
	c := g.client(1, 2, 3)
	proposing := make(chan struct{})
	go func() {
		defer close(proposing)
		for i := 0; ctx.Err() == nil; i++ {
			_, err := c.Propose(ctx, fmt.Append(nil, i))
			if err != nil && !errors.Is(err, ErrUnknown) && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	var got []Command
	var seen atomic.Int64
	ranging := make(chan error, 1)
	go func() {
		for command, err := range c.Applied(ctx, 1) {
			if err != nil {
				ranging <- err
				return
			}
			got = append(got, command)
			seen.Add(1)
		}
	}()
	for range 2 {
		for id := ID(1); id <= 3; id++ {
			g.stop(id)
			before := seen.Load()
			g.waitFor("commands in its absence", func() bool { return seen.Load() > before+20 })
			g.spawn(id)
			g.leader()
		}
	}
	cancel()
	if err := <-ranging; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context is cancelled", err)
	}
	<-proposing
	g.waitFor("all of it at one member", func() bool { return len(g.machines[1].all()) >= len(got) })
	for k, want := range g.machines[1].all()[:len(got)] {
		if got[k].Index != want.Index || got[k].Term != want.Term || string(got[k].Data) != string(want.Data) {
			t.Fatalf("command %d is %d %q, want %d %q", k, got[k].Index, got[k].Data, want.Index, want.Data)
		}
	}
}

func TestAppliedEndsWhereASnapshotCoversTheLog(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 1)
	g.configure = func(c *Config) { c.RetainEntries = -1 }
	g.stop(1)
	g.spawn(1)
	leader := g.leader()
	ctx := within(t, 30*time.Second)
	c := g.client(1)
	g.propose(leader, "a")
	at, err := c.TakeSnapshot(ctx, g.pids[1])
	if err != nil {
		t.Fatal(err)
	}
	g.propose(leader, "b")
	got, err := collect(ctx, c, 1, 1)
	var gap *GapError
	if !errors.As(err, &gap) || !errors.Is(err, ErrGap) || gap.Wanted != 1 || gap.Resume != at+1 || len(got) > 0 {
		t.Fatalf("got %v and %v, want a gap from 1 to %d", got, err, at+1)
	}
	if !strings.Contains(err.Error(), fmt.Sprint(at+1)) {
		t.Errorf("got %v, want the index in it to go on from", err)
	}
	if got := collectAll(t, ctx, c, gap.Resume, 1); string(got[0].Data) != "b" {
		t.Errorf("got %q", got[0].Data)
	}
}

func TestAppliedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 1)
	leader := g.leader()
	for range 10 {
		g.propose(leader, "x")
	}
	c := g.client(1)
	for name, run := range map[string]struct {
		after int // as many commands
		late  bool
	}{
		"before it begins": {after: 0},
		"among commands":   {after: 3},
		"waiting for more": {after: 10, late: true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if run.after == 0 {
			cancel()
		}
		var commands, errs int
		for _, err := range c.Applied(ctx, 1) {
			if err != nil {
				if errs++; !errors.Is(err, context.Canceled) {
					t.Errorf("%s: got %v, want that the context is cancelled", name, err)
				}
				continue
			}
			if commands++; commands < run.after {
				continue
			}
			if run.late {
				time.AfterFunc(20*time.Millisecond, cancel)
			} else {
				cancel()
			}
		}
		cancel()
		if errs != 1 || commands != run.after {
			t.Errorf("%s: %d commands and %d errors, want %d and one", name, commands, errs, run.after)
		}
	}
}

func TestAppliedEndsWithItsClient(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 1)
	leader := g.leader()
	g.propose(leader, "x")
	g.propose(leader, "y")
	ctx := within(t, 30*time.Second)
	for name, closes := range map[string]int{"before it begins": 0, "among commands": 1, "waiting for more": 2} {
		c := NewClient(g.system, g.pids[1])
		if closes == 0 {
			c.Close()
		}
		commands := 0
		for _, err := range c.Applied(ctx, 1) {
			if err == nil {
				if commands++; commands == closes {
					c.Close()
				}
			} else if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: got %v, want that the client is closed", name, err)
			}
		}
		if commands != closes {
			t.Errorf("%s: %d commands, want %d", name, commands, closes)
		}
	}
}

func TestAppliedWithoutMembers(t *testing.T) {
	c := NewClient(quietSystem())
	defer c.Close()
	if _, err := collect(t.Context(), c, 1, 1); err == nil {
		t.Error("commands of nobody")
	}
}

// However a loop ends, nothing is left of it: no process, no goroutine, no subscription.
func TestNothingIsLeftOfALoopOverAppliedCommands(t *testing.T) {
	g := newRealGroup(t, 2)
	leader := g.leader()
	for range 3 {
		g.propose(leader, "x")
	}
	c := g.client(1, 2)
	processes := func() (n int) {
		for _, shard := range g.system.ProcessRegistry.LocalPIDs.LocalPIDs {
			n += shard.Count()
		}
		return n
	}
	before := processes()
	ctx := within(t, 30*time.Second)
	for range 50 {
		collectAll(t, ctx, c, 1, 2)
		func() {
			defer func() { _ = recover() }()
			for range c.Applied(ctx, 1) {
				panic("in the loop")
			}
		}()
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		if _, err := collect(short, c, 1, 4); err == nil {
			t.Error("more commands than there are")
		}
		cancel()
	}
	if n := processes(); n != before {
		t.Errorf("%d processes, %d before", n, before)
	}
	g.waitFor("no subscribers", func() bool { return g.status(1).Subscribers == 0 })
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		buffer := make([]byte, 1<<20)
		stacks := string(buffer[:runtime.Stack(buffer, true)])
		if !strings.Contains(stacks, "appliedS") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(stacks)
		}
	}
}

// A loop that is slow is sent no more than a window, and what it has not asked for stays where it is.
func TestASlowLoopHoldsAWindowOfCommands(t *testing.T) {
	f := newFixture(t, 1)
	f.scheduler.Trace = nil
	f.spawnFounders()
	f.elect()
	const count = 4*appliedWindow + 7
	f.applyMany(1, count)
	s := &appliedStream{system: f.system, members: []*actor.PID{f.pids[1]}, next: 1, silence: time.Hour}
	if err := s.subscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.leave()
	grants := 0
	f.settle()
	for got := 0; got < count; {
		commands, err := s.receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for k, command := range commands {
			if want := fmt.Sprintf("many-%d", got); string(command.Data) != want {
				t.Fatalf("got %q, want %q", command.Data, want)
			}
			got++
			granted := s.granted
			s.delivered(&command)
			if s.granted != granted {
				grants++
			}
			if left := s.granted - s.taken; left < appliedWindow/2 {
				t.Fatalf("a credit of %d is left, want half a window", left)
			}
			f.settle()
			if n := len(s.source.commands) + len(commands) - k - 1; n > appliedWindow {
				t.Fatalf("%d commands are held, want %d at most", n, appliedWindow)
			}
		}
	}
	if most := 2*count/appliedWindow + 1; grants > most {
		t.Errorf("%d grants for %d commands, want %d at most", grants, count, most)
	}
}
