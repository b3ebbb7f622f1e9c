package raft

import (
	"fmt"
	"math"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// letters are commands: a, b, c and so on.
func letters(count int) (commands []string) {
	for i := range count {
		commands = append(commands, string(rune('a'+i)))
	}
	return commands
}

func TestASubscriberGetsNoMoreThanItsCredit(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, letters(4)...)
	s := f.subscribeFor(leader, 1, 3)
	s.previous = s.indices[2] // the configuration entries of the start are left out
	s.expect("a", "b", "c")
	f.apply(leader, "e")
	s.expect("a", "b", "c")
	s.grant(f, leader, 4)
	f.settle()
	s.expect("a", "b", "c", "d")
	s.grant(f, leader, 6)
	f.settle()
	s.expect("a", "b", "c", "d", "e")
	f.apply(leader, "f", "g")
	s.expect("a", "b", "c", "d", "e", "f")
	s.grant(f, leader, math.MaxUint64)
	f.apply(leader, "h")
	s.expect(letters(8)...)
}

func TestAGrantNeverTakesBack(t *testing.T) {
	f, leader := newGroup(t)
	s := f.subscribeFor(leader, 0, 1)
	s.grant(f, leader, 4)
	s.grant(f, leader, 2)
	s.grant(f, leader, 0)
	f.apply(leader, letters(5)...)
	s.expect("a", "b", "c", "d")
	s.grant(f, leader, 3)
	f.settle()
	s.expect("a", "b", "c", "d")
}

// Grants are absolute, so a later one stands for all that did not arrive.
func TestALostGrantIsMadeUpForByTheNext(t *testing.T) {
	f, leader := newGroup(t)
	s := f.subscribeFor(leader, 0, 2)
	f.apply(leader, letters(9)...)
	s.expect("a", "b")
	s.credit = 4 // that one is lost
	s.grant(f, leader, 6)
	f.settle()
	s.expect(letters(6)...)
}

func TestCreditIsOfOneSubscription(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, letters(8)...)
	s := f.subscribeFor(leader, 1, 2)
	f.system.Root.RequestWithCustomSender(f.pids[leader], &GrantCredit{UpTo: 6}, s.in.pid)
	f.system.Root.RequestWithCustomSender(f.pids[leader], &Subscribe{FromIndex: 1, Credit: 3}, s.in.pid)
	f.settle()
	again := newStream(t, s.in)
	again.credit = 3
	again.expect("a", "b", "c")
	again.grant(f, leader, 4)
	f.settle()
	again.expect("a", "b", "c", "d")
}

// No order of Subscribe and grants, of those that a sender can bring about, loses one: there may be no other.
func TestAGrantMayFollowItsSubscribeAtOnce(t *testing.T) {
	ask := func(f *fixture) *stream {
		s := newStream(f, f.ask(1, &Subscribe{FromIndex: 1, Credit: 1}))
		s.credit = 1
		return s
	}
	for name, schedule := range map[string]func(*fixture) *stream{
		"both are posted to a running member": func(f *fixture) *stream {
			s := ask(f)
			s.grant(f, 1, 100)
			return s
		},
		"both are posted before the member starts": func(f *fixture) *stream {
			f.stop(1)
			f.restartUnsettled(1)
			s := ask(f)
			s.grant(f, 1, 100)
			return s
		},
		"the member starts in between": func(f *fixture) *stream {
			f.stop(1)
			f.restartUnsettled(1)
			s := ask(f)
			f.scheduler.Step(0) // Started; the Subscribe waits for the first turn
			s.grant(f, 1, 100)
			return s
		},
		"the subscriber has an earlier subscription": func(f *fixture) *stream {
			s := f.subscribe(1, 1)
			f.system.Root.RequestWithCustomSender(f.pids[1], &Subscribe{FromIndex: 1, Credit: 1}, s.in.pid)
			s = newStream(f, s.in)
			s.grant(f, 1, 100)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			f.spawnFounders()
			f.elect()
			f.apply(1, letters(10)...)
			s := schedule(f)
			f.elect()
			s.expect(letters(10)...)
		})
	}
}

// restartUnsettled spawns a member that has had no turn yet.
func (f *fixture) restartUnsettled(id ID) {
	f.Helper()
	machine := &journal{}
	pid, err := Spawn(f.system, f.config(id), machine)
	if err != nil {
		f.Fatal(err)
	}
	f.pids[id], f.machines[id] = pid, machine
}

// A grant has no reply, and takes no room, whoever sends it and however full the member is.
func TestGrantsOfNobodyAreNothing(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RequestsMax = 8 }
	f.spawnFounders()
	f.elect()
	stranger := newInbox(f.system)
	s := f.subscribeFor(1, 0, 1)
	post := func() {
		for i := range 100 {
			f.system.Root.RequestWithCustomSender(f.pids[1], &GrantCredit{UpTo: uint64(i)}, stranger.pid)
			f.system.Root.Send(f.pids[1], &GrantCredit{UpTo: uint64(i)})
			s.grant(f, 1, uint64(i))
		}
	}
	post()
	f.settle()
	if n := f.status(1).Subscribers; n != 1 {
		t.Errorf("%d subscribers, want 1", n)
	}
	f.apply(1, "a", "b")
	s.expect("a", "b")
	f.held[Name("g", 1)+"/applier"] = true
	f.system.Root.Stop(f.pids[1])
	f.settle()
	post()
	clear(f.held)
	f.settle()
	f.noReply(stranger)
	s.expectEnd(SubscriptionEnded_STOPPED, s.previous+1)
}

// Many grants of those who have subscribed leave room for requests.
func TestGrantsDoNotFillTheRequestLane(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RequestsMax = 8 }
	f.spawnFounders()
	f.elect()
	s := f.subscribeFor(1, 0, 1)
	for i := range 1000 {
		s.grant(f, 1, uint64(i))
	}
	in := f.propose(1, "a")
	f.settle()
	only[*Proposed](f, in)
	s.expect("a")
}

// And a full request lane holds no credit up.
func TestAFullRequestLaneHoldsNoCreditUp(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RequestsMax = 8 }
	f.spawnFounders()
	f.elect()
	s := f.subscribeFor(1, 0, 1)
	f.apply(1, "a", "b", "c")
	for range 20 {
		f.ask(1, &Query{})
	}
	s.grant(f, 1, 3)
	f.settle()
	s.expect("a", "b", "c")
}

func TestASubscriberThatNeverGrantsHoldsNobodyUp(t *testing.T) {
	f, leader := newGroup(t)
	for range 20 {
		f.subscribeFor(leader, 0, 1)
	}
	slow, live := f.subscribeFor(leader, 0, 10), f.subscribeFor(leader, 0, 10_000)
	f.apply(leader, letters(10)...)
	slow.expect(letters(10)...)

	// From here on there is only one to feed: each command costs the feeder the same turns as if the others were not
	// there, and what waits for them is what they have granted.
	turns := 0
	trace := f.scheduler.Trace
	f.scheduler.Trace = func(self *actor.PID, message any) {
		trace(self, message)
		if self.Id == Name("g", leader)+"/feeder" {
			turns++
		}
	}
	for i := range 1000 {
		f.apply(leader, fmt.Sprint(i))
		live.take()
		if len(live.commands) != 10+i+1 {
			t.Fatalf("after command %d the one that reads has %d", i, len(live.commands))
		}
	}
	slow.expect(letters(10)...)
	if turns != 1000 {
		t.Errorf("the feeder took %d turns for 1000 commands", turns)
	}
	slow.grant(f, leader, 1010)
	f.settle()
	if slow.take(); len(slow.commands) != 1010 {
		t.Errorf("the slow one goes on to %d, want 1010", len(slow.commands))
	}
}
