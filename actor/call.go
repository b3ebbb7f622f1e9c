package raft

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// callKind is what a call asks for.
type callKind uint8

const (
	proposeCall callKind = iota
	queryCall
	changeCall
	transferCall
	snapshotCall
)

// A call is one request on its way to its one answer. The raft actor, which minds its deadline, and the
// applier, which has its result, both may answer it: the first one does.
type call struct {
	kind callKind
	// payload is the command, or the question. The raft actor forgets a command once it is appended.
	payload []byte
	// change is the event that a change of members, a transfer or a snapshot asks for.
	change node.Event
	local  bool  // a query that need not be linearizable
	min    Index // a query waits until this is applied

	// timeout is how long the sender waits; zero is the default. deadline is the raft actor's clock at
	// the end of it.
	timeout  time.Duration
	deadline int64

	// sender gets the reply as a message. It is nil for a call by a goroutine, and for one that
	// nobody waits for.
	sender *actor.PID
	// done is, for a call by a goroutine, closed when reply is set.
	done  chan struct{}
	reply reply

	answered atomic.Bool
	// submitted: the node has been given the command. Unless the node turns it down it may stand in the
	// log, even if that step fails, so that it may be applied whatever happens now. Owned by the raft actor.
	submitted bool
}

// reply is what answers a call: index, term and result, or a rejection.
type reply struct {
	index    Index
	term     Term
	result   []byte
	rejected *Rejected
}

// IgnoreDeadLetterLogging keeps commands out of Proto.Actor's logs.
func (*call) IgnoreDeadLetterLogging() {}

// answer gives the call its reply, unless it has one.
func (c *call) answer(system *actor.ActorSystem, r reply) {
	if !c.answered.CompareAndSwap(false, true) {
		return
	}
	switch {
	case c.done != nil:
		c.reply = r
		close(c.done)
	case c.sender != nil:
		tell(system, c.sender, c.message(r))
	}
}

// tell sends an answer to whoever asked. If that is nobody any more, nobody hears of it: a dead letter has
// its handlers run on this goroutine, and they may wait, or panic.
func tell(system *actor.ActorSystem, to *actor.PID, message any) {
	if _, there := system.ProcessRegistry.Get(to); there {
		system.Root.Send(to, message)
	}
}

// message is the reply as it is sent to an actor.
func (c *call) message(r reply) any {
	if r.rejected != nil {
		return r.rejected
	}
	switch c.kind {
	case proposeCall:
		return &Proposed{Index: uint64(r.index), Term: uint64(r.term), Result: r.result}
	case queryCall:
		return &Answer{Index: uint64(r.index), Result: r.result}
	case changeCall:
		return &MembersChanged{Index: uint64(r.index)}
	case transferCall:
		return &LeadershipTransferred{}
	default:
		return &SnapshotTaken{Index: uint64(r.index)}
	}
}

// reject answers that the call was not done, or may not have been.
func (c *call) reject(system *actor.ActorSystem, rejected *Rejected) {
	c.answer(system, reply{rejected: rejected})
}

// outcome says whether a call that is given up may still have its effect.
func (c *call) outcome() Outcome {
	switch {
	case c.kind == queryCall:
		return Outcome_NOT_APPLIED
	case c.kind == proposeCall || c.kind == changeCall:
		if c.submitted {
			return Outcome_UNKNOWN
		}
		return Outcome_NOT_APPLIED
	default:
		return Outcome_UNKNOWN
	}
}

// callOf makes a call of a request from an actor. What cannot be asked is a rejection.
func callOf(request any, sender *actor.PID) (*call, *Rejected) {
	timeout := func(ms int64) time.Duration {
		return time.Duration(min(max(ms, 0), timeoutMax.Milliseconds())) * time.Millisecond
	}
	switch m := request.(type) {
	case *call:
		return m, nil
	case *Propose:
		return &call{kind: proposeCall, payload: m.Command, timeout: timeout(m.TimeoutMs), sender: sender}, nil
	case *Query:
		if _, ok := Consistency_name[int32(m.Consistency)]; !ok {
			return nil, invalid("consistency %d is not known to this member", m.Consistency)
		}
		return &call{
			kind: queryCall, payload: m.Payload, local: m.Consistency == Consistency_LOCAL,
			min: Index(m.MinIndex), timeout: timeout(m.TimeoutMs), sender: sender,
		}, nil
	case *ChangeMembers:
		change, rejected := changeOf(m)
		return &call{kind: changeCall, change: change, timeout: timeout(m.TimeoutMs), sender: sender}, rejected
	case *TransferLeadership:
		return &call{kind: transferCall, change: &node.TransferLeadership{Target: ID(m.Target)}, sender: sender}, nil
	case *TakeSnapshot:
		return &call{kind: snapshotCall, change: &node.RequestSnapshot{}, timeout: timeout(m.TimeoutMs), sender: sender}, nil
	default:
		return nil, invalid("%T is not a request that a raft actor knows", request)
	}
}

func changeOf(m *ChangeMembers) (node.Event, *Rejected) {
	switch change := m.Change.(type) {
	case *ChangeMembers_Add:
		return &node.AddMember{
			ID: ID(change.Add.GetId()), Address: change.Add.GetAddress(),
			Incarnation: node.Incarnation(change.Add.GetIncarnation()),
		}, nil
	case *ChangeMembers_Promote:
		return &node.Promote{ID: ID(change.Promote.GetId())}, nil
	case *ChangeMembers_Demote:
		return &node.Demote{ID: ID(change.Demote.GetId())}, nil
	case *ChangeMembers_Remove:
		return &node.RemoveMember{ID: ID(change.Remove.GetId())}, nil
	default:
		return nil, invalid("ChangeMembers names no change: set one of add, promote, demote and remove")
	}
}

func invalid(format string, args ...any) *Rejected {
	return &Rejected{Code: Code_INVALID, Outcome: Outcome_NOT_APPLIED, Detail: fmt.Sprintf(format, args...)}
}
