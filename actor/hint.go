package raft

import "sync/atomic"

// An overloadReason says what there is no room in.
type overloadReason uint8

const (
	overloadedMailbox overloadReason = iota
	overloadedPending
	overloadedLog
	overloadedPace
	overloadedAdmin

	overloadReasons
)

var overloadDetails = [overloadReasons]string{
	overloadedMailbox: "as many requests wait as Config.RequestsMax or RequestBytesMax allows; try again later",
	overloadedPending: "as many requests are under way as Config.PendingMax or PendingBytesMax allows; try again later",
	overloadedLog: "as much waits to be committed or applied as Config.UncommittedBytesMax or UnappliedBytesMax allows, " +
		"or as many reads as may; try again later",
	overloadedAdmin: "as many changes of members, transfers and snapshots are under way as may; try again later",
	overloadedPace:  "what is in front of it takes more than half of the time that the request may wait; try again later",
}

// The hint, in milliseconds: the least is what it begins with.
const (
	hintMin = 10
	hintMax = 1000
)

// hints are what those are told who are turned down. The raft actor adapts them; they are read by whoever asks.
type hints struct{ atomic.Pointer[hint] }

// A hint says how long to wait, and has the answers that say so.
type hint struct {
	ms      int64
	answers [overloadReasons]*Rejected
}

func (h *hints) set(ms int64) {
	now := &hint{ms: ms}
	for reason, detail := range overloadDetails {
		now.answers[reason] = &Rejected{
			Code: Code_OVERLOADED, Outcome: Outcome_NOT_APPLIED, RetryAfterMs: ms, Detail: detail,
		}
	}
	h.Store(now)
}

// adapt is told, once in a tick, how many were turned down and how many there was room for. If many are in vain they are
// to come less often, and if few are, more often, before there is nothing left to do.
func (h *hints) adapt(refused, taken uint64) {
	switch {
	case refused > 2*taken:
		h.change(min(2*h.Load().ms, hintMax))
	case 2*refused <= taken:
		h.shorten()
	}
}

func (h *hints) shorten() { h.change(max(h.Load().ms/2, hintMin)) }

func (h *hints) change(ms int64) {
	if ms != h.Load().ms {
		h.set(ms)
	}
}
