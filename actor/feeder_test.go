package raft

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

func TestThousandsOfSubscribersEachGetEverything(t *testing.T) {
	f := newFixture(t, 1)
	f.scheduler.Trace = nil
	f.spawnFounders()
	f.elect()
	f.apply(1, letters(10)...)
	var all []*stream
	for i := range uint64(5000) {
		s := newStream(t, f.ask(1, &Subscribe{FromIndex: 1, Credit: 1 + i%40}))
		s.credit = 1 + i%40
		all = append(all, s)
	}
	f.apply(1, letters(10)...)
	for _, s := range all {
		s.grant(f, 1, 20+s.credit%3)
	}
	f.apply(1, letters(3)...)
	for i, s := range all {
		s.grant(f, 1, 23)
		if i%1000 == 0 {
			f.settle()
		}
	}
	f.settle()
	want := slices.Concat(letters(10), letters(10), letters(3))
	for _, s := range all {
		s.expect(want...)
	}
	if n := f.status(1).Subscribers; n != 5000 {
		t.Errorf("%d subscribers in the status, want 5000", n)
	}
	f.stop(1)
	for _, s := range all {
		s.expectEnd(SubscriptionEnded_STOPPED, s.previous+1)
	}
}

// order notes to whom Applied are given, in order.
type order struct {
	pid  *actor.PID
	name string
	to   *[]string
}

func (f *fixture) newOrder(name string, to *[]string) *order {
	o := &order{name: name, to: to}
	o.pid, _ = f.system.ProcessRegistry.Add(o, name)
	return o
}

func (o *order) SendUserMessage(_ *actor.PID, message any) {
	if _, ok := actor.UnwrapEnvelopeMessage(message).(*Applied); ok {
		*o.to = append(*o.to, o.name)
	}
}
func (*order) SendSystemMessage(*actor.PID, any) {}
func (*order) Stop(*actor.PID)                   {}

// Some replay a long log, each from another place, while others are up to date and new commands keep coming: everybody
// gets a chunk in turn.
func TestThoseWhoReplayAndThoseUpToDateTakeTurns(t *testing.T) {
	const old, size, perChunk = 60, 1 << 18, 4
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.UnappliedBytesMax = 1 << 30 }
	f.spawnFounders()
	f.elect()
	first := Index(0)
	for range old {
		if at := f.apply(1, string(make([]byte, size))); first == 0 {
			first = Index(at.Index)
		}
	}
	var given []string
	for i := range 20 {
		live := f.newOrder(fmt.Sprint("live", i), &given)
		f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: live.pid, Credit: 1 << 20})
	}
	f.settle()
	// Their places differ by more than a chunk.
	for i, behind := range []Index{0, 2 * perChunk, 4 * perChunk} {
		laggard := f.newOrder(fmt.Sprint("laggard", i), &given)
		f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: laggard.pid, FromIndex: uint64(first + behind), Credit: 1 << 20})
	}
	count := func(name string) (n int) {
		for _, to := range given {
			if to == name {
				n++
			}
		}
		return n
	}
	lives := 0
	for count("laggard0") < old {
		if lives++; lives > 10*old {
			t.Fatalf("the laggard has %d of %d commands after %d new ones", count("laggard0"), old, lives)
		}
		f.propose(1, "new")
		for range 5 { // fewer turns than it takes to give a chunk, so that somebody always lacks something
			if f.scheduler.Len() > 0 {
				f.scheduler.Step(0)
			}
		}
	}
	// Each place has its turn: nobody waits for more than a chunk of each of the others. Those who are up to date may be
	// given one more, which needs no reading.
	turns := turnsOf(given)
	for _, name := range []string{"laggard0", "laggard1", "laggard2", "live"} {
		others := 0
		for _, turn := range turns[slices.Index(turns, name):] {
			switch turn {
			case name:
				others = 0
			case "live":
			default:
				if others++; others > 3 {
					t.Errorf("%s waited for %d chunks of others: %v", name, others, turns)
				}
			}
		}
	}
	f.settle()
	for i := range 20 {
		if n := count(fmt.Sprint("live", i)); n != lives {
			t.Errorf("live%d has %d commands, want %d", i, n, lives)
		}
	}
}

// turnsOf takes together what is given to one after the other. Those who are up to date are one.
func turnsOf(given []string) (turns []string) {
	for _, name := range given {
		if strings.HasPrefix(name, "live") {
			name = "live"
		}
		if len(turns) == 0 || turns[len(turns)-1] != name {
			turns = append(turns, name)
		}
	}
	return turns
}

// More than one turn gives are given in several, and everybody gets all.
func TestWhatIsTooMuchForOneTurnIsGivenInSeveral(t *testing.T) {
	const commands, subscribers = 3000, 20
	f := newFixture(t, 1)
	f.scheduler.Trace = nil
	f.spawnFounders()
	f.elect()
	f.applyMany(1, commands)
	most, total := 0, 0
	var all []*stream
	for range subscribers {
		s := newStream(t, f.ask(1, &Subscribe{FromIndex: 1, Credit: commands}))
		s.credit = commands
		all = append(all, s)
	}
	f.scheduler.Trace = func(self *actor.PID, message any) {
		now := 0
		for _, s := range all {
			now += len(s.in.all())
		}
		most, total = max(most, now-total), now
	}
	f.settle()
	for _, s := range all {
		if s.take(); len(s.commands) != commands {
			t.Fatalf("%d commands, want %d", len(s.commands), commands)
		}
	}
	if most > givenMax+2*subscribers {
		t.Errorf("%d messages in one turn, want about %d at most", most, givenMax)
	}
	if commands*subscribers < 2*givenMax {
		t.Error("one turn could have given all: this proves nothing")
	}
}

func (p *far) SendUserMessage(_ *actor.PID, message any) { p.got = append(p.got, message) }
func (p *far) SendSystemMessage(_ *actor.PID, message any) {
	switch message.(type) {
	case *actor.Watch:
		p.watchers++
	case *actor.Unwatch:
		p.watchers--
	}
}
func (*far) Stop(*actor.PID) {}

// Who waits for credit is told at once that a snapshot has passed it by.
func TestARestoreEndsASubscriptionThatHasNoCredit(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	f.spawnFounders()
	leader := f.elect()
	late := f.others(leader)[0]
	f.apply(leader, "a")
	f.pass(3)
	s := f.subscribeFor(late, 1, 1)
	s.expect("a")
	f.network.isolate(late, f.others(late)...)
	f.apply(leader, "b", "c")
	at := done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.network.heal()
	f.until("the snapshot", func() bool { return len(events[*SnapshotRestored](f)) > 0 })
	f.settle()
	s.expectEnd(SubscriptionEnded_SNAPSHOT, at.Index+1)
	if n := f.status(late).Subscribers; n != 0 {
		t.Errorf("%d subscribers, want none", n)
	}
}

// Who waits for credit while the log is compacted hears of it when it has some.
func TestACompactionPastASubscriberWithoutCreditIsNoGap(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RetainEntries = 1 }
	f.spawnFounders()
	f.elect()
	f.apply(1, "a")
	s := f.subscribeFor(1, 1, 1)
	s.expect("a")
	f.apply(1, "b", "c", "d")
	done[*SnapshotTaken](f, 1, &TakeSnapshot{})
	s.grant(f, 1, 10)
	f.settle()
	s.expect("a")
	first := f.status(1).FirstIndex
	s.expectEnd(SubscriptionEnded_SNAPSHOT, first)
	again := f.subscribe(1, first)
	again.expect("d")
}

// A member that stops tells everybody where to go on; when it is back, or at another member, that is where it goes on.
func TestAStreamGoesOnWhereItEnded(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, letters(6)...)
	streams := []*stream{f.subscribe(leader, 1), f.subscribeFor(leader, 1, 2)}
	f.stop(leader)
	f.until("a new leader", func() bool { return f.leader() != 0 })
	f.apply(f.leader(), "g")
	f.spawn(leader, &journal{})
	f.elect()
	for _, s := range streams {
		s.expectEnd(SubscriptionEnded_STOPPED, s.previous+1)
		for _, id := range f.others(0) {
			again := f.subscribe(id, s.ended.ResumeIndex)
			if got := append(slices.Clone(s.commands), again.commands...); !slices.Equal(got, letters(7)) {
				t.Errorf("at member %d it goes on with %q after %q", id, again.commands, s.commands)
			}
			if len(again.indices) > 0 && len(s.indices) > 0 && again.indices[0] <= s.indices[len(s.indices)-1] {
				t.Errorf("at member %d it goes on at %d after %d", id, again.indices[0], s.previous)
			}
		}
	}
}

// Nothing wakes the feeder of a member that has no subscribers any more.
func TestTheFeederSleepsWithoutSubscribers(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	s := f.subscribe(1, 0)
	f.apply(1, "a")
	f.system.Root.Send(f.pids[1], &Unsubscribe{Subscriber: s.in.pid})
	f.apply(1, "b")
	turns := 0
	f.scheduler.Trace = func(self *actor.PID, message any) {
		if self.Id == Name("g", 1)+"/feeder" {
			turns++
		}
	}
	f.apply(1, letters(10)...)
	f.clock.Jump(time.Minute)
	f.settle()
	if turns > 0 {
		t.Errorf("%d turns for nobody", turns)
	}
}

// What the machine has not applied nobody sees, and the links pass it over.
func TestChunksLeaveOutWhatIsNotPublished(t *testing.T) {
	entries := []Entry{
		{Index: 5, Term: 2, Kind: node.EntryCommand, Data: frameCommand([]byte("a"))},
		{Index: 6, Term: 2, Kind: node.EntryCommand, Data: frameCommand([]byte("twice"))},
		{Index: 7, Term: 3, Kind: node.EntryEmpty},
		{Index: 8, Term: 3, Kind: node.EntryCommand, Data: frameOpenSession(7, 1, 1)},
		{Index: 9, Term: 3, Kind: node.EntryCommand, Data: frameSessionCommand(sessionPlace{8, 1, 1}, []byte("b"))},
		{Index: 10, Term: 3, Kind: node.EntryCommand, Data: frameSessionCommand(sessionPlace{8, 1, 1}, []byte("b again"))},
	}
	var c chunk
	if err := c.fill(&logServed{entries: entries, suppressed: []Index{2, 6, 10, 11}}); err != nil {
		t.Fatal(err)
	}
	system := quietSystem()
	in := newInbox(system)
	sub := &subscription{subscriber: in.pid, local: true, next: 5, previous: 3}
	sub.allow(&Subscribe{Credit: 10})
	if n, ok := sub.give(in, &c, 10); n != 2 || !ok || sub.next != 11 {
		t.Errorf("%d were given, up to %d, want 2 up to 11", n, sub.next)
	}
	s := newStreamFrom(t, in)
	s.expect("a", "b")
	if !slices.Equal(s.indices, []uint64{5, 9}) {
		t.Errorf("got %v", s.indices)
	}
	if err := c.fill(&logServed{entries: []Entry{{Index: 1, Kind: node.EntryCommand}}}); err == nil {
		t.Error("an entry that is no frame was taken")
	}
}

// Who has asked a member that stops before it has looked at that is told so, too.
func TestStoppingAnswersThoseWhoHaveJustSubscribed(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.held[Name("g", 1)+"/feeder"] = true
	s := f.subscribe(1, 7)
	f.system.Root.Stop(f.pids[1])
	f.settle() // the feeder is told to stop, which it looks at first
	clear(f.held)
	f.settle()
	f.expectGone(1)
	s.expectEnd(SubscriptionEnded_STOPPED, 7)
}

// The end of an actor may be told when another one has its name already, and has subscribed.
func TestALateWordOfAnEndIsNotOfANamesake(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	got := 0
	subscriber := f.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*Applied); ok {
			got++
		}
	}, actor.WithMailbox(f.scheduler.Plain())))
	f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: subscriber})
	f.settle()
	feeder := actor.NewPID(f.system.Address(), Name("g", 1)+"/feeder")
	process, _ := f.system.ProcessRegistry.Get(feeder)
	process.SendSystemMessage(feeder, &actor.Terminated{Who: subscriber})
	f.settle()
	f.apply(1, "a")
	if got != 1 {
		t.Errorf("the namesake got %d commands, want 1", got)
	}
}

// Who has left is not watched any more.
func TestAFormerSubscriberIsNotWatched(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	subscriber := f.system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}, actor.WithMailbox(f.scheduler.Plain())))
	f.system.Root.Send(f.pids[1], &Subscribe{Subscriber: subscriber})
	f.settle()
	f.system.Root.Send(f.pids[1], &Unsubscribe{Subscriber: subscriber})
	f.settle()
	f.held[Name("g", 1)+"/feeder"] = true
	f.system.Root.Stop(subscriber)
	f.settle()
	for _, pid := range f.scheduler.Runnable() {
		if pid.Id == Name("g", 1)+"/feeder" {
			t.Error("the feeder is told of its end")
		}
	}
}

// What lies before the log is forgotten, or the list would grow for ever.
func TestWhatTheLogHasForgottenNeedsNoNote(t *testing.T) {
	u := unpublished{from: 1}
	for i := Index(1); i <= 10; i++ {
		u.note(i)
	}
	u.forget(8)
	if want := []Index{8, 9, 10}; !slices.Equal(u.indices, want) || u.from != 8 {
		t.Errorf("%v from %d are noted, want %v", u.indices, u.from, want)
	}
	u.forget(3) // is older news
	if len(u.indices) != 3 || u.from != 8 {
		t.Errorf("%v from %d are noted", u.indices, u.from)
	}
}
