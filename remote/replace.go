package raftremote

import "example.com/raftactor/node"

// A replacedKind is a kind of messages of which a newer one can take the place of an older one that still waits.
type replacedKind int

const (
	replacedNot replacedKind = iota
	replacedHeartbeat
	replacedHeartbeatReply
	replacedEntriesReply
	replacedPreVote
	replacedPreVoteReply
	replacedVote
	replacedVoteReply
	replacedAck
	replacedKinds
)

func kindOf(m node.Message) replacedKind {
	switch m := m.(type) {
	case *node.Heartbeat:
		return replacedHeartbeat
	case *node.HeartbeatReply:
		return replacedHeartbeatReply
	case *node.AppendEntriesReply:
		if !m.Success {
			return replacedNot // each answers another question
		}
		return replacedEntriesReply
	case *node.PreVote:
		return replacedPreVote
	case *node.PreVoteReply:
		return replacedPreVoteReply
	case *node.RequestVote:
		return replacedVote
	case *node.RequestVoteReply:
		return replacedVoteReply
	default:
		return replacedNot
	}
}

// replaces tells whether an item makes an older one of its kind useless, and has it say what that one says. What is of
// an earlier term or round has no effect where the newer one has arrived.
func (i *item) replaces(older *item) bool {
	if i.kind == replacedAck {
		return i.replacesAck(older)
	}
	head, before := i.message.Head(), older.message.Head()
	if head.Term > before.Term {
		return true
	}
	if *head != *before {
		return false
	}
	switch m := i.message.(type) {
	case *node.Heartbeat:
		o := older.message.(*node.Heartbeat)
		m.Round, m.Commit = max(m.Round, o.Round), max(m.Commit, o.Commit)
		return true
	case *node.HeartbeatReply:
		o := older.message.(*node.HeartbeatReply)
		m.Round, m.Commit = max(m.Round, o.Round), max(m.Commit, o.Commit)
		return true
	case *node.AppendEntriesReply:
		o := older.message.(*node.AppendEntriesReply)
		m.Match, m.Commit = max(m.Match, o.Match), max(m.Commit, o.Commit)
		return true
	case *node.PreVoteReply:
		return m.Round >= older.message.(*node.PreVoteReply).Round
	case *node.RequestVoteReply:
		return m.Granted == older.message.(*node.RequestVoteReply).Granted
	default: // questions of a candidate: it asks anew
		return true
	}
}

// replacesAck is replaces of the answer to a chunk.
func (i *item) replacesAck(older *item) bool {
	if i.ack.Transfer != older.ack.Transfer || older.ack.Done || older.ack.Failed {
		return false
	}
	i.ack.Received = max(i.ack.Received, older.ack.Received)
	return true
}
