package raft

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A bottleneck is what a group cannot do more of than perTick commands in a tick.
type bottleneck struct {
	configure func(*Config)
	// begin puts the bottleneck in place, and pass lets what comes through that passes in a part of a tick.
	begin func(l *load)
	pass  func(l *load)
}

const (
	perTick = 50
	// A command stands for so many bytes in a node's limits: itself, its frame and an overhead.
	loadCommand      = 31
	loadCommandBytes = loadCommand + 1 + 32
	// partsOfTick is how often clients get a turn in a tick.
	partsOfTick = int(step / clientTick)
)

var bottlenecks = map[string]bottleneck{
	"machine": {
		configure: func(c *Config) { c.UnappliedBytesMax = 4 * perTick * loadCommandBytes },
		begin: func(l *load) {
			for id := range l.members {
				l.f.held[Name("g", id)+"/applier"] = true
			}
		},
		pass: passMachine,
	},
	"machine, by time": {
		configure: func(*Config) {},
		begin: func(l *load) {
			for id := range l.members {
				l.f.held[Name("g", id)+"/applier"] = true
			}
		},
		pass: passMachine,
	},
	"disk": {
		configure: func(c *Config) { c.UncommittedBytesMax = 2 * perTick * loadCommandBytes },
		begin: func(l *load) {
			for id := range l.members {
				l.f.store(id).slow = true
			}
		},
		pass: func(l *load) {
			if l.part%partsOfTick != 0 {
				return
			}
			for _, id := range l.f.others(0) {
				l.f.store(id).complete(math.MaxInt)
			}
		},
	},
	"network": {
		configure: func(c *Config) { c.UncommittedBytesMax = 4 * perTick * loadCommandBytes },
		begin: func(l *load) {
			l.f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
				l.onTheWay = append(l.onTheWay, delayed{e, l.part + 2*partsOfTick})
				return nil
			}
		},
		pass: func(l *load) {
			delay := l.f.network.fault
			l.f.network.fault = nil
			for len(l.onTheWay) > 0 && l.onTheWay[0].due <= l.part {
				l.f.network.arrive(l.onTheWay[0].envelope)
				l.onTheWay = l.onTheWay[1:]
			}
			l.f.network.fault = delay
		},
	},
}

// passMachine lets each machine apply its part. What it has applied too much, since it was given it at once, it applies
// less later.
func passMachine(l *load) {
	for _, id := range l.f.others(0) {
		name := Name("g", id) + "/applier"
		l.credit[id] = min(l.credit[id], 0) + perTick/partsOfTick
		for l.credit[id] > 0 {
			before := l.applied(id)
			if !l.f.stepOf(name) {
				break
			}
			l.credit[id] -= l.applied(id) - before
		}
	}
}

// stepOf runs a turn of an actor, and tells whether it had one to run.
func (f *fixture) stepOf(name string) bool {
	for k, pid := range f.scheduler.Runnable() {
		if pid.Id == name {
			f.scheduler.Step(k)
			return true
		}
	}
	return false
}

type delayed struct {
	envelope *PeerEnvelope
	due      int
}

// A load is a group with a bottleneck, and what is asked of it.
type load struct {
	f       *fixture
	neck    bottleneck
	leader  ID
	term    uint64
	members map[ID]*raftActor
	// part counts the parts of ticks.
	part     int
	credit   map[ID]int
	onTheWay []delayed

	// asked are the proposals that are not answered, by their tags: when they were made.
	asked map[uint64]int
	tags  uint64
	pid   *actor.PID
	// taken and refused count answers, and slowest is the longest that one took that was no refusal, in parts.
	taken, refused, slowest int
	hints                   map[int64]bool
}

func newLoad(t *testing.T, neck bottleneck) *load {
	t.Helper()
	l := &load{
		f: newFixture(t, 1, 2, 3), neck: neck, members: map[ID]*raftActor{}, credit: map[ID]int{},
		asked: map[uint64]int{}, hints: map[int64]bool{},
	}
	l.f.scheduler.Trace = nil
	l.f.configure = neck.configure
	for _, m := range l.f.founders {
		machine := &journal{}
		r, err := newRaftActor(l.f.config(m.ID), machine)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := l.f.system.Root.SpawnNamed(r.props(), Name("g", m.ID))
		if err != nil {
			t.Fatal(err)
		}
		l.members[m.ID], l.f.pids[m.ID], l.f.machines[m.ID] = r, pid, machine
		l.f.settle()
	}
	l.leader = l.f.elect()
	l.term = l.f.status(l.leader).Term
	l.pid, _ = l.f.system.ProcessRegistry.Add(l, "load")
	neck.begin(l)
	return l
}

// propose proposes, once, whatever comes of it.
func (l *load) propose() {
	l.tags++
	l.asked[l.tags] = l.part
	l.f.system.Root.RequestWithCustomSender(l.f.pids[l.leader],
		&Propose{Command: make([]byte, loadCommand), Tag: l.tags}, l.pid)
}

// SendUserMessage takes an answer.
func (l *load) SendUserMessage(_ *actor.PID, message any) {
	answered := func(tag uint64) int {
		at, there := l.asked[tag]
		if !there {
			l.f.Errorf("tag %d is answered, and is not under way", tag)
		}
		delete(l.asked, tag)
		return l.part - at
	}
	switch m := message.(type) {
	case *Proposed:
		l.slowest = max(l.slowest, answered(m.Tag))
		l.taken++
	case *Rejected:
		answered(m.Tag)
		l.refused++
		l.hints[m.RetryAfterMs] = true
		if m.Code != Code_OVERLOADED || m.Outcome != Outcome_NOT_APPLIED || m.RetryAfterMs <= 0 || m.Detail == "" {
			l.f.Errorf("got %v", m)
		}
	default:
		l.f.Errorf("got %T", m)
	}
}

func (*load) SendSystemMessage(*actor.PID, any) {}
func (*load) Stop(*actor.PID)                   {}

func (l *load) applied(id ID) int { return len(l.f.machines[id].entries) }

// pass lets ticks pass, in parts, in each of which some proposals are made.
func (l *load) pass(ticks int, ask func()) {
	l.f.Helper()
	for range ticks * partsOfTick {
		l.part++
		l.f.clock.Advance(clientTick)
		ask()
		l.f.settle()
		l.neck.pass(l)
		l.f.settle()
		l.checkBounds()
	}
}

// checkBounds wants everything that waits to be within its limit, at this moment.
func (l *load) checkBounds() {
	l.f.Helper()
	for id, r := range l.members {
		q, cfg := r.status().Queues, &r.cfg
		for name, bound := range map[string]struct{ got, max int }{
			"requests":          {int(q.Requests), cfg.RequestsMax},
			"request bytes":     {int(q.RequestBytes), cfg.RequestBytesMax},
			"peer bytes":        {int(q.PeerBytes), cfg.PeerBytesMax},
			"uncommitted bytes": {int(q.UncommittedBytes), cfg.UncommittedBytesMax},
			"unapplied bytes": {
				int(q.UnappliedBytes), cfg.UnappliedBytesMax + min(cfg.UnappliedBytesMax/64, 1<<20) + cfg.UncommittedBytesMax,
			},
			"pending":       {int(r.calls.pending().calls), cfg.PendingMax},
			"pending bytes": {int(r.calls.pending().bytes), cfg.PendingBytesMax},
			"open calls":    {len(r.calls.open), 2 * (cfg.PendingMax + adminMax)},
			"syncs":         {len(r.barrier.flying), syncsMax},
			"held messages": {len(r.barrier.held), 4 * syncsMax},
			"control":       {r.box.Stats().Control.Waiting, 2*syncsMax + 100},
		} {
			if bound.got > bound.max || bound.got < 0 {
				l.f.Fatalf("member %d, part %d: %s are %d, want at most %d", id, l.part, name, bound.got, bound.max)
			}
		}
	}
}

// drain asks for nothing more, until nobody waits.
func (l *load) drain() (ticks int) {
	l.f.Helper()
	for ; len(l.asked) > 0; ticks++ {
		if ticks > 1000 {
			l.f.Fatalf("%d proposals are not answered", len(l.asked))
		}
		l.pass(1, func() {})
	}
	return ticks
}

// single is how many parts of a tick one proposal takes when there is nothing else to do.
func (l *load) single() int {
	l.f.Helper()
	l.slowest = 0
	l.propose()
	l.drain()
	return l.slowest
}

// pour proposes so often in each tick, for a number of them, and returns how many commands were applied in a tick.
func (l *load) pour(ticks, times int) float64 {
	l.f.Helper()
	before := l.applied(l.leader)
	l.pass(ticks, func() {
		for range times * perTick / partsOfTick {
			l.propose()
		}
	})
	return float64(l.applied(l.leader)-before) / float64(ticks)
}

// isAsBefore wants a group that is not overloaded any more to be as it was.
func (l *load) isAsBefore(single int) {
	l.f.Helper()
	l.pass(20, func() {})
	if again := l.single(); again > single+partsOfTick {
		l.f.Errorf("a proposal takes %d parts of a tick after the load, and took %d before", again, single)
	}
	for id, r := range l.members {
		l.pass(1, func() {})
		if d, p := r.overload.door.Load(), r.calls.pending(); d != nil || p != (holding{}) || r.overload.hints.Load().ms != hintMin {
			l.f.Errorf("member %d: the door is %v, %v is pending, the hint is %d ms", id, d, p, r.overload.hints.Load().ms)
		}
	}
	s := l.f.status(l.leader)
	if s.Role != Status_LEADER || s.Term != l.term {
		l.f.Errorf("the leader of term %d is %v in term %d", l.term, s.Role, s.Term)
	}
}

func TestTenTimesTheLoadIsTurnedDownAndTheRestIsDone(t *testing.T) {
	for name, neck := range bottlenecks {
		t.Run(name, func(t *testing.T) {
			l := newLoad(t, neck)
			single := l.single()
			best := 0.0
			for _, times := range []int{1, 2} {
				l.pour(20, times)
				best = max(best, l.pour(100, times))
				l.drain()
			}
			if best < perTick/3 {
				t.Fatalf("%v commands are applied in a tick at best: that is no load", best)
			}
			l.pour(50, 10)
			l.taken, l.refused, l.slowest = 0, 0, 0
			got := l.pour(100, 10)
			ticks := l.drain()
			t.Logf("%v at best; %v of tenfold, %d refused, the slowest after %d, drained in %d ticks, single %d, hints %v",
				best, got, l.refused, l.slowest, ticks, single, l.hints)
			if got < 0.8*best {
				t.Errorf("%v commands are applied in a tick when ten times as many are asked for, and %v at best", got, best)
			}
			if l.refused < 800*perTick {
				t.Errorf("%d are refused", l.refused)
			}
			limit := int(requestTimeoutDefault/clientTick)*3/4 + single
			if l.slowest > limit {
				t.Errorf("who was taken has waited for %d parts of a tick, and was to wait for %d at most", l.slowest, limit)
			}
			l.isAsBefore(single)
			l.f.agree(l.f.others(0)...)
		})
	}
}

func TestTenTimesTheClientsGetTheirTurn(t *testing.T) {
	for name, neck := range bottlenecks {
		t.Run(name, func(t *testing.T) {
			l := newLoad(t, neck)
			single := l.single()
			random := rand.New(rand.NewPCG(1, 1))
			measure := func(clients int) float64 {
				const inFlight = 20
				before := 0
				done := make([]int, clients)
				var all []*Client
				for k := range clients {
					l.f.seed++
					c := l.f.client(ClientConfig{InFlightMax: inFlight}, l.leader)
					all = append(all, c)
					defer c.Close()
					_ = k
				}
				ask := func() {
					for _, k := range random.Perm(clients) {
						c := all[k]
						for {
							err := c.TryProposeAsync(context.Background(), make([]byte, loadCommand), func(_ Result, err error) {
								if err != nil && !errors.Is(err, ErrClosed) {
									t.Errorf("got %v", err)
								}
								done[k]++
							})
							if err != nil {
								break
							}
						}
					}
				}
				l.pass(60, ask)
				before = l.applied(l.leader)
				clear(done)
				l.pass(200, ask)
				got := float64(l.applied(l.leader)-before) / 200
				least, most := math.MaxInt, 0
				for _, n := range done {
					least, most = min(least, n), max(most, n)
				}
				t.Logf("%d clients: %v per tick, each %d to %d, hint %d", clients, got, least, most, l.members[l.leader].overload.hints.Load().ms)
				if least == 0 || most > 4*least {
					t.Errorf("of %d clients one has had %d proposals applied, and another %d", clients, least, most)
				}
				for _, c := range all {
					c.Close()
				}
				l.pass(150, func() {})
				return got
			}
			best := max(measure(8), measure(16))
			if got := measure(100); got < 0.8*best {
				t.Errorf("%v commands are applied in a tick for ten times as many clients, and %v at best", got, best)
			}
			l.isAsBefore(single)
			_ = fmt.Sprint
			_ = time.Second
		})
	}
}
