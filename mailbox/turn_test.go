package mailbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

func TestBatchHoldsEachLaneInOrder(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.post(request("r1"), peer("p1"), control("c1"), request("r2"), control("c2"), peer("p2"))
	if got := f.mailbox.UserMessageCount(); got != 6 {
		t.Errorf("%d messages wait, want 6", got)
	}
	f.run()
	f.expect("c1 c2|p1 p2|r1 r2")
	if got := f.mailbox.UserMessageCount(); got != 0 {
		t.Errorf("%d messages wait, want 0", got)
	}
}

func TestTurnTakesAtMostTheLimitFromEachLane(t *testing.T) {
	f := newFixture(t, mailbox.Options{BatchMessagesMax: 2, BatchBytesMax: 1000})
	for i := range 5 {
		f.post(control(fmt.Sprint("c", i)))
	}
	f.post(request("r"), &message{mailbox.Peer, 600, "p600"}, &message{mailbox.Peer, 600, "p600"},
		&message{mailbox.Peer, 2000, "p2000"}, &message{mailbox.Peer, 400, "p400"},
		&message{mailbox.Peer, 600, "p600"})
	f.run()
	f.expect("c0 c1|p600|r", "c2 c3|p600|", "c4|p2000|", "|p400 p600|")
}

// A lane that is always full takes no more than its share of a turn, so what is in the others is
// delivered in the next one.
func TestNoLaneStarvesAnother(t *testing.T) {
	all := []mailbox.Lane{mailbox.Control, mailbox.Peer, mailbox.Request}
	for _, busy := range all {
		t.Run(busy.String(), func(t *testing.T) {
			f := newFixture(t, mailbox.Options{BatchMessagesMax: 3})
			f.react = func(_ actor.Context, m any) {
				if m, ok := m.(*message); ok && m.lane == busy {
					f.post(m, m) // more than was taken
				}
			}
			f.post(&message{busy, 1, "busy"})
			for range 10 {
				f.scheduler.Step(0)
			}
			f.got = nil
			for _, lane := range all {
				f.post(&message{lane, 1, lane.String()})
			}
			f.scheduler.Step(0)
			for _, lane := range all {
				if lane != busy && !strings.Contains(f.got[0], lane.String()) {
					t.Errorf("the next turn is %q, without %v", f.got[0], lane)
				}
			}
		})
	}
}

func TestSystemMessagesGoBeforeUserMessages(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.react = func(ctx actor.Context, m any) {
		if describe(m) == "Started" {
			t.Error("started again")
		}
	}
	f.post(request("r"))
	f.system.Root.Stop(f.pid)
	f.run()
	f.expect("Stopping", "Stopped")
	f.expectDead("r")
}

func TestSuspendedMailboxDeliversSystemMessagesOnly(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.mailbox.PostSystemMessage(&actor.SuspendMailbox{})
	f.post(request("r1"), &actor.Touch{}, request("r2"))
	f.run()
	f.expect()
	f.post(request("r3"), &actor.Touch{})
	if n := f.scheduler.Len(); n != 0 {
		t.Errorf("%d mailboxes are runnable, want none", n)
	}
	f.mailbox.PostSystemMessage(&actor.ResumeMailbox{})
	f.run()
	f.expect("||r1", "Touch", "||r2 r3", "Touch")
}

// A panic is escalated with its message; by default the actor is restarted and goes on with what
// is queued.
func TestPanicRestartsTheActor(t *testing.T) {
	f := newFixture(t, mailbox.Options{BatchMessagesMax: 2})
	f.react = func(_ actor.Context, m any) {
		if describe(m) == "bad" {
			panic("bad message")
		}
	}
	f.post(request("r1"), request("bad"), request("r2"))
	f.run()
	f.expect("||r1 bad", "Restarting", "Started", "||r2")
}

func TestPanicOfASoloMessageIsEscalatedToo(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.react = func(_ actor.Context, m any) {
		if describe(m) == "Touch" {
			panic("touched")
		}
	}
	f.post(&actor.Touch{}, request("r"))
	f.run()
	f.expect("Touch", "Restarting", "Started", "||r")
}

// What a supervisor is told of must not change when the mailbox uses its batch again.
func TestEscalatedBatchStaysAsItWas(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	var failure *actor.Failure
	strategy := strategyFunc(func(s actor.Supervisor, who *actor.PID, reason, message any) {
		failure = &actor.Failure{Who: who, Reason: reason, Message: message}
		s.ResumeChildren(who)
	})
	var child *actor.PID
	f.react = func(ctx actor.Context, m any) {
		if describe(m) == "spawn" {
			child = ctx.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if b, ok := ctx.Message().(*mailbox.Batch); ok && b.Len() == 3 {
					panic("three")
				}
			}, actor.WithMailbox(f.scheduler.New(mailbox.Options{Classify: classify}))))
		}
	}
	f.pid = f.system.Root.Spawn(actor.PropsFromFunc(f.receive, actor.WithSupervisor(strategy),
		actor.WithMailbox(f.scheduler.Plain())))
	f.post(request("spawn"))
	f.run()
	for _, m := range []any{control("c"), peer("p"), request("r")} {
		f.system.Root.Send(child, m)
	}
	f.run()
	f.system.Root.Send(child, request("other"))
	f.run()
	if failure == nil {
		t.Fatal("no failure")
	}
	if got := fmt.Sprint(failure.Reason, " ", describe(failure.Message)); got != "three c|p|r" {
		t.Errorf("got %q, want %q", got, "three c|p|r")
	}
}

type strategyFunc func(s actor.Supervisor, who *actor.PID, reason, message any)

func (f strategyFunc) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, who *actor.PID,
	_ *actor.RestartStatistics, reason, message any,
) {
	f(s, who, reason, message)
}

func TestPoisonPillGoesAfterAllThatWasPostedBefore(t *testing.T) {
	f := newFixture(t, mailbox.Options{BatchMessagesMax: 2})
	f.post(request("r1"), request("r2"), request("r3"), peer("p1"))
	f.system.Root.Poison(f.pid)
	f.post(control("late"))
	f.run()
	f.expect("|p1|r1 r2", "||r3", "Stopping", "Stopped")
	f.expectDead("late")
}

func TestAPoisonPillThatWaitsIsEnough(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	for range 100 {
		f.system.Root.Poison(f.pid)
	}
	f.post(request("late"))
	if got := f.mailbox.UserMessageCount(); got != 2 {
		t.Errorf("%d messages wait, want one PoisonPill and what came after", got)
	}
	f.run()
	f.expect("Stopping", "Stopped")
	f.expectDead("late")
}

// Stop goes before what waits, which goes to the dead letters, where senders are told.
func TestWhatAStoppedActorDoesNotReceiveIsDead(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.post(request("r"), &actor.Touch{}, peer("p"), control("c"))
	future := f.system.Root.RequestFuture(f.pid, request("q"), -1)
	f.system.Root.Stop(f.pid)
	f.run()
	f.expect("Stopping", "Stopped")
	f.expectDead("r", "Touch", "c", "p", "q")
	if _, err := future.Result(); err != actor.ErrDeadLetter {
		t.Errorf("future: %v, want %v", err, actor.ErrDeadLetter)
	}

	// Posters that still hold the process get the same.
	f.mailbox.PostUserMessage(request("late"))
	f.mailbox.PostUserMessage(&actor.PoisonPill{})
	f.run()
	f.expectDead("late", "PoisonPill")
	if got := f.mailbox.UserMessageCount(); got != 0 {
		t.Errorf("%d messages wait in a stopped mailbox", got)
	}
}

func TestWatchAfterStopIsAnswered(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	f.expect("Stopping", "Stopped")
	watcher := actor.NewFuture(f.system, -1)
	f.mailbox.PostSystemMessage(&actor.Watch{Watcher: watcher.PID()})
	f.run()
	if got, err := watcher.Result(); describe(got) != "Terminated" || err != nil {
		t.Errorf("got %v, %v, want Terminated", describe(got), err)
	}
}

func (f *fixture) stop() error {
	future := f.system.Root.StopFuture(f.pid)
	f.run()
	return future.Wait()
}

// The last thing an actor does may be to make room for its successor, or to fail: it has stopped.
func TestActorHasStoppedWhateverItDoesInStopped(t *testing.T) {
	for name, last := range map[string]func(f *fixture){
		"nothing": func(*fixture) {},
		"panics":  func(*fixture) { panic("stopped") },
		"is succeeded": func(f *fixture) {
			successor := actor.PropsFromFunc(func(actor.Context) {},
				actor.WithMailbox(f.scheduler.Plain()))
			if _, err := f.system.Root.SpawnNamed(successor, f.pid.Id); err != nil {
				f.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, mailbox.Options{})
			f.react = func(_ actor.Context, m any) {
				if describe(m) == "Stopped" {
					last(f)
				}
			}
			f.system.Root.Stop(f.pid)
			f.run()
			f.expect("Stopping", "Stopped")
			f.dead = nil
			f.mailbox.PostUserMessage(request("late"))
			f.run()
			f.expect()
			f.expectDead("late")
		})
	}
}

func TestStoppedActorIsNotRestarted(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.system.Root.Stop(f.pid)
	f.mailbox.PostSystemMessage(&actor.Restart{})
	f.run()
	f.expect("Stopping", "Stopped")
	f.mailbox.PostSystemMessage(&actor.Restart{})
	f.run()
	f.expect()
}

// An actor stops only when its children have: until then it goes on receiving.
func TestParentStopsAfterItsChildren(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.react = func(ctx actor.Context, m any) {
		switch describe(m) {
		case "spawn":
			ctx.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				f.got = append(f.got, "child "+describe(ctx.Message()))
			}, actor.WithMailbox(f.scheduler.Plain())))
		case "Stopping":
			f.mailbox.PostUserMessage(request("late"))
		}
	}
	f.post(request("spawn"))
	f.run()
	f.expect("||spawn", "child Started")
	f.system.Root.Stop(f.pid)
	f.scheduler.Step(0) // the parent; its child comes before it now
	f.scheduler.Step(1)
	f.expect("Stopping", "||late")
	f.run()
	f.expect("child Stopping", "child Stopped", "Terminated", "Stopped")
}
