package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// What an [*UnhealthyError] matches.
var (
	// ErrNotLive: the member does nothing any more, and will not do so by itself. A process with no member
	// that does should be started again.
	ErrNotLive = errors.New("raft: the member is not live")
	// ErrNotReady: the member cannot serve requests now, or what it has applied is old. A member that is not
	// live is not ready either.
	ErrNotReady = errors.New("raft: the member is not ready")
)

// UnhealthyError says what is wrong with a member. It matches [ErrNotLive] and [ErrNotReady] where that keeps the
// member from its work, and neither of them if it is a warning: of a voter that is silent, or of a queue that is
// nearly full.
type UnhealthyError struct {
	Member *actor.PID
	// Problems are at least one.
	Problems []*Problem
}

func (e *UnhealthyError) Error() string {
	details := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		details = append(details, p.Detail)
	}
	return fmt.Sprintf("raft: member %s: %s", e.Member.GetId(), strings.Join(details, "; "))
}

// Is tells how bad it is.
func (e *UnhealthyError) Is(target error) bool {
	for _, p := range e.Problems {
		switch p.Kind {
		case Problem_STOPPED, Problem_STALLED:
			if target == ErrNotLive || target == ErrNotReady {
				return true
			}
		case Problem_NO_LEADER, Problem_MACHINE_STALLED, Problem_MACHINE_BEHIND, Problem_STORAGE_STALLED:
			if target == ErrNotReady {
				return true
			}
		}
	}
	return false
}

// Health asks a member what is wrong with it. Nil means nothing; [*UnhealthyError] says what. It takes no turn of the
// member's, so also one that is stuck answers. One that has not answered when the context is done is not ready
// (it matches [ErrNotReady], and the context's error).
//
// For a liveness probe look at errors.Is(err, ErrNotLive), for readiness at errors.Is(err, ErrNotReady), and give
// both some attempts before they act: a member is not ready during each election, and one whose process was
// paused looks stalled for a moment. A member in another actor system that cannot be reached is not ready, and matches
// [ErrUnreachable]; nobody can tell from there whether it is live.
func Health(ctx context.Context, system *actor.ActorSystem, member *actor.PID) error {
	if member == nil {
		return &UnhealthyError{nil, []*Problem{problem(Problem_STOPPED, 0, "its PID is nil: it was never started")}}
	}
	w := &statusWaiter{replies: make(chan any, 1)}
	pid, _ := system.ProcessRegistry.Add(w, fmt.Sprintf("raft-health%s-%016x", system.ProcessRegistry.NextId(), rand.Uint64()))
	defer system.ProcessRegistry.Remove(pid)
	system.Root.RequestWithCustomSender(member, &GetStatus{}, pid)
	select {
	case reply := <-w.replies:
		if m, ok := reply.(*actor.DeadLetterResponse); ok && m.Target != nil {
			return fmt.Errorf("%w: asking %s for its status: %w: nothing can be sent to %s",
				ErrNotReady, member.GetId(), ErrUnreachable, member.Address)
		}
		status, ok := reply.(*Status)
		if !ok { // rejected by a member that is stopping, or answered by Proto.Actor, since there is no such actor
			return &UnhealthyError{member, []*Problem{problem(Problem_STOPPED, 0, "its actor has stopped, or was never started")}}
		}
		if len(status.Problems) > 0 {
			return &UnhealthyError{member, status.Problems}
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: asking %s for its status: %w", ErrNotReady, member.GetId(), ctx.Err())
	}
}

// statusWaiter is a process that waits for one reply.
type statusWaiter struct{ replies chan any }

// SendUserMessage takes the first reply.
func (w *statusWaiter) SendUserMessage(_ *actor.PID, message any) {
	message = actor.UnwrapEnvelopeMessage(message)
	switch message.(type) {
	case *Status, *Rejected, *actor.DeadLetterResponse:
		select {
		case w.replies <- message:
		default:
		}
	}
}

// SendSystemMessage ignores it.
func (*statusWaiter) SendSystemMessage(*actor.PID, any) {}

// Stop has nothing to stop.
func (*statusWaiter) Stop(*actor.PID) {}

// machineBehindMax is how many committed entries a machine may have to apply before it counts as behind.
const machineBehindMax = 1 << 16

// problems judges a status by the configuration.
func (c Config) problems(s *Status) (found []*Problem) {
	add := func(kind Problem_Kind, member uint64, format string, args ...any) {
		found = append(found, problem(kind, member, format, args...))
	}
	if s.StalledMs >= c.ElectionTimeout.Milliseconds() {
		add(Problem_STALLED, 0, "the raft actor has not had a turn for %v", milliseconds(s.StalledMs))
	}
	if s.Leader == 0 {
		add(Problem_NO_LEADER, 0, "nobody is known to lead")
	}
	if s.UnsyncedMs >= c.DiskStallTimeout.Milliseconds() {
		add(Problem_STORAGE_STALLED, 0, "the oldest write has been on its way to the disk for %v", milliseconds(s.UnsyncedMs))
	}
	if s.MachineStalledMs >= c.RequestTimeout.Milliseconds() {
		add(Problem_MACHINE_STALLED, 0, "the machine has applied nothing for %v, and %d committed entries wait",
			milliseconds(s.MachineStalledMs), unapplied(s))
	}
	if s.AppliedIndex < s.SnapshotIndex {
		add(Problem_MACHINE_BEHIND, 0, "the machine has not restored the snapshot at %d yet", s.SnapshotIndex)
	} else if behind := unapplied(s); behind > machineBehindMax || nearlyFull(s.Queues.UnappliedBytes, c.UnappliedBytesMax) {
		add(Problem_MACHINE_BEHIND, 0, "the machine has %d committed entries to apply, of %d bytes in memory",
			behind, s.Queues.UnappliedBytes)
	}
	for _, m := range s.Members {
		if m.Voter && m.LastContactMs >= c.ElectionTimeout.Milliseconds() {
			add(Problem_VOTER_SILENT, m.Id, "voter %d has not been heard from for %v", m.Id, milliseconds(m.LastContactMs))
		}
	}
	for _, q := range []struct {
		limit   string
		waiting uint64
		max     int
	}{
		{"RequestsMax", s.Queues.Requests, c.RequestsMax},
		{"RequestBytesMax", s.Queues.RequestBytes, c.RequestBytesMax},
		{"PeerBytesMax", s.Queues.PeerBytes, c.PeerBytesMax},
		{"PendingMax", s.Queues.Pending, c.PendingMax},
		{"PendingBytesMax", s.Queues.PendingBytes, c.PendingBytesMax},
		{"UncommittedBytesMax", s.Queues.UncommittedBytes, c.UncommittedBytesMax},
	} {
		if nearlyFull(q.waiting, q.max) {
			add(Problem_QUEUE_NEARLY_FULL, 0, "%d of Config.%s = %d", q.waiting, q.limit, q.max)
		}
	}
	if nearlyFull(s.Queues.LogRecords, outletMax) {
		add(Problem_QUEUE_NEARLY_FULL, 0, "%d log records wait: the logger is slow or blocked", s.Queues.LogRecords)
	}
	if nearlyFull(s.Queues.Events, outletMax) {
		add(Problem_QUEUE_NEARLY_FULL, 0, "%d events wait: a handler of events is slow or blocked", s.Queues.Events)
	}
	return found
}

func problem(kind Problem_Kind, member uint64, format string, args ...any) *Problem {
	return &Problem{Kind: kind, Member: member, Detail: fmt.Sprintf(format, args...)}
}

// nearlyFull tells whether a queue is filled to more than 3/4.
func nearlyFull(waiting uint64, limit int) bool { return waiting > uint64(limit-limit/4) }

// unapplied is how many committed entries the machine has not applied.
func unapplied(s *Status) uint64 { return s.CommitIndex - min(s.CommitIndex, s.AppliedIndex) }

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
