package node

// Overview is the part of [Status] that is cheap to come by.
type Overview struct {
	Incarnation Incarnation

	Role   Role
	Term   Term
	Leader ID
	// FirstIndex and LastIndex are those of the log; Snapshot is the index of its snapshot.
	FirstIndex, LastIndex, Snapshot Index
	Commit, Applied                 Index
	Configuration                   Configuration
}

// Overview describes the node without allocating.
func (n *Node) Overview() Overview {
	return Overview{
		Incarnation: n.incarnation, Role: n.role, Term: n.hard.Term, Leader: n.leader,
		FirstIndex: n.terms.base + 1, LastIndex: n.terms.last, Snapshot: n.snapshots.index,
		Commit: n.commit, Applied: n.applied, Configuration: n.members.current(),
	}
}
