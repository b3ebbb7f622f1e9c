package raft

import (
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A forward is the [Forward] of this package.
type forward struct {
	// origin is the follower's call, in system. It is answered once, by whoever is first.
	origin *call
	system *actor.ActorSystem
	// request and reply are those of a forward from another process.
	request proto.Message
	reply   func(proto.Message)

	taken atomic.Bool
}

var (
	_ asker   = (*forward)(nil)
	_ Forward = (*forward)(nil)
)

// newForward makes one of a request that came from another process. reply is called once, with the reply, on
// any goroutine, and does not block. A request of a kind that followers do not forward is an error.
func newForward(request proto.Message, reply func(proto.Message)) (*forward, error) {
	switch request.(type) {
	case *Propose, *OpenSession, *ChangeMembers, *TransferLeadership:
		return &forward{request: request, reply: reply}, nil
	default:
		return nil, fmt.Errorf("raft: forwarding %T: it is not a request that followers forward", request)
	}
}

// decodeForward makes one of a request in encoded form. So is the reply.
func decodeForward(encoded []byte, reply func([]byte)) (Forward, error) {
	var m ForwardedRequest
	if err := proto.Unmarshal(encoded, &m); err != nil {
		return nil, fmt.Errorf("raft: decoding a request that was forwarded: %w", err)
	}
	f, err := newForward(unwrap(m.ProtoReflect()), func(r proto.Message) {
		wrapped := &ForwardedReply{}
		if encoded, err := wrap(nil, wrapped, r); err == nil { // or its kind has no place there: it is no reply to such a request
			reply(encoded)
		}
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// wrap puts a message into the oneof of another, and appends that in encoded form.
func wrap(b []byte, into, m proto.Message) ([]byte, error) {
	kind := m.ProtoReflect().Descriptor().FullName()
	fields := into.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message().FullName() == kind {
			into.ProtoReflect().Set(f, protoreflect.ValueOfMessage(m.ProtoReflect()))
			return proto.MarshalOptions{}.MarshalAppend(b, into)
		}
	}
	return b, fmt.Errorf("raft: forwarding %s: %s has no place for it", kind, into.ProtoReflect().Descriptor().FullName())
}

// unwrap takes the message out of a oneof. Nil: there is none, or one that only a newer version knows.
func unwrap(m protoreflect.Message) (inside proto.Message) {
	m.Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		inside = v.Message().Interface()
		return false
	})
	return inside
}

// AppendRequest implements [Forward].
func (f *forward) AppendRequest(b []byte) ([]byte, error) {
	return wrap(b, &ForwardedRequest{}, f.message())
}

// message is what is asked for: [Propose], [OpenSession], [ChangeMembers] or [TransferLeadership].
func (f *forward) message() proto.Message {
	if f.origin == nil {
		return f.request
	}
	return f.origin.request()
}

// Answer implements [Forward].
func (f *forward) Answer(encoded []byte) error {
	var m ForwardedReply
	if err := proto.Unmarshal(encoded, &m); err != nil {
		return fmt.Errorf("raft: decoding the reply to a request that was forwarded: %w", err)
	}
	return f.answer(unwrap(m.ProtoReflect()))
}

// answer gives the one who asked its reply, if it has none yet.
func (f *forward) answer(message proto.Message) error {
	if f.origin == nil {
		f.reply(message)
		return nil
	}
	r, err := replyOf(f.origin.kind, message)
	if err == nil {
		f.origin.passOn(f.system, r)
	}
	return err
}

// Drop implements [Forward].
func (f *forward) Drop() {
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
func (f *forward) refuse(rejected *Rejected) bool {
	if !f.taken.CompareAndSwap(false, true) {
		return false
	}
	f.answered(&call{}, reply{rejected: rejected})
	return true
}

// call makes the leader's call of it, whose answer is the one of the follower's. Nil: it has been delivered before, or
// nobody waits any more.
func (f *forward) call() (*call, *Rejected) {
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
func (f *forward) answered(c *call, r reply) {
	if r.rejected.GetLeaderPid().GetAddress() == localAddress { // it means nothing where the one who asks is
		r.rejected = proto.Clone(r.rejected).(*Rejected)
		r.rejected.LeaderPid = nil
	}
	if f.origin != nil {
		f.origin.passOn(f.system, r)
		return
	}
	f.reply(c.message(r).(proto.Message))
}

// forwarded implements asker. It never happens: a request is forwarded once.
func (f *forward) forwarded(*actor.PID) {}

// Bytes implements [Forward].
func (f *forward) Bytes() int {
	if f.origin != nil {
		return requestBytesMin + len(f.origin.payload)
	}
	return requestBytesMin + proto.Size(f.request)
}

// forward passes a call on to the leader, or turns it down if there is none, if it has been passed on before, or if that
// is not wanted.
func (r *raftActor) forward(c *call) {
	leader := r.node.Leader()
	if c.direct || c.hops > 0 || leader == 0 || leader == r.cfg.ID {
		c.reject(r.system, r.notLeader())
		return
	}
	c.submitted, c.via = true, leader
	r.outgoing.forward(r.cfg.ID, leader, &forward{origin: c, system: r.system})
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
