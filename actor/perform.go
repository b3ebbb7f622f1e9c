package raft

import (
	"example.com/raftactor/node"
)

// perform carries out what a step asked for, in order. What leaves the actor waits for the end of the
// turn; messages behind a Sync wait for that.
func (r *raftActor) perform(actions []node.Action) {
	behind := uint64(0)
	for _, a := range actions {
		switch a := a.(type) {
		case *node.Send:
			m := node.Clone(a.Message)
			if behind > r.barrier.completed {
				r.barrier.hold(behind, m)
			} else {
				r.outgoing.add(m)
			}
		case *node.Sync:
			behind = a.Seq
			r.barrier.wanted = max(r.barrier.wanted, a.Seq)
		case *node.Apply:
			r.work.add(newApplyRun(a.Entries))
		case *node.ReadEntries:
			r.readEntries(a)
		case *node.TakeSnapshot:
			take := &takeSnapshot{meta: a.Meta, first: r.storage.Log().FirstIndex()}
			if r.asked != nil && r.asked.kind == snapshotCall {
				take.asked = r.asked
			}
			r.work.add(take)
		case *node.SendSnapshot:
			r.sendSnapshot(a)
		case *node.AcceptSnapshot:
			r.acceptSnapshot(a)
		case *node.RestoreSnapshot:
			r.toRestore.Store(uint64(a.Meta.Index))
			r.work.add(&restoreSnapshot{meta: a.Meta})
		default:
			r.performNotice(a)
		}
	}
}

// performNotice carries out the actions that tell somebody something.
func (r *raftActor) performNotice(a node.Action) {
	switch a := a.(type) {
	case *node.MembershipChanged:
		r.membershipChanged(a)
	case *node.LeaderChanged:
		if a.Leader != node.None {
			r.vitals.metrics.Load().leaderChanged()
		}
		r.logger.Info("leader changed", "leader", uint64(a.Leader), "term", uint64(a.Term))
		r.publish(&LeaderChanged{Group: r.cfg.Group, Member: r.cfg.ID, Leader: a.Leader, Term: a.Term})
	case *node.Accepted:
		r.accepted(a)
	case *node.Rejected:
		r.rejected(a)
	case *node.Superseded:
		r.work.add(&settle{first: a.First, last: a.Last, term: a.Term, code: Code_SUPERSEDED})
	case *node.Forgotten:
		r.work.add(&settle{first: a.First, last: a.Last, term: a.Term, code: Code_SNAPSHOT_COVERS})
	case *node.ReadReady:
		r.giveQueries(a.Index, r.queries.finish(a.ID))
	case *node.ReadFailed:
		for _, c := range r.queries.finish(a.ID) {
			c.reject(r.system, r.rejection(a.Err))
		}
	case *node.TransferEnded:
		r.transferEnded(a)
	case *node.PeerFault:
		r.logger.Warn("peer claims what cannot be", "peer", uint64(a.Peer), "fault", a.Fault.String(), "detail", a.Detail)
	case *node.DiskStalled:
		r.diskStalled(a)
	case *node.DiskRecovered:
		r.diskRecovered(a)
	case *node.Disowned:
		r.logger.Error("disowned: this storage is not the one that the member is known by; have the leader "+
			"remove and add it again", "by", uint64(a.By))
		r.publish(&Disowned{Group: r.cfg.Group, Member: r.cfg.ID, By: a.By})
	}
}

func (r *raftActor) membershipChanged(a *node.MembershipChanged) {
	r.logger.Info("membership changed", "configuration", a.Configuration.String(), "index", uint64(a.Index),
		"committed", a.Committed)
	r.link.Configure(r.node.Configuration()) // a may tell that an older one is committed
	r.publish(&MembershipChanged{
		Group: r.cfg.Group, Member: r.cfg.ID,
		Configuration: a.Configuration, Index: a.Index, Committed: a.Committed,
	})
	r.noteMembership(a.Committed)
}

// accepted has the applier expect what was appended.
func (r *raftActor) accepted(a *node.Accepted) {
	calls := r.askers(a.Offset, a.Count)
	for _, c := range calls {
		r.calls.give(c)
	}
	r.work.add(newExpect(a.First, a.Term, calls...))
}

func (r *raftActor) rejected(a *node.Rejected) {
	rejected := r.rejection(a.Err)
	if rejected.Code == Code_OVERLOADED {
		r.overload.reached(overloadedLog)
		r.overload.demand.taken.total -= uint64(a.Count)
	}
	if r.asked != nil && r.asked == r.transfer {
		r.transfer = nil
	}
	for _, c := range r.askers(a.Offset, a.Count) {
		c.reject(r.system, rejected)
	}
}

// askers are the calls that the step is about. They are valid until it ends.
func (r *raftActor) askers(offset, count int) []*call {
	if r.asked != nil {
		return []*call{r.asked}
	}
	if len(r.proposals) == 0 {
		return nil
	}
	return r.proposals[offset : offset+count]
}

func (r *raftActor) transferEnded(a *node.TransferEnded) {
	c := r.transfer
	r.transfer = nil
	switch {
	case c == nil: // it was not asked for through this actor
	case a.Err != nil:
		c.reject(r.system, r.rejection(a.Err))
	default:
		c.answer(r.system, reply{})
	}
}

// snapshotEnded tells the node, and who asked for it, what became of a snapshot.
func (r *raftActor) snapshotEnded(m *snapshotEnded) {
	if isStorageError(m.err) {
		r.fail(m.err)
		return
	}
	if m.err != nil {
		r.logger.Warn("snapshot failed", "index", uint64(m.meta.Index), "error", m.err)
		r.step(&node.SnapshotFailed{Index: m.meta.Index})
		if m.asked != nil {
			m.asked.reject(r.system, &Rejected{Code: Code_REFUSED, Outcome: Outcome_NOT_APPLIED, Detail: m.err.Error()})
		}
		return
	}
	r.vitals.metrics.Load().snapshotTaken()
	r.step(&node.Snapshotted{Meta: m.meta})
	if r.keepsSnapshot(m.meta.Handle) {
		r.publish(&SnapshotSaved{Group: r.cfg.Group, Member: r.cfg.ID, Index: m.meta.Index})
	}
	if m.asked != nil {
		m.asked.answer(r.system, reply{index: m.meta.Index})
	}
}

// readEntries has entries read by somebody who may wait for a disk: for the machine by the applier, when
// it gets there, and for another member by the reader.
func (r *raftActor) readEntries(a *node.ReadEntries) {
	read := &readEntries{id: a.For, lo: a.Lo, hi: a.Hi, bytesMax: a.BytesMax}
	if a.For == r.cfg.ID {
		r.work.add(read)
		return
	}
	r.system.Root.Send(r.reader, read)
}
