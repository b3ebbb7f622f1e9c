package node

import (
	"errors"
	"fmt"
)

// Reasons for which the node turns a request down. All of them mean that nothing was appended.
var (
	// ErrNotLeader matches every [*NotLeaderError].
	ErrNotLeader = errors.New("node: not the leader")
	// ErrCommandTooLarge matches every [*CommandTooLargeError].
	ErrCommandTooLarge = errors.New("node: command too large")
	// ErrOverloaded: as much is waiting to be committed, applied, or read, as the configuration allows.
	// Try again later.
	ErrOverloaded = errors.New("node: overloaded: too much is waiting to be committed, applied or read; try again later")
	// ErrTransferring: leadership is being handed over. Try again when the outcome is known.
	ErrTransferring = errors.New("node: leadership is being transferred; try again when that is decided")
	// ErrChangeInProgress: a membership change is not committed yet. Try again when it is.
	ErrChangeInProgress = errors.New("node: the previous membership change is not committed yet; try again when it is")
	// ErrNotReady: the leader has not committed an entry of its own term yet, and before that a
	// membership change would not be safe. Try again.
	ErrNotReady = errors.New("node: the leader has not committed an entry of its term yet; try again")
	// ErrNotHeard: the leader is new, or the member is, and has not answered yet. Try again.
	ErrNotHeard = errors.New("node: the leader has not heard from the member yet; try again")
	// ErrMembership matches every [*MembershipError].
	ErrMembership = errors.New("node: membership change refused")
	// ErrTransfer matches every [*TransferError].
	ErrTransfer = errors.New("node: leadership transfer failed")
	// ErrNothingToSnapshot: nothing was applied since the last snapshot, or one is being taken.
	ErrNothingToSnapshot = errors.New("node: no snapshot: one is being taken, or nothing was applied since the last")
)

// Conditions of a [Log].
var (
	// ErrFounding matches every [*FoundingError].
	ErrFounding = errors.New("node: the founding members are not those that are stored")
	// ErrNotInMemory is what a Log returns for entries that it has, but not in memory.
	ErrNotInMemory = errors.New("node: entries are not in memory")
)

// NotLeaderError says whom to try instead.
type NotLeaderError struct {
	// Leader is the member to ask, or None if no leader is known.
	Leader ID
	// Term is the term of the member that answered.
	Term Term
}

func (e *NotLeaderError) Error() string {
	if e.Leader == None {
		return fmt.Sprintf("node: not the leader in term %d, and no leader is known; try again", e.Term)
	}
	return fmt.Sprintf("node: not the leader in term %d; ask member %d", e.Term, e.Leader)
}

// Is makes every *NotLeaderError match [ErrNotLeader].
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }

// CommandTooLargeError says how large a command may be.
type CommandTooLargeError struct{ Bytes, BytesMax int }

func (e *CommandTooLargeError) Error() string {
	return fmt.Sprintf("node: command of %d bytes is too large: at most %d (Config.CommandBytesMax)",
		e.Bytes, e.BytesMax)
}

// Is makes every *CommandTooLargeError match [ErrCommandTooLarge].
func (e *CommandTooLargeError) Is(target error) bool { return target == ErrCommandTooLarge }

// MembershipError says why a change of a member was refused.
type MembershipError struct {
	Member ID
	Reason string
}

func (e *MembershipError) Error() string {
	return fmt.Sprintf("node: changing the membership of %d: %s", e.Member, e.Reason)
}

// Is makes every *MembershipError match [ErrMembership].
func (e *MembershipError) Is(target error) bool { return target == ErrMembership }

// TransferError says why leadership did not pass to the target, or why it was not tried.
type TransferError struct {
	Target ID
	Reason string
	// Undecided: the target may still take over.
	Undecided bool
}

func (e *TransferError) Error() string {
	return fmt.Sprintf("node: transferring leadership to %d: %s", e.Target, e.Reason)
}

// Is makes every *TransferError match [ErrTransfer].
func (e *TransferError) Is(target error) bool { return target == ErrTransfer }

// FoundingError says that a member's [Config].Bootstrap is not what the member was founded with.
type FoundingError struct {
	ID ID
	// Given is the Bootstrap, and Stored what the log tells: the zero value if the member has joined its
	// group and not founded it.
	Given, Stored Configuration
}

func (e *FoundingError) Error() string {
	if len(e.Stored.Members) == 0 {
		return fmt.Sprintf("node: member %d is started as one of the founding members %v, but what it has stored is that "+
			"of a member which joined an existing group: start it without founding members", e.ID, e.Given)
	}
	return fmt.Sprintf("node: member %d is started with the founding members %v, but was founded with %v: give it those, "+
		"whatever the membership is now, or none at all, to go on from what is stored", e.ID, e.Given, e.Stored)
}

// Is makes every *FoundingError match [ErrFounding].
func (e *FoundingError) Is(target error) bool { return target == ErrFounding }

// InvariantError is what the node panics with when it finds its own state broken. It is final:
// every later Step returns it.
type InvariantError struct {
	ID     ID
	Role   Role
	Term   Term
	Commit Index
	Detail string
}

func (e *InvariantError) Error() string {
	return fmt.Sprintf("node: invariant broken on member %d (%v, term %d, commit %d): %s; "+
		"this is a defect of raftactor: please report it", e.ID, e.Role, e.Term, e.Commit, e.Detail)
}

// Fault is a kind of claim by a peer that cannot be true.
type Fault uint8

const (
	// FaultMalformed is a message that no correct member sends.
	FaultMalformed Fault = iota + 1
	// FaultConflict is an entry that contradicts one that is committed here.
	FaultConflict
	// FaultSecondLeader is a second leader in one term.
	FaultSecondLeader
	// FaultMatch is an acknowledgement, or a commit index, beyond what the log holds.
	FaultMatch
	// FaultIncarnation is a promise by another life of a member than the one that is known.
	FaultIncarnation
	faultCount
)

func (f Fault) String() string {
	switch f {
	case FaultMalformed:
		return "malformed"
	case FaultConflict:
		return "conflict with committed entries"
	case FaultSecondLeader:
		return "second leader in a term"
	case FaultMatch:
		return "index beyond the log"
	case FaultIncarnation:
		return "another incarnation"
	default:
		return fmt.Sprintf("fault(%d)", uint8(f))
	}
}
