package mailbox_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

// A ring of actors with lanes, each with a plain child; they talk, fail, stop, and are spawned
// again. seed chooses who is next.
func traceOfRing(t *testing.T, seed uint64) string {
	system, scheduler := quietSystem(), new(mailbox.Scheduler)
	random := rand.New(rand.NewPCG(seed, 0))
	var trace strings.Builder
	scheduler.Trace = func(self *actor.PID, message any) {
		fmt.Fprintln(&trace, self.Id, describe(message))
	}
	const members, hops = 3, 60
	ring := make([]*actor.PID, members)
	worker := actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*message); ok {
			ctx.Send(ctx.Parent(), control("done "+m.name))
		}
	}, actor.WithMailbox(scheduler.Plain()))
	var spawn func(i int)
	spawn = func(i int) {
		var child *actor.PID
		hop := 0
		ring[i] = system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				child = ctx.Spawn(worker)
			case *actor.Stopped:
				spawn(i)
			case *mailbox.Batch:
				for _, element := range m.Peer {
					ctx.Send(child, element)
				}
				for range m.Control {
					hop++
					for j := range members {
						ctx.Send(ring[j], peer(fmt.Sprint(i, ".", hop)))
					}
				}
				switch {
				case hop%7 == 6:
					hop++
					panic("hop")
				case hop%11 == 10:
					ctx.Poison(ctx.Self())
				}
			}
		}, actor.WithMailbox(scheduler.New(mailbox.Options{
			Classify: classify, PeerBytesMax: 10 * mailbox.MessageBytesMin,
		}))))
	}
	for i := range ring {
		spawn(i)
		system.Root.Send(ring[i], control("go"))
	}
	for range 50 * hops {
		if scheduler.Len() == 0 {
			break
		}
		scheduler.Step(random.IntN(scheduler.Len()))
	}
	return trace.String()
}

func TestEqualChoicesGiveEqualRuns(t *testing.T) {
	first, second, other := traceOfRing(t, 1), traceOfRing(t, 1), traceOfRing(t, 2)
	for _, want := range []string{"Restart\n", "Stop\n", "Terminated\n", "PoisonPill\n", "|0.1"} {
		if !strings.Contains(first, want) {
			t.Errorf("the run has no %q", want)
		}
	}
	if first != second {
		t.Error("two runs with the same choices differ")
	}
	if first == other {
		t.Error("two runs with different choices are the same")
	}
}

func TestRunnableIsInOrderOfWork(t *testing.T) {
	system, scheduler := quietSystem(), new(mailbox.Scheduler)
	var got []string
	spawn := func(name string, producer actor.MailboxProducer) *actor.PID {
		pid, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
			got = append(got, name+" "+describe(ctx.Message()))
		}, actor.WithMailbox(producer)), name)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	expectRunnable := func(want ...string) {
		t.Helper()
		var names []string
		for _, pid := range scheduler.Runnable() {
			names = append(names, pid.Id)
		}
		if !slices.Equal(names, want) {
			t.Errorf("runnable %v, want %v", names, want)
		}
	}
	lanes := scheduler.New(mailbox.Options{Classify: classify})
	a, b, c := spawn("a", lanes), spawn("b", scheduler.Plain()), spawn("c", lanes)
	expectRunnable("a", "b", "c")
	if turns := scheduler.Run(100); turns != 3 {
		t.Errorf("%d turns, want 3", turns)
	}
	expectRunnable()
	got = nil
	for _, pid := range []*actor.PID{c, b, a, b, c} {
		system.Root.Send(pid, request("r"))
	}
	expectRunnable("c", "b", "a")
	scheduler.Step(1)
	expectRunnable("c", "a", "b")
	if turns := scheduler.Run(2); turns != 2 {
		t.Errorf("%d turns, want 2", turns)
	}
	expectRunnable("b")
	scheduler.Run(100)
	if want := []string{"b r", "c ||r r", "a ||r", "b r"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// In a plain mailbox everything is as in Proto.Actor's own, in the order of posting.
func TestPlainMailboxDeliversOneByOne(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.spawnPlain()
	f.react = func(ctx actor.Context, m any) {
		if ctx.Sender() != nil {
			ctx.Respond("reply")
		}
	}
	f.post(request("r1"), control("c1"), &actor.Touch{}, peer("p1"))
	future := f.system.Root.RequestFuture(f.pid, request("r2"), -1)
	if got := f.mailbox.UserMessageCount(); got != 5 {
		t.Errorf("%d messages wait, want 5", got)
	}
	f.system.Root.Poison(f.pid)
	f.post(request("late"))
	f.run()
	f.expect("r1", "c1", "Touch", "p1", "r2", "Stopping", "Stopped")
	f.expectDead("Touched", "late") // there was nobody to respond to
	if got, err := future.Result(); got != "reply" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func (f *fixture) spawnPlain() { f.spawn(f.scheduler.Plain()) }
