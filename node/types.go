package node

import (
	"fmt"
	"math"
)

// ID names a member within its group. Zero is nobody.
type ID uint64

// None is the ID of nobody: no vote, no known leader.
const None ID = 0

// Term numbers the periods of leadership. It never decreases on a member.
type Term uint64

// Index is a position in the log. The first entry has index 1.
type Index uint64

// Limits on what a peer may claim. A term or an index beyond its limit can only come from a fault
// or an attack, and it is refused, so that term+1 and index+1 never overflow.
const (
	TermMax  Term  = 1 << 62
	IndexMax Index = 1 << 62
)

// termLeapMax is how far ahead of a member's own term that of a message may be. Elections take longer than
// a tick each, so more cannot have been; and one message cannot use all terms up.
const termLeapMax = 1 << 40

// Incarnation tells the lives of a member's storage apart. A member whose storage starts empty has
// a new one, and what its earlier life promised does not bind it; so nobody counts its promises as
// those of the life before. Zero is an incarnation that is not known yet.
type Incarnation uint64

// Unlimited switches a limit of [Config] off where that is allowed.
const Unlimited = math.MaxInt

// EntryKind says what an entry means to the protocol.
type EntryKind uint8

const (
	// EntryCommand carries a command of the user, opaque to the protocol.
	EntryCommand EntryKind = iota + 1
	// EntryEmpty carries nothing. A leader appends one when it is elected, since only an entry of
	// its own term can commit those of earlier terms (§6.4, §3.6.2).
	EntryEmpty
	// EntryConfiguration carries an encoded [Configuration].
	EntryConfiguration
)

func (k EntryKind) String() string {
	switch k {
	case EntryCommand:
		return "command"
	case EntryEmpty:
		return "empty"
	case EntryConfiguration:
		return "configuration"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Entry is one slot of the replicated log. It is immutable once appended, the bytes of Data
// included.
type Entry struct {
	Index Index
	Term  Term
	Kind  EntryKind
	Data  []byte
}

// entryBytesOverhead is what an entry counts beyond its data against limits in bytes, so that
// empty commands are not free.
const entryBytesOverhead = 32

// bytes is what the entry counts against limits in bytes.
func (e *Entry) bytes() int { return len(e.Data) + entryBytesOverhead }

func entriesBytes(entries []Entry) int {
	bytes := len(entries) * entryBytesOverhead
	for i := range entries {
		bytes += len(entries[i].Data)
	}
	return bytes
}

// HardState is what a member must remember across restarts besides its log (§3.8).
type HardState struct {
	Term Term
	// Vote is the candidate that received this member's vote in Term, or None.
	Vote ID
	// VoteIncarnation is the life of the candidate that received the vote: another life of the same
	// member would be a second candidate.
	VoteIncarnation Incarnation
	// Commit is a hint: entries up to it were committed when the state was written.
	Commit Index
}

// Role is the part that a member plays at present.
type Role uint8

const (
	// Follower answers requests, and waits for a leader to be heard from.
	Follower Role = iota
	// PreCandidate asks whether it could win an election, without having changed its term (§9.6).
	PreCandidate
	// Candidate asks for votes in a term of its own.
	Candidate
	// Leader takes proposals and replicates them.
	Leader
)

func (r Role) String() string {
	switch r {
	case Follower:
		return "follower"
	case PreCandidate:
		return "pre-candidate"
	case Candidate:
		return "candidate"
	case Leader:
		return "leader"
	default:
		return fmt.Sprintf("role(%d)", uint8(r))
	}
}

// SnapshotMeta describes a snapshot. The state itself never passes through the core.
type SnapshotMeta struct {
	// Index and Term are those of the last entry that the snapshot covers. Zero: no snapshot.
	Index Index
	Term  Term
	// Configuration is the one in force at Index, and ConfigurationIndex that of its entry.
	Configuration      Configuration
	ConfigurationIndex Index
	// Handle is the driver's own name for the stored state. The core passes it on unseen.
	Handle any
}
