package raft

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Outcomes. An error of a request matches one of the two, and with it says all that matters for what to do next.
var (
	// ErrNotApplied: the request had no effect and will have none. It may be sent again.
	ErrNotApplied = errors.New("raft: not applied")
	// ErrUnknown: the request may have had its effect, or may yet have it. Sending it again, other than in
	// its session, may do it twice.
	ErrUnknown = errors.New("raft: outcome unknown")
)

// Reasons. Each stands for a [Code]: a [*RejectedError] matches the one of its code.
var (
	// ErrNotLeader: the member does not lead, and could not pass the request on. A client goes on looking.
	ErrNotLeader error = reason(Code_NOT_LEADER)
	// ErrOverloaded: too much is waiting, in the member or in the client. Try again later.
	ErrOverloaded error = reason(Code_OVERLOADED)
	// ErrTooLarge: the command is larger than Config.CommandBytesMax.
	ErrTooLarge error = reason(Code_TOO_LARGE)
	// ErrTransferring: leadership is being handed over. Try again.
	ErrTransferring error = reason(Code_TRANSFERRING)
	// ErrChangeInProgress: another membership change comes first. Try again.
	ErrChangeInProgress error = reason(Code_CHANGE_IN_PROGRESS)
	// ErrRefused: as things are, that cannot be done. The detail says why.
	ErrRefused error = reason(Code_REFUSED)
	// ErrSuperseded: another command has been committed in the place of this one.
	ErrSuperseded error = reason(Code_SUPERSEDED)
	// ErrDeadline: the member's time for the request was up.
	ErrDeadline error = reason(Code_DEADLINE)
	// ErrSnapshotCovers: the member was given a snapshot that covers the command's place, and cannot tell what
	// became of it.
	ErrSnapshotCovers error = reason(Code_SNAPSHOT_COVERS)
	// ErrStopped: the member has stopped, or failed, or there is no such actor.
	ErrStopped error = reason(Code_STOPPED)
	// ErrInvalid: the request is not one that a raft actor knows, or lacks what it needs.
	ErrInvalid error = reason(Code_INVALID)
	// ErrQueryFailed: the machine turned the query down.
	ErrQueryFailed error = reason(Code_QUERY_FAILED)
	// ErrSessionExpired: the group has forgotten the session. A client returns it only together with
	// [ErrUnknown]: if nothing is in doubt, it opens a new session and proposes the command there.
	ErrSessionExpired error = reason(Code_SESSION_EXPIRED)
	// ErrUnreachable: the leader cannot be reached from the member that was asked, or that member, in another actor system,
	// from here.
	ErrUnreachable error = reason(Code_UNREACHABLE)
)

// ErrClosed: the client was closed.
var ErrClosed = errors.New("raft: the client is closed")

var errNoMembers = errors.New("raft: the client was given no members")

// errNoRoom is a client's own [ErrOverloaded].
var errNoRoom error = noRoom{}

type noRoom struct{}

func (noRoom) Error() string {
	return fmt.Sprintf("%v: as many requests are under way as ClientConfig.InFlightMax allows", ErrOverloaded)
}

func (noRoom) Is(target error) bool { return target == ErrOverloaded }

// A reason is a code as an error to compare with.
type reason Code

func (r reason) Error() string { return fmt.Sprintf("raft: %v", Code(r)) }

// RejectedError is a [Rejected] as an error. It matches [ErrNotApplied] or [ErrUnknown] by its outcome, and by its
// code:
//
//	Code                 matches
//	NOT_LEADER           ErrNotLeader
//	OVERLOADED           ErrOverloaded
//	TOO_LARGE            ErrTooLarge
//	TRANSFERRING         ErrTransferring
//	CHANGE_IN_PROGRESS   ErrChangeInProgress
//	REFUSED              ErrRefused
//	SUPERSEDED           ErrSuperseded
//	DEADLINE             ErrDeadline
//	SNAPSHOT_COVERS      ErrSnapshotCovers
//	STOPPED              ErrStopped
//	INVALID              ErrInvalid
//	QUERY_FAILED         ErrQueryFailed
//	SESSION_EXPIRED      ErrSessionExpired
//	UNREACHABLE          ErrUnreachable
type RejectedError struct {
	Code    Code
	Outcome Outcome
	// Leader is the member to ask, or zero. LeaderPID is its raft actor, or nil if it cannot be reached by one.
	Leader    ID
	LeaderPID *actor.PID
	// RetryAfter is how long to wait before asking again. Zero: no need to wait.
	RetryAfter time.Duration
	Detail     string
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("raft: rejected (%v, %v): %s", e.Code, e.Outcome, e.Detail)
}

// Is tells the outcome, and the code. Whatever does not say that nothing has happened may have happened.
func (e *RejectedError) Is(target error) bool {
	if code, ok := target.(reason); ok {
		return e.Code == Code(code)
	}
	return (target == ErrNotApplied && e.Outcome == Outcome_NOT_APPLIED) ||
		(target == ErrUnknown && e.Outcome != Outcome_NOT_APPLIED)
}

// Err is the rejection as a [*RejectedError], for those who get it as a message.
func (x *Rejected) Err() error { return x.err() }

func (x *Rejected) err() *RejectedError {
	return &RejectedError{
		Code: x.Code, Outcome: x.Outcome, Leader: ID(x.Leader), LeaderPID: x.LeaderPid, Detail: x.Detail,
		RetryAfter: time.Duration(x.RetryAfterMs) * time.Millisecond,
	}
}
