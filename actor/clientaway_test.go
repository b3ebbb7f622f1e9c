package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// doing has something done by a goroutine, and lets time pass until it is.
func (f *fixture) doing(do func()) {
	f.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for late := time.After(30 * time.Second); ; {
		select {
		case <-done:
			return
		case <-late:
			f.Fatal("it does not come to its end")
		default:
			f.settle()
			f.clock.Advance(clientTick)
			runtime.Gosched()
		}
	}
}

// awayClient is a client in the fixture's own system, which it closes.
func awayClient(f *fixture, ids ...ID) *Client {
	c := f.client(ClientConfig{}, ids...)
	f.Cleanup(c.Close)
	return c
}

// countParcels counts what is sent from now on, by the address and the kind.
func countParcels(f *fixture) map[string]int {
	counts := map[string]int{}
	f.remoting.fault = func(p *parcel) int {
		counts[p.target.Address+" "+string(p.kind.Name())]++
		return 1
	}
	return counts
}

func TestAClientThatIsNoMemberDoesEverything(t *testing.T) {
	f, leader := newScatteredGroup(t)
	f.spawnHome(4)
	c := awayClient(f, 1, 2, 3)
	ctx := t.Context()
	others := f.others(leader)
	var index Index
	for name, do := range map[string]func() error{
		"propose": func() error {
			r, err := c.Propose(ctx, []byte("a"))
			if err == nil && (number(r.Data) == 0 || r.Index == 0 || r.Term == 0) {
				err = fmt.Errorf("got %v", r)
			}
			index = r.Index
			return err
		},
		"query": func() error {
			r, err := c.Query(ctx, []byte("how many"))
			if err == nil && r.Data == nil {
				err = fmt.Errorf("got %v", r)
			}
			return err
		},
		"query local": func() error {
			_, err := c.QueryLocal(ctx, []byte("how many"), 1)
			return err
		},
		"add":    func() error { return c.AddMember(ctx, 4, hostOf(4)) },
		"remove": func() error { return c.RemoveMember(ctx, 9) },
		"snapshot": func() error {
			at, err := c.TakeSnapshot(ctx, f.pid(others[1]))
			if err == nil && at == 0 {
				err = errors.New("a snapshot of nothing")
			}
			return err
		},
		"ready": func() error {
			at, err := c.Ready(ctx, f.pid(others[1]))
			if err == nil && at == 0 {
				err = errors.New("ready at index 0")
			}
			return err
		},
		"ready on its own": func() error {
			_, err := Ready(ctx, f.system, f.pid(others[0]))
			return err
		},
		"status": func() error {
			s, err := c.Status(ctx, f.pid(others[0]))
			if err == nil && (s.Id != uint64(others[0]) || s.Members[0].Address != hostOf(1) || s.Members[0].Incarnation == 0) {
				err = fmt.Errorf("got %v", s)
			}
			return err
		},
		"health": func() error { return Health(ctx, f.system, f.pid(others[0])) },
	} {
		f.doing(func() {
			if err := do(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	if index == 0 {
		t.Error("nothing was proposed")
	}
	f.doing(func() {
		if err := c.TransferLeadership(ctx, others[0]); err != nil {
			t.Errorf("transfer: %v", err)
		}
	})
	if s := f.status(others[0]); s.Role != Status_LEADER {
		t.Errorf("it does not lead: %v", s)
	}
}

// spawnHome spawns a member that waits to be added, in an actor system of its own.
func (f *fixture) spawnHome(id ID) {
	f.Helper()
	f.homes[id] = f.remoting.join(hostOf(id))
	f.spawnJoiner(id, &journal{})
}

// Whatever is lost, comes twice or has its sender crash, a proposal is applied once, and its client hears of it.
func TestProposalsFromAnotherSystemAreAppliedOnce(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			f, leader := newScatteredGroup(t)
			random := rand.New(rand.NewPCG(seed, 1))
			f.remoting.fault = func(*parcel) int {
				switch n := random.IntN(100); {
				case n < 15:
					return 0
				case n < 20:
					return 2
				default:
					return 1
				}
			}
			f.seed = seed + 1
			c := awayClient(f, 1, 2, 3)
			var all []*promise
			for round := range 6 {
				for range 20 {
					all = append(all, f.proposes(context.Background(), c, fmt.Sprint(len(all))))
					f.clock.Advance(clientTick)
					f.settle()
				}
				switch round {
				case 1:
					f.crash(leader)
				case 2:
					f.revive(leader)
				case 3:
					f.remoting.lose(hostOf(f.elect()))
				case 4:
					f.remoting.heal()
				}
			}
			f.remoting.heal()
			for _, a := range all {
				f.until("the end of all", func() bool { return a.ended > 0 })
				if a.ended != 1 || a.err != nil {
					t.Fatalf("a proposal has ended %d times, with %v", a.ended, a.err)
				}
			}
			f.pass(5)
			f.agree(1, 2, 3)
			times := map[string]int{}
			for _, applied := range f.machines[1].all() {
				times[string(applied.Data)]++
			}
			for i := range all {
				if times[fmt.Sprint(i)] != 1 {
					t.Errorf("command %d was applied %d times", i, times[fmt.Sprint(i)])
				}
			}
			if n := len(c.errands.open); n > 2 { // asking for the members
				t.Errorf("%d requests are still waited for", n)
			}
		})
	}
}

// It is told by the first member that it asks, and asks the leader from then on.
func TestAClientOfAnotherSystemAsksTheLeaderItself(t *testing.T) {
	f, leader := newScatteredGroup(t)
	counts := countParcels(f)
	first := f.others(leader)[0]
	c := awayClient(f, first)
	for i := range 10 {
		f.end(f.proposes(t.Context(), c, fmt.Sprint(i)))
	}
	if got := counts[hostOf(leader)+" Propose"]; got != 10 {
		t.Errorf("the leader was asked %d times", got)
	}
	if got := counts[hostOf(first)+" OpenSession"] + counts[hostOf(first)+" Propose"]; got != 1 {
		t.Errorf("the follower was asked %d times, want once", got)
	}
	if _, got := last(f.machines[leader].all()); got != 10 {
		t.Errorf("%d were applied", got)
	}
}

func last(all []Command) (c Command, count int) {
	if len(all) > 0 {
		c = all[len(all)-1]
	}
	return c, len(all)
}

// A client that was given one member goes on with the others when that is gone, and with those that it was given when
// the others are.
func TestAClientOfAnotherSystemLearnsTheMembers(t *testing.T) {
	f, leader := newScatteredGroup(t)
	c := awayClient(f, leader)
	f.end(f.proposes(t.Context(), c, "a"))
	f.pass(2)
	f.crash(leader)
	f.end(f.proposes(t.Context(), c, "b"))
	next := f.leader()
	f.revive(leader)
	f.elect()
	f.crash(next)
	f.end(f.proposes(t.Context(), c, "c"))
	for _, id := range f.others(next) {
		if got := texts(f.machines[id].all()); len(got) != 3 {
			t.Errorf("member %d has %v", id, got)
		}
	}
}

// A leader that the client alone does not reach is reached through the others.
func TestAClientThatDoesNotReachTheLeaderHasTheOthersPassItOn(t *testing.T) {
	f, leader := newScatteredGroup(t)
	c := awayClient(f, 1, 2, 3)
	f.end(f.proposes(t.Context(), c, "a"))
	f.remoting.fault = func(p *parcel) int {
		if p.target.Address == hostOf(leader) || p.from == hostOf(leader) {
			return 0
		}
		return 1
	}
	f.end(f.proposes(t.Context(), c, "b"))
	if f.leader() != leader {
		t.Fatal("another one leads")
	}
	start := f.status(leader).LastIndex
	f.end(f.proposes(t.Context(), c, "c"))
	if f.status(leader).LastIndex != start+1 {
		t.Error("it was proposed more than once")
	}
	// Once the others have another leader, that is asked, and in the end itself.
	done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: uint64(f.others(leader)[0])})
	f.end(f.proposes(t.Context(), c, "d"))
	f.pass(int(silentTicks * clientTick / step))
	counts := countParcels(f)
	f.end(f.proposes(t.Context(), c, "e"))
	f.end(f.proposes(t.Context(), c, "f"))
	if got := counts[hostOf(f.leader())+" Propose"]; got == 0 {
		t.Errorf("the leader is never asked: %v", counts)
	}
}

// A reply that is none to the question, that is nobody's, or that comes again, changes nothing.
func TestAStrayReplyToAClientIsIgnored(t *testing.T) {
	f, leader := newScatteredGroup(t)
	c := awayClient(f, leader)
	f.end(f.proposes(t.Context(), c, "a"))
	f.hold(leader, "")
	a := f.proposes(t.Context(), c, "b")
	f.settle()
	stray := func(number uint32, m proto.Message) {
		pid := copied(c.errands.pid)
		pid.RequestId = number
		f.homes[leader].Root.Send(pid, m)
		f.settle()
	}
	for _, m := range []proto.Message{
		&Answer{}, &SessionOpened{Session: 7}, &SnapshotTaken{}, &Status{}, &GetStatus{}, &MembersChanged{}, &IsReady{},
		&LeadershipTransferred{}, &Applied{},
	} {
		stray(c.errands.last, m)
	}
	for _, number := range []uint32{0, c.errands.last + 1, c.errands.last - 1} {
		stray(number, &Proposed{Index: 99})
		stray(number, &actor.DeadLetterResponse{})
		stray(number, &Rejected{Code: Code_TOO_LARGE, Outcome: Outcome_NOT_APPLIED})
	}
	c.errands.SendUserMessage(nil, &Proposed{})
	c.errands.SendUserMessage(c.errands.pid, 7)
	if a.ended != 0 {
		t.Fatalf("it has ended with %v, %v", a.result, a.err)
	}
	clear(f.held)
	if f.end(a); a.err != nil || a.result.Index == 99 {
		t.Errorf("got %v, %v", a.result, a.err)
	}
	stray(c.errands.last, &Proposed{Index: 99})
	c.Close()
	if _, there := f.system.ProcessRegistry.GetLocal(c.errands.pid.Id); there {
		t.Error("the client is closed, and still takes replies")
	}
}

// What a member of another system says is the same error as what one of this system says.
func TestErrorsAreTheSameFromAnotherSystem(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(f *fixture, c *Client, leader *actor.PID) error
		want []error
	}{
		"too large": {
			func(f *fixture, c *Client, _ *actor.PID) error {
				_, err := c.Propose(f.Context(), make([]byte, 1025))
				return err
			}, []error{ErrTooLarge, ErrNotApplied},
		},
		"query failed": {
			func(f *fixture, c *Client, _ *actor.PID) error {
				_, err := c.Query(f.Context(), []byte("fail"))
				return err
			}, []error{ErrQueryFailed, ErrNotApplied},
		},
		"refused": {
			func(f *fixture, c *Client, _ *actor.PID) error { return c.Promote(f.Context(), 77) }, []error{ErrRefused, ErrNotApplied},
		},
		"a transfer to nobody": {
			func(f *fixture, c *Client, _ *actor.PID) error { return c.TransferLeadership(f.Context(), 77) },
			[]error{ErrRefused, ErrNotApplied},
		},
		"no such actor": {
			func(f *fixture, c *Client, leader *actor.PID) error {
				_, err := c.TakeSnapshot(f.Context(), actor.NewPID(leader.Address, Name("g", 9)))
				return err
			}, []error{ErrStopped, ErrNotApplied},
		},
		"status of no such actor": {
			func(f *fixture, c *Client, leader *actor.PID) error {
				_, err := c.Status(f.Context(), actor.NewPID(leader.Address, Name("g", 9)))
				return err
			}, []error{ErrStopped, ErrNotApplied},
		},
		"health of no such actor": {
			func(f *fixture, _ *Client, leader *actor.PID) error {
				return Health(f.Context(), f.system, actor.NewPID(leader.Address, Name("g", 9)))
			}, []error{ErrNotLive, ErrNotReady},
		},
		"given up": {
			func(f *fixture, c *Client, leader *actor.PID) error {
				f.remoting.silence(leader.Address)
				ctx, cancel := context.WithCancel(f.Context())
				cancel()
				_, err := c.Status(ctx, leader)
				return err
			}, []error{context.Canceled, ErrNotApplied},
		},
		"closed": {
			func(f *fixture, c *Client, leader *actor.PID) error {
				c.Close()
				_, err := c.Query(f.Context(), nil)
				return err
			}, []error{ErrClosed, ErrNotApplied},
		},
		"status when closed": {
			func(f *fixture, c *Client, leader *actor.PID) error {
				c.Close()
				_, err := c.Status(f.Context(), leader)
				return err
			}, []error{ErrClosed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for where, f := range map[string]*fixture{"here": newFixture(t, 1, 2, 3), "away": newScattered(t, 1, 2, 3)} {
				if f.remoting == nil {
					f.remoting = newRemoting(t) // cutting it off changes nothing
				}
				f.configure = func(c *Config) { c.CommandBytesMax = 1024 }
				f.spawnFounders()
				leader := f.elect()
				for _, m := range f.machines {
					m.onQuery = func(payload []byte) error {
						if string(payload) == "fail" {
							return errTest
						}
						return nil
					}
				}
				client := awayClient(f, leader)
				var err error
				f.doing(func() { err = c.do(f, client, copied(f.pids[leader])) })
				if where == "here" && (name == "given up" || name == "status when closed") {
					continue // there it may be answered at once
				}
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("%s: got %v, want %v", where, err, want)
					}
				}
				if errors.Is(err, ErrNotApplied) == errors.Is(err, ErrUnknown) && slices.Contains(c.want, ErrNotApplied) {
					t.Errorf("%s: %v has two outcomes", where, err)
				}
			}
		})
	}
}

// The outcome of what is not repeated is the truth: in doubt when its answer is lost, or the address; not so when it was
// never sent.
func TestOutcomesOfWhatIsNotSentAgain(t *testing.T) {
	lostAnswers := func(p *parcel) int {
		if p.target.Address == "client:1" {
			return 0
		}
		return 1
	}
	for name, c := range map[string]struct {
		fault  func(*parcel) int
		then   func(f *fixture, leader ID)
		reason error
	}{
		"the answer is lost":     {lostAnswers, func(*fixture, ID) {}, ErrDeadline},
		"the address is":         {lostAnswers, func(f *fixture, leader ID) { f.remoting.lose(hostOf(leader)) }, ErrUnreachable},
		"the member was stopped": {nil, func(f *fixture, leader ID) { f.stop(leader) }, ErrStopped},
	} {
		t.Run(name, func(t *testing.T) {
			f, leader := newScatteredGroup(t)
			cfg := ClientConfig{NoSession: true}
			client := f.client(cfg, leader)
			defer client.Close()
			if c.fault == nil {
				f.network.isolate(leader, f.others(leader)...) // it is never committed
			}
			f.remoting.fault = c.fault
			a := f.proposes(context.Background(), client, "a")
			f.settle()
			c.then(f, leader)
			for range int(errandMax / step) {
				if a.ended == 0 {
					f.pass(2)
				}
			}
			if !errors.Is(a.err, ErrUnknown) || !errors.Is(a.err, c.reason) || errors.Is(a.err, ErrNotApplied) {
				t.Errorf("got %v, want ErrUnknown and %v", a.err, c.reason)
			}
			if n := len(client.errands.open); n > 1 {
				t.Errorf("%d requests are still waited for", n)
			}
		})
	}
	t.Run("it was never sent", func(t *testing.T) {
		f, leader := newScatteredGroup(t)
		nowhere := actor.NewPID("nowhere:1", Name("g", leader))
		client := newClient(f.system, ClientConfig{
			Members: []*actor.PID{nowhere}, NoSession: true, Timer: f.clock, scheduler: f.scheduler, seed: 1,
		})
		defer client.Close()
		ctx, cancel := context.WithCancel(t.Context())
		a := f.proposes(ctx, client, "a")
		f.pass(10)
		cancel()
		f.end(a)
		if !errors.Is(a.err, ErrNotApplied) || !errors.Is(a.err, ErrUnreachable) || errors.Is(a.err, ErrUnknown) {
			t.Errorf("got %v, want ErrNotApplied and ErrUnreachable", a.err)
		}
		var err error
		f.doing(func() { err = Health(t.Context(), f.system, nowhere) })
		if !errors.Is(err, ErrNotReady) || !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrNotLive) {
			t.Errorf("got %v, want ErrNotReady and ErrUnreachable", err)
		}
	})
}
