package raft

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// request is the call as a message, for another process.
func (c *call) request() proto.Message {
	ms := c.timeout.Milliseconds()
	switch c.kind {
	case proposeCall:
		f, _ := parseFrame(c.payload)
		m := &Propose{Command: f.command, TimeoutMs: ms, Tag: c.tag, Retry: c.again, Direct: c.direct}
		if f.kind == frameKindSessionCommand {
			m.Session, m.Sequence, m.LowestUnanswered = f.session, f.sequence, f.lowest
		}
		return m
	case openCall:
		return &OpenSession{TimeoutMs: ms, Tag: c.tag, Retry: c.again, Direct: c.direct}
	case queryCall:
		m := &Query{Payload: c.payload, MinIndex: uint64(c.min), TimeoutMs: ms, Tag: c.tag, Retry: c.again}
		if c.local {
			m.Consistency = Consistency_LOCAL
		}
		return m
	case readyCall:
		return &AwaitReady{TimeoutMs: ms, Tag: c.tag}
	case snapshotCall:
		return &TakeSnapshot{TimeoutMs: ms, Tag: c.tag}
	case transferCall:
		return transferMessage(c, ms)
	default:
		return changeMessage(c, ms)
	}
}

// replyOf is a message as the reply to a call of a kind.
func replyOf(kind callKind, message proto.Message) (reply, error) {
	var to callKind
	var r reply
	switch m := message.(type) {
	case *Rejected:
		return reply{rejected: m}, nil
	case *Proposed:
		to, r = proposeCall, reply{index: Index(m.Index), term: Term(m.Term), result: m.Result}
	case *SessionOpened:
		to, r = openCall, reply{index: Index(m.Session)}
	case *Answer:
		to, r = queryCall, reply{index: Index(m.Index), result: m.Result}
	case *IsReady:
		to, r = readyCall, reply{index: Index(m.Index)}
	case *MembersChanged:
		to, r = changeCall, reply{index: Index(m.Index)}
	case *LeadershipTransferred:
		to = transferCall
	case *SnapshotTaken:
		to, r = snapshotCall, reply{index: Index(m.Index)}
	case nil:
		return reply{}, errors.New("raft: answering a request with nothing")
	default:
		return reply{}, fmt.Errorf("raft: answering a request with %T: it is not a reply to one", message)
	}
	if to != kind {
		return reply{}, fmt.Errorf("raft: answering a request with %T: it is not the reply to what was asked", message)
	}
	return r, nil
}
