package raft

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// A Forward is a request that a follower passes on to its leader, in a [PeerEnvelope]. It may be lost like everything
// there; it is delivered once at most, whatever else happens to its envelope. Whoever loses it knowingly says so with
// Drop; the one who asked is told in any case, at the latest when its time is up.
//
// Within a process the leader answers the one who asked directly. A transport to another process sends Request there,
// makes a Forward of it with [NewForward], and gives Answer the reply that comes back.
type Forward struct {
	// origin is the follower's call, in system. It is answered once, by whoever is first.
	origin *call
	system *actor.ActorSystem
	// request and reply are those of a Forward from another process.
	request proto.Message
	reply   func(proto.Message)

	taken atomic.Bool
}

var _ asker = (*Forward)(nil)

// NewForward makes a Forward of a request that came from another process. reply is called once, with the reply, on
// any goroutine, and does not block. A request of a kind that followers do not forward is an error.
func NewForward(request proto.Message, reply func(proto.Message)) (*Forward, error) {
	switch request.(type) {
	case *Propose, *OpenSession, *ChangeMembers, *TransferLeadership:
		return &Forward{request: request, reply: reply}, nil
	default:
		return nil, fmt.Errorf("raft: forwarding %T: it is not a request that followers forward", request)
	}
}

// Request is what is asked for, as a message: [Propose], [OpenSession], [ChangeMembers] or [TransferLeadership].
func (f *Forward) Request() proto.Message {
	if f.origin == nil {
		return f.request
	}
	return f.origin.request()
}

// Answer gives the one who asked its reply, if it has none yet.
func (f *Forward) Answer(reply proto.Message) error {
	if f.origin == nil {
		f.reply(reply)
		return nil
	}
	r, err := replyOf(reply)
	if err == nil {
		f.origin.passOn(f.system, r)
	}
	return err
}

// Drop says that the request will never reach the leader. If it has done so already, that stands.
func (f *Forward) Drop() {
	if !f.taken.CompareAndSwap(false, true) {
		return
	}
	lost := reply{rejected: &Rejected{
		Code: Code_UNREACHABLE, Outcome: Outcome_NOT_APPLIED, RetryAfterMs: retryAfterMs,
		Detail: "the leader cannot be reached from the member that was asked; try again, or ask another member",
	}}
	if f.origin != nil {
		f.origin.answer(f.system, lost) // it is the follower's own word
		return
	}
	f.answered(&call{}, lost)
}

// refuse turns down a request that has not been taken, and sees that it never is: a copy of its envelope may be waiting
// for its turn. It tells whether that was so.
func (f *Forward) refuse(rejected *Rejected) bool {
	if !f.taken.CompareAndSwap(false, true) {
		return false
	}
	f.answered(&call{}, reply{rejected: rejected})
	return true
}

// call makes the leader's call of it, whose answer is the one of the follower's. Nil: it has been delivered before, or
// nobody waits any more.
func (f *Forward) call() (*call, *Rejected) {
	if !f.taken.CompareAndSwap(false, true) {
		return nil, nil
	}
	if o := f.origin; o != nil {
		if o.answered.Load() {
			return nil, nil
		}
		return &call{kind: o.kind, payload: o.payload, change: o.change, timeout: o.timeout, again: o.again, asker: f, hops: 1}, nil
	}
	c, rejected := callOf(f.request, nil)
	if rejected != nil {
		return nil, rejected
	}
	c.asker, c.hops = f, 1
	return c, nil
}

// answered implements asker.
func (f *Forward) answered(c *call, r reply) {
	if f.origin != nil {
		f.origin.passOn(f.system, r)
		return
	}
	f.reply(c.message(r).(proto.Message))
}

// forwarded implements asker. It never happens: a request is forwarded once.
func (f *Forward) forwarded(*actor.PID) {}

// bytes is roughly what it stands for in memory.
func (f *Forward) bytes() int {
	if f.origin != nil {
		return requestBytesMin + len(f.origin.payload)
	}
	return requestBytesMin + proto.Size(f.request)
}

// forward passes a call on to the leader, or turns it down if there is none, or if it has been passed on before.
func (r *raftActor) forward(c *call) {
	leader := r.node.Leader()
	if c.hops > 0 || leader == 0 || leader == r.cfg.ID {
		rejected := r.notLeader()
		if c.hops > 0 {
			rejected.LeaderPid = nil // it may mean nothing where the one who asks is
		}
		c.reject(r.system, rejected)
		return
	}
	c.submitted, c.via = true, leader
	r.outgoing.forward(r.cfg.ID, leader, &Forward{origin: c, system: r.system})
	if c.asker != nil {
		c.asker.forwarded(r.pidOf(leader))
	}
}

// isForLeader tells whether it is the leader that does it.
func (c *call) isForLeader() bool {
	switch c.kind {
	case proposeCall, openCall, changeCall, transferCall:
		return true
	default:
		return false
	}
}

// request is the call as a message, for another process.
func (c *call) request() proto.Message {
	ms := c.timeout.Milliseconds()
	switch c.kind {
	case proposeCall:
		f, _ := parseFrame(c.payload)
		m := &Propose{Command: f.command, TimeoutMs: ms, Tag: c.tag, Retry: c.again}
		if f.kind == frameKindSessionCommand {
			m.Session, m.Sequence, m.LowestUnanswered = f.session, f.sequence, f.lowest
		}
		return m
	case openCall:
		return &OpenSession{TimeoutMs: ms, Tag: c.tag, Retry: c.again}
	case transferCall:
		return transferMessage(c.change, ms, c.tag)
	default:
		return changeMessage(c.change, ms, c.tag)
	}
}

// replyOf is a message as a reply.
func replyOf(message proto.Message) (reply, error) {
	switch m := message.(type) {
	case *Rejected:
		return reply{rejected: m}, nil
	case *Proposed:
		return reply{index: Index(m.Index), term: Term(m.Term), result: m.Result}, nil
	case *SessionOpened:
		return reply{index: Index(m.Session)}, nil
	case *MembersChanged:
		return reply{index: Index(m.Index)}, nil
	case *LeadershipTransferred:
		return reply{}, nil
	case nil:
		return reply{}, errors.New("raft: answering a forwarded request with nothing")
	default:
		return reply{}, fmt.Errorf("raft: answering a forwarded request with %T: it is not a reply to one", message)
	}
}
