package raft

import (
	"time"

	"example.com/raftactor/node"
)

// wantRelease takes the storage's wish to have entries released, on a goroutine of the storage. At most one word of it
// waits for the raft actor.
func (r *raftActor) wantRelease(through Index) {
	for {
		old := r.wanted.Load()
		if uint64(through) <= old {
			return
		}
		if r.wanted.CompareAndSwap(old, uint64(through)) {
			if old == 0 {
				r.box.PostUserMessage(releaseWanted{})
			}
			return
		}
	}
}

// releaseEntries passes the storage's wish on.
func (r *raftActor) releaseEntries() {
	r.step(&node.ReleaseEntries{Through: Index(r.wanted.Swap(0))})
}

// keepsSnapshot tells whether the log has taken a snapshot over of which the node has just been told. One that the node
// has no use for, since it comes too late, is given back.
func (r *raftActor) keepsSnapshot(handle any) bool {
	if r.isOver() {
		return false // the store drops it when the member is opened again
	}
	if r.storage.Log().Snapshot().Handle == handle {
		return true
	}
	r.storage.DropSnapshot(handle)
	return false
}

func (r *raftActor) diskStalled(a *node.DiskStalled) {
	waiting := time.Duration(a.Ticks) * r.cfg.TickInterval
	r.logger.Warn("disk stalled", "waiting", waiting.String(), "gave-up-leadership", a.GaveUp)
	r.publish(&DiskStalled{Group: r.cfg.Group, Member: r.cfg.ID, Waiting: waiting, GaveUp: a.GaveUp})
}

func (r *raftActor) diskRecovered(a *node.DiskRecovered) {
	after := time.Duration(a.Ticks) * r.cfg.TickInterval
	r.logger.Info("disk recovered", "after", after.String())
	r.publish(&DiskRecovered{Group: r.cfg.Group, Member: r.cfg.ID, After: after})
}
