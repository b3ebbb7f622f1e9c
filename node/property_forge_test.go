package node_test

import (
	"fmt"
	"reflect"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

// attack gives a member a message that it must refuse without any effect.
func (s *simulation) attack() {
	c := s.cluster
	if len(c.Network()) == 0 {
		return
	}
	f := c.Network()[s.random.below(len(c.Network()))]
	m := s.find(f.To)
	if m == nil || !m.Up() || f.Payload != nil {
		return
	}
	c.Tick(m.ID(), 1) // a node that has just started says so in its first step
	if !m.Up() || c.Err() != nil {
		return
	}
	message := node.Clone(f.Message)
	if !forge(&s.random, m, message) {
		return
	}
	before := m.Node().Status()
	s.attacking = true
	actions := c.Step(m.ID(), &node.Receive{Message: message})
	s.attacking = false
	if !m.Up() || c.Err() != nil {
		return
	}
	after := m.Node().Status()
	before.Counters, after.Counters = node.Counters{}, node.Counters{}
	for _, a := range actions {
		switch a.(type) {
		case *node.PeerFault, *node.Disowned:
		default:
			c.Report(fmt.Errorf("member %d answers a forged message by %s: %s", m.ID(),
				nodetest.FormatAction(a), nodetest.FormatMessage(message)))
		}
	}
	if !reflect.DeepEqual(before, after) {
		c.Report(fmt.Errorf("member %d: a forged message changed %+v to %+v: %s", m.ID(), before, after,
			nodetest.FormatMessage(message)))
	}
	s.tally.forged++
}

// forge makes a message one that its receiver m must refuse, and tells whether it could.
func forge(r *prng, m *nodetest.Member, message node.Message) bool {
	if r.chance(400) {
		forgeHead(r, message.Head())
		return true
	}
	switch f := message.(type) {
	case *node.AppendEntries:
		return forgeAppend(r, m, f)
	case *node.PreVote:
		f.CampaignTerm += node.Term(1 + r.below(5))
	case *node.RequestVote:
		f.LastIndex, f.LastTerm = f.LastIndex+1, f.Term+node.Term(r.below(3))
	case *node.Heartbeat:
		f.Commit = m.Node().Status().LastIndex + node.Index(1+r.below(5))
		f.Term = max(f.Term, m.Node().Term())
	case *node.InstallSnapshot:
		forgeSnapshot(r, &f.Meta, f.Term)
	case *node.TimeoutNow:
		f.Transfer = 0
	case *node.Refusal:
		f.Known = 0
	default:
		return forgeReply(r, m, message)
	}
	return true
}

func forgeHead(r *prng, h *node.Header) {
	switch r.below(6) {
	case 0:
		h.Term = node.TermMax + 1 + node.Term(r.next()>>2)
	case 1:
		h.From = node.None
	case 2:
		h.From = h.To
	case 3:
		h.FromIncarnation = 0
	case 4:
		h.To += 100
	case 5:
		h.ToIncarnation = 1
	}
}

func forgeAppend(r *prng, m *nodetest.Member, f *node.AppendEntries) bool {
	f.Entries = append([]node.Entry(nil), f.Entries...)
	if len(f.Entries) == 0 {
		f.Entries = []node.Entry{{Index: f.PrevIndex + 1, Term: f.Term, Kind: node.EntryCommand}}
	}
	e := &f.Entries[r.below(len(f.Entries))]
	switch r.below(10) {
	case 0:
		e.Index++
	case 1:
		e.Index = 0
	case 2:
		e.Term = f.Term + 1
	case 3:
		e.Term = 0
	case 4:
		e.Kind = 77
	case 5:
		e.Kind, e.Data = node.EntryConfiguration, []byte{1, 2, 3}
	case 6:
		f.PrevIndex, f.PrevTerm = f.PrevIndex+1, f.Term+1
	case 7:
		f.Commit = node.IndexMax + 1
	case 8:
		return forgeSecondLeader(m, f)
	case 9:
		return forgeConflict(m, f)
	}
	return true
}

// forgeSecondLeader claims to lead a term of which the receiver knows the leader.
func forgeSecondLeader(m *nodetest.Member, f *node.AppendEntries) bool {
	f.From, f.Term = 99, max(f.Term, m.Node().Term())
	return m.Node().Leader() != node.None && f.Term == m.Node().Term()
}

// forgeConflict claims another term for an entry that is committed at the receiver.
func forgeConflict(m *nodetest.Member, f *node.AppendEntries) bool {
	commit := m.Node().Commit()
	term, err := m.Log().Term(commit)
	if err != nil || commit == 0 {
		return false
	}
	f.Term = max(f.Term, m.Node().Term())
	f.PrevIndex, f.PrevTerm, f.Entries = commit, term+1, nil
	if term+1 > f.Term {
		f.PrevTerm = term - 1
	}
	return f.PrevTerm > 0
}

func forgeSnapshot(r *prng, meta *node.SnapshotMeta, term node.Term) {
	switch r.below(4) {
	case 0:
		meta.Index = 0
	case 1:
		meta.Term = term + 1
	case 2:
		meta.ConfigurationIndex = meta.Index + 1
	case 3:
		meta.Configuration = node.Configuration{}
	}
}

// forgeReply makes a reply one from a stranger, or one that acknowledges to a leader more than there
// is.
func forgeReply(r *prng, m *nodetest.Member, message node.Message) bool {
	h := message.Head()
	if _, ok := message.(*node.ReadIndexRequest); ok || r.chance(300) {
		h.From = 99
		return true
	}
	if m.Node().Role() != node.Leader || h.Term != m.Node().Term() {
		return false
	}
	beyond := m.Node().Status().LastIndex + node.Index(1+r.below(9))
	switch f := message.(type) {
	case *node.AppendEntriesReply:
		f.Match, f.Success = beyond, true
	case *node.InstallSnapshotReply:
		f.Match = beyond
	case *node.HeartbeatReply:
		f.Round += 1 << 40
	default:
		return false
	}
	return true
}
