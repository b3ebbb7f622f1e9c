package node

// advanceCommit commits what a majority of voters has, durably, if it is of this term or stands
// before something that is (§3.6.2). The leader counts itself only up to what is durable here, and
// only while it is a voter.
func (n *Node) advanceCommit() {
	if n.disk.metSeq > n.disk.synced { // acknowledgements rest on knowing who gave them
		return
	}
	reached := Index(n.members.electorate.reached(func(id ID) uint64 {
		if id == n.id {
			return uint64(n.disk.durable)
		}
		if p := n.lead.progress(id); p != nil {
			return uint64(p.match)
		}
		return 0
	}))
	if reached <= n.commit || reached < n.lead.start {
		return
	}
	if reached > n.terms.last {
		n.broken("committing %d, and the log ends at %d", reached, n.terms.last)
	}
	n.commit = reached
	n.lead.uncommitted.committed(reached)
	n.lead.reads.ready(n)
}

// uncommitted counts the bytes that a leader has taken and not committed yet.
type uncommitted struct {
	batches ring[flight]
	bytes   int
}

func (u *uncommitted) add(last Index, bytes int) {
	u.batches.push(flight{last: last, bytes: bytes})
	u.bytes += bytes
}

func (u *uncommitted) committed(through Index) {
	for u.batches.count > 0 && u.batches.front().last <= through {
		u.bytes -= u.batches.pop().bytes
	}
}
