package raft

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Goroutines and actors increment a counter while the leader is stopped and started again, time after time.
// Every acknowledged increment is counted, and none that was called not applied.
func TestAcknowledgedIncrementsAreCounted(t *testing.T) {
	const rounds, goroutines, actors = 3, 4, 4
	g := newRealGroup(t, 3)
	g.configure = func(c *Config) { c.SnapshotEntries, c.RetainEntries = 100, 20 }
	for id := ID(1); id <= 3; id++ {
		g.stop(id)
		g.spawn(id)
	}
	g.leader()
	ctx := within(t, 60*time.Second)
	var acknowledged, unknown atomic.Int64
	var all sync.WaitGroup
	enough := make(chan struct{})

	client := g.client(1, 2, 3)
	for range goroutines {
		all.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				switch _, err := client.Propose(ctx, []byte("x")); {
				case err == nil:
					acknowledged.Add(1)
				case errors.Is(err, ErrUnknown):
					unknown.Add(1)
				default:
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	members := g.client(1, 2, 3).members
	for range actors {
		all.Add(1)
		p := &proposer{members: members, enough: enough, acknowledged: &acknowledged, unknown: &unknown, done: all.Done}
		g.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return p }))
	}

	for range rounds {
		leader := g.leader()
		before := acknowledged.Load()
		g.waitFor("some increments", func() bool { return acknowledged.Load() > before+50 })
		g.stop(leader)
		before = acknowledged.Load()
		g.waitFor("increments without the leader", func() bool { return acknowledged.Load() > before+50 })
		g.spawn(leader)
	}
	close(enough)
	all.Wait()

	for id := ID(1); id <= 3; id++ {
		got, err := g.client(id).Query(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		least, most := acknowledged.Load(), acknowledged.Load()+unknown.Load()
		if n := int64(number(got.Data)); n < least || n > most {
			t.Errorf("member %d counts %d, want %d to %d", id, n, least, most)
		}
	}
	t.Logf("%d acknowledged, %d unknown", acknowledged.Load(), unknown.Load())
}

// waitFor waits until something holds.
func (g *realGroup) waitFor(what string, holds func() bool) {
	g.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			g.Fatalf("after 30 s still not: %s", what)
		}
		g.pause(5 * time.Millisecond)
	}
}

// A proposer is an actor that keeps one increment under way, and follows the leader.
type proposer struct {
	members               []*actor.PID
	next                  int
	leader                *actor.PID
	enough                chan struct{}
	acknowledged, unknown *atomic.Int64
	done                  func()
}

func (p *proposer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.propose(ctx)
	case *Proposed:
		p.acknowledged.Add(1)
		p.propose(ctx)
	case *actor.DeadLetterResponse: // the actor was gone, or never got to it
		p.leader = nil
		p.propose(ctx)
	case *Rejected:
		if m.Outcome == Outcome_UNKNOWN {
			p.unknown.Add(1)
		}
		if p.leader = nil; m.Leader != 0 {
			p.leader = p.members[m.Leader-1]
		}
		p.propose(ctx)
	}
}

func (p *proposer) propose(ctx actor.Context) {
	select {
	case <-p.enough:
		ctx.Stop(ctx.Self())
		p.done()
		return
	default:
	}
	target := p.leader
	if target == nil {
		p.next++
		target = p.members[p.next%len(p.members)]
	}
	ctx.Request(target, &Propose{Command: []byte("x")})
}

// A read that begins after a write was acknowledged sees it, whoever is asked, whatever happens to leaders.
func TestReadsSeeWhatWasAcknowledgedBefore(t *testing.T) {
	g := newRealGroup(t, 3)
	g.leader()
	ctx := within(t, 60*time.Second)
	var acknowledged atomic.Uint64
	var all sync.WaitGroup
	enough := make(chan struct{})
	writer := g.client(1, 2, 3)
	all.Go(func() {
		for {
			select {
			case <-enough:
				return
			default:
			}
			if result, err := writer.Propose(ctx, nil); err == nil {
				acknowledged.Store(number(result.Data))
			} else if !errors.Is(err, ErrUnknown) {
				t.Error(err)
				return
			}
		}
	})
	var reads atomic.Int64
	for id := ID(1); id <= 3; id++ {
		reader := g.client(id)
		all.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				floor := acknowledged.Load()
				attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
				got, err := reader.Query(attempt, nil)
				cancel()
				if err != nil {
					continue // its member is stopped at the moment
				}
				reads.Add(1)
				if number(got.Data) < floor {
					t.Errorf("a read saw %d, and %d was acknowledged before", number(got.Data), floor)
					return
				}
			}
		})
	}
	for range 2 {
		leader := g.leader()
		before := reads.Load()
		g.waitFor("reads", func() bool { return reads.Load() > before+100 })
		g.stop(leader)
		before = reads.Load()
		g.waitFor("reads without the leader", func() bool { return reads.Load() > before+100 })
		g.spawn(leader)
	}
	close(enough)
	all.Wait()
}

// Actors subscribe while commands are applied; what they get is complete, in order, on each member.
func TestSubscribersOfARealGroupMissNothing(t *testing.T) {
	g := newRealGroup(t, 3)
	leader := g.leader()
	c := g.client(leader)
	ctx := within(t, 30*time.Second)
	var streams []*stream
	for k := range 300 {
		if _, err := c.Propose(ctx, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if k%50 == 25 {
			in := newInbox(g.system)
			g.system.Root.RequestWithCustomSender(g.pids[ID(1+k%3)], &Subscribe{FromIndex: 1}, in.pid)
			streams = append(streams, newStream(t, in))
		}
	}
	for _, s := range streams {
		g.waitFor("all commands", func() bool { s.take(); return len(s.commands) == 300 })
	}
}
