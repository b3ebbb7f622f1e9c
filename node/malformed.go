package node

import "fmt"

// malformed says what makes a message impossible, whoever receives it in whatever state, or "".
func malformed(m Message) string {
	h := m.Head()
	switch {
	case h.From == None:
		return "it has no sender"
	case h.From == h.To:
		return "it claims to come from its receiver"
	case h.FromIncarnation == 0:
		return "its sender has incarnation 0"
	case isReply(m) && h.ToIncarnation == 0:
		return "it answers nobody: the incarnation that asked is missing"
	case h.Term > TermMax:
		return "its term is beyond all terms"
	case h.Term == 0 && !isReply(m) && !isQuestion(m):
		return "it claims a leader or a candidate in term 0"
	}
	switch m := m.(type) {
	case *PreVote:
		if m.CampaignTerm != m.Term+1 {
			return "it would campaign for a term that is not the next"
		}
		return malformedEnd(m.LastIndex, m.LastTerm, m.Term)
	case *RequestVote:
		return malformedEnd(m.LastIndex, m.LastTerm, m.Term-1)
	case *AppendEntries:
		return malformedAppend(m)
	case *AppendEntriesReply:
		return malformedAppendReply(m)
	case *Heartbeat:
		return malformedIndex(m.Commit)
	case *HeartbeatReply:
		return malformedIndex(m.Commit)
	case *InstallSnapshot:
		return malformedSnapshot(m.Meta, m.Term)
	case *InstallSnapshotReply:
		return malformedIndex(m.Match)
	case *TimeoutNow:
		if m.Transfer == 0 {
			return "it names no transfer"
		}
		return malformedIndex(m.LastIndex)
	case *ReadIndexReply:
		return malformedIndex(m.Index)
	case *Refusal:
		if m.Known == 0 {
			return "it names no other incarnation"
		}
	}
	return ""
}

// isQuestion tells whether a request may come from a member that has no term yet.
func isQuestion(m Message) bool {
	switch m.(type) {
	case *PreVote, *ReadIndexRequest:
		return true
	default:
		return false
	}
}

func malformedIndex(i Index) string {
	if i > IndexMax {
		return "an index is beyond all indices"
	}
	return ""
}

// malformedEnd checks the end of a log that a message of a term speaks of.
func malformedEnd(index Index, term, termMax Term) string {
	switch {
	case index > IndexMax:
		return malformedIndex(index)
	case (index == 0) != (term == 0):
		return "an entry without an index has a term, or one without a term an index"
	case term > termMax:
		return fmt.Sprintf("an entry of term %d is from the future", term)
	}
	return ""
}

func malformedAppend(m *AppendEntries) string {
	if detail := malformedEnd(m.PrevIndex, m.PrevTerm, m.Term); detail != "" {
		return detail
	}
	if m.Commit > IndexMax || m.PrevIndex+Index(len(m.Entries)) > IndexMax {
		return malformedIndex(IndexMax + 1)
	}
	index, term := m.PrevIndex, m.PrevTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		index++
		switch {
		case e.Index != index:
			return fmt.Sprintf("its entries are not contiguous: index %d stands where %d belongs", e.Index, index)
		case e.Term < term || e.Term == 0:
			return fmt.Sprintf("terms go back to %d at index %d", e.Term, e.Index)
		case e.Term > m.Term:
			return fmt.Sprintf("index %d has term %d, which is from the future", e.Index, e.Term)
		}
		term = e.Term
		if detail := malformedEntry(e); detail != "" {
			return detail
		}
	}
	return ""
}

func malformedEntry(e *Entry) string {
	switch e.Kind {
	case EntryCommand:
	case EntryEmpty:
		if len(e.Data) != 0 {
			return fmt.Sprintf("the empty entry at index %d is not empty", e.Index)
		}
	case EntryConfiguration:
		if _, err := DecodeConfiguration(e.Data); err != nil {
			return fmt.Sprintf("the configuration at index %d: %v", e.Index, err)
		}
	default:
		return fmt.Sprintf("index %d has the unknown %v", e.Index, e.Kind)
	}
	return ""
}

func malformedAppendReply(m *AppendEntriesReply) string {
	switch {
	case m.Match > IndexMax || m.Rejected > IndexMax || m.HintIndex > IndexMax || m.Commit > IndexMax:
		return malformedIndex(IndexMax + 1)
	case m.HintTerm > m.Term:
		return "its hint is from the future"
	}
	return ""
}

func malformedSnapshot(meta SnapshotMeta, term Term) string {
	if meta.Index == 0 {
		return "its snapshot has no index"
	}
	if detail := malformedEnd(meta.Index, meta.Term, term); detail != "" {
		return detail
	}
	if meta.ConfigurationIndex == 0 || meta.ConfigurationIndex > meta.Index {
		return "its snapshot holds a configuration that it does not cover"
	}
	if err := meta.Configuration.Validate(); err != nil {
		return fmt.Sprintf("the configuration of its snapshot: %v", err)
	}
	return ""
}
