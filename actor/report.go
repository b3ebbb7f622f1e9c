package raft

import (
	"slices"
)

// A report is what the applier tells the raft actor, which gives it only so much at a time: how far the machine is, and
// which calls are let go of. Owned by the applier.
type report struct {
	back     *returns
	overload *overload
	// applied is what was told last.
	applied Index
	// done are the calls that were let go of since, and entriesBytes is what the entries held that were applied since.
	done         holding
	entriesBytes int64
	// batch is how much of that is told at once, so that there is more to do before nothing is left.
	batch holding
}

func reportBatch(cfg *Config) holding {
	return holding{calls: int64(cfg.PendingMax) / 8, bytes: int64(min(cfg.UnappliedBytesMax, cfg.PendingBytesMax)) / 8}
}

// tell makes a report of what is new. The raft actor gets a turn for it if it can hand over more, or let more in.
func (a *applier) tell() {
	p := &a.report
	p.back.calls.Add(p.done.calls)
	p.back.bytes.Add(p.done.bytes)
	p.done, p.entriesBytes = holding{}, 0
	if a.applied > p.applied || p.overload.door.Load() != nil {
		p.applied = a.applied
		a.system.Root.Send(a.owner, &machineApplied{index: a.applied})
	}
}

// tellIfMuch makes a report when there is much to tell, in the middle of what may take long.
func (a *applier) tellIfMuch() {
	p := &a.report
	if p.done.calls > p.batch.calls || max(p.done.bytes, p.entriesBytes) > p.batch.bytes {
		a.tell()
	}
}

// finish answers a call, and lets go of it.
func (a *applier) finish(c *call, r reply) {
	a.report.done.add(c)
	c.answer(a.system, r)
}

// unanswered lets go of the calls that have been answered, and returns the others, in the same place.
func (a *applier) unanswered(calls []*call) []*call {
	return slices.DeleteFunc(calls, func(c *call) bool {
		answered := c.answered.Load()
		if answered {
			a.report.done.add(c)
		}
		return answered
	})
}

// letGo asks the applier to let go of the calls that are answered already.
type letGo struct{}

func (a *applier) letGoOfAnswered() {
	a.report.back.wanted.Store(false)
	for _, q := range a.waiting {
		q.calls = a.unanswered(q.calls)
	}
	a.waiting = slices.DeleteFunc(a.waiting, func(q *queriesReady) bool { return len(q.calls) == 0 })
	for _, run := range a.expected {
		for i, c := range run.calls {
			if c != nil && c.answered.Load() {
				a.report.done.add(c)
				run.calls[i] = nil // its place counts
			}
		}
	}
}
