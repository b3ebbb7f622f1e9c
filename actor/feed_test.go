package raft

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func TestSubscribersMax(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.SubscribersMax = 3 }
	f.spawnFounders()
	f.elect()
	var all []*stream
	for range 3 {
		all = append(all, f.subscribe(1, 1))
	}
	in := f.ask(1, &Subscribe{FromIndex: 1})
	f.settle()
	if r := f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED); r.RetryAfterMs == 0 {
		t.Errorf("got %v, want a hint when to try again", r)
	}
	if n := f.status(1).Queues.RequestsRefused; n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
	// One that has subscribed may do it again, and who leaves makes room.
	f.system.Root.RequestWithCustomSender(f.pids[1], &Subscribe{FromIndex: 1}, all[0].in.pid)
	f.system.Root.Send(f.pids[1], &Unsubscribe{Subscriber: all[1].in.pid})
	f.settle()
	f.apply(1, "a")
	all[2].expect("a")
	late := f.subscribe(1, 1)
	late.expect("a")
	if n := f.status(1).Subscribers; n != 3 {
		t.Errorf("%d subscribers, want 3", n)
	}
}

// What is asked and not looked at is bounded as well.
func TestAStormOfSubscribesIsBounded(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.SubscribersMax = 10 }
	f.spawnFounders()
	f.elect()
	f.held[Name("g", 1)+"/feeder"] = true
	in := newInbox(f.system)
	for range 100 {
		f.system.Root.RequestWithCustomSender(f.pids[1], &Subscribe{}, in.pid)
		f.system.Root.RequestWithCustomSender(f.pids[1], &Unsubscribe{}, in.pid)
	}
	rejected := 0
	for _, m := range in.take() {
		if r, ok := m.(*Rejected); ok && r.Code == Code_OVERLOADED {
			rejected++
		}
	}
	if rejected != 190 {
		t.Errorf("%d of 200 requests were refused, want 190", rejected)
	}
	clear(f.held)
	f.settle()
	ended := 0
	for _, m := range in.take() {
		if _, ok := m.(*SubscriptionEnded); ok {
			ended++
		}
	}
	if ended != 5 {
		t.Errorf("%d of 5 Unsubscribes were answered", ended)
	}
}

// Who has subscribed can leave also when no more is taken in: it may be gone the next moment.
func TestASubscriberCanAlwaysLeave(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.SubscribersMax = 2 }
	f.spawnFounders()
	f.elect()
	f.apply(1, "a")
	leaving := f.subscribeFor(1, 1, 1) // it has used its credit up
	leaving.expect("a")
	f.held[Name("g", 1)+"/feeder"] = true
	other := newInbox(f.system)
	for range 3 { // of which the last is too much
		f.system.Root.RequestWithCustomSender(f.pids[1], &Subscribe{FromIndex: 1}, other.pid)
	}
	f.rejected(other, Code_OVERLOADED, Outcome_NOT_APPLIED)
	f.system.Root.Send(f.pids[1], &Unsubscribe{Subscriber: leaving.in.pid})
	f.system.ProcessRegistry.Remove(leaving.in.pid)
	clear(f.held)
	f.settle()
	if n := f.status(1).Subscribers; n != 1 {
		t.Errorf("%d subscribers, want 1", n)
	}
}

func TestASubscriberThatCannotBeReachedCostsNothing(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.apply(1, "a")
	letters := 0
	f.system.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*actor.DeadLetterEvent); ok {
			letters++
		}
	})
	for _, subscriber := range []*actor.PID{
		nil, {}, actor.NewPID(f.system.Address(), "nobody"), actor.NewPID("far.away:1", "somebody"),
	} {
		f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: subscriber, FromIndex: 1})
		f.system.Root.Send(f.pids[1], &GrantCredit{Subscriber: subscriber, UpTo: 5})
		f.settle()
		f.system.Root.Send(f.pids[1], &Unsubscribe{Subscriber: subscriber})
		f.settle()
	}
	if n := f.status(1).Subscribers; n != 0 || letters > 0 {
		t.Errorf("%d subscribers and %d dead letters, want none", n, letters)
	}
}

// far is a process of another actor system.
type far struct {
	watchers int
	got      []any
}

// A subscriber of another actor system is watched, and forgotten when it is said to be dead: its name proves nothing.
func TestASubscriberOfAnotherSystem(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	process, pid := &far{}, actor.NewPID("far.away:1", "somebody")
	f.system.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) {
		return process, pid.Address == "far.away:1"
	})
	f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: pid})
	f.settle()
	f.apply(1, "a")
	if process.watchers != 1 || len(process.got) != 2 {
		t.Errorf("%d watchers and %v, want one, and a command", process.watchers, process.got)
	}
	feeder := actor.NewPID(f.system.Address(), Name("g", 1)+"/feeder")
	there, _ := f.system.ProcessRegistry.Get(feeder)
	there.SendSystemMessage(feeder, &actor.Terminated{Who: pid})
	f.settle()
	if n := f.status(1).Subscribers; n != 0 {
		t.Errorf("%d subscribers, want none", n)
	}
}

// A future takes one message and is gone.
func TestAFutureIsASubscriberForOneMessage(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	future := f.system.Root.RequestFuture(f.pids[1], &Subscribe{}, -1)
	f.settle()
	if m, err := future.Result(); err != nil {
		t.Error(err)
	} else if _, ok := m.(*SubscriptionStarted); !ok {
		t.Errorf("got %T{%v}, want a SubscriptionStarted", m, m)
	}
	f.apply(1, "a")
	if n := f.status(1).Subscribers; n != 0 {
		t.Errorf("%d subscribers, want none", n)
	}
}

// A name may be taken again before the member hears that its first bearer is dead.
func TestANamesakeOfASubscriberIsSomebodyElse(t *testing.T) {
	for _, subscribes := range []bool{false, true} {
		t.Run(fmt.Sprint("it subscribes: ", subscribes), func(t *testing.T) {
			f := newFixture(t, 1)
			f.spawnFounders()
			f.elect()
			got := map[string]int{}
			spawn := func(who string) *actor.PID {
				pid, err := f.system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
					if _, ok := ctx.Message().(*Applied); ok {
						got[who]++
					}
				}, actor.WithMailbox(f.scheduler.Plain())), "namesake")
				if err != nil {
					t.Fatal(err)
				}
				return pid
			}
			pid := spawn("first")
			f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: pid})
			f.settle()
			f.apply(1, "a")
			f.held[Name("g", 1)+"/feeder"] = true
			f.system.Root.Stop(pid)
			f.settle()
			pid = spawn("second")
			f.settle()
			if subscribes {
				f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: pid})
				f.settle()
			}
			clear(f.held)
			f.settle()
			f.apply(1, "b", "c")
			want := 0
			if subscribes {
				want = 2
			}
			if got["first"] != 1 || got["second"] != want {
				t.Errorf("got %v, want 1 and %d", got, want)
			}
			// The second is watched as the first was.
			f.system.Root.Stop(pid)
			f.settle()
			if n := f.status(1).Subscribers; n != 0 {
				t.Errorf("%d subscribers, want none", n)
			}
		})
	}
}

// What somebody proposes behind its Subscribe it gets, however late the feeder looks at it.
func TestFromNowOnIsFromWhenItWasAsked(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.apply(1, "before")
	f.held[Name("g", 1)+"/feeder"] = true
	in := f.ask(1, &Subscribe{})
	f.apply(1, "a", "b")
	clear(f.held)
	f.settle()
	newStreamFrom(t, in).expect("a", "b")
}

// newStreamFrom is a stream that begins in the middle of commands.
func newStreamFrom(tb testing.TB, in *inbox) *stream {
	s := newStream(tb, in)
	if got := in.all(); len(got) > 0 {
		if m, ok := got[0].(*SubscriptionStarted); ok {
			s.previous = m.PreviousIndex
		}
	}
	return s
}

// A member that comes back begins with its snapshot; from now on means behind it, also before it has taken that over.
func TestFromNowOnAtAMemberThatIsStarting(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	f.spawnFounders()
	f.elect()
	f.apply(1, "a", "b")
	done[*SnapshotTaken](f, 1, &TakeSnapshot{})
	f.stop(1)
	f.restartUnsettled(1)
	f.held[Name("g", 1)+"/applier"] = true
	f.run()
	s := f.subscribe(1, 0)
	clear(f.held)
	f.elect()
	f.apply(1, "c")
	s.expect("c")
	if s.ended != nil {
		t.Errorf("got %v", s.ended)
	}
}

// A subscriber may ask before the member has had a turn.
func TestASubscribeMayComeBeforeTheMemberHasStarted(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.apply(1, "a")
	f.stop(1)
	f.restartUnsettled(1)
	in := f.ask(1, &Subscribe{FromIndex: 1})
	f.elect()
	newStreamFrom(t, in).expect("a")
}

// The applier and the feeder never miss each other: whatever is applied while the feeder goes to rest is handed over, or
// seen.
func TestTheFeederDoesNotOversleep(t *testing.T) {
	const rounds = 50_000
	var f feed
	var seen, over atomic.Uint64
	handed := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() { // the applier, which goes on as soon as the feeder has the last one
		defer close(ended)
		for i := uint64(1); i <= rounds && over.Load() == 0; i++ {
			f.advance(Index(i))
			if f.owed() {
				handed <- struct{}{}
			}
			for spins := 0; seen.Load() < i && over.Load() == 0; spins++ {
				if spins > 1000 {
					runtime.Gosched()
				}
			}
		}
	}()
	late := time.NewTimer(time.Minute)
	for next := Index(1); next <= rounds; {
		if applied := Index(f.applied.Load()); applied >= next {
			next = applied + 1
			seen.Store(uint64(applied))
			for range next % 256 { // so that the next one comes at any moment of what follows
				seen.Load()
			}
		} else if f.rest(applied, true) {
			select {
			case <-handed:
			case <-late.C:
				over.Store(1)
				t.Fatalf("nobody told of %d", next)
			}
		}
	}
	<-ended
}

// What is applied while the feeder makes up its mind to rest keeps it awake, unless the applier hands it over.
func TestTheFeederLooksAgainBeforeItRests(t *testing.T) {
	var f feed
	f.advance(2)
	if f.rest(1, true) || f.owed() {
		t.Error("it rests, and 2 is applied")
	}
	if !f.rest(2, true) || !f.owed() {
		t.Error("it does not rest, and has all; or is owed nothing then")
	}
}

// Credit that comes when the last has just been used up is not slept through.
func TestWhoHasCreditIsNotParked(t *testing.T) {
	var f feed
	s := &subscription{number: 1}
	s.local = true
	s.allow(&Subscribe{Credit: 2})
	if f.park(s) || s.parked {
		t.Error("it is parked, with a credit of one")
	}
	s.number = 2
	if !f.park(s) || !s.parked {
		t.Error("it is not parked, without any credit")
	}
}
