package node

// Status is what a node can tell about itself between steps.
type Status struct {
	ID          ID
	Incarnation Incarnation
	Role        Role
	Term        Term
	Vote        ID
	// Leader is None if nobody is known to lead.
	Leader ID
	// FirstIndex and LastIndex are those of the log; Snapshot is the index of its snapshot.
	FirstIndex, LastIndex, Snapshot Index
	Commit, Applied, Durable        Index
	Configuration                   Configuration
	ConfigurationIndex              Index
	// TransferTarget is whom leadership is being handed to, or None.
	TransferTarget ID
	// Peers tells, on the leader, of the other members.
	Peers []PeerStatus
	// UncommittedBytes is what the leader has taken and not committed.
	UncommittedBytes int
	Counters         Counters
}

// PeerStatus is what a leader knows of another member.
type PeerStatus struct {
	ID ID
	// State is "probe", "replicate" or "snapshot".
	State       string
	Match, Next Index
	// InflightMessages and InflightBytes are on their way.
	InflightMessages, InflightBytes int
	// Paused: a probe waits for its answer.
	Paused bool
	// SilentTicks is how long ago it was last heard from, or the leadership began.
	SilentTicks uint64
	// Leaving: it has been removed and is being told so.
	Leaving bool
}

// Status describes the node. It allocates: it is for people and tests.
func (n *Node) Status() Status {
	newest := n.members.newest()
	s := Status{
		ID: n.id, Incarnation: n.incarnation, Role: n.role, Term: n.hard.Term, Vote: n.hard.Vote, Leader: n.leader,
		FirstIndex: n.terms.base + 1, LastIndex: n.terms.last, Snapshot: n.snapshots.index,
		Commit: n.commit, Applied: n.applied, Durable: n.disk.durable,
		Configuration: newest.configuration, ConfigurationIndex: newest.index,
		TransferTarget: n.transfer.target, Counters: n.counters,
	}
	if n.lead == nil {
		return s
	}
	s.UncommittedBytes = n.lead.uncommitted.bytes
	for _, p := range n.lead.peers {
		s.Peers = append(s.Peers, PeerStatus{
			ID: p.id, State: p.state.String(), Match: p.match, Next: p.next, Paused: p.paused,
			InflightMessages: p.window.flights.count, InflightBytes: p.window.bytes,
			SilentTicks: n.clock - p.contact, Leaving: p.leaving != 0,
		})
	}
	return s
}

// ID is this member's.
func (n *Node) ID() ID { return n.id }

// Role is what this member does at present.
func (n *Node) Role() Role { return n.role }

// Term is the newest term that this member knows.
func (n *Node) Term() Term { return n.hard.Term }

// Leader is whom this member takes for the leader of its term, or None.
func (n *Node) Leader() ID { return n.leader }

// Commit is the highest index known to be committed.
func (n *Node) Commit() Index { return n.commit }

// Applied is the highest index handed over by [Apply].
func (n *Node) Applied() Index { return n.applied }

// Configuration is the one in force: the newest in the log, committed or not.
func (n *Node) Configuration() Configuration { return n.members.current() }

// Err is the error that has finished the node, or nil.
func (n *Node) Err() error { return n.err }
