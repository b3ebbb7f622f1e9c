package node

// handleAppendEntries makes the log agree with the leader's (§3.5). By admit, the message is from
// the leader of this term, and nothing in it contradicts what is committed.
func (n *Node) handleAppendEntries(m *AppendEntries) {
	if m.PrevIndex > n.commit {
		if term, ok := n.terms.term(m.PrevIndex); !ok || term != m.PrevTerm {
			n.rejectAppend(m)
			return
		}
	}
	match := max(n.commit, m.PrevIndex+Index(len(m.Entries)))
	if m.PrevIndex+Index(len(m.Entries)) > n.commit {
		n.appendFrom(m.Entries)
	}
	n.commit = max(n.commit, min(m.Commit, match))
	n.out.sendDurable(n.out.appendEntriesReplies.put(AppendEntriesReply{
		Header: n.replyTo(m), Success: true, Match: match, Commit: n.commit,
	}))
}

// appendFrom appends what is not there yet. What is there and agrees stays, with all that follows
// it: the message may be an old one (§3.5). What is there and does not agree goes, with all that
// follows it.
func (n *Node) appendFrom(entries []Entry) {
	for i := range entries {
		e := &entries[i]
		if e.Index <= n.commit {
			continue
		}
		if e.Index > n.terms.last {
			n.appendEntries(entries[i:])
			return
		}
		if term, _ := n.terms.term(e.Index); term != e.Term {
			n.truncate(e.Index)
			n.appendEntries(entries[i:])
			return
		}
	}
}

func (n *Node) rejectAppend(m *AppendEntries) {
	hint, term := n.terms.highestNotAbove(m.PrevIndex-1, m.PrevTerm)
	if hint < n.commit { // committed entries agree, whatever their terms
		hint = n.commit
		term, _ = n.terms.term(hint)
	}
	n.out.send(n.out.appendEntriesReplies.put(AppendEntriesReply{
		Header: n.replyTo(m), Rejected: m.PrevIndex, HintIndex: hint, HintTerm: term, Commit: n.commit,
	}))
}

// handleHeartbeat confirms that this member follows. The confirmation rests on the term only, so it
// waits for that to be durable, and not for entries.
func (n *Node) handleHeartbeat(m *Heartbeat) {
	n.commit = max(n.commit, m.Commit)
	if m.Round == 0 {
		return
	}
	reply := n.out.heartbeatReplies.put(HeartbeatReply{Header: n.replyTo(m), Round: m.Round, Commit: n.commit})
	if n.disk.hardSeq > n.disk.synced {
		n.out.sendDurable(reply)
		return
	}
	n.out.send(reply)
}
