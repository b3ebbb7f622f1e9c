package node

import "slices"

// election is what a member knows of its own attempts to lead, and of its patience.
type election struct {
	// elapsed counts ticks since a leader was heard from, a vote given, or an attempt begun.
	elapsed int
	// timeout is how many it waits, drawn anew each time.
	timeout int
	// round names the present attempt to pre-vote.
	round uint64
	// granted are the members that said yes in the present attempt, itself not among them.
	granted []ID
}

func (n *Node) resetElectionTimer() {
	n.election.elapsed = 0
	n.election.timeout = n.rng.between(n.cfg.ElectionTicks, 2*n.cfg.ElectionTicks)
}

// hearsLeader tells whether there is reason to believe that the present leader is well. While there
// is, this member helps nobody to depose it (§4.2.3). A leader believes that of itself: without a
// quorum it would have stepped down.
func (n *Node) hearsLeader() bool {
	return n.role == Leader || (n.leader != None && n.election.elapsed < n.cfg.ElectionTicks)
}

// campaignNow begins an attempt before the timer says so.
func (n *Node) campaignNow() {
	if n.role != Leader && n.mayCampaign() {
		n.startPreVote()
	}
}

// startPreVote asks whether an election could be won, without disturbing anybody by a new term
// (§9.6).
func (n *Node) startPreVote() {
	n.becomeFollower(n.hard.Term, None)
	n.role = PreCandidate
	n.election.round = n.rng.next()
	n.resetElectionTimer()
	for _, id := range n.members.electorate.voters {
		if id == n.id {
			continue
		}
		n.out.send(n.out.preVotes.put(PreVote{
			Header: n.header(id), Round: n.election.round, CampaignTerm: n.hard.Term + 1,
			LastIndex: n.terms.last, LastTerm: n.terms.lastTerm(),
		}))
	}
	n.countVotes()
}

// handlePreVote says whether this member would vote for the sender. It commits to nothing, and
// changes nothing, but for noting the life of a member that is met for the first time.
func (n *Node) handlePreVote(m *PreVote) {
	granted := m.CampaignTerm > n.hard.Term && !n.hearsLeader() &&
		n.isUpToDate(m.LastTerm, m.LastIndex) && n.mayVoteFor(m)
	n.out.send(n.out.preVoteReplies.put(PreVoteReply{
		Header: n.replyTo(m), Round: m.Round, Granted: granted,
	}))
}

// handlePreVoteReply counts a grant. A refusal that carries a higher term has been heeded by then,
// so that a member with the better log cannot be kept out for ever by one in a higher term.
func (n *Node) handlePreVoteReply(m *PreVoteReply) {
	if n.role != PreCandidate || m.Round != n.election.round {
		n.counters.Stale++
		return
	}
	if m.Granted {
		n.noteGrant(m.From)
	}
}

// campaign stands for election in a new term. transfer is not zero if the leader asked for it.
// The requests wait until the new term and the vote for itself are durable, and so does that vote.
func (n *Node) campaign(transfer uint64) {
	if n.hard.Term >= TermMax {
		n.becomeFollower(n.hard.Term, None)
		return
	}
	n.becomeFollower(n.hard.Term+1, None)
	n.role = Candidate
	n.hard.Vote, n.hard.VoteIncarnation = n.id, n.incarnation
	n.persistHardState()
	n.disk.voteSeq = n.disk.hardSeq
	n.resetElectionTimer()
	for _, id := range n.members.electorate.voters {
		if id == n.id {
			continue
		}
		n.out.sendDurable(n.out.requestVotes.put(RequestVote{
			Header: n.header(id), Transfer: transfer,
			LastIndex: n.terms.last, LastTerm: n.terms.lastTerm(),
		}))
	}
}

// handleRequestVote grants the one vote of a term to the first who asks with a log as good as this
// (§3.4, §3.6.1). Whether this member believes itself a voter does not matter: it may not know yet.
// admit has adopted the term, unless this member hears a leader.
func (n *Node) handleRequestVote(m *RequestVote) {
	free := n.hard.Vote == None || (n.hard.Vote == m.From && n.hard.VoteIncarnation == m.FromIncarnation)
	granted := m.Term == n.hard.Term && free &&
		n.isUpToDate(m.LastTerm, m.LastIndex) && n.mayVoteFor(m)
	reply := n.out.requestVoteReplies.put(RequestVoteReply{Header: n.replyTo(m), Granted: granted})
	if !granted {
		n.out.send(reply)
		return
	}
	if n.hard.Vote == None {
		n.hard.Vote, n.hard.VoteIncarnation = m.From, m.FromIncarnation
		n.persistHardState()
	}
	n.becomeFollower(n.hard.Term, n.leader) // an attempt of its own is over
	n.resetElectionTimer()
	n.out.sendDurable(reply)
}

func (n *Node) handleRequestVoteReply(m *RequestVoteReply) {
	if n.role != Candidate {
		n.counters.Stale++
		return
	}
	if m.Granted {
		n.noteGrant(m.From)
	}
}

// isUpToDate tells whether a log that ends so is at least as good as this one (§3.6.1).
func (n *Node) isUpToDate(lastTerm Term, lastIndex Index) bool {
	mine := n.terms.lastTerm()
	return lastTerm > mine || (lastTerm == mine && lastIndex >= n.terms.last)
}

func (n *Node) noteGrant(from ID) {
	if !slices.Contains(n.election.granted, from) {
		n.election.granted = append(n.election.granted, from)
	}
	n.countVotes()
}

// countVotes goes on to the next stage once a majority of voters agrees. Grants rest on knowing who
// gave them, so they count when the lives of the peers are durable; the own vote when it is.
func (n *Node) countVotes() {
	if n.disk.metSeq > n.disk.synced {
		return
	}
	ownVote := n.role == PreCandidate || n.disk.voteSeq <= n.disk.synced
	won := n.members.electorate.agree(func(id ID) bool {
		if id == n.id {
			return ownVote
		}
		return slices.Contains(n.election.granted, id)
	})
	switch {
	case !won:
	case n.role == PreCandidate:
		n.campaign(0)
	default:
		n.becomeLeader()
	}
}
