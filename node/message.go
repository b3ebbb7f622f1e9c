package node

// Message is what members send each other. The set of variants is closed.
//
// Messages in actions belong to the node until its next Step: see [Clone]. Messages in events
// belong to the caller, but for the data of the entries of an [AppendEntries], which the log keeps, and
// the configuration of an [InstallSnapshot].
type Message interface {
	// Head returns the fields that all messages share.
	Head() *Header
	isMessage()
}

// Header is the part that all messages share.
type Header struct {
	// From is the sender, and To the member that the message is meant for.
	From, To ID
	// FromIncarnation is the life of the sender's storage.
	FromIncarnation Incarnation
	// ToIncarnation is, in a reply, the life that asked: a reply to an earlier life is void. In what a
	// leader sends it is the life by which the leader knows the receiver: another life is not meant, and
	// is told so by that. It is zero where no life is known yet, and in what candidates and followers ask.
	ToIncarnation Incarnation
	// Term is the sender's term; in a [RequestVote] the one it campaigns for.
	Term Term
}

// Head returns the header itself, so that embedding it is enough to have the method.
func (h *Header) Head() *Header { return h }

// PreVote asks whether the receiver would vote for the sender, and changes nothing (§9.6).
type PreVote struct {
	Header
	// Round names this attempt, so that a grant of an earlier one does not count.
	Round uint64
	// CampaignTerm is the term that the sender would campaign for.
	CampaignTerm Term
	// LastIndex and LastTerm are those of the sender's last entry.
	LastIndex Index
	LastTerm  Term
}

// PreVoteReply answers a [PreVote].
type PreVoteReply struct {
	Header
	Round   uint64
	Granted bool
}

// RequestVote asks for a vote in the election of its Term (§3.4).
type RequestVote struct {
	Header
	LastIndex Index
	LastTerm  Term
	// Transfer is set in an election that a leader has asked for, to what its [TimeoutNow] said;
	// such a request is heard even by those who hear from a leader (§3.10).
	Transfer uint64
}

// RequestVoteReply answers a [RequestVote].
type RequestVoteReply struct {
	Header
	Granted bool
}

// AppendEntries replicates entries, and checks by Prev that the logs agree up to there (§3.5).
type AppendEntries struct {
	Header
	// PrevIndex and PrevTerm are those of the entry in front of Entries.
	PrevIndex Index
	PrevTerm  Term
	// Entries are contiguous and start at PrevIndex+1.
	Entries []Entry
	// Commit is the leader's commit index.
	Commit Index
}

// AppendEntriesReply answers an [AppendEntries].
type AppendEntriesReply struct {
	Header
	Success bool
	// Match is, on success, the index up to which the logs are known to agree, durably here.
	Match Index
	// Rejected is, on failure, the PrevIndex that did not match; it is how the leader tells a
	// rejection of its present attempt from an older one. Zero rejects nothing: the question was of an
	// earlier term.
	Rejected Index
	// HintIndex is, on failure, the highest index at or below Rejected whose term here, HintTerm, is
	// not above the PrevTerm that was asked for: nothing between can match.
	HintIndex Index
	HintTerm  Term
	// Commit is the follower's commit index.
	Commit Index
}

// Heartbeat asserts leadership, passes the commit index on, and asks for confirmation. It carries
// no entries.
type Heartbeat struct {
	Header
	// Round numbers the leader's rounds of confirmation in its term. Zero asks for no reply.
	Round uint64
	// Commit is the leader's commit index as far as the follower is known to have the log.
	Commit Index
}

// HeartbeatReply confirms that the sender still follows the leader of its term.
type HeartbeatReply struct {
	Header
	// Round is that of the heartbeat. Zero confirms nothing: the heartbeat was of an earlier term.
	Round uint64
	// Commit is the follower's commit index.
	Commit Index
}

// InstallSnapshot offers a snapshot to a follower that needs entries which the leader no longer
// has (§5.3). The state itself travels beside it, by the driver.
type InstallSnapshot struct {
	Header
	Meta SnapshotMeta
}

// InstallSnapshotReply says how far the follower agrees with the leader now.
type InstallSnapshotReply struct {
	Header
	// Match is the index up to which the follower's log is known to agree, durably.
	Match Index
}

// TimeoutNow asks the receiver to campaign at once, ending a transfer of leadership (§3.10).
type TimeoutNow struct {
	Header
	// Transfer names the transfer within the leader's term. It is not zero.
	Transfer uint64
	// LastIndex is that of the leader's log; a receiver whose log ends elsewhere was not meant.
	LastIndex Index
}

// ReadIndexRequest asks the leader for an index at which a read is linearizable (§6.4).
type ReadIndexRequest struct {
	Header
	// Batch numbers the sender's requests in its own order.
	Batch uint64
}

// ReadIndexReply answers a [ReadIndexRequest] once leadership has been confirmed.
type ReadIndexReply struct {
	Header
	Batch uint64
	Index Index
}

// Refusal tells a sender why its promises do not count: the receiver knows another life of it.
type Refusal struct {
	Header
	// Known is the incarnation that the sender of the refusal goes by.
	Known Incarnation
}

func (*PreVote) isMessage()              {}
func (*PreVoteReply) isMessage()         {}
func (*RequestVote) isMessage()          {}
func (*RequestVoteReply) isMessage()     {}
func (*AppendEntries) isMessage()        {}
func (*AppendEntriesReply) isMessage()   {}
func (*Heartbeat) isMessage()            {}
func (*HeartbeatReply) isMessage()       {}
func (*InstallSnapshot) isMessage()      {}
func (*InstallSnapshotReply) isMessage() {}
func (*TimeoutNow) isMessage()           {}
func (*ReadIndexRequest) isMessage()     {}
func (*ReadIndexReply) isMessage()       {}
func (*Refusal) isMessage()              {}

// Clone copies the message out of the node's slabs, so that it may be kept. Entries are shared:
// they are immutable.
func Clone(m Message) Message {
	switch m := m.(type) {
	case *PreVote:
		return clone(m)
	case *PreVoteReply:
		return clone(m)
	case *RequestVote:
		return clone(m)
	case *RequestVoteReply:
		return clone(m)
	case *AppendEntries:
		return clone(m)
	case *AppendEntriesReply:
		return clone(m)
	case *Heartbeat:
		return clone(m)
	case *HeartbeatReply:
		return clone(m)
	case *InstallSnapshot:
		return clone(m)
	case *InstallSnapshotReply:
		return clone(m)
	case *TimeoutNow:
		return clone(m)
	case *ReadIndexRequest:
		return clone(m)
	case *ReadIndexReply:
		return clone(m)
	case *Refusal:
		return clone(m)
	default:
		panic("node: a message of no known kind")
	}
}

func clone[T any](m *T) *T {
	c := *m
	return &c
}
