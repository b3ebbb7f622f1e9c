package node

// barrier keeps the books of what is durable. Writes that one step stages share a sequence number.
type barrier struct {
	// seq is the newest number given out, and synced the newest reported durable.
	seq, synced uint64
	// asked is the newest number that a Sync has named.
	asked uint64
	// staged: this step has staged something, under seq.
	staged bool
	// durable is the highest index up to which the log's present content is durable.
	durable Index
	// points are the steps whose writes are on their way, oldest first.
	points ring[syncPoint]
	// hardSeq, voteSeq and metSeq are the numbers of the newest hard state, of the newest vote of
	// this member for itself, and of the newest life of a peer noted.
	hardSeq, voteSeq, metSeq uint64
	// stalled is what was announced last, and stalledSince is the node's clock when the write was staged that
	// made it so. gaveUp: leadership is given up in this step since the disk is stalled.
	stalled, gaveUp bool
	stalledSince    uint64
}

// syncPoint says how far the log reaches once seq is durable. A truncation lowers last, so that a
// write which completes late never vouches for what has been put in the place of what it wrote.
type syncPoint struct {
	seq  uint64
	last Index
	// since is the node's clock when it was staged.
	since uint64
}

// stage gives this step a number.
func (b *barrier) stage() uint64 {
	if !b.staged {
		b.seq++
		b.staged = true
	}
	return b.seq
}

// close notes, at the end of a step, how far the log reaches under its number.
func (b *barrier) close(last Index, clock uint64) {
	if b.staged {
		b.points.push(syncPoint{seq: b.seq, last: last, since: clock})
		b.staged = false
	}
}

// truncate notes that the log's content ends at last, for now and in every write on its way.
func (b *barrier) truncate(last Index) {
	b.durable = min(b.durable, last)
	for i := range b.points.count {
		p := b.points.at(i)
		p.last = min(p.last, last)
	}
}

// complete notes that everything up to seq is durable.
func (b *barrier) complete(seq uint64) {
	b.synced = max(b.synced, seq)
	for b.points.count > 0 && b.points.front().seq <= seq {
		b.durable = max(b.durable, b.points.pop().last)
	}
}

// waiting is for how many ticks the oldest write has been on its way.
func (b *barrier) waiting(clock uint64) uint64 {
	if b.points.count == 0 {
		return 0
	}
	return clock - b.points.front().since
}

// unsynced tells whether anything staged is not durable yet.
func (b *barrier) unsynced() bool { return b.seq > b.synced }

// The node writes to its log by these methods only. After a failure the node is finished: Step
// returns the error and no actions, so what is computed in the rest of the step does not matter.

func (n *Node) appendEntries(entries []Entry) {
	n.disk.stage()
	if err := n.log.Append(entries); err != nil {
		n.fail("appending to the log", err)
		return
	}
	for i := 0; i < len(entries); {
		term, start := entries[i].Term, i
		for i < len(entries) && entries[i].Term == term {
			i++
		}
		n.terms.append(term, i-start)
	}
	for i := range entries {
		if entries[i].Kind == EntryConfiguration {
			n.adoptEntry(&entries[i])
		}
	}
}

func (n *Node) truncate(from Index) {
	if from <= n.commit {
		n.broken("truncating from %d, which is committed", from)
	}
	n.disk.stage()
	if err := n.log.Truncate(from); err != nil {
		n.fail("truncating the log", err)
		return
	}
	n.terms.truncate(from)
	n.snapshots.wanted = min(n.snapshots.wanted, from-1) // what comes in the place of these is new
	n.disk.truncate(from - 1)
	n.takeBackConfigurations(from)
}

func (n *Node) persistHardState() {
	n.disk.hardSeq = n.disk.stage()
	n.hard.Commit = n.commit
	if err := n.log.SetHardState(n.hard); err != nil {
		n.fail("writing term and vote", err)
	}
}

func (n *Node) persistMet(a Acquaintance) {
	n.disk.metSeq = n.disk.stage()
	if err := n.log.SetMet(a); err != nil {
		n.fail("writing the incarnation of a peer", err)
	}
}

func (n *Node) persistFounding(c Configuration) {
	n.disk.stage()
	if err := n.log.SetFounding(c); err != nil {
		n.fail("writing the founding configuration", err)
	}
}

// synced takes note of a completed sync, and counts what it makes countable.
func (n *Node) synced(seq uint64) {
	if seq > n.disk.seq {
		n.broken("Synced %d: only %d was asked for", seq, n.disk.seq)
	}
	n.disk.complete(seq)
	switch n.role {
	case PreCandidate, Candidate:
		n.countVotes()
	case Leader:
		n.advanceCommit()
		n.passCommitOn()
	}
}
