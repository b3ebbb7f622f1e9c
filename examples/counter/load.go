package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// Who proposes at the same time.
const (
	goroutines = 8
	actors     = 8
)

// load is a number of increments, shared by those who propose them.
type load struct {
	group *group
	// ledger takes note of what is acknowledged, if the group has a directory.
	ledger *ledger
	// fail ends the run, for a reason that is not about one increment.
	fail context.CancelCauseFunc
	// left is how many nobody has begun yet.
	left atomic.Int64
	// acknowledged is how many have been counted.
	acknowledged atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration // guarded by mu
	running   sync.WaitGroup
}

func newLoad(g *group, increments int, fail context.CancelCauseFunc) *load {
	l := &load{group: g, fail: fail, latencies: make([]time.Duration, 0, min(increments, 1<<20))}
	l.left.Store(int64(increments))
	return l
}

// run proposes from goroutines and from actors until all increments have ended, or ctx has.
func (l *load) run(ctx context.Context) {
	client := raft.NewClient(l.group.clients, l.group.pids()...)
	defer client.Close()
	for range goroutines {
		l.running.Go(func() { l.propose(ctx, client) })
	}
	for i := range actors {
		l.running.Add(1)
		l.group.clients.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &proposer{load: l, stop: ctx, members: l.group.pids(), next: i}
		}))
	}
	l.running.Wait()
	if l.ledger != nil {
		if err := l.ledger.close(); err != nil {
			l.fail(err)
		}
	}
}

// begin takes the next increment, if there is one.
func (l *load) begin() bool { return l.left.Add(-1) >= 0 }

// end notes that an increment has been counted.
func (l *load) end(took time.Duration) {
	if l.ledger != nil {
		if err := l.ledger.add(); err != nil {
			l.fail(err)
			return
		}
	}
	l.mu.Lock()
	l.latencies = append(l.latencies, took)
	l.mu.Unlock()
	l.acknowledged.Add(1)
}

// propose is how a goroutine does it: by a client, which opens a session, and retries.
func (l *load) propose(ctx context.Context, client *raft.Client) {
	for ctx.Err() == nil && l.begin() {
		start := time.Now()
		if _, err := client.Propose(ctx, nil); err != nil {
			l.fail(err)
			return
		}
		l.end(time.Since(start))
	}
}
