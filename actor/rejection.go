package raft

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// retryAfterMs is the hint that goes with what is over soon.
const retryAfterMs = 50

// rejection turns an error of the core into what its asker gets.
func (r *raftActor) rejection(err error) *Rejected {
	rejected := &Rejected{Code: Code_REFUSED, Outcome: Outcome_NOT_APPLIED, Detail: err.Error()}
	var notLeader *node.NotLeaderError
	var transfer *node.TransferError
	switch {
	case errors.As(err, &notLeader):
		rejected.Code = Code_NOT_LEADER
		rejected.Leader = uint64(notLeader.Leader)
		if notLeader.Leader != node.None {
			rejected.LeaderPid = r.pidOf(notLeader.Leader)
		} else {
			rejected.RetryAfterMs = retryAfterMs
		}
	case errors.As(err, &transfer) && transfer.Undecided:
		rejected.Code, rejected.Outcome = Code_DEADLINE, Outcome_UNKNOWN
	case errors.Is(err, node.ErrOverloaded):
		return r.overload.answer(overloadedLog)
	case errors.Is(err, node.ErrCommandTooLarge):
		rejected.Code = Code_TOO_LARGE
	case errors.Is(err, node.ErrTransferring):
		rejected.Code, rejected.RetryAfterMs = Code_TRANSFERRING, retryAfterMs
	case errors.Is(err, node.ErrChangeInProgress), errors.Is(err, node.ErrNotReady), errors.Is(err, node.ErrNotHeard):
		rejected.Code, rejected.RetryAfterMs = Code_CHANGE_IN_PROGRESS, retryAfterMs
	}
	return rejected
}

// notLeader is the rejection of what the leader is to do.
func (r *raftActor) notLeader() *Rejected {
	return r.rejection(&node.NotLeaderError{Leader: r.node.Leader(), Term: r.node.Term()})
}

// pidOf is the raft actor of another member: in this actor system, or where the configuration places it if this
// system takes part in remoting. Otherwise it is nil: the PID of another system in this process looks like one of ours.
func (r *raftActor) pidOf(id ID) *actor.PID {
	pid := actor.NewPID(r.self.Address, pidName(r.cfg.Group, id))
	if _, here := r.system.ProcessRegistry.GetLocal(pid.Id); here {
		return pid
	}
	m, _ := r.node.Configuration().Member(id)
	if m.Address == "" || r.self.Address == localAddress {
		return nil
	}
	pid.Address = m.Address
	return pid
}

// localAddress is that of an actor system without remoting.
const localAddress = "nonhost"

// pidName is the name under which a raft actor lives.
func pidName(group string, id ID) string { return fmt.Sprintf("raft/%s/%d", group, id) }

// rejectStopped is the rejection of a call by a member that is no more.
func rejectStopped(c *call) *Rejected {
	return &Rejected{
		Code: Code_STOPPED, Outcome: c.outcome(),
		Detail: "the member has stopped; ask another one",
	}
}

func pastDeadline(c *call) *Rejected {
	detail := "the time is up"
	if c.outcome() == Outcome_UNKNOWN {
		detail = "the time is up, and whether it happens is not decided; it may still"
	}
	return &Rejected{Code: Code_DEADLINE, Outcome: c.outcome(), Detail: detail}
}

func rejectSuperseded() *Rejected {
	return &Rejected{
		Code: Code_SUPERSEDED, Outcome: Outcome_NOT_APPLIED, Detail: "another entry has been committed in its place",
	}
}

func rejectCovered() *Rejected {
	return &Rejected{
		Code: Code_SNAPSHOT_COVERS, Outcome: Outcome_UNKNOWN,
		Detail: "a snapshot of the leader covers its place in the log; whether it was applied cannot be told",
	}
}

func rejectNotCovered() *Rejected {
	return &Rejected{
		Code: Code_SNAPSHOT_COVERS, Outcome: Outcome_NOT_APPLIED,
		Detail: "a snapshot of the leader covers its place in the log, and its session says that it is not in it",
	}
}

func rejectExpired(session uint64) *Rejected {
	return &Rejected{
		Code: Code_SESSION_EXPIRED, Outcome: Outcome_NOT_APPLIED,
		Detail: fmt.Sprintf("session %d is not known any more, and this attempt has had no effect; an earlier one may have had one; "+
			"open a new session", session),
	}
}

func rejectGivenUp(sequence uint64) *Rejected {
	return &Rejected{
		Code: Code_SESSION_EXPIRED, Outcome: Outcome_UNKNOWN,
		Detail: fmt.Sprintf("sequence %d is below the lowest unanswered one of its session; its result is not kept", sequence),
	}
}

func rejectUnreachable() *Rejected {
	return &Rejected{
		Code: Code_UNREACHABLE, Outcome: Outcome_UNKNOWN, RetryAfterMs: retryAfterMs,
		Detail: "the leader that the request was passed on to cannot be reached any more; whether it got it cannot be told",
	}
}

func overloadedRejection(detail string) *Rejected {
	return &Rejected{
		Code: Code_OVERLOADED, Outcome: Outcome_NOT_APPLIED, RetryAfterMs: retryAfterMs, Detail: detail,
	}
}
