package raft

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// overload turns requests down that there is no room for. What it knows belongs to the raft actor, but where said
// otherwise.
//
// The limits themselves are where the room is: in the mailbox, in calls, in the node. When one has been reached the
// door is shut until there is some room again, so that most requests are turned down on the goroutines of those who
// ask, and cost the member nothing. The door is no limit: it is late by a turn.
type overload struct {
	// door says what is turned down without a turn, or is nil. Read by whoever asks.
	door atomic.Pointer[door]
	// answers are the rejections for each reason, with the present hint. Read by whoever asks.
	answers atomic.Pointer[[overloadReasons]*Rejected]

	// full are the limits that have been reached, and behind which there is not enough room yet.
	full [overloadReasons]bool
	pace pace

	// hint is how long who is turned down is told to wait, in milliseconds.
	hint int64
	// taken is how many requests there was room for since the last tick, and refused how many there was none for, until
	// then.
	taken, refused uint64
}

// An overloadReason says what there is no room in.
type overloadReason uint8

const (
	overloadedMailbox overloadReason = iota
	overloadedPending
	overloadedLog
	overloadedPace

	overloadReasons
)

var overloadDetails = [overloadReasons]string{
	overloadedMailbox: "as many requests wait as Config.RequestsMax or RequestBytesMax allows; try again later",
	overloadedPending: "as many requests are under way as Config.PendingMax or PendingBytesMax allows; try again later",
	overloadedLog: "as much waits to be committed or applied as Config.UncommittedBytesMax or UnappliedBytesMax allows, or as many " +
		"reads as may; try again later",
	overloadedPace: "what is in front of it takes more than half of the time that the request may wait; try again later",
}

// The hint, in milliseconds, and how it begins.
const (
	hintMin = 10
	hintMax = 1000
)

func (o *overload) init() { o.setHint(hintMin) }

func (o *overload) setHint(hint int64) {
	o.hint = hint
	answers := new([overloadReasons]*Rejected)
	for reason, detail := range overloadDetails {
		answers[reason] = &Rejected{
			Code: Code_OVERLOADED, Outcome: Outcome_NOT_APPLIED, RetryAfterMs: hint, Detail: detail,
		}
	}
	o.answers.Store(answers)
}

// answer is the rejection for a reason. It is shared, and safe for concurrent use.
func (o *overload) answer(reason overloadReason) *Rejected { return o.answers.Load()[reason] }

// tick adapts the hint, so that of those who ask again about as many are turned down as there is room for: fewer would
// leave the member idle, and more are in vain.
func (o *overload) tick(refused uint64) {
	more, taken := refused-o.refused, o.taken
	o.refused, o.taken = refused, 0
	hint := o.hint
	switch {
	case more > 2*taken:
		hint = min(2*hint, hintMax)
	case 2*more <= taken:
		hint = max(hint/2, hintMin)
	}
	if hint != o.hint {
		o.setHint(hint)
	}
}

// A door says what is turned down.
type door struct {
	reason overloadReason
	// queries: not only proposals.
	queries bool
	// patience: proposals that wait for no longer.
	patience time.Duration
}

// turnsAway returns the rejection of a request, or nil if it may come in. It is safe for concurrent use.
func (o *overload) turnsAway(request any, cfg *Config) *Rejected {
	if d := o.door.Load(); d != nil && d.isShutTo(request, cfg) {
		return o.answer(d.reason)
	}
	return nil
}

func (d *door) isShutTo(request any, cfg *Config) bool {
	kind, timeout := proposeCall, time.Duration(0)
	switch m := request.(type) {
	case *call:
		kind, timeout = m.kind, m.timeout
	case *Propose:
		timeout = timeoutOf(m.TimeoutMs)
	case *OpenSession:
		kind, timeout = openCall, timeoutOf(m.TimeoutMs)
	case *Query:
		kind = queryCall
	case *Forward:
		if m.origin == nil {
			return d.isShutTo(m.request, cfg)
		}
		kind, timeout = m.origin.kind, m.origin.timeout
	default:
		return false
	}
	switch kind {
	case proposeCall, openCall:
		if timeout <= 0 {
			timeout = cfg.RequestTimeout
		}
		return timeout <= d.patience
	case queryCall, readyCall:
		return d.queries
	default:
		return false
	}
}

// settleDoor shuts and opens the door, at the end of a turn.
func (r *raftActor) settleDoor(now *node.Overview) {
	o := &r.overload
	waiting := r.calls.atMachine()
	o.full[overloadedPending] = o.full[overloadedPending] &&
		(isCrowded(waiting.calls, r.cfg.PendingMax) || isCrowded(waiting.bytes, r.cfg.PendingBytesMax))
	o.full[overloadedLog] = o.full[overloadedLog] && now.Role == node.Leader &&
		(isCrowded(int64(now.UncommittedBytes), r.cfg.UncommittedBytesMax) ||
			isCrowded(int64(now.UnappliedBytes), r.cfg.UnappliedBytesMax))
	var d door
	switch {
	case o.full[overloadedPending]:
		d = door{reason: overloadedPending, queries: true, patience: math.MaxInt64}
	case o.full[overloadedLog]:
		d = door{reason: overloadedLog, patience: math.MaxInt64}
	case now.Role == node.Leader:
		wait := o.pace.wait(now.LastIndex - min(r.machineApplied(), now.LastIndex))
		d = door{reason: overloadedPace, patience: r.cfg.TickInterval * time.Duration(min(2*wait, ticksMax))}
	}
	o.open(d)
}

// ticksMax keeps a number of ticks within what a duration holds.
const ticksMax = 1 << 20

// isCrowded tells whether less than an eighth of the room is free.
func isCrowded(waiting int64, limit int) bool { return waiting > int64(limit)-int64(limit)/8 }

// open makes the door what it is to be. One that lets everybody in is none.
func (o *overload) open(d door) {
	old := o.door.Load()
	switch {
	case d.patience == 0 && old != nil:
		o.door.Store(nil)
	case d.patience != 0 && (old == nil || *old != d):
		o.door.Store(&d)
	}
}

// overloaded answers a request for which the mailbox has no room. It runs on the goroutine of the one who asks.
func (r *raftActor) overloaded(request any) any {
	return r.refuse(request, r.overload.answer(overloadedMailbox))
}

// refuse turns a request down. What it returns is for the sender. It is safe for concurrent use.
func (r *raftActor) refuse(request any, rejected *Rejected) (reply any) {
	switch m := request.(type) {
	case *GrantCredit:
		return nil // has no reply
	case *call:
		if m.asker != nil {
			m.member = &r.vitals // it has not been given away: nobody else looks at it
			m.reject(nil, rejected)
			return nil
		}
	case *Forward:
		r.vitals.rejected(rejected.Code)
		m.refuse(rejected)
		return nil
	}
	r.vitals.rejected(rejected.Code)
	if m, ok := request.(interface{ GetTag() uint64 }); ok && m.GetTag() != 0 {
		return &Rejected{
			Code: rejected.Code, Outcome: rejected.Outcome, RetryAfterMs: rejected.RetryAfterMs, Detail: rejected.Detail,
			Tag: m.GetTag(),
		}
	}
	return rejected
}

// isTurnedAway answers a request that the door is shut to. It tells whether it is.
func (r *raftActor) isTurnedAway(request any, sender *actor.PID) bool {
	rejected := r.overload.turnsAway(request, &r.cfg)
	if rejected == nil {
		return false
	}
	if reply := r.refuse(request, rejected); reply != nil {
		tell(r.system, sender, reply)
	}
	return true
}
