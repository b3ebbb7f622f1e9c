package main

import (
	"context"
	"errors"
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
	system  *actor.ActorSystem
	members []*actor.PID
	// left is how many nobody has begun yet.
	left atomic.Int64
	// acknowledged and unknown are how the others have ended.
	acknowledged, unknown atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration // guarded by mu
	err       error           // guarded by mu; the first that is not about one increment
	running   sync.WaitGroup
}

func newLoad(system *actor.ActorSystem, members []*actor.PID, increments int) *load {
	l := &load{system: system, members: members, latencies: make([]time.Duration, 0, min(increments, 1<<20))}
	l.left.Store(int64(increments))
	return l
}

// run proposes from goroutines and from actors until all increments have ended, or ctx has.
func (l *load) run(ctx context.Context) error {
	client := raft.NewClient(l.system, l.members...)
	defer client.Close()
	for range goroutines {
		l.running.Go(func() { l.propose(ctx, client) })
	}
	for i := range actors {
		l.running.Add(1)
		member := l.members[i%len(l.members)]
		l.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &proposer{load: l, stop: ctx, target: member, next: i}
		}))
	}
	l.running.Wait()
	return errors.Join(l.failure(), ctx.Err())
}

// begin takes the next increment, if there is one.
func (l *load) begin() bool { return l.left.Add(-1) >= 0 }

// end notes how an increment has ended.
func (l *load) end(acknowledged bool, took time.Duration) {
	if !acknowledged {
		l.unknown.Add(1)
		return
	}
	l.mu.Lock()
	l.latencies = append(l.latencies, took)
	l.mu.Unlock()
	l.acknowledged.Add(1)
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// ended is how many increments have.
func (l *load) ended() int64 { return l.acknowledged.Load() + l.unknown.Load() }

// propose is how a goroutine does it: by a client, which retries what is safe to retry.
func (l *load) propose(ctx context.Context, client *raft.Client) {
	for ctx.Err() == nil && l.begin() {
		start := time.Now()
		_, err := client.Propose(ctx, nil)
		if err != nil && !errors.Is(err, raft.ErrUnknown) {
			l.fail(err)
			return
		}
		l.end(err == nil, time.Since(start))
	}
}

// proposer is how an actor does it: by messages.
type proposer struct {
	load   *load
	stop   context.Context
	target *actor.PID
	next   int // whom to try when the target is gone
	began  time.Time
}

// retry asks for another attempt at the present increment.
type retry struct{}

// Receive proposes one increment after the other.
func (p *proposer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.begin(ctx)
	case *raft.Proposed:
		p.load.end(true, time.Since(p.began))
		p.begin(ctx)
	case *raft.Rejected:
		p.rejected(ctx, m)
	case *actor.DeadLetterResponse: // the member is gone, and so is the request
		p.tryNext()
		p.ask(ctx)
	case retry:
		p.ask(ctx)
	case *actor.Stopped:
		p.load.running.Done()
	}
}

func (p *proposer) begin(ctx actor.Context) {
	if !p.load.begin() {
		ctx.Stop(ctx.Self())
		return
	}
	p.began = time.Now()
	p.ask(ctx)
}

func (p *proposer) ask(ctx actor.Context) {
	if p.stop.Err() != nil {
		ctx.Stop(ctx.Self())
		return
	}
	ctx.Request(p.target, &raft.Propose{})
}

// rejected tries again what was certainly not done, at the leader if it is known.
func (p *proposer) rejected(ctx actor.Context, m *raft.Rejected) {
	switch {
	case m.Outcome == raft.Outcome_UNKNOWN:
		p.load.end(false, 0)
		p.tryNext()
		p.begin(ctx)
		return
	case m.LeaderPid != nil && !m.LeaderPid.Equal(p.target):
		p.target = m.LeaderPid
	case m.Code == raft.Code_NOT_LEADER || m.Code == raft.Code_STOPPED:
		p.tryNext()
	}
	self, root := ctx.Self(), ctx.ActorSystem().Root
	time.AfterFunc(max(time.Duration(m.RetryAfterMs), 1)*time.Millisecond, func() { root.Send(self, retry{}) })
}

func (p *proposer) tryNext() {
	p.next++
	p.target = p.load.members[p.next%len(p.load.members)]
}
