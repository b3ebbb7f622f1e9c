package nodetest

import (
	"fmt"

	"example.com/raftactor/node"
)

// stands looks at a member that has just become a candidate: a leader has asked it to, or a majority
// has said, in the present round, that it would vote for it (§9.6).
func (v *view) stands(n *node.Node, was *view, event node.Event) error {
	if v.role != node.Candidate || v.term == was.term {
		return nil
	}
	if e, ok := event.(*node.Receive); ok {
		if _, asked := e.Message.(*node.TimeoutNow); asked {
			return nil
		}
	}
	grants := 0
	configuration := n.Configuration()
	for _, voter := range configuration.Members {
		if voter.Suffrage == node.Voter && (voter.ID == v.life.id || v.granted[voter.ID]) {
			grants++
		}
	}
	if grants <= configuration.VoterCount()/2 {
		return fmt.Errorf("member %d stands for election by %d pre-votes of %v", v.life.id, grants, configuration)
	}
	return nil
}

// leads looks at a member that has just been elected.
func (k *checker) leads(m *Member, was, v *view) error {
	if v.role != node.Leader || was.role == node.Leader && was.term == v.term {
		return nil
	}
	if err := k.elected(v.life, v.term, m.log.written); err != nil {
		return err
	}
	return k.wasVotedFor(m, v)
}

// elected finds a second leader in a term, and one that lacks what was committed in earlier terms
// (§3.6.3).
func (k *checker) elected(l life, term node.Term, log *node.MemoryLog) error {
	if other, ok := k.leaders[term]; ok {
		return fmt.Errorf("election safety: member %d leads term %d, as did member %d", l.id, term, other.id)
	}
	k.leaders[term] = l
	for i := k.end(); i > 0; i-- {
		c := k.at(i)
		if c.by >= term {
			continue // a later leader's: this one was elected by votes that were given before
		}
		if !holds(log, position{i, c.entry.Term}) {
			return fmt.Errorf("leader completeness: member %d leads term %d without index %d of term %d, "+
				"which was committed in term %d", l.id, term, i, c.entry.Term, c.by)
		}
		break
	}
	return nil
}

// wasVotedFor counts the votes that have left their voters for a member that has been elected.
func (k *checker) wasVotedFor(m *Member, v *view) error {
	votes := 0
	configuration := m.node.Configuration()
	for _, voter := range configuration.Members {
		if voter.Suffrage != node.Voter {
			continue
		}
		if voter.ID == m.id {
			if hard := m.log.durable.HardState(); hard.Term == v.term && hard.Vote == m.id {
				votes++
			}
			continue
		}
		from := life{voter.ID, known(m.log.durable, voter)}
		if k.ballots[ballot{from, v.term}] == v.life {
			votes++
		}
	}
	if votes <= configuration.VoterCount()/2 {
		return fmt.Errorf("member %d leads term %d by %d votes of %v", m.id, v.term, votes, configuration)
	}
	return nil
}

// known is the life by which the owner of a log knows a member.
func known(log *node.MemoryLog, member node.Member) node.Incarnation {
	if member.Incarnation != 0 {
		return member.Incarnation
	}
	for _, a := range log.Met() {
		if a.ID == member.ID {
			return a.Incarnation
		}
	}
	return 0
}

// left looks at a message that leaves its sender: what it promises must be durable there.
func (k *checker) left(m *Member, message node.Message) error {
	h := message.Head()
	durable := m.log.durable
	hard := durable.HardState()
	lacking := func(what string) error {
		return fmt.Errorf("member %d promises %s, and that is not durable: durable are term %d, vote %d, entries to %d: %s",
			m.id, what, hard.Term, hard.Vote, durable.LastIndex(), FormatMessage(message))
	}
	switch a := message.(type) {
	case *node.RequestVote:
		if hard.Term < h.Term || hard.Term == h.Term && hard.Vote != m.id {
			return lacking("its vote to itself")
		}
		return k.voted(life{m.id, h.FromIncarnation}, h.Term, life{m.id, h.FromIncarnation})
	case *node.PreVote:
		if v := k.views[m.id]; v.round != a.Round {
			v.round = a.Round
			clear(v.granted)
		}
	case *node.RequestVoteReply:
		if !a.Granted {
			return nil
		}
		if hard.Term < h.Term || hard.Term == h.Term && (hard.Vote != h.To || hard.VoteIncarnation != h.ToIncarnation) {
			return lacking("a vote")
		}
		return k.voted(life{m.id, h.FromIncarnation}, h.Term, life{h.To, h.ToIncarnation})
	case *node.AppendEntriesReply:
		if a.Success && !k.agrees(m, h, a.Match) {
			return lacking("entries")
		}
	case *node.InstallSnapshotReply:
		if a.Match > 0 && !k.agrees(m, h, a.Match) {
			return lacking("a snapshot")
		}
	case *node.ReadIndexReply:
		if v := k.views[m.id]; v.term == h.Term && v.role == node.Leader {
			return k.confirmed(v, k.requested[request{life{h.To, h.ToIncarnation}, h.Term, a.Batch}])
		}
	case *node.HeartbeatReply:
		if a.Round > 0 && hard.Term < h.Term {
			return lacking("to follow in its term")
		}
	case *node.AppendEntries, *node.Heartbeat, *node.InstallSnapshot, *node.TimeoutNow:
		if hard.Term < h.Term {
			return lacking("to lead its term")
		}
	}
	return nil
}

// agrees tells whether what is durable at a member agrees up to match with the log of the leader
// that it tells so. Of a leader that is gone nothing is known but that the term must be durable.
func (k *checker) agrees(m *Member, h *node.Header, match node.Index) bool {
	durable := m.log.durable
	hard := durable.HardState()
	switch {
	case hard.Term < h.Term:
		return false
	case hard.Term > h.Term:
		return true // what the reply promises may have been given up meanwhile
	case durable.LastIndex() < match:
		return false
	}
	leader := k.views[h.To]
	if leader == nil || leader.role != node.Leader || leader.term != h.Term {
		return true
	}
	term, err := leader.log.Term(match)
	return err != nil || holds(durable, position{match, term})
}

// voted notes a vote that has left, and finds a second one in the same term (§3.6.1).
func (k *checker) voted(voter life, term node.Term, candidate life) error {
	b := ballot{voter, term}
	if other, ok := k.ballots[b]; ok && other != candidate {
		return fmt.Errorf("member %d has voted in term %d for %+v, and now for %+v", voter.id, term, other, candidate)
	}
	k.ballots[b] = candidate
	return nil
}

// completed looks at what has become durable: term and vote do not go back, across restarts.
func (k *checker) completed(m *Member) error {
	s := k.storages[life{m.id, m.log.Incarnation()}]
	was, now := s.hard, m.log.durable.HardState()
	s.hard = now
	if now.Term < was.Term || now.Term == was.Term && was.Vote != node.None &&
		(now.Vote != was.Vote || now.VoteIncarnation != was.VoteIncarnation) {
		return fmt.Errorf("member %d: its storage held %+v, and now %+v", m.id, was, now)
	}
	return nil
}
