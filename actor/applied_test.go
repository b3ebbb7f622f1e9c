package raft

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
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
		for k, command := range must(collect(ctx, c, 1, count)) {
			if string(command.Data) != fmt.Sprint(k) || command.Index == 0 || command.Term == 0 {
				t.Fatalf("command %d is %v", k, command)
			}
		}
	}
	<-ended
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
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
	at := must(c.TakeSnapshot(ctx, g.pids[1]))
	g.propose(leader, "b")
	got, err := collect(ctx, c, 1, 1)
	var gap *GapError
	if !errors.As(err, &gap) || !errors.Is(err, ErrGap) || gap.Wanted != 1 || gap.Resume != at+1 || len(got) > 0 {
		t.Fatalf("got %v and %v, want a gap from 1 to %d", got, err, at+1)
	}
	if !strings.Contains(err.Error(), fmt.Sprint(at+1)) {
		t.Errorf("got %v, want the index in it to go on from", err)
	}
	if got := must(collect(ctx, c, gap.Resume, 1)); string(got[0].Data) != "b" {
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
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, run := range map[string]struct {
		ctx    func() (context.Context, func())
		cancel int // after so many commands; otherwise the deadline ends it
		want   error
	}{
		"before it begins": {func() (context.Context, func()) { return over, func() {} }, 0, context.Canceled},
		"among commands":   {func() (context.Context, func()) { return context.WithCancel(t.Context()) }, 3, context.Canceled},
		"waiting for more": {func() (context.Context, func()) { return soon(t) }, -1, context.DeadlineExceeded},
	} {
		ctx, cancel := run.ctx()
		var commands, errs int
		for _, err := range c.Applied(ctx, 1) {
			if err == nil {
				if commands++; commands == run.cancel {
					cancel()
				}
				continue
			}
			if errs++; !errors.Is(err, run.want) {
				t.Errorf("%s: got %v, want %v", name, err, run.want)
			}
		}
		cancel()
		if errs != 1 || (run.cancel >= 0 && commands != run.cancel) || (run.cancel < 0 && commands != 10) {
			t.Errorf("%s: %d commands and %d errors", name, commands, errs)
		}
	}
}

func soon(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	return ctx, cancel
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
		must(collect(ctx, c, 1, 2))
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
			s.delivered(command.Index)
			if s.granted != granted {
				grants++
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

// scripted stands for a member: a test says what it sends to whoever subscribes, on the subscriber's goroutine.
type scripted struct {
	system *actor.ActorSystem
	pid    *actor.PID
	// asked are the indices that were subscribed from.
	asked []uint64
	play  func(attempt int, tell func(...any))
}

func newScripted(system *actor.ActorSystem, play func(attempt int, tell func(...any))) *scripted {
	s := &scripted{system: system, play: play}
	s.pid, _ = system.ProcessRegistry.Add(s, "scripted"+system.ProcessRegistry.NextId())
	return s
}

func (s *scripted) SendUserMessage(_ *actor.PID, message any) {
	_, request, sender := actor.UnwrapEnvelope(message)
	if m, ok := request.(*Subscribe); ok {
		s.asked = append(s.asked, m.FromIndex)
		s.play(len(s.asked), func(messages ...any) {
			for _, m := range messages {
				tell(s.system, sender, m)
			}
		})
	}
}
func (*scripted) SendSystemMessage(*actor.PID, any) {}
func (*scripted) Stop(*actor.PID)                   {}

func startedAt(index uint64) *SubscriptionStarted {
	return &SubscriptionStarted{PreviousIndex: index - 1}
}

func appliedAt(index, previous, number uint64) *Applied {
	return &Applied{Index: index, Term: 1, PreviousIndex: previous, Number: number}
}

// What does not follow what came before is not passed on: the stream begins again where it was.
func TestAppliedPassesNoGapOn(t *testing.T) {
	for name, wrong := range map[string][]any{
		"a gap":                    {startedAt(5), appliedAt(5, 4, 1), appliedAt(8, 6, 2)},
		"a lost first":             {startedAt(5), appliedAt(6, 5, 2)},
		"a duplicate":              {startedAt(5), appliedAt(5, 4, 1), appliedAt(5, 4, 1)},
		"an older one":             {startedAt(5), appliedAt(5, 4, 1), appliedAt(3, 5, 2)},
		"a number left out":        {startedAt(5), appliedAt(5, 4, 1), appliedAt(6, 5, 3)},
		"a start that is too late": {startedAt(6), appliedAt(6, 5, 1)},
		"a start that is too soon": {startedAt(4), appliedAt(4, 3, 1)},
		"two starts":               {startedAt(5), appliedAt(5, 4, 1), startedAt(6)},
		"no start":                 {appliedAt(5, 4, 1)},
		"something after the end": {
			startedAt(5), appliedAt(5, 4, 1), endOf(SubscriptionEnded_STOPPED, 6), appliedAt(6, 5, 2),
		},
	} {
		t.Run(name, func(t *testing.T) {
			system := quietSystem()
			member := newScripted(system, nil)
			member.play = func(attempt int, tell func(...any)) {
				from := member.asked[attempt-1]
				if attempt == 1 {
					tell(wrong...)
					return
				}
				tell(startedAt(from))
				for i := range uint64(4) {
					tell(appliedAt(from+i, from+i-1, i+1))
				}
			}
			c := NewClient(system, member.pid)
			defer c.Close()
			var got []Index
			commands, err := collect(within(t, 10*time.Second), c, 5, 4)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range commands {
				got = append(got, command.Index)
			}
			if want := []Index{5, 6, 7, 8}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if len(member.asked) < 2 {
				t.Error("it was not asked again")
			}
		})
	}
}

// A member that cannot go on is left for the next one, each in turn.
func TestAppliedAsksTheOtherMembers(t *testing.T) {
	for name, answer := range map[string]func() []any{
		"STOPPED at once":       func() []any { return []any{endOf(SubscriptionEnded_STOPPED, 5)} },
		"STOPPED after a start": func() []any { return []any{startedAt(5), endOf(SubscriptionEnded_STOPPED, 5)} },
		"a snapshot":            func() []any { return []any{endOf(SubscriptionEnded_SNAPSHOT, 50)} },
		"overloaded":            func() []any { return []any{tooManySubscribers()} },
		"a dead letter":         func() []any { return []any{&actor.DeadLetterResponse{}} },
	} {
		t.Run(name, func(t *testing.T) {
			system := quietSystem()
			helpless := func(_ int, tell func(...any)) { tell(answer()...) }
			first, second := newScripted(system, helpless), newScripted(system, helpless)
			third := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(5), appliedAt(5, 4, 1)) })
			gone := actor.NewPID(system.Address(), "gone")
			c := NewClient(system, first.pid, gone, second.pid, third.pid)
			defer c.Close()
			must(collect(within(t, 10*time.Second), c, 5, 1))
			for _, m := range []*scripted{first, second, third} {
				if !slices.Equal(m.asked, []uint64{5}) {
					t.Errorf("asked from %v, want from 5 once", m.asked)
				}
			}
		})
	}
}

// The first message of a stream from now on says where that is, and it goes on there.
func TestAppliedRemembersWhereNowWas(t *testing.T) {
	system := quietSystem()
	first := newScripted(system, func(_ int, tell func(...any)) {
		tell(startedAt(7), endOf(SubscriptionEnded_STOPPED, 7))
	})
	second := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(7), appliedAt(9, 6, 1)) })
	c := NewClient(system, first.pid, second.pid)
	defer c.Close()
	must(collect(within(t, 10*time.Second), c, 0, 1))
	if !slices.Equal(first.asked, []uint64{0}) || !slices.Equal(second.asked, []uint64{7}) {
		t.Errorf("asked from %v and %v, want from 0 and 7", first.asked, second.asked)
	}
}

// It is a gap only if nobody has it, and the nearest place is the one to go on from.
func TestAppliedEndsOnlyIfASnapshotCoversItEverywhere(t *testing.T) {
	system := quietSystem()
	at := func(resume Index) *scripted {
		return newScripted(system, func(_ int, tell func(...any)) { tell(endOf(SubscriptionEnded_SNAPSHOT, resume)) })
	}
	members := []*scripted{at(50), at(40), at(60)}
	c := NewClient(system, members[0].pid, members[1].pid, members[2].pid, actor.NewPID(system.Address(), "gone"))
	defer c.Close()
	_, err := collect(within(t, 10*time.Second), c, 5, 1)
	var gap *GapError
	if !errors.As(err, &gap) || *gap != (GapError{Wanted: 5, Resume: 40}) {
		t.Errorf("got %v, want a gap from 5 to 40", err)
	}
	for _, m := range members {
		if len(m.asked) != 1 {
			t.Errorf("asked %d times, want once", len(m.asked))
		}
	}
}

// What cannot be got over by asking again is returned.
func TestAppliedReturnsARefusal(t *testing.T) {
	system := quietSystem()
	member := newScripted(system, func(_ int, tell func(...any)) { tell(invalid("no")) })
	c := NewClient(system, member.pid)
	defer c.Close()
	_, err := collect(within(t, 10*time.Second), c, 5, 1)
	var rejected *RejectedError
	if !errors.As(err, &rejected) || rejected.Code != Code_INVALID {
		t.Errorf("got %v, want the refusal", err)
	}
}

// A member that says nothing for long is asked anew, and if it has said nothing at all, another one is.
func TestAppliedDoesNotWaitForASilentMemberForever(t *testing.T) {
	system := quietSystem()
	first := newScripted(system, func(int, func(...any)) {})
	second := newScripted(system, func(attempt int, tell func(...any)) {
		if attempt == 1 {
			tell(startedAt(5), appliedAt(5, 4, 1))
		} else {
			tell(startedAt(6), appliedAt(6, 5, 1))
		}
	})
	s := &appliedStream{
		system: system, members: []*actor.PID{first.pid, second.pid}, next: 5, silence: 5 * time.Millisecond,
	}
	defer s.leave()
	for want := Index(5); want <= 6; want++ {
		commands, err := s.receive(within(t, 10*time.Second))
		if err != nil || len(commands) != 1 || commands[0].Index != want {
			t.Fatalf("got %v, %v, want index %d", commands, err, want)
		}
		s.delivered(want)
	}
	if !slices.Equal(first.asked, []uint64{5}) || !slices.Equal(second.asked, []uint64{5, 6}) {
		t.Errorf("asked from %v and %v", first.asked, second.asked)
	}
}
