package raft

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"example.com/raftactor/node"
)

// callKind is what a call asks for.
type callKind uint8

const (
	proposeCall callKind = iota
	openCall             // of a session
	queryCall
	readyCall // a query without a question: has everything been applied?
	changeCall
	transferCall
	snapshotCall
)

// A call is one request on its way to its one answer. The raft actor, which minds its deadline, and the
// applier, which has its result, both may answer it: the first one does.
type call struct {
	// payload is the command, framed, or the question.
	payload []byte
	// change is the event that a change of members, a transfer or a snapshot asks for.
	change node.Event
	min    Index // a query waits until this is applied

	// timeout is how long the sender waits; zero is the default. deadline is the raft actor's clock at
	// the end of it.
	timeout  time.Duration
	deadline int64

	// sender gets the reply as a message, with the tag in it, or asker gets it as it is. Neither is there
	// if nobody waits.
	sender *actor.PID
	tag    uint64
	asker  asker

	// via is the leader that this member has passed it on to, or zero.
	via ID
	// bytes is what it holds in memory. The raft actor sets it, and owned.
	bytes int
	// member is the one that has taken the call in, or nil, and admitted when that was, if that is measured. Set by
	// the raft actor.
	member   *vitals
	admitted time.Duration

	// Small fields stand together: each command that is under way has a call.

	// errand is the number of the errand that it travels in to another system, or zero. Set by its client.
	errand   uint32
	answered atomic.Bool
	kind     callKind
	// hops counts the members that have passed it on: one at most. direct: none is to.
	hops   uint8
	direct bool
	local  bool // a query that need not be linearizable
	again  bool // there was no room for it before
	// submitted: the node, or the leader, has been given the command. Unless the node turns it down it may stand in the
	// log, even if that step fails, so that it may be applied whatever happens now. Owned by the raft actor.
	submitted bool
	// owned: it counts among what the raft actor holds.
	owned bool
}

// An asker has made a call that is not a message.
type asker interface {
	// answered is called once, by whoever answers first, on its goroutine. It does not block.
	answered(c *call, r reply)
	// forwarded is called by a follower that passes the call on: leader is the one to ask next time, or nil
	// if it cannot be reached by a PID. It does not block.
	forwarded(leader *actor.PID)
}

// reply is what answers a call: index, term and result, or a rejection. Of a session's opening the index is the session's name.
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
	if c.member != nil {
		c.member.answered(c, r)
	}
	c.deliver(system, r)
}

// passOn gives the call the reply of the leader that it was forwarded to, unless it has one. The leader has taken
// note of it.
func (c *call) passOn(system *actor.ActorSystem, r reply) {
	if c.answered.CompareAndSwap(false, true) {
		c.deliver(system, r)
	}
}

func (c *call) deliver(system *actor.ActorSystem, r reply) {
	switch {
	case c.asker != nil:
		c.asker.answered(c, r)
	case c.sender != nil:
		tell(system, c.sender, c.message(r))
	}
}

// tell sends an answer to whoever asked. If that is nobody any more, nobody hears of it: a dead letter has
// its handlers run on this goroutine, and they may wait, or panic. Neither does it matter what else bears the name that
// was given: if it cannot take a message and panics, that is no fault of this member's.
func tell(system *actor.ActorSystem, to *actor.PID, message any) {
	if _, there := system.ProcessRegistry.Get(to); there && !isFacility(to) {
		defer func() { _ = recover() }()
		system.Root.Send(to, message)
	}
}

// isFacility tells whether a PID is one of the processes of an actor system that run handlers with all they are sent, on
// the sender's goroutine.
func isFacility(pid *actor.PID) bool { return pid.Id == "eventstream" || pid.Id == "deadletter" }

// message is the reply as it is sent to an actor.
func (c *call) message(r reply) any {
	if r.rejected != nil {
		return tagged(r.rejected, c.tag)
	}
	switch c.kind {
	case proposeCall:
		return &Proposed{Index: uint64(r.index), Term: uint64(r.term), Result: r.result, Tag: c.tag}
	case openCall:
		return &SessionOpened{Session: uint64(r.index), Tag: c.tag}
	case queryCall:
		return &Answer{Index: uint64(r.index), Result: r.result, Tag: c.tag}
	case readyCall:
		return &IsReady{Index: uint64(r.index), Tag: c.tag}
	case changeCall:
		return &MembersChanged{Index: uint64(r.index), Tag: c.tag}
	case transferCall:
		return &LeadershipTransferred{Tag: c.tag}
	default:
		return &SnapshotTaken{Index: uint64(r.index), Tag: c.tag}
	}
}

// tagged is the rejection with the tag of the call that it answers. A rejection may answer several.
func tagged(rejected *Rejected, tag uint64) *Rejected {
	if tag == 0 {
		return rejected
	}
	own := proto.Clone(rejected).(*Rejected)
	own.Tag = tag
	return own
}

// reject answers that the call was not done, or may not have been.
func (c *call) reject(system *actor.ActorSystem, rejected *Rejected) {
	c.answer(system, reply{rejected: rejected})
}

// hasEffect tells whether the call is more than a question.
func (c *call) hasEffect() bool { return c.kind != queryCall && c.kind != readyCall }

// runsGroup tells whether the call changes how the group runs, or has a member take a snapshot.
func (c *call) runsGroup() bool {
	return c.kind == changeCall || c.kind == transferCall || c.kind == snapshotCall
}

// outcome says whether a call that is given up may still have its effect.
func (c *call) outcome() Outcome {
	switch {
	case !c.hasEffect():
		return Outcome_NOT_APPLIED
	case c.kind == proposeCall || c.kind == openCall || c.kind == changeCall:
		if c.submitted {
			return Outcome_UNKNOWN
		}
		return Outcome_NOT_APPLIED
	default:
		return Outcome_UNKNOWN
	}
}

// callOf makes a call of a request. What cannot be asked is a rejection, and what needs no answer is neither.
func callOf(request any, sender *actor.PID) (*call, *Rejected) {
	switch m := request.(type) {
	case *call:
		return m, nil
	case *forward:
		return m.call()
	}
	c := &call{sender: sender}
	if m, ok := request.(interface{ GetTag() uint64 }); ok {
		c.tag = m.GetTag()
	}
	c.again = isAgain(request)
	if m, ok := request.(interface{ GetTimeoutMs() int64 }); ok {
		c.timeout = timeoutOf(m.GetTimeoutMs())
	}
	if rejected := c.ask(request); rejected != nil {
		return nil, tagged(rejected, c.tag)
	}
	return c, nil
}

// ask fills in what is asked for.
func (c *call) ask(request any) *Rejected {
	switch m := request.(type) {
	case *Propose:
		return c.propose(m)
	case *OpenSession:
		c.kind, c.direct = openCall, m.Direct
	case *Query:
		if _, ok := Consistency_name[int32(m.Consistency)]; !ok {
			return invalid("consistency %d is not known to this member", m.Consistency)
		}
		c.kind, c.payload = queryCall, m.Payload
		c.local, c.min = m.Consistency == Consistency_LOCAL, Index(m.MinIndex)
	case *AwaitReady:
		c.kind = readyCall
	case *ChangeMembers:
		change, rejected := changeOf(m)
		c.kind, c.change, c.direct = changeCall, change, m.Direct
		return rejected
	case *TransferLeadership:
		c.kind, c.change, c.direct = transferCall, &node.TransferLeadership{Target: ID(m.Target)}, m.Direct
	case *TakeSnapshot:
		c.kind, c.change = snapshotCall, &node.RequestSnapshot{}
	default:
		return invalid("%T is not a request that a raft actor knows", request)
	}
	return nil
}

func (c *call) propose(m *Propose) *Rejected {
	c.kind, c.direct = proposeCall, m.Direct
	if m.Session == 0 {
		if m.Sequence != 0 || m.LowestUnanswered != 0 {
			return invalid("Propose has a sequence and no session: open one with OpenSession")
		}
		c.payload = frameCommand(m.Command)
		return nil
	}
	place := sessionPlace{session: m.Session, sequence: m.Sequence, lowest: max(m.LowestUnanswered, 1)}
	if err := place.validate(); err != nil {
		return invalid("%v", err)
	}
	c.payload = frameSessionCommand(place, m.Command)
	return nil
}

func invalid(format string, args ...any) *Rejected {
	return &Rejected{Code: Code_INVALID, Outcome: Outcome_NOT_APPLIED, Detail: fmt.Sprintf(format, args...)}
}
