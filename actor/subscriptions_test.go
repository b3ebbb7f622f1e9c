package raft

import (
	"fmt"
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// A stream checks what a subscriber is told: that it starts, that the links have no gap, that it gets no more than it has
// granted, and that nothing follows the end.
type stream struct {
	testing.TB
	in *inbox
	// credit is what was granted.
	credit   uint64
	started  bool
	previous uint64
	commands []string
	indices  []uint64
	ended    *SubscriptionEnded
}

func newStream(tb testing.TB, in *inbox) *stream {
	return &stream{TB: tb, in: in, credit: creditDefault}
}

// take looks at what has arrived since.
func (s *stream) take() {
	s.Helper()
	for _, m := range s.in.take() {
		if s.ended != nil {
			s.Fatalf("got %v after the end", m)
		}
		switch m := m.(type) {
		case *SubscriptionStarted:
			if s.started {
				s.Fatalf("got a second %v", m)
			}
			s.started, s.previous = true, m.PreviousIndex
		case *Applied:
			if !s.started || m.PreviousIndex != s.previous || m.Index <= m.PreviousIndex || m.Term == 0 {
				s.Fatalf("got %v after %d (started: %v)", m, s.previous, s.started)
			}
			if m.Number != uint64(len(s.commands)+1) || m.Number > s.credit {
				s.Fatalf("got %v after %d, with a credit of %d", m, len(s.commands), s.credit)
			}
			s.previous = m.Index
			s.commands, s.indices = append(s.commands, string(m.Command)), append(s.indices, m.Index)
		case *SubscriptionEnded:
			s.ended = m
		default:
			s.Fatalf("got %T{%v}", m, m)
		}
	}
}

func (f *fixture) subscribe(id ID, from uint64) *stream {
	f.Helper()
	return f.subscribeFor(id, from, creditDefault)
}

// subscribeFor subscribes with a credit.
func (f *fixture) subscribeFor(id ID, from, credit uint64) *stream {
	f.Helper()
	s := newStream(f, f.ask(id, &Subscribe{FromIndex: from, Credit: credit}))
	s.credit = credit
	f.settle()
	s.take()
	return s
}

// grant grants credit up to a number.
func (s *stream) grant(f *fixture, id ID, upTo uint64) {
	s.credit = max(s.credit, upTo)
	f.system.Root.Send(f.pids[id], &GrantCredit{Subscriber: s.in.pid, UpTo: upTo})
}

func (s *stream) expect(commands ...string) {
	s.Helper()
	s.take()
	if !slices.Equal(s.commands, commands) {
		s.Fatalf("got %q, want %q", s.commands, commands)
	}
}

func (s *stream) expectEnd(reason SubscriptionEnded_Reason, resume uint64) {
	s.Helper()
	s.take()
	if s.ended == nil || s.ended.Reason != reason || s.ended.ResumeIndex != resume {
		s.Fatalf("got %v, want %v and to resume at %d", s.ended, reason, resume)
	}
}

func TestSubscribeFromNowOn(t *testing.T) {
	f, leader := newGroup(t)
	at := f.apply(leader, "a")
	s := f.subscribe(leader, 0)
	if !s.started || s.previous != at.Index {
		t.Errorf("starts after %d (started: %v), want %d", s.previous, s.started, at.Index)
	}
	f.apply(leader, "b", "c")
	s.expect("b", "c")
}

func TestSubscribeFromTheBeginningAndThenLive(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b")
	for id := ID(1); id <= 3; id++ {
		s := f.subscribe(id, 1)
		if s.previous = s.indices[len(s.indices)-1]; !s.started {
			t.Error("not started")
		}
		s.expect("a", "b")
	}
	s := f.subscribe(f.others(leader)[0], 1)
	f.apply(leader, "c")
	f.pass(3)
	s.expect("a", "b", "c")
}

func TestSubscribeFromARetainedIndex(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	b := f.apply(leader, "b")
	f.apply(leader, "c")
	s := f.subscribe(leader, b.Index)
	s.expect("b", "c")
	s = f.subscribe(leader, b.Index+1)
	s.expect("c")
}

func TestSubscribeFromAnIndexThatIsStillToCome(t *testing.T) {
	f, leader := newGroup(t)
	a := f.apply(leader, "a")
	s := f.subscribe(leader, a.Index+3)
	if !s.started || s.previous != a.Index+2 {
		t.Errorf("starts after %d, want %d", s.previous, a.Index+2)
	}
	f.apply(leader, "b", "c", "d", "e")
	s.expect("d", "e")
}

func TestSubscribeFromACompactedIndex(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RetainEntries = 2 }
	f.spawnFounders()
	f.elect()
	f.apply(1, "a", "b", "c", "d")
	done[*SnapshotTaken](f, 1, &TakeSnapshot{})
	first := f.status(1).FirstIndex
	for from := uint64(1); from < first; from++ {
		s := f.subscribe(1, from)
		s.expectEnd(SubscriptionEnded_SNAPSHOT, first)
		if s.started || len(s.commands) > 0 {
			t.Errorf("got %q although %d is gone", s.commands, from)
		}
	}
	s := f.subscribe(1, first)
	s.expect("c", "d")
}

func TestASubscriptionReplaysWhileWritesGoOn(t *testing.T) {
	f, leader := newGroup(t)
	f.applyMany(leader, 3000)
	s := newStream(t, f.ask(leader, &Subscribe{FromIndex: 1, Credit: 10_000}))
	s.credit = 10_000
	for i := range 200 { // a turn of somebody, and now and then a command
		if f.scheduler.Len() > 0 {
			f.scheduler.Step(i % f.scheduler.Len())
		}
		if i%4 == 0 {
			f.propose(leader, fmt.Sprint("live", i))
			f.network.deliver()
		}
	}
	f.settle()
	s.take()
	want := f.machines[leader].all()
	if len(s.commands) != len(want) {
		t.Fatalf("%d commands, want %d", len(s.commands), len(want))
	}
	for i, c := range want {
		if s.commands[i] != string(c.Data) || s.indices[i] != uint64(c.Index) {
			t.Fatalf("command %d is %q at %d, want %q at %d", i, s.commands[i], s.indices[i], c.Data, c.Index)
		}
	}
}

func TestUnsubscribe(t *testing.T) {
	f, leader := newGroup(t)
	s := f.subscribe(leader, 0)
	a := f.apply(leader, "a")
	f.system.Root.Send(f.pids[leader], &Unsubscribe{Subscriber: s.in.pid})
	f.settle()
	s.expectEnd(SubscriptionEnded_UNSUBSCRIBED, a.Index+1)
	f.apply(leader, "b")
	s.expect("a")
}

func TestASecondSubscribeReplacesTheFirst(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	s := f.subscribe(leader, 0)
	f.apply(leader, "b")
	s.expect("b")
	f.system.Root.RequestWithCustomSender(f.pids[leader], &Subscribe{FromIndex: 1}, s.in.pid)
	f.settle()
	again := newStream(t, s.in)
	again.expect("a", "b")
	f.apply(leader, "c")
	again.expect("a", "b", "c")
}

func TestTheSubscriberMayBeNamed(t *testing.T) {
	f, leader := newGroup(t)
	in := newInbox(f.system)
	f.system.Root.Send(f.pids[leader], &Subscribe{Subscriber: in.pid, FromIndex: 1})
	f.system.Root.Send(f.pids[leader], &Subscribe{}) // nobody: nothing happens
	f.apply(leader, "a")
	newStream(t, in).expect("a")
}

func TestASubscriberThatDiesIsForgotten(t *testing.T) {
	f, leader := newGroup(t)
	got := 0
	subscriber := f.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*Applied); ok {
			got++
		}
	}, actor.WithMailbox(f.scheduler.Plain())))
	f.system.Root.Send(f.pids[leader], &Subscribe{Subscriber: subscriber})
	f.settle()
	f.apply(leader, "a")
	dead := 0
	f.system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok && letter.PID.Equal(subscriber) {
			dead++
		}
	})
	f.system.Root.Stop(subscriber)
	f.settle()
	f.apply(leader, "b")
	if n := f.status(leader).Subscribers; got != 1 || dead > 0 || n != 0 {
		t.Errorf("the subscriber got %d, %d went to its grave, and %d are left", got, dead, n)
	}

	// One that was dead before, and one that dies before it is looked at.
	f.system.Root.Send(f.pids[leader], &Subscribe{Subscriber: subscriber})
	f.settle()
	f.apply(leader, "c")
	subscriber = f.system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}, actor.WithMailbox(f.scheduler.Plain())))
	f.held[Name("g", leader)+"/feeder"] = true
	f.system.Root.Send(f.pids[leader], &Subscribe{Subscriber: subscriber})
	f.system.Root.Stop(subscriber)
	f.settle()
	clear(f.held)
	f.apply(leader, "d")
	if n := f.status(leader).Subscribers; dead > 0 || n != 0 {
		t.Errorf("%d letters to subscribers that were dead before, and %d are left", dead, n)
	}
}

func TestARestorePastTheSubscriberEndsItsSubscription(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	f.spawnFounders()
	leader := f.elect()
	late := f.others(leader)[0]
	f.apply(leader, "a")
	f.pass(3)
	s := f.subscribe(late, 1)
	future := f.subscribe(late, 1000)
	f.network.isolate(late, f.others(late)...)
	f.apply(leader, "b", "c")
	at := done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.network.heal()
	f.until("the snapshot", func() bool { return len(events[*SnapshotRestored](f)) > 0 })
	s.expect("a")
	s.expectEnd(SubscriptionEnded_SNAPSHOT, at.Index+1)
	future.take()
	if future.ended != nil {
		t.Errorf("a subscription from an index that is still to come was ended: %v", future.ended)
	}
	again := f.subscribe(late, s.ended.ResumeIndex)
	f.apply(f.leader(), "d")
	f.pass(3)
	again.expect("d")
}

func TestACompactionDuringReplayIsNoGap(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RetainEntries, c.CommandBytesMax = -1, 1<<20 }
	f.spawnFounders()
	f.elect()
	big := string(make([]byte, 1<<19))
	for range 6 {
		f.apply(1, big)
	}
	raftName, applierName := Name("g", 1), Name("g", 1)+"/applier"
	in := f.ask(1, &Subscribe{FromIndex: 1})
	s := newStream(t, in)
	// The subscriber has the first part when the log is compacted.
	for len(in.all()) < 2 {
		f.scheduler.Step(0)
	}
	f.held[applierName] = true
	f.run()
	f.held[applierName], f.held[raftName] = false, true
	f.run()
	clear(f.held)
	taken := f.ask(1, &TakeSnapshot{})
	f.settle()
	only[*SnapshotTaken](f, taken)
	s.take()
	if s.ended == nil && len(s.commands) != 6 {
		t.Errorf("%d commands and no end", len(s.commands))
	}
	if s.ended != nil && s.ended.Reason != SubscriptionEnded_SNAPSHOT {
		t.Errorf("got %v", s.ended)
	}
}

// A subscription that ends in the middle of its replay can be gone on with where it was.
func TestASubscriptionThatEndsWhileReplayingCanBeResumed(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.applyMany(1, 50)
	in := f.ask(1, &Subscribe{FromIndex: 1})
	f.held[Name("g", 1)+"/applier"] = true // the log is read, and has not come through yet
	f.settle()
	f.noReply(in)
	f.system.Root.Stop(f.pids[1])
	f.settle()
	clear(f.held)
	f.settle()
	if end := only[*SubscriptionEnded](f, in); end.ResumeIndex != 1 {
		t.Errorf("got %v, want to resume at 1: nothing was given", end)
	}
}

func TestUnsubscribeIsAlwaysAnswered(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	in := f.ask(1, &Unsubscribe{})
	f.settle()
	only[*SubscriptionEnded](f, in)
}
