package raft

import (
	"sync/atomic"
	"time"
)

// vitals are what a member tells of itself beside what the raft actor publishes at the end of a turn. Each is
// written where it changes, and read from any goroutine, so that status and metrics need no turn of anybody.
type vitals struct {
	// restoring: the machine has not restored the snapshot yet that it starts from. Cleared by the applier.
	restoring atomic.Bool
	// sessions are those that the machine's state holds. Written by the applier.
	sessions atomic.Int64
	// overloaded counts requests that were refused because of a full queue.
	overloaded atomic.Uint64
	// synced is the newest sync of which the storage has said that it is done. Written by whoever says so.
	synced atomic.Uint64
	// noticesDropped counts log records and events.
	noticesDropped atomic.Uint64
	// metrics are there soon after the start, if the actor system has a meter provider.
	metrics atomic.Pointer[metrics]
}

// answered takes note of the answer to a call, once for each.
func (v *vitals) answered(c *call, r reply) {
	switch {
	case r.rejected != nil:
		v.rejected(r.rejected.Code)
	case c.kind == proposeCall && c.admitted > 0:
		v.metrics.Load().applied(c.admitted)
	}
}

// rejected takes note of a request that was turned down.
func (v *vitals) rejected(code Code) {
	if code == Code_OVERLOADED {
		v.overloaded.Add(1)
	}
	v.metrics.Load().rejected(code)
}

// dropNotice takes note of a log record or an event that was dropped.
func (v *vitals) dropNotice() {
	v.noticesDropped.Add(1)
	v.metrics.Load().dropNotice()
}

// admit takes note of a call that this member takes in. The time is asked for only where it is told.
func (v *vitals) admit(c *call) {
	c.member = v
	if v.metrics.Load() != nil {
		c.admitted = now()
	}
}

// syncDone takes note of a sync that is done, and tells when that was, where the time is told.
func (v *vitals) syncDone(seq uint64) (at time.Duration) {
	for old := v.synced.Load(); seq > old && !v.synced.CompareAndSwap(old, seq); {
		old = v.synced.Load()
	}
	return v.moment()
}

// moment is now where there are metrics, and zero elsewhere, where nobody pays for the time.
func (v *vitals) moment() time.Duration {
	if v.metrics.Load() == nil {
		return 0
	}
	return now()
}

var processStart = time.Now()

// now is a moment, shorter than a time.Time: every call has one.
func now() time.Duration { return time.Since(processStart) }
