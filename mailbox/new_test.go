package mailbox_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"example.com/raftactor/mailbox"
)

// A bubble's Wait returns when every goroutine in it is parked: a mailbox that looked again and
// again for work would keep it from returning.
func TestIdleGoroutineIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := quietSystem()
		received := 0
		pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if b, ok := ctx.Message().(*mailbox.Batch); ok {
				received += b.Len()
			}
		}, actor.WithMailbox(mailbox.New(mailbox.Options{}))))
		for i := range 10 {
			synctest.Wait()
			if received != i {
				t.Fatalf("received %d, want %d", received, i)
			}
			system.Root.Send(pid, i)
		}
		synctest.Wait()
		if err := system.Root.StopFuture(pid).Wait(); err != nil {
			t.Error(err)
		}
	})
}

// The bubble fails if a goroutine stays, too; this one shows it without.
func TestNoGoroutineIsLeftAfterStop(t *testing.T) {
	system := quietSystem()
	before := goleak.IgnoreCurrent()
	for i := range 1000 {
		props := actor.PropsFromFunc(func(actor.Context) {},
			actor.WithMailbox(mailbox.New(mailbox.Options{Classify: classify})))
		pid := system.Root.Spawn(props)
		system.Root.Send(pid, request("r"))
		var stopped *actor.Future
		if i%2 == 0 {
			stopped = system.Root.StopFuture(pid)
		} else {
			stopped = system.Root.PoisonFuture(pid)
		}
		if err := stopped.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := system.Root.StopFuture(pid).Wait(); err != nil { // watch after stop
			t.Fatal(err)
		}
	}
	goleak.VerifyNone(t, before)
}

func TestWatchAfterTheGoroutineIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := quietSystem()
		var m actor.Mailbox
		pid := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {},
			withMailbox(mailbox.New(mailbox.Options{}), &m)))
		_ = system.Root.StopFuture(pid).Wait()
		synctest.Wait()
		for range 3 {
			watcher := actor.NewFuture(system, -1)
			m.PostSystemMessage(&actor.Watch{Watcher: watcher.PID()})
			if got, _ := watcher.Result(); describe(got) != "Terminated" {
				t.Errorf("got %v, want Terminated", describe(got))
			}
		}
	})
}

// Many post at once, while the mailbox is suspended and resumed: each poster's messages arrive in
// order within their lane, each once, and the turns do not overlap.
func TestConcurrentPosters(t *testing.T) {
	type numbered struct {
		message
		poster, number int
	}
	rapid.Check(t, func(t *rapid.T) {
		posters := rapid.IntRange(1, 8).Draw(t, "posters")
		each := rapid.IntRange(1, 300).Draw(t, "each")
		suspend := rapid.Bool().Draw(t, "suspend")
		options := mailbox.Options{
			BatchMessagesMax: rapid.IntRange(1, 50).Draw(t, "batchMessagesMax"),
			Classify: func(m any) (mailbox.Lane, int) {
				return m.(*numbered).lane, 0
			},
		}
		system := quietSystem()
		var m actor.Mailbox
		next := make([][3]int, posters)
		touches, busy := 0, make(chan struct{}, 1)
		var fault error
		receive := func(elements []any, lane mailbox.Lane) {
			for _, element := range elements {
				n := element.(*numbered)
				if n.lane != lane || n.number < next[n.poster][lane] {
					fault = fmt.Errorf("poster %d: %v message %d in the %v lane, want %d or more",
						n.poster, n.lane, n.number, lane, next[n.poster][lane])
				}
				next[n.poster][lane] = n.number + 1
			}
		}
		total := 0
		pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			busy <- struct{}{} // no two turns at once
			defer func() { <-busy }()
			switch b := ctx.Message().(type) {
			case *mailbox.Batch:
				total += b.Len()
				receive(b.Control, mailbox.Control)
				receive(b.Peer, mailbox.Peer)
				receive(b.Requests, mailbox.Request)
			case *actor.Touch:
				touches++
			}
		}, withMailbox(mailbox.New(options), &m)))

		var all sync.WaitGroup
		for poster := range posters {
			all.Go(func() {
				for number := range each {
					lane := mailbox.Lane((number*7 + poster) % 3)
					system.Root.Send(pid, &numbered{message{lane: lane}, poster, number})
					switch {
					case number%50 == 10:
						system.Root.Send(pid, &actor.Touch{})
					case number%20 == 5 && suspend:
						m.PostSystemMessage(&actor.SuspendMailbox{})
						runtime.Gosched()
						m.PostSystemMessage(&actor.ResumeMailbox{})
					}
				}
			})
		}
		all.Wait()
		if err := system.Root.PoisonFuture(pid).Wait(); err != nil {
			t.Fatal(err)
		}
		if fault != nil {
			t.Fatal(fault)
		}
		if want := posters * each; total != want {
			t.Fatalf("received %d messages, want %d", total, want)
		}
		if want := posters * ((each + 39) / 50); touches != want {
			t.Fatalf("received %d touches, want %d", touches, want)
		}
	})
}

func TestStatsMayBeReadWhilePosting(t *testing.T) {
	system := quietSystem()
	var m *mailbox.Mailbox
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			m = mailbox.Of(ctx)
		}
	}, actor.WithMailbox(mailbox.New(mailbox.Options{Classify: classify}))))
	if _, err := system.Root.RequestFuture(pid, &actor.Touch{}, -1).Result(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				system.Root.Send(pid, peer("p"))
				if s := m.Stats().Peer; uint64(s.Waiting) > s.Accepted || s.Bytes < s.Waiting {
					t.Errorf("stats %+v", s)
				}
			}
		})
	}
	all.Wait()
	if err := system.Root.PoisonFuture(pid).Wait(); err != nil {
		t.Fatal(err)
	}
	if s := m.Stats().Peer; s.Accepted != 4000 || s.Waiting != 0 || s.Bytes != 0 {
		t.Errorf("stats %+v, want 4000 accepted, none waiting", s)
	}
}
