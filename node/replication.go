package node

// probeBytesMax is the largest entry that a probe carries: a probe asks a question, which most often
// is answered with no.
const probeBytesMax = 4 << 10

// replicateToAll sends every peer what it may be sent.
func (n *Node) replicateToAll() {
	for _, p := range n.lead.peers {
		n.replicateTo(p)
	}
}

// replicateTo sends entries until there are none left or the window is full (§10.2.1).
func (n *Node) replicateTo(p *progress) {
	for !p.blocked() {
		if !n.sendNext(p) {
			return
		}
	}
}

// sendNext sends one message, and tells whether there may be more to send.
func (n *Node) sendNext(p *progress) bool {
	prevTerm, ok := n.terms.term(p.next - 1)
	if !ok {
		n.startSnapshot(p)
		return false
	}
	if p.state == probing {
		n.sendProbe(p, prevTerm)
		return false
	}
	if p.next > n.terms.last || p.reading {
		return false
	}
	entries, err := n.log.Entries(p.next, n.terms.last+1, n.cfg.MessageBytesMax)
	if err == ErrNotInMemory { //nolint:errorlint // documented to be returned as it is
		p.reading = true
		n.readEntries(p.id, p.next, n.terms.last+1, n.cfg.MessageBytesMax)
		return false
	}
	if err != nil {
		n.fail("reading entries to send", err)
		return false
	}
	n.sendEntries(p, prevTerm, entries)
	return true
}

func (n *Node) sendEntries(p *progress, prevTerm Term, entries []Entry) {
	prev := p.next - 1
	n.sendAppend(p, prev, prevTerm, entries)
	p.sent(prev+Index(len(entries)), entriesBytes(entries))
}

func (n *Node) sendAppend(p *progress, prev Index, prevTerm Term, entries []Entry) {
	p.commitSent = max(p.commitSent, min(n.commit, prev+Index(len(entries))))
	n.out.send(n.out.appendEntries.put(AppendEntries{
		Header: n.leaderHeader(p), PrevIndex: prev, PrevTerm: prevTerm, Entries: entries, Commit: n.commit,
	}))
}

// sendProbe asks whether the logs agree at next-1, with the one entry behind it if that is small
// and at hand.
func (n *Node) sendProbe(p *progress, prevTerm Term) {
	var entries []Entry
	if p.next <= n.terms.last {
		found, err := n.log.Entries(p.next, p.next+1, probeBytesMax)
		switch {
		case err == ErrNotInMemory: //nolint:errorlint // documented to be returned as it is
		case err != nil:
			n.fail("reading an entry to send", err)
			return
		case found[0].bytes() <= probeBytesMax:
			entries = found
		}
	}
	n.sendAppend(p, p.next-1, prevTerm, entries)
	p.pause()
}

// sendCheck asks a follower whether it has what it was sent. If something was lost it says so, and
// if everything is there but not durable yet the answer waits for that.
func (n *Node) sendCheck(p *progress) {
	prevTerm, ok := n.terms.term(p.next - 1)
	if !ok {
		n.startSnapshot(p) // what is on its way is gone from the log: if it was lost, this is what is left
		return
	}
	n.sendAppend(p, p.next-1, prevTerm, nil)
}

// passCommitOn tells those who have the entries already that they are committed.
func (n *Node) passCommitOn() {
	if n.lead == nil {
		return
	}
	for _, p := range n.lead.peers {
		if commit := min(n.commit, p.match); commit > p.commitSent {
			p.commitSent = commit
			n.out.send(n.out.heartbeats.put(Heartbeat{Header: n.leaderHeader(p), Commit: commit}))
		}
	}
}

func (n *Node) handleAppendEntriesReply(m *AppendEntriesReply) {
	if n.role != Leader {
		n.counters.Stale++
		return
	}
	p := n.lead.progress(m.From)
	n.noteContact(p, m, m.Commit)
	if !m.Success {
		n.handleRejection(p, m)
		return
	}
	n.acknowledged(p, m.Match)
}

// acknowledged takes note that a member has the log up to match, durably.
func (n *Node) acknowledged(p *progress, match Index) {
	news := p.acked(match)
	p.catchUp.advance(p.match, n.terms.last, n.clock)
	switch p.state {
	case probing:
		p.replicate()
	case snapshotting:
		if _, held := n.terms.term(p.match); held {
			p.replicate()
		}
	}
	if news {
		n.advanceCommit()
	}
	n.replicateTo(p)
	n.passCommitOn()
	n.sendTimeoutNowIfReady()
}

// handleRejection goes back to where the logs may agree. By the rejected index it knows a late
// answer to an earlier question.
func (n *Node) handleRejection(p *progress, m *AppendEntriesReply) {
	current := m.Rejected > p.match && m.Rejected < p.next
	if p.state == probing {
		current = current && m.Rejected == p.next-1
	}
	if p.state == snapshotting || !current {
		n.counters.Stale++
		return
	}
	p.probe(n.nextAfterRejection(m))
	n.replicateTo(p)
}

// nextAfterRejection finds, by terms on both sides, the highest index behind which the logs may
// agree: the follower says up to where its terms are not above what was asked for, and nothing of a
// term above that can match here.
func (n *Node) nextAfterRejection(m *AppendEntriesReply) Index {
	hint := min(m.HintIndex, m.Rejected-1)
	if hint < n.terms.base {
		return hint + 1
	}
	agree, term := n.terms.highestNotAbove(hint, m.HintTerm)
	if term > m.HintTerm {
		return agree // not even the entry in front of the log can match: it takes a snapshot
	}
	return agree + 1
}

// readEntries asks the driver for entries that the log does not have in memory.
func (n *Node) readEntries(id ID, lo, hi Index, bytesMax int) {
	n.out.add(n.out.reads.put(ReadEntries{For: id, Lo: lo, Hi: hi, BytesMax: bytesMax}))
}

// entriesRead goes on with entries that had to be read, if they are still what is wanted.
func (n *Node) entriesRead(e *EntriesRead) {
	if e.For == n.id {
		n.replayRead(e)
		return
	}
	if n.lead == nil {
		return
	}
	p := n.lead.progress(e.For)
	if p == nil || !p.reading {
		return
	}
	p.reading = false
	prevTerm, held := n.terms.term(p.next - 1)
	switch {
	case p.state != replicating || p.blocked():
		return
	case held && e.Lo == p.next && len(e.Entries) == 0:
		return // it could not be read; the member's next sign of life tries again
	case held && e.Lo == p.next && e.Entries[0].Index == e.Lo && n.isOfLog(e.Entries):
		n.sendEntries(p, prevTerm, e.Entries)
	}
	n.replicateTo(p)
}

// isOfLog tells whether entries that were read are the ones that the log holds now.
func (n *Node) isOfLog(entries []Entry) bool {
	first := entries[0].Index
	if first == 0 {
		return false
	}
	if _, ok := n.terms.term(first - 1); !ok {
		return false
	}
	for i := range entries {
		term, ok := n.terms.term(entries[i].Index)
		if !ok || entries[i].Index != first+Index(i) || entries[i].Term != term {
			return false
		}
	}
	return true
}

// unreachable stops streaming to a peer that is not there. Its next sign of life lets a probe go out,
// as it does for a probe that was lost.
func (n *Node) unreachable(id ID) {
	if n.lead == nil {
		return
	}
	if p := n.lead.progress(id); p != nil && p.state == replicating {
		p.probe(p.match + 1)
		p.pause()
	}
}
