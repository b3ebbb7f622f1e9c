package raft

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// published is what GetStatus is answered from, without a turn and without a leader.
type published struct {
	mu      sync.Mutex
	now     node.Overview // guarded by mu
	stopped bool          // guarded by mu
}

func (p *published) set(now node.Overview) {
	p.mu.Lock()
	p.now = now
	p.mu.Unlock()
}

func (p *published) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
}

func (r *raftActor) publishStatus() {
	now := r.node.Overview()
	if now.Role != r.role {
		r.role = now.Role
		r.logger.Debug("role changed", "role", now.Role.String(), "term", uint64(now.Term))
	}
	r.published.set(now)
}

// intercept answers what needs no turn. It runs on the goroutines of those who post, but for what was
// posted before the actor had started.
func (r *raftActor) intercept(request any, sender *actor.PID) bool {
	c, isCall := request.(*statusCall)
	_, isMessage := request.(*GetStatus)
	if !isCall && !isMessage {
		return r.feed.intercept(request, sender)
	}
	r.published.mu.Lock()
	now, stopped := r.published.now, r.published.stopped
	r.published.mu.Unlock()
	switch {
	case isCall && stopped:
		c.answer(nil)
	case isCall:
		c.answer(r.statusOf(now))
	case sender != nil && stopped:
		tell(r.system, sender, rejectStopped(&call{kind: queryCall}))
	case sender != nil:
		tell(r.system, sender, r.statusOf(now))
	}
	return true
}

func (r *raftActor) statusOf(now node.Overview) *Status {
	s := &Status{
		Group: r.cfg.Group, Id: uint64(r.cfg.ID), Role: Status_Role(now.Role), Term: uint64(now.Term),
		Leader: uint64(now.Leader), FirstIndex: uint64(now.FirstIndex), LastIndex: uint64(now.LastIndex),
		SnapshotIndex: uint64(now.Snapshot), CommitIndex: uint64(now.Commit),
		AppliedIndex: uint64(now.Applied), Incarnation: uint64(now.Incarnation), Subscribers: uint64(r.feed.subscribers()),
	}
	for _, m := range now.Configuration.Members {
		s.Members = append(s.Members, &MemberInfo{
			Id: uint64(m.ID), Voter: m.Suffrage == node.Voter, Address: m.Address,
		})
	}
	return s
}

// statusCall is GetStatus from a goroutine. The channel has room for one answer.
type statusCall struct{ status chan *Status }

// answer gives the first answer; nil says that nobody will give one. Each client of the actor system
// says so of a dead letter.
func (s *statusCall) answer(status *Status) {
	select {
	case s.status <- status:
	default:
	}
}

// IgnoreDeadLetterLogging keeps it out of Proto.Actor's logs.
func (*statusCall) IgnoreDeadLetterLogging() {}

// overloaded answers a request that is refused because the mailbox is full. It runs on the goroutine of
// the one who asks.
func overloaded(request any) any {
	if _, ok := request.(*GrantCredit); ok {
		return nil // has no reply
	}
	rejected := overloadedRejection("as many requests wait as Config.RequestsMax or RequestBytesMax allows; try again later")
	if c, ok := request.(*call); ok && c.asker != nil {
		c.reject(nil, rejected)
		return nil
	}
	if f, ok := request.(*Forward); ok {
		f.answered(&call{}, reply{rejected: rejected})
		return nil
	}
	if m, ok := request.(interface{ GetTag() uint64 }); ok {
		return tagged(rejected, m.GetTag())
	}
	return rejected
}
