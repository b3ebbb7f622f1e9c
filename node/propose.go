package node

// acceptedRun is a run of entries that were accepted here and whose outcome is not known yet.
type acceptedRun struct {
	first, last Index
	term        Term
}

// propose appends what it may of a batch, and sends it. What it may not is rejected, run by run.
func (n *Node) propose(commands [][]byte) {
	if len(commands) == 0 {
		return
	}
	if err := n.proposalRefused(); err != nil {
		n.reject(0, len(commands), err)
		return
	}
	for i := 0; i < len(commands); {
		taken, err := n.take(commands[i:])
		if taken > 0 {
			n.noteAccepted(i, taken)
			i += taken
		}
		if err == nil {
			continue
		}
		refused := n.countRefused(commands[i:], err)
		n.reject(i, refused, err)
		i += refused
	}
	n.replicateToAll()
}

func (n *Node) proposalRefused() error {
	switch {
	case n.role != Leader:
		return n.notLeader()
	case n.transfer.target != None || n.lead.leaving:
		return ErrTransferring
	case n.unappliedBytes() >= n.cfg.UnappliedBytesMax:
		return ErrOverloaded
	}
	return nil
}

// take appends commands from the front until one is refused, and says why that one is.
func (n *Node) take(commands [][]byte) (taken int, refused error) {
	entries, bytes := n.scratch[:0], 0
	for _, command := range commands {
		if refused = n.refuseCommand(command, bytes); refused != nil {
			break
		}
		e := Entry{Kind: EntryCommand, Data: command}
		bytes += e.bytes()
		entries = append(entries, e)
	}
	if len(entries) > 0 {
		n.appendOwn(entries)
	}
	return len(entries), refused
}

// refuseCommand says why a command cannot be taken when ahead bytes are about to be. One command is
// taken however large the limit on all is, as long as nothing else waits.
func (n *Node) refuseCommand(command []byte, ahead int) error {
	waiting := n.lead.intake.uncommitted + ahead
	switch {
	case len(command) > n.cfg.CommandBytesMax:
		return &CommandTooLargeError{Bytes: len(command), BytesMax: n.cfg.CommandBytesMax}
	case waiting > 0 && waiting+len(command)+entryBytesOverhead > n.cfg.UncommittedBytesMax:
		return ErrOverloaded
	}
	return nil
}

// countRefused tells how many commands share the reason of the first. Under overload all the rest
// are refused, so that commands of one batch are never reordered.
func (n *Node) countRefused(commands [][]byte, reason error) int {
	if reason == ErrOverloaded { //nolint:errorlint // as refuseCommand returned it
		return len(commands)
	}
	return 1
}

// appendOwn appends entries of this leader's term. It keeps the slice as scratch.
func (n *Node) appendOwn(entries []Entry) {
	for i := range entries {
		entries[i].Index = n.terms.last + 1 + Index(i)
		entries[i].Term = n.hard.Term
	}
	n.appendEntries(entries)
	n.lead.intake.add(n.terms.last, entriesBytes(entries))
	clear(entries)
	n.scratch = entries[:0]
}

// noteAccepted remembers that the last count entries stand for commands from offset on.
func (n *Node) noteAccepted(offset, count int) {
	run := acceptedRun{first: n.terms.last - Index(count) + 1, last: n.terms.last, term: n.hard.Term}
	n.out.add(n.out.accepted.put(Accepted{Offset: offset, Count: count, First: run.first, Term: run.term}))
	if k := len(n.accepted) - 1; k >= 0 && n.accepted[k].term == run.term {
		n.accepted[k].last = run.last // what stands between is this leader's own too
		return
	}
	n.accepted = append(n.accepted, run)
}

func (n *Node) reject(offset, count int, err error) {
	n.out.add(n.out.rejected.put(Rejected{Offset: offset, Count: count, Err: err}))
}

func (n *Node) notLeader() error {
	return &NotLeaderError{Leader: n.leader, Term: n.hard.Term}
}

// settleAccepted tells, once more is applied, what has been put in the place of accepted commands.
// By the log matching property it is all that this member accepted in a term from some index on.
func (n *Node) settleAccepted() {
	kept := n.accepted[:0]
	for _, run := range n.accepted {
		if run.first > n.applied {
			kept = append(kept, run)
			continue
		}
		known := min(run.last, n.applied)
		intact := run.first - 1
		if term, _ := n.terms.term(run.first); term == run.term {
			intact, _ = n.terms.highestNotAbove(known, run.term)
		}
		if intact < known {
			n.out.add(n.out.superseded.put(Superseded{First: intact + 1, Last: run.last, Term: run.term}))
			continue
		}
		if run.first = known + 1; run.first <= run.last {
			kept = append(kept, run)
		}
	}
	n.accepted = kept
}

// forgetAccepted gives up on what a snapshot covers.
func (n *Node) forgetAccepted(through Index) {
	kept := n.accepted[:0]
	for _, run := range n.accepted {
		if run.first <= through {
			n.out.add(n.out.forgotten.put(Forgotten{First: run.first, Last: min(run.last, through), Term: run.term}))
			run.first = through + 1
		}
		if run.first <= run.last {
			kept = append(kept, run)
		}
	}
	n.accepted = kept
}
