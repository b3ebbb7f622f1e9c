package raft

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// outletOf is the name of an outlet of a member.
func (f *fixture) outletOf(id ID, name string) string {
	f.Helper()
	for _, shard := range f.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, pid := range shard.Keys() {
			if strings.HasPrefix(pid, Name("g", id)+"/"+name+"/") {
				return pid
			}
		}
	}
	f.Fatalf("member %d has no outlet %q", id, name)
	return ""
}

// newTestOutlet makes one that is given numbers.
func newTestOutlet(f *fixture, deliver func(n int)) *outlet {
	o := &outlet{
		deliver:  func(message any) { deliver(message.(int)) },
		dropped:  func(count int) any { return -count },
		panicked: func(message, reason any) { f.trace = append(f.trace, reason.(string)) },
	}
	o.open(f.config(1), f.system, new(vitals), "test")
	return o
}

func TestAnOutletDropsWhatItHasNoRoomFor(t *testing.T) {
	f := newFixture(t, 1)
	var got []int
	o := newTestOutlet(f, func(n int) { got = append(got, n) })
	f.run()
	for n := range outletMax + 100 {
		o.post(n)
	}
	o.postAlways(-1000)
	if o.depth() != outletMax+1 || o.vitals.noticesDropped.Load() != 100 {
		t.Fatalf("%d wait, %d were dropped", o.depth(), o.vitals.noticesDropped.Load())
	}
	for len(got) < outletMax/2 {
		f.scheduler.Step(0)
		o.post(5000) // dropped, too, until half of it is free
	}
	f.run()
	o.post(6000)
	f.run()
	lost := 100 + outletMax/2
	var want []int
	for n := range outletMax {
		want = append(want, n)
	}
	if want = append(want, -1000, -lost, 6000); !slices.Equal(got, want) {
		t.Errorf("got %v at the end, want %v", got[max(0, len(got)-4):], want[outletMax-1:])
	}
	if o.depth() != 0 || o.vitals.noticesDropped.Load() != uint64(lost) {
		t.Errorf("%d wait, %d were dropped", o.depth(), o.vitals.noticesDropped.Load())
	}
}

func TestAnOutletSurvivesAPanic(t *testing.T) {
	f := newFixture(t, 1)
	var got []int
	o := newTestOutlet(f, func(n int) {
		if n == 1 {
			panic("one")
		}
		got = append(got, n)
	})
	for n := range 3 {
		o.post(n)
	}
	f.run()
	if !slices.Equal(got, []int{0, 2}) || !slices.Equal(f.trace, []string{"one"}) || o.depth() != 0 {
		t.Errorf("got %v, panics %v, %d wait", got, f.trace, o.depth())
	}
}

func TestAnOutletThatIsClosedDeliversWhatWaits(t *testing.T) {
	f := newFixture(t, 1)
	letters := 0
	f.system.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*actor.DeadLetterEvent); ok {
			letters++
		}
	})
	var got []int
	o := newTestOutlet(f, func(n int) { got = append(got, n) })
	o.post(1)
	o.close()
	o.post(2)
	f.run()
	if _, there := f.system.ProcessRegistry.Get(o.pid); there || !slices.Equal(got, []int{1}) {
		t.Errorf("got %v; it is there: %v", got, there)
	}
	o.post(3)
	if n := o.vitals.noticesDropped.Load(); n != 2 || letters > 0 {
		t.Errorf("%d were dropped, and %d became dead letters; want that 2 were dropped", n, letters)
	}
}

// A handler of events that never returns costs bounded memory. How the member ended is told also then.
func TestEventsThatNobodyTakesAreDropped(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	events := f.outletOf(1, "events")
	f.held[events] = true
	f.events = nil
	f.system.EventStream.Subscribe(func(event any) {
		if event, ok := event.(*EventsDropped); ok {
			f.events = append(f.events, event)
		}
	})
	for changes := 0; changes < outletMax/2+50; changes++ { // two events each
		change := addLearner(7, "")
		if changes%2 == 1 {
			change = &ChangeMembers{Change: &ChangeMembers_Remove{Remove: &RemoveMember{Id: 7}}}
		}
		done[*MembersChanged](f, 1, change)
	}
	s := f.status(1)
	if s.Queues.Events != outletMax || s.Queues.NoticesDropped != 100 {
		t.Fatalf("%d events wait, and %d were dropped", s.Queues.Events, s.Queues.NoticesDropped)
	}
	f.machines[1].onApply = func(Command) error { return errors.New("the machine is broken") }
	f.propose(1, "a")
	f.settle()
	delete(f.held, events)
	f.settle()
	f.failure(1, "the machine is broken")
	last := f.events[len(f.events)-1]
	if d, ok := last.(*EventsDropped); !ok || *d != (EventsDropped{Group: "g", Member: 1, Count: 100}) {
		t.Errorf("got %v, want the 100", last)
	}
}
