package node

import "fmt"

// Counters count messages that had no effect.
type Counters struct {
	// Faults counts claims that cannot be true, by Fault.
	Faults [faultCount]uint64
	// Stale counts messages of an earlier term, role, round, or life of this member.
	Stale uint64
	// Strangers counts replies from those who are not in the configuration.
	Strangers uint64
	// Misaddressed counts messages meant for another member.
	Misaddressed uint64
}

// fault reports a claim that cannot be true.
func (n *Node) fault(m Message, fault Fault, format string, args ...any) {
	n.counters.Faults[fault]++
	n.out.add(n.out.faults.put(PeerFault{
		Peer: m.Head().From, Fault: fault, Detail: fmt.Sprintf(format, args...), Message: m,
	}))
}

// admit checks a message against what any message must be, against what is committed here, and
// against who the sender is, all of that before anything changes; then it heeds the term. It tells
// whether the message is to be handled.
func (n *Node) admit(m Message) bool {
	h := m.Head()
	if h.To != n.id {
		n.counters.Misaddressed++
		return false
	}
	if detail := malformed(m); detail != "" {
		n.fault(m, FaultMalformed, "%s", detail)
		return false
	}
	if h.Term > n.hard.Term+termLeapMax {
		n.fault(m, FaultMalformed, "its term is %d, and this is %d: no elections can have led so far", h.Term, n.hard.Term)
		return false
	}
	if !n.isMeant(m) {
		return false
	}
	if isReply(m) {
		return n.admitReply(m)
	}
	return n.admitRequest(m)
}

// isReply tells requests, which are heard whoever sends them, from replies, which count only if the
// sender is a member: a joiner knows nobody, and who lags does not know the new leader (§4.1).
func isReply(m Message) bool {
	switch m.(type) {
	case *PreVoteReply, *RequestVoteReply, *AppendEntriesReply, *HeartbeatReply,
		*InstallSnapshotReply, *ReadIndexReply, *Refusal:
		return true
	default:
		return false
	}
}

func (n *Node) admitReply(m Message) bool {
	h := m.Head()
	if _, refusal := m.(*Refusal); refusal {
		return true // it changes nothing here, and a joiner does not know who sends it
	}
	if !n.isConcerned(h.From) {
		n.counters.Strangers++
		return false
	}
	if n.claimsTooMuch(m) {
		return false
	}
	if !n.isKnownLife(h.From, h.FromIncarnation) {
		n.refuse(m)
		return false
	}
	switch {
	case h.Term > n.hard.Term:
		n.becomeFollower(h.Term, None)
		return false
	case h.Term < n.hard.Term:
		if _, ok := m.(*PreVoteReply); !ok { // who has a lower term may still grant a pre-vote
			n.counters.Stale++
			return false
		}
	}
	return true
}

// isConcerned tells whether the peer is a member, or one that is being let go.
func (n *Node) isConcerned(id ID) bool {
	if _, ok := n.members.current().Member(id); ok {
		return true
	}
	return n.lead != nil && n.lead.progress(id) != nil
}

// claimsTooMuch refuses acknowledgements of what was never sent.
func (n *Node) claimsTooMuch(m Message) bool {
	if n.role != Leader || m.Head().Term != n.hard.Term {
		return false
	}
	switch m := m.(type) {
	case *AppendEntriesReply:
		if acknowledged := max(m.Match, m.Commit); acknowledged > n.terms.last {
			n.fault(m, FaultMatch, "it acknowledges %d, and the log ends at %d", acknowledged, n.terms.last)
			return true
		}
	case *InstallSnapshotReply:
		if m.Match > n.terms.last {
			n.fault(m, FaultMatch, "it has a snapshot up to %d, and the log ends at %d", m.Match, n.terms.last)
			return true
		}
	case *HeartbeatReply:
		if m.Commit > n.terms.last {
			n.fault(m, FaultMatch, "it has committed %d, and the log ends at %d", m.Commit, n.terms.last)
			return true
		}
		if m.Round > n.lead.round {
			n.fault(m, FaultMalformed, "it confirms round %d, and this is round %d", m.Round, n.lead.round)
			return true
		}
	}
	return false
}

func (n *Node) admitRequest(m Message) bool {
	h := m.Head()
	switch m := m.(type) {
	case *PreVote:
		return true // its term is a question, not a claim
	case *RequestVote:
		if h.Term > n.hard.Term && n.hearsLeader() && !n.isExpected(m) {
			return true // and is refused, the term not heeded
		}
	case *ReadIndexRequest:
		if !n.isConcerned(h.From) {
			n.counters.Strangers++
			return false
		}
	default:
		if h.Term < n.hard.Term {
			n.refuseStale(m)
			return false
		}
		if n.contradicts(m) {
			return false
		}
		n.becomeFollowerOf(h.From, h.Term)
		return true
	}
	if h.Term > n.hard.Term {
		n.becomeFollower(h.Term, None)
	}
	return true
}

// becomeFollowerOf follows the leader of a term that it has proven by a request.
func (n *Node) becomeFollowerOf(leader ID, term Term) {
	if n.role != Follower || n.leader != leader || n.hard.Term != term {
		n.becomeFollower(term, leader)
	}
	n.resetElectionTimer()
}

// isExpected tells whether an election was asked for by a leader, so that hearing from one is no
// reason to refuse. The leader itself knows which one it asked for.
func (n *Node) isExpected(m *RequestVote) bool {
	if m.Transfer == 0 {
		return false
	}
	return n.role != Leader || (n.transfer.target == m.From && n.transfer.id == m.Transfer)
}

// refuseStale tells a leader of an earlier term that its time is over. The reply carries the new term
// and nothing else: the sender may lead that term when it arrives, and must not take anything in it for
// an answer to what it has asked since.
func (n *Node) refuseStale(m Message) {
	n.counters.Stale++
	switch m := m.(type) {
	case *AppendEntries, *InstallSnapshot:
		n.out.send(n.out.appendEntriesReplies.put(AppendEntriesReply{Header: n.replyTo(m)}))
	case *Heartbeat:
		n.out.send(n.out.heartbeatReplies.put(HeartbeatReply{Header: n.replyTo(m)}))
	}
}

// contradicts refuses what a leader of this or a later term cannot truthfully say.
func (n *Node) contradicts(m Message) bool {
	h := m.Head()
	if h.Term == n.hard.Term && n.ruler != None && n.ruler != h.From {
		n.fault(m, FaultSecondLeader, "it leads term %d, and so does member %d", h.Term, n.ruler)
		return true
	}
	switch m := m.(type) {
	case *AppendEntries:
		return n.contradictsCommitted(m)
	case *Heartbeat:
		if m.Commit > n.terms.last {
			n.fault(m, FaultMatch, "it believes that %d is acknowledged here, and the log ends at %d",
				m.Commit, n.terms.last)
			return true
		}
	case *InstallSnapshot:
		if term, ok := n.terms.term(m.Meta.Index); ok && m.Meta.Index <= n.commit && term != m.Meta.Term {
			n.fault(m, FaultConflict, "its snapshot ends with term %d at index %d, which is committed here with term %d",
				m.Meta.Term, m.Meta.Index, term)
			return true
		}
	}
	return false
}

func (n *Node) contradictsCommitted(m *AppendEntries) bool {
	if m.PrevIndex > n.commit {
		return false
	}
	conflict := func(i Index, claimed Term) bool {
		term, ok := n.terms.term(i)
		if !ok || term == claimed {
			return false
		}
		n.fault(m, FaultConflict, "it has term %d at index %d, which is committed here with term %d", claimed, i, term)
		return true
	}
	if conflict(m.PrevIndex, m.PrevTerm) {
		return true
	}
	for i := range m.Entries {
		if m.Entries[i].Index > n.commit {
			break
		}
		if conflict(m.Entries[i].Index, m.Entries[i].Term) {
			return true
		}
	}
	return false
}
