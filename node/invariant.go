package node

import "fmt"

// broken panics, and latches: what the node has computed itself is impossible.
func (n *Node) broken(format string, args ...any) {
	err := &InvariantError{
		ID: n.id, Role: n.role, Term: n.hard.Term, Commit: n.commit, Detail: fmt.Sprintf(format, args...),
	}
	n.err = err
	panic(err)
}

// checked values of the last step, to see that nothing goes backwards.
type checkpoint struct {
	term            Term
	vote            ID
	commit, applied Index
}

// checkCheap looks, after every step, at what must never go back.
func (n *Node) checkCheap() {
	last := &n.checkpoint
	if n.hard.Term < last.term || n.commit < last.commit || n.applied < last.applied ||
		n.applied > n.commit || n.applied > n.disk.durable || n.commit > n.terms.last ||
		(n.hard.Term == last.term && last.vote != None && n.hard.Vote != last.vote) {
		n.broken("after %+v: term %d, vote %d, commit %d, applied %d, durable %d, last %d",
			*last, n.hard.Term, n.hard.Vote, n.commit, n.applied, n.disk.durable, n.terms.last)
	}
	*last = checkpoint{term: n.hard.Term, vote: n.hard.Vote, commit: n.commit, applied: n.applied}
}

// require is for checked builds: it allocates, and so is not called in steady state otherwise.
func (n *Node) require(holds bool, format string, args ...any) {
	if !holds {
		n.broken(format, args...)
	}
}

// checkFully looks at everything that must hold between steps.
func (n *Node) checkFully() {
	n.require((n.lead != nil) == (n.role == Leader), "leadership without the role, or the role without it")
	n.require(n.role != Leader || n.leader == n.id, "a leader that follows %d", n.leader)
	n.require(n.log.LastIndex() == n.terms.last, "the log ends at %d, the terms at %d", n.log.LastIndex(), n.terms.last)
	n.require(n.log.FirstIndex() == n.terms.base+1, "the log starts at %d, the terms at %d", n.log.FirstIndex(), n.terms.base+1)
	n.require(n.hard.Term >= n.terms.lastTerm(), "the log ends in term %d", n.terms.lastTerm())
	stored := n.log.HardState()
	n.require(stored.Term == n.hard.Term && stored.Vote == n.hard.Vote && stored.VoteIncarnation == n.hard.VoteIncarnation,
		"the log holds %+v, and not %+v", stored, n.hard)
	n.require(n.disk.durable <= n.terms.last, "durable to %d, and the log ends at %d", n.disk.durable, n.terms.last)
	n.require(n.disk.synced <= n.disk.seq, "synced %d of %d", n.disk.synced, n.disk.seq)
	n.checkTerms()
	n.checkConfigurations()
	n.checkMachine()
	if n.lead != nil {
		n.checkProgress()
		n.checkIntake()
	}
}

func (n *Node) checkMachine() {
	m := &n.machine
	bytes, last := 0, m.applied
	for i := range m.runs.count {
		run := m.runs.at(i)
		n.require(run.last > last && run.last <= n.applied, "a run handed over ends at %d, after %d and %d applied", run.last, last, m.applied)
		bytes, last = bytes+run.bytes, run.last
	}
	n.require(m.applied <= n.applied, "the machine has applied %d, and %d was handed over", m.applied, n.applied)
	n.require(bytes == m.bytes, "%d bytes unapplied, counted %d", bytes, m.bytes)
	n.require(!m.full || m.bytes > m.bytesMax/2, "full with %d bytes of %d", m.bytes, m.bytesMax)
	n.require(n.applied == min(n.commit, n.disk.durable) || n.replaying || m.full,
		"nothing is handed over behind %d, with %d committed and %d durable", n.applied, n.commit, n.disk.durable)
}

func (n *Node) checkTerms() {
	next, term := n.terms.base+1, n.terms.baseTerm
	for i, run := range n.terms.runs {
		n.require(run.first >= next && (i > 0 || run.first == next), "run of terms %d starts at %d", i, run.first)
		n.require(run.term > term || i == 0 && run.term >= term, "run of terms %d has term %d after %d", i, run.term, term)
		n.require(run.first <= n.terms.last, "run of terms %d is empty", i)
		stored, err := n.log.Term(run.first)
		n.require(err == nil && stored == run.term, "index %d has term %d in the log, %d here (%v)", run.first, stored, run.term, err)
		next, term = run.first+1, run.term
	}
}

func (n *Node) checkConfigurations() {
	last := Index(0)
	for _, h := range n.members.history {
		n.require(h.index > last && h.index <= n.terms.last, "configuration at %d after %d", h.index, last)
		last = h.index
	}
}

func (n *Node) checkProgress() {
	for _, p := range n.lead.peers {
		n.require(p.match < p.next, "member %d: match %d, next %d", p.id, p.match, p.next)
		n.require(p.next <= n.terms.last+1, "member %d: next %d, and the log ends at %d", p.id, p.next, n.terms.last)
		n.require(p.round <= n.lead.round, "member %d: round %d of %d", p.id, p.round, n.lead.round)
		bytes := 0
		for i := range p.window.flights.count {
			bytes += p.window.flights.at(i).bytes
		}
		n.require(bytes == p.window.bytes, "member %d: %d bytes in flight, counted %d", p.id, bytes, p.window.bytes)
	}
}

func (n *Node) checkIntake() {
	t := &n.lead.intake
	uncommitted, unhanded := 0, 0
	for i := range t.batches.count {
		batch := t.batches.at(i)
		n.require((batch.last <= n.commit) == (i < t.committed), "batch %d ends at %d, and %d are committed", i, batch.last, t.committed)
		n.require(batch.last > n.applied, "batch %d ends at %d, which is handed over", i, batch.last)
		if i < t.committed {
			unhanded += batch.bytes
		} else {
			uncommitted += batch.bytes
		}
	}
	n.require(uncommitted == t.uncommitted, "%d bytes uncommitted, counted %d", uncommitted, t.uncommitted)
	n.require(unhanded == t.unhanded, "%d bytes committed and not handed over, counted %d", unhanded, t.unhanded)
}
