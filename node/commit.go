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
	n.lead.intake.commit(reached)
	n.lead.reads.ready(n)
}

// intake counts the bytes that a leader has taken: until they are committed, and from then on until they
// are handed over to its machine.
type intake struct {
	// batches are in ascending order, and the first so many of them are committed.
	batches   ring[flight]
	committed int
	// uncommitted and unhanded are the bytes of those that are not committed, and of those that are.
	uncommitted, unhanded int
}

func (t *intake) add(last Index, bytes int) {
	t.batches.push(flight{last: last, bytes: bytes})
	t.uncommitted += bytes
}

func (t *intake) commit(through Index) {
	for t.committed < t.batches.count && t.batches.at(t.committed).last <= through {
		bytes := t.batches.at(t.committed).bytes
		t.uncommitted -= bytes
		t.unhanded += bytes
		t.committed++
	}
}

func (t *intake) handed(through Index) {
	for t.committed > 0 && t.batches.front().last <= through {
		t.unhanded -= t.batches.pop().bytes
		t.committed--
	}
}
