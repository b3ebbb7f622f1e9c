package node

// Overview is the part of [Status] that is cheap to come by.
type Overview struct {
	Incarnation Incarnation

	Role Role
	Term Term
	// Leader is None if nobody is known to lead.
	Leader ID
	// FirstIndex and LastIndex are those of the log; Snapshot is the index of its snapshot.
	FirstIndex, LastIndex, Snapshot Index
	// Applied is the highest index handed over, and MachineApplied the highest that the machine is known to
	// have applied.
	Commit, Applied, MachineApplied Index
	// Durable is the highest index up to which the log is durable.
	Durable Index
	// UnsyncedTicks is for how long the oldest write has been on its way, which has the number UnsyncedSeq. Zero:
	// everything is durable.
	UnsyncedTicks uint64
	UnsyncedSeq   uint64
	Configuration Configuration
	// TransferTarget is whom leadership is being handed to, or None.
	TransferTarget ID
	// UncommittedBytes is what the leader has taken and not committed.
	UncommittedBytes int
	// UnappliedBytes is what was handed over and is not known to be applied, and what the leader has
	// committed of its own and not handed over. It is exact when the machine is up to date; until then it may be
	// too high by a 64th of Config.UnappliedBytesMax.
	UnappliedBytes int
}

// Overview describes the node without allocating.
func (n *Node) Overview() Overview {
	o := Overview{
		Incarnation: n.incarnation, Role: n.role, Term: n.hard.Term, Leader: n.leader,
		FirstIndex: n.terms.base + 1, LastIndex: n.terms.last, Snapshot: n.snapshots.index,
		Commit: n.commit, Applied: n.applied, MachineApplied: n.machine.applied, Durable: n.disk.durable,
		Configuration: n.members.current(), TransferTarget: n.transfer.target,
		UnappliedBytes: n.unappliedBytes(),
	}
	if n.disk.points.count > 0 {
		o.UnsyncedTicks, o.UnsyncedSeq = n.disk.waiting(n.clock), n.disk.points.front().seq
	}
	if n.lead != nil {
		o.UncommittedBytes = n.lead.intake.uncommitted
	}
	return o
}
