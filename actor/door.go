package raft

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// A door says what is turned down on the goroutines of those who ask: while there is no room, a turn would be in vain.
// It is no limit itself, and late by a turn.
type door struct {
	reason overloadReason
	// queries: not only proposals.
	queries bool
	// Who waits for no longer is turned down: of those who ask for the first time, and of those who ask again.
	first, again time.Duration
}

// everybody waits for no longer than this.
const everybody = time.Duration(math.MaxInt64)

// doorway is where the raft actor puts a door, or none. It is read by whoever asks.
type doorway struct{ atomic.Pointer[door] }

// put makes the door what it is to be.
func (w *doorway) put(d door) {
	old := w.Load()
	switch isOpen := d.first == 0 && d.again == 0; {
	case isOpen && old != nil:
		w.Store(nil)
	case !isOpen && (old == nil || *old != d):
		now := d // only one that is put costs memory
		w.Store(&now)
	}
}

// isShutTo tells whether a request is turned down.
func (d *door) isShutTo(request any, cfg *Config) bool {
	kind, timeout := proposeCall, time.Duration(0)
	switch m := request.(type) {
	case *call:
		kind, timeout = m.kind, m.timeout
	case *Propose:
		timeout = timeoutOf(m.TimeoutMs)
	case *OpenSession:
		timeout = timeoutOf(m.TimeoutMs)
	case *Query:
		kind = queryCall
	case *AwaitReady:
		kind = readyCall
	case *forward:
		if m.origin == nil {
			return d.isShutTo(m.request, cfg)
		}
		kind, timeout = m.origin.kind, m.origin.timeout
	default:
		return false
	}
	limit := d.first
	if isAgain(request) {
		limit = d.again
	}
	switch kind {
	case proposeCall, openCall:
		return patience(timeout, cfg) <= limit
	case queryCall, readyCall:
		return d.queries && limit == everybody
	default:
		return false
	}
}

// isAgain tells whether a request was turned down before.
func isAgain(request any) bool {
	switch m := request.(type) {
	case *call:
		return m.again
	case *forward:
		return m.origin != nil && m.origin.again || isAgain(m.request)
	case interface{ GetRetry() bool }:
		return m.GetRetry()
	default:
		return false
	}
}

// patience is how long a sender waits who has said so, or has not.
func patience(timeout time.Duration, cfg *Config) time.Duration {
	if timeout <= 0 {
		return cfg.RequestTimeout
	}
	return min(timeout, timeoutMax)
}

// doorFor is the door for a level to which the room is filled.
func (r *raftActor) doorFor(level int64, role node.Role) door {
	o := &r.overload
	d := door{reason: o.reason, queries: o.reason == overloadedPending}
	switch {
	case o.full:
		d.first, d.again = everybody, everybody
	case o.firstLevel < fullLevel && level >= o.firstLevel:
		d.first = everybody
	case role == node.Leader:
		first, again := o.patienceNeeded(o.pace.wait(o.backlog))
		tick := r.cfg.TickInterval
		d = door{reason: overloadedPace, first: tick * time.Duration(first), again: tick * time.Duration(again)}
	}
	return d
}

// isTurnedAway answers a request that the door is shut to. It tells whether it is. It is safe for concurrent use.
func (r *raftActor) isTurnedAway(request any, sender *actor.PID) bool {
	d := r.overload.door.Load()
	if d == nil || !d.isShutTo(request, &r.cfg) {
		return false
	}
	if reply := r.refuse(request, r.overload.answer(d.reason)); reply != nil {
		tell(r.system, sender, reply)
	}
	return true
}

// overloaded answers a request for which the mailbox has no room. It runs on the goroutine of the one who asks.
func (r *raftActor) overloaded(request any) any {
	return r.refuse(request, r.overload.answer(overloadedMailbox))
}

// refuse turns a request down. What it returns is for the sender. It is safe for concurrent use.
func (r *raftActor) refuse(request any, rejected *Rejected) (reply any) {
	r.overload.demand.refuse(isAgain(request))
	switch m := request.(type) {
	case *GrantCredit:
		return nil // has no reply
	case *call:
		if m.asker != nil {
			m.member = &r.vitals // it has not been given away: nobody else looks at it
			m.reject(nil, rejected)
			return nil
		}
	case *forward:
		if m.refuse(rejected) { // and not a copy of one that was taken
			r.vitals.rejected(rejected.Code)
		}
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
