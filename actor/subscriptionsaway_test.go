package raft

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// subscribeAway subscribes in the fixture's own system.
func (f *fixture) subscribeAway(id ID, m *Subscribe) *stream {
	f.Helper()
	in := newInbox(f.system)
	s := newStream(f, in)
	if m.Credit != 0 {
		s.credit = m.Credit
	}
	f.system.Root.RequestWithCustomSender(f.pid(id), m, in.pid)
	f.settle()
	s.take()
	return s
}

// grantAway grants from there.
func (s *stream) grantAway(f *fixture, id ID, m *GrantCredit) {
	s.credit = max(s.credit, m.UpTo)
	m.Subscriber = s.in.pid
	f.system.Root.Send(f.pid(id), m)
	f.settle()
	s.take()
}

func (f *fixture) subscribersOf(id ID) uint64 { return f.status(id).Subscribers }

func TestASubscriberInAnotherSystem(t *testing.T) {
	f, leader := newScatteredGroup(t)
	f.apply(leader, "a", "b", "c")
	follower := f.others(leader)[0]
	f.pass(3)
	s := f.subscribeAway(follower, &Subscribe{FromIndex: 1, Credit: 2})
	s.expect("a", "b")
	s.grantAway(f, follower, &GrantCredit{UpTo: 4})
	f.apply(leader, "d", "e")
	f.pass(3)
	s.expect("a", "b", "c", "d")
	f.system.Root.Send(f.pid(follower), &Unsubscribe{Subscriber: s.in.pid})
	f.settle()
	s.expectEnd(SubscriptionEnded_UNSUBSCRIBED, s.previous+1)
	if n := f.subscribersOf(follower); n != 0 {
		t.Errorf("there are %d subscribers left", n)
	}
}

// What is lost on the way is missed: the next message does not follow the one before.
func TestASubscriberInAnotherSystemSeesWhatIsMissing(t *testing.T) {
	f, leader := newScatteredGroup(t)
	in := newInbox(f.system)
	f.system.Root.RequestWithCustomSender(f.pid(leader), &Subscribe{}, in.pid)
	f.settle()
	var lost uint64
	f.remoting.fault = func(p *parcel) int {
		if m, ok := p.message().(*Applied); ok && m.Number == 2 {
			lost = m.Index
			return 0
		}
		return 1
	}
	f.apply(leader, "a", "b", "c")
	got := in.all()
	if len(got) != 3 {
		t.Fatalf("got %v", got)
	}
	a, c := got[1].(*Applied), got[2].(*Applied)
	if lost == 0 || c.PreviousIndex != lost || c.PreviousIndex == a.Index || c.Number != 3 {
		t.Errorf("got %v after %v, and %d was lost", c, a, lost)
	}
}

// However much is granted, no more bytes are on their way than the window.
func TestASubscriberInAnotherSystemIsGivenABoundedNumberOfBytes(t *testing.T) {
	const size, each = 512 << 10, 512<<10 + creditBytesEach
	f := newScattered(t, 1)
	f.spawnFounders()
	f.elect()
	const count = 80
	for k := range count {
		f.apply(1, string(bytes.Repeat([]byte{byte(k)}, size)))
	}
	ceil := func(limit int) int { return (limit + each - 1) / each }

	s := f.subscribeAway(1, &Subscribe{FromIndex: 1})
	got := func(want int) {
		t.Helper()
		s.take()
		if len(s.commands) != want {
			t.Fatalf("%d commands came, want %d", len(s.commands), want)
		}
	}
	got(ceil(creditBytesDefault))
	given := len(s.commands)
	s.grantAway(f, 1, &GrantCredit{UpTo: creditDefault}) // nothing new, but more bytes
	got(ceil(given*each + creditBytesDefault))
	given = len(s.commands)
	s.grantAway(f, 1, &GrantCredit{UpToBytes: 1 << 60}) // nobody is believed that
	got(ceil(given*each + creditBytesMax))
	f.pass(100)
	given = len(s.commands)
	got(given)
	s.grantAway(f, 1, &GrantCredit{UpToBytes: uint64((given + 3) * each)})
	got(given + 3)
	s.grantAway(f, 1, &GrantCredit{UpToBytes: 1}) // nothing is taken back
	s.grantAway(f, 1, &GrantCredit{UpTo: uint64(given + 4)})
	got(ceil((given+3)*each + creditBytesDefault))

	// Who counts is held to what it has said.
	s = f.subscribeAway(1, &Subscribe{FromIndex: 1, CreditBytes: 3 * each})
	got(3)
	s.grantAway(f, 1, &GrantCredit{UpTo: 2 * creditDefault})
	got(3)
	s.grantAway(f, 1, &GrantCredit{UpToBytes: 4 * each})
	got(4)
	s = f.subscribeAway(1, &Subscribe{FromIndex: 1, CreditBytes: 1}) // one is always sent
	got(1)
	s = f.subscribeAway(1, &Subscribe{FromIndex: 1, CreditBytes: 1 << 60})
	got(ceil(creditBytesMax))

	// In the same system the commands are shared, and bytes are limited where that is wanted.
	s = f.subscribe(1, 1)
	got(count)
	s = newStream(t, f.ask(1, &Subscribe{FromIndex: 1, CreditBytes: 2 * each}))
	f.settle()
	got(2)
	f.homes[1].Root.Send(f.pids[1], &GrantCredit{Subscriber: s.in.pid, UpToBytes: unlimitedBytes})
	f.settle()
	got(count)
}

// The stream of a client grants bytes as the loop goes on.
func TestAppliedFromAnotherSystemHoldsABoundedNumberOfBytes(t *testing.T) {
	const size = 512 << 10
	f := newScattered(t, 1)
	f.spawnFounders()
	f.elect()
	const count = 40
	for k := range count {
		f.apply(1, string(bytes.Repeat([]byte{byte(k)}, size)))
	}
	s := &appliedStream{system: f.system, members: []*actor.PID{f.pid(1)}, next: 1, silence: appliedSilence}
	defer s.leave()
	if err := s.subscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.settle()
	for got := 0; got < count; {
		commands, err := s.receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for k := range commands {
			if commands[k].Data[0] != byte(got) || len(commands[k].Data) != size {
				t.Fatalf("command %d is one of %d", got, commands[k].Data[0])
			}
			got++
			s.delivered(&commands[k])
			f.settle()
			if held := (len(s.source.commands) + len(commands) - k - 1) * size; held > appliedWindowBytes+size {
				t.Fatalf("%d bytes are held", held)
			}
		}
	}
}

// A client in another system gets every command once and in order, whatever is lost and whoever crashes.
func TestAppliedFromAnotherSystemWhileMessagesAreLost(t *testing.T) {
	f, _ := newScatteredGroup(t)
	c := awayClient(f, 1, 2, 3)
	const count = 300
	random := rand.New(rand.NewPCG(7, 7))
	f.remoting.fault = func(p *parcel) int {
		m, ok := p.message().(*Applied)
		switch n := random.IntN(100); {
		case !ok || n >= 4 || string(m.Command) == fmt.Sprint(count-1): // behind the last nothing shows that it is missing
			return 1
		case n < 2:
			return 0
		default:
			return 2
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all []Command
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		all, err = collect(ctx, c, 1, count)
	}()
	for k := range count {
		f.apply(f.leader(), fmt.Sprint(k))
		switch k {
		case 100:
			f.crash(1)
			f.elect()
		case 200:
			f.revive(1)
			f.elect()
			f.crash(2)
			f.elect()
		}
	}
	f.doing(func() { <-ended })
	if err != nil || len(all) != count {
		t.Fatalf("%d commands came, and %v", len(all), err)
	}
	for k, command := range all {
		if string(command.Data) != fmt.Sprint(k) {
			t.Fatalf("command %d is %s", k, command.Data)
		}
	}
}

// When the process of either side dies, nothing is left on the other.
func TestASubscriptionEndsWithEitherProcess(t *testing.T) {
	t.Run("the subscriber's", func(t *testing.T) {
		f, leader := newScatteredGroup(t)
		f.subscribeAway(leader, &Subscribe{})
		source := newAppliedSource(f.system, f.pid(leader), 0)
		f.settle()
		if n := f.subscribersOf(leader); n != 2 {
			t.Fatalf("there are %d subscribers", n)
		}
		f.remoting.lose("client:1")
		f.settle()
		if n := f.subscribersOf(leader); n != 0 {
			t.Errorf("there are %d subscribers left", n)
		}
		source.leave()
	})
	t.Run("the member's", func(t *testing.T) {
		f, leader := newScatteredGroup(t)
		source := newAppliedSource(f.system, f.pid(leader), 0)
		defer source.leave()
		f.settle()
		if _, state := source.take(nil); !state.started || state.end != nil {
			t.Fatalf("got %+v", state)
		}
		f.crash(leader)
		if _, state := source.take(nil); state.end == nil {
			t.Error("it does not hear of the end")
		}
	})
	t.Run("the member's actor", func(t *testing.T) {
		f, leader := newScatteredGroup(t)
		s := f.subscribeAway(leader, &Subscribe{})
		f.stop(leader)
		s.expectEnd(SubscriptionEnded_STOPPED, s.previous+1)
	})
}

// The word that a subscriber is gone may be lost, and its place is given back nevertheless.
func TestASubscriberThatIsGoneUnheardIsFound(t *testing.T) {
	f, leader := newScatteredGroup(t)
	here := f.subscribe(leader, 0)
	stays := f.subscribeAway(leader, &Subscribe{})
	source := newAppliedSource(f.system, f.pid(leader), 0)
	f.settle()
	f.remoting.silence("client:1")
	source.leave()
	f.settle()
	f.remoting.heal()
	if n := f.subscribersOf(leader); n != 3 {
		t.Fatalf("there are %d subscribers", n)
	}
	f.pass(int(probeInterval/step) + 2)
	if n := f.subscribersOf(leader); n != 2 {
		t.Errorf("there are %d subscribers left, want two", n)
	}
	f.apply(leader, "a")
	here.expect("a")
	stays.expect("a")
}
