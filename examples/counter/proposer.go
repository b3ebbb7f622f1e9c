package main

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// proposer is how an actor does it: by messages, without waiting for anything. It opens a session and proposes one
// increment after the other in it, each as often as it takes: the group applies it once.
type proposer struct {
	load    *load
	stop    context.Context
	members []*actor.PID
	next    int // which member to ask

	session, sequence uint64 // no session: zero
	// doubtful: an attempt at the present increment has an unknown outcome.
	doubtful bool
	began    time.Time
}

// retry asks for another attempt at what the actor is about.
type retry struct{}

// Receive proposes one increment after the other.
func (p *proposer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		self, root := ctx.Self(), ctx.ActorSystem().Root
		context.AfterFunc(p.stop, func() { root.Send(self, retry{}) }) // which finds that it is time to stop
		p.begin(ctx)
	case *raft.SessionOpened:
		p.session, p.sequence = m.Session, 1
		p.ask(ctx)
	case *raft.Proposed:
		p.load.end(time.Since(p.began))
		p.sequence++
		p.begin(ctx)
	case *raft.Rejected:
		p.rejected(ctx, m)
	case *actor.DeadLetterResponse: // the member is gone, and so is the request
		p.next++
		p.ask(ctx)
	case retry:
		p.ask(ctx)
	case *actor.Stopped:
		p.load.running.Done()
	}
}

// begin turns to the next increment.
func (p *proposer) begin(ctx actor.Context) {
	if !p.load.begin() {
		ctx.Stop(ctx.Self())
		return
	}
	p.doubtful, p.began = false, time.Now()
	p.ask(ctx)
}

// ask makes an attempt, at any member: a follower passes it on.
func (p *proposer) ask(ctx actor.Context) {
	if p.stop.Err() != nil {
		ctx.Stop(ctx.Self())
		return
	}
	member := p.members[p.next%len(p.members)]
	if p.session == 0 {
		ctx.Request(member, &raft.OpenSession{})
		return
	}
	// One at a time: the lowest unanswered is the present one.
	ctx.Request(member, &raft.Propose{Session: p.session, Sequence: p.sequence, LowestUnanswered: p.sequence})
}

// rejected tries again, which in a session is safe whatever became of this attempt.
func (p *proposer) rejected(ctx actor.Context, m *raft.Rejected) {
	if m.Code == raft.Code_SESSION_EXPIRED {
		if p.doubtful {
			p.load.fail(fmt.Errorf("a session has expired, and whether an increment was counted cannot be told: %w", m.Err()))
			ctx.Stop(ctx.Self())
			return
		}
		p.session = 0 // a new one is as good
	}
	p.doubtful = p.doubtful || m.Outcome == raft.Outcome_UNKNOWN
	if m.Code != raft.Code_OVERLOADED {
		p.next++
	}
	self, root := ctx.Self(), ctx.ActorSystem().Root
	time.AfterFunc(max(time.Duration(m.RetryAfterMs), 1)*time.Millisecond, func() { root.Send(self, retry{}) })
}
