package node

// Status is what a node can tell about itself between steps.
type Status struct {
	Overview
	ID   ID
	Vote ID
	// ConfigurationIndex is that of the entry of Configuration.
	ConfigurationIndex Index
	// Peers tells, on the leader, of the other members.
	Peers    []PeerStatus
	Counters Counters
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
	return Status{
		Overview: n.Overview(), ID: n.id, Vote: n.hard.Vote,
		ConfigurationIndex: n.members.newest().index, Peers: n.AppendPeers(nil), Counters: n.counters,
	}
}

// AppendPeers appends to dst, on the leader, what it knows of the other members, those that are leaving
// included. On anybody else it appends nothing. It allocates only to grow dst.
func (n *Node) AppendPeers(dst []PeerStatus) []PeerStatus {
	if n.lead == nil {
		return dst
	}
	for _, p := range n.lead.peers {
		dst = append(dst, PeerStatus{
			ID: p.id, State: p.state.String(), Match: p.match, Next: p.next, Paused: p.paused,
			InflightMessages: p.window.flights.count, InflightBytes: p.window.bytes,
			SilentTicks: n.clock - p.contact, Leaving: p.leaving != 0,
		})
	}
	return dst
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

// Applied is the highest index handed over by [Apply], or covered by the last [RestoreSnapshot].
func (n *Node) Applied() Index { return n.applied }

// Configuration is the one in force: the newest in the log, committed or not.
func (n *Node) Configuration() Configuration { return n.members.current() }

// Err is the error that has finished the node, or nil.
func (n *Node) Err() error { return n.err }
