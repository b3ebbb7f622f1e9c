package raft

import (
	"math"
	"sync/atomic"

	"example.com/raftactor/node"
)

// overload decides who is let in when there is not room for all. Its fields belong to the raft actor, but where said
// otherwise.
//
// The limits themselves are where the room is: in the mailbox, in calls, in the node. When one has been reached the door
// is shut until an eighth of the room is free, so that most requests are turned down on the goroutines of those who ask,
// and cost the member little. What is free then is shared between those who ask for the first time and those who ask
// again: otherwise those who have just been answered would always be the first to ask for more, and nobody else would
// ever get in.
type overload struct {
	door doorway // read by whoever asks
	// hints has the rejections. Read by whoever asks.
	hints hints

	// reason is the limit that was reached last, and full tells whether there is not enough room behind it yet.
	reason overloadReason
	full   bool
	// firstLevel is up to where those are let in who ask for the first time, and room what they may take before the end
	// of the turn.
	firstLevel int64
	room       holding

	pace pace
	// backlog is how many entries of the log the machine has not applied, as of the end of the last turn.
	backlog Index

	demand demand
}

// Levels to which room is filled.
const (
	fullLevel = 1 << 10
	openLevel = fullLevel / 8 * 7
)

func (o *overload) init() {
	o.hints.set(hintMin)
	o.firstLevel = fullLevel
}

// answer is the rejection for a reason. It is shared, and safe for concurrent use.
func (o *overload) answer(reason overloadReason) *Rejected { return o.hints.Load().answers[reason] }

// reached says that there was no room for somebody.
func (o *overload) reached(reason overloadReason) *Rejected {
	o.full, o.reason = true, reason
	return o.answer(reason)
}

// level is to which level the room is filled behind the limit of a reason.
func (r *raftActor) level(reason overloadReason, now *node.Overview) int64 {
	level := func(waiting int64, limit int) int64 { return waiting * fullLevel / int64(limit) }
	switch {
	case reason == overloadedPending:
		waiting := r.calls.atMachine()
		return max(level(waiting.calls, r.cfg.PendingMax), level(waiting.bytes, r.cfg.PendingBytesMax))
	case now.Role == node.Leader:
		return max(level(int64(now.UncommittedBytes), r.cfg.UncommittedBytesMax),
			level(int64(now.UnappliedBytes), r.cfg.UnappliedBytesMax))
	default:
		return 0
	}
}

// makeRoom looks, at the end of a turn, how much room there is, and shuts or opens the door.
func (r *raftActor) makeRoom(now *node.Overview) {
	o := &r.overload
	level := r.level(o.reason, now)
	if o.full && level <= openLevel {
		o.full = false
		o.firstLevel = level + o.demand.firstPart(fullLevel-level)
	}
	o.backlog = now.LastIndex - min(r.machineApplied(), now.LastIndex)
	part := func(limit int, waiting int64) int64 {
		return min(int64(limit), math.MaxInt64/fullLevel)*o.firstLevel/fullLevel - waiting
	}
	waiting := r.calls.atMachine()
	o.room = holding{part(r.cfg.PendingMax, waiting.calls), part(r.cfg.PendingBytesMax, waiting.bytes)}
	if o.reason != overloadedPending {
		o.room.bytes = min(part(r.cfg.UncommittedBytesMax, int64(now.UncommittedBytes)),
			part(r.cfg.UnappliedBytesMax, int64(now.UnappliedBytes)))
	}
	o.door.put(r.doorFor(level, now.Role))
}

// letIn takes a call in, or returns why not.
func (r *raftActor) letIn(c *call) *Rejected {
	o := &r.overload
	if reason, refused := r.noRoomFor(c); refused {
		o.demand.refuse(c.again)
		return o.answer(reason)
	}
	if !r.calls.admit(c, r.clock, &r.cfg) {
		o.demand.refuse(c.again)
		if c.runsGroup() {
			return o.answer(overloadedAdmin)
		}
		return o.reached(overloadedPending)
	}
	o.demand.take(c.again)
	o.room.sub(c)
	return nil
}

// noRoomFor tells whether there is no room for a call that is left to it, or not in time.
func (r *raftActor) noRoomFor(c *call) (reason overloadReason, refused bool) {
	o := &r.overload
	switch c.kind {
	case proposeCall, openCall:
		if r.isTooLate(c) {
			return overloadedPace, true
		}
	case queryCall, readyCall:
		if o.reason != overloadedPending {
			return 0, false
		}
	default:
		return 0, false
	}
	return o.reason, !c.again && o.firstLevel < fullLevel && (o.room.calls <= 0 || o.room.bytes <= 0)
}

// isTooLate tells whether a proposal would have to wait for more than half of the time that it has: what is in front of
// it may take longer than it looks.
func (r *raftActor) isTooLate(c *call) bool {
	if r.node.Role() != node.Leader {
		return false
	}
	o := &r.overload
	wait := o.pace.wait(o.backlog + Index(len(r.proposals)))
	first, again := o.patienceNeeded(wait)
	if c.again {
		first = again
	}
	return wait > 0 && first >= int64(r.cfg.ticks(patience(c.timeout, &r.cfg)))
}

// patienceNeeded is for how long those are to wait at least who ask, if it takes so long to apply what is there already.
func (o *overload) patienceNeeded(wait int64) (first, again int64) {
	again = 2 * wait
	if o.demand.isShared() {
		return again + again/8, again
	}
	return again, again
}

// tick lets a tick pass. It is told how many requests were turned down since the start.
func (o *overload) tick(refused uint64) {
	o.demand.tick(refused)
	if !o.demand.isShared() {
		o.firstLevel = fullLevel
	}
	if o.demand.refused.now == 0 {
		o.hints.shorten()
	} else {
		o.hints.adapt(o.demand.refused.lately, o.demand.taken.lately)
	}
}

// demand is how much is asked for. It belongs to the raft actor, but for again.
type demand struct {
	// again is how many requests were ever refused that were made again. Written by whoever asks.
	again atomic.Uint64

	refused, refusedAgain, taken, takenAgain rate
}

// A rate counts, and knows how much that was in the last tick, and of late.
type rate struct{ total, before, now, lately uint64 }

// lately is how many ticks count, the more the less long ago they are.
const lately = 8

func (r *rate) tick() {
	r.now, r.before = r.total-r.before, r.total
	if r.lately += r.now - r.lately/lately; r.now == 0 && r.lately < lately {
		r.lately = 0
	}
}

func (d *demand) refuse(again bool) {
	if again {
		d.again.Add(1)
	}
}

func (d *demand) take(again bool) {
	d.taken.total++
	if again {
		d.takenAgain.total++
	}
}

func (d *demand) tick(refused uint64) {
	d.refused.total, d.refusedAgain.total = refused, d.again.Load()
	for _, r := range []*rate{&d.refused, &d.refusedAgain, &d.taken, &d.takenAgain} {
		r.tick()
	}
}

// isShared tells whether somebody asks again.
func (d *demand) isShared() bool { return d.refusedAgain.lately+d.takenAgain.lately > 0 }

// firstPart is the part of some room that is for those who ask for the first time.
func (d *demand) firstPart(room int64) int64 {
	again := int64(d.refusedAgain.lately + d.takenAgain.lately)
	all := int64(d.refused.lately + d.taken.lately)
	if again == 0 || all == 0 {
		return room
	}
	return room * max(all-again, 0) / all
}
