package raft

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/timer"
)

// The applier gets no turn, as if the machine were busy, for a minute. The group goes on without it.
func TestABusyMachineHoldsNothingUp(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	follower := f.others(leader)[0]
	term := f.status(leader).Term
	for _, id := range []ID{leader, follower} {
		f.held[Name("g", id)+"/applier"] = true
	}
	propose := f.ask(leader, &Propose{Command: []byte("b"), TimeoutMs: 30_000})
	query := f.ask(follower, &Query{TimeoutMs: 30_000})
	snapshot := f.ask(leader, &TakeSnapshot{TimeoutMs: 30_000})
	f.pass(int(29 * time.Second / step))
	for _, in := range []*inbox{propose, query, snapshot} {
		f.noReply(in)
	}
	f.pass(int(31 * time.Second / step))
	f.rejected(propose, Code_DEADLINE, Outcome_UNKNOWN)
	f.rejected(query, Code_DEADLINE, Outcome_NOT_APPLIED)
	f.rejected(snapshot, Code_DEADLINE, Outcome_UNKNOWN)
	for id := ID(1); id <= 3; id++ {
		if s := f.status(id); s.Term != term || s.Leader != uint64(leader) || s.CommitIndex != s.LastIndex {
			t.Errorf("after a minute: %v", s)
		}
	}

	// Elections go on, too.
	f.network.isolate(leader, f.others(leader)...)
	f.until("a new leader", func() bool { l := f.leader(); return l != 0 && l != leader })
	f.network.heal()
	clear(f.held)
	f.elect()
	f.apply(f.leader(), "c")
	f.pass(5)
	f.agree(1, 2, 3)
	for _, in := range []*inbox{propose, query, snapshot} {
		only[*Rejected](f, in) // nobody is told twice
	}
}

// The same with a real clock and a machine that blocks its goroutine, in each of its methods.
func TestABlockedMachineHoldsNothingUp(t *testing.T) {
	for name, request := range map[string]any{
		"Apply":    &Propose{Command: []byte("b")},
		"Query":    &Query{Consistency: Consistency_LOCAL},
		"Snapshot": &TakeSnapshot{},
		"WriteTo":  &TakeSnapshot{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRealGroup(t, 3)
			leader := g.leader()
			g.propose(leader, "a")
			entered, release := make(chan struct{}), make(chan struct{})
			block := func() error {
				select {
				case <-entered:
				default:
					close(entered)
				}
				<-release
				return nil
			}
			j := g.machines[leader]
			switch name {
			case "Apply":
				j.onApply = func(Command) error { return block() }
			case "Query":
				j.onQuery = func([]byte) error { return block() }
			case "Snapshot":
				j.onSnapshot = block
			case "WriteTo":
				j.onWrite = block
			}
			in := newInbox(g.system)
			g.system.Root.RequestWithCustomSender(g.pids[leader], request, in.pid)
			<-entered
			// Heartbeats, or the answers to them if a busy test machine has made somebody else the leader.
			sent := g.traffic.from(leader)
			g.waitFor("messages of the member", func() bool { return g.traffic.from(leader) > sent+50 })
			// The log goes on, too.
			commit := g.status(leader).CommitIndex
			for _, pid := range g.pids {
				g.system.Root.Send(pid, &Propose{Command: []byte("c")})
			}
			g.waitFor("a commit", func() bool { return g.status(leader).CommitIndex > commit })
			if got := in.all(); len(got) > 0 {
				t.Errorf("got %v from a machine that is blocked", got)
			}
			if name == "WriteTo" { // which runs beside later commands
				g.waitFor("commands that are applied", func() bool { return len(j.all()) > 1 })
			}
			close(release)
			if r, rejected := in.wait(t).(*Rejected); rejected {
				t.Errorf("got %v", r)
			}
		})
	}
}

// A realGroup runs on goroutines and by the clock, with short intervals.
type realGroup struct {
	testing.TB
	system          *actor.ActorSystem
	timer           *timer.Real
	electionTimeout time.Duration
	traffic         *traffic
	stores          map[ID]Store
	machines        map[ID]*journal
	pids            map[ID]*actor.PID
	members         []Member
	configure       func(*Config)
	failed          chan *Failed
}

func newRealGroup(tb testing.TB, members int) *realGroup {
	return newRealGroupIn(tb, quietSystem(), members)
}

func newRealGroupIn(tb testing.TB, system *actor.ActorSystem, members int) *realGroup {
	g := &realGroup{
		TB: tb, system: system, timer: timer.NewReal(), electionTimeout: 200 * time.Millisecond,
		traffic: &traffic{Transport: NewMemoryTransport()}, stores: map[ID]Store{}, machines: map[ID]*journal{},
		pids: map[ID]*actor.PID{}, failed: make(chan *Failed, 100), configure: func(*Config) {},
	}
	g.system.EventStream.Subscribe(func(event any) {
		if event, ok := event.(*Failed); ok {
			g.failed <- event
		}
	})
	for id := range members {
		g.members = append(g.members, Member{ID: ID(id + 1)})
	}
	for _, m := range g.members {
		g.stores[m.ID] = NewMemoryStore()
		g.spawn(m.ID)
	}
	tb.Cleanup(func() {
		for id := range g.pids {
			g.stop(id)
		}
		g.timer.Stop()
		select {
		case f := <-g.failed:
			tb.Errorf("member %d failed: %v", f.Member, f.Err)
		default:
		}
	})
	return g
}

func (g *realGroup) spawn(id ID) {
	g.Helper()
	machine := &journal{}
	cfg := Config{
		Group: "g", ID: id, Members: g.members, Store: g.stores[id], Transport: g.traffic, Timer: g.timer,
		TickInterval: 10 * time.Millisecond, HeartbeatInterval: 20 * time.Millisecond,
		ElectionTimeout: g.electionTimeout, RequestTimeout: 20 * time.Second,
	}
	g.configure(&cfg)
	pid, err := Spawn(g.system, cfg, machine)
	if err != nil {
		g.Fatal(err)
	}
	g.pids[id], g.machines[id] = pid, machine
}

func (g *realGroup) stop(id ID) {
	g.Helper()
	if err := g.system.Root.StopFuture(g.pids[id]).Wait(); err != nil {
		g.Errorf("stopping member %d: %v", id, err)
	}
	delete(g.pids, id)
}

func (g *realGroup) ask(id ID, request any) any {
	g.Helper()
	in := newInbox(g.system)
	defer g.system.ProcessRegistry.Remove(in.pid)
	g.system.Root.RequestWithCustomSender(g.pids[id], request, in.pid)
	return in.wait(g)
}

func (g *realGroup) status(id ID) *Status {
	g.Helper()
	return g.ask(id, &GetStatus{}).(*Status)
}

// leader waits until somebody leads and has committed in its term.
func (g *realGroup) leader() ID {
	g.Helper()
	for {
		for id := range g.pids {
			switch reply := g.ask(id, &Query{}).(type) {
			case *Answer: // somebody does, and this member knows who
				return ID(g.status(id).Leader)
			case *Rejected:
				if reply.Outcome != Outcome_NOT_APPLIED {
					g.Fatal(reply)
				}
			}
		}
		g.pause(5 * time.Millisecond)
	}
}

// pause waits for that much of the members' time.
func (g *realGroup) pause(d time.Duration) {
	passed := make(chan struct{}, 1)
	subscription := g.timer.Subscribe(d, func(int) {
		select {
		case passed <- struct{}{}:
		default:
		}
	})
	<-passed
	subscription.Cancel()
}

func (g *realGroup) propose(id ID, command string) *Proposed {
	g.Helper()
	switch reply := g.ask(id, &Propose{Command: []byte(command)}).(type) {
	case *Proposed:
		return reply
	default:
		g.Fatal(reply)
		return nil
	}
}

// traffic is a transport that counts what each member sends.
type traffic struct {
	Transport
	sent [10]atomic.Int64 // by ID
}

func (t *traffic) Join(group string, id ID, inbox Inbox) (Link, error) {
	link, err := t.Transport.Join(group, id, inbox)
	return countedLink{link, &t.sent[id]}, err
}

func (t *traffic) from(id ID) int64 { return t.sent[id].Load() }

type countedLink struct {
	Link
	sent *atomic.Int64
}

func (l countedLink) Send(to ID, address string, e *PeerEnvelope) {
	l.sent.Add(1)
	l.Link.Send(to, address, e)
}
