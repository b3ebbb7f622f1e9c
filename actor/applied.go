package raft

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ErrGap matches every [*GapError].
var ErrGap = errors.New("raft: a snapshot covers what was to come next")

// GapError ends a stream of applied commands whose place is not in the log of any member any more. Get what came before
// Resume from the machine, by a query, and go on from there.
type GapError struct {
	// Wanted is the first index that was not delivered, and Resume the first that can be.
	Wanted, Resume Index
}

func (e *GapError) Error() string {
	return fmt.Sprintf("raft: the applied commands from index %d on are not in the log any more, a snapshot covers them: "+
		"query the machine for its state, and go on from index %d", e.Wanted, e.Resume)
}

// Is matches [ErrGap].
func (e *GapError) Is(target error) bool { return target == ErrGap }

const (
	// appliedWindow is how many commands a stream holds at most that the loop has not come to, and appliedWindowBytes how
	// many bytes they may come to, but for the last.
	appliedWindow      = 1024
	appliedWindowBytes = 4 << 20
	// appliedSilence is how long a stream waits for its member to say something. One that has not begun by then is given
	// up, and one in another process is asked anew: what got lost on the way heals by that.
	appliedSilence = 10 * time.Second
	// Pauses between members that could not help.
	appliedPauseMin = 5 * time.Millisecond
	appliedPauseMax = 200 * time.Millisecond
)

// Applied yields the applied commands from an index on, in order, each once and without a gap; from index 0 that is what
// is applied from now on, as the client's member sees it. They come from the first of the client's members, and when that
// stops from the next one that can go on at the same place.
//
// It ends with an error, which is yielded last: the context's, wrapped, when that is done; [ErrClosed] when the client is
// closed; a [*GapError] when a snapshot covers the place on all members that can be asked. Leaving the loop ends the
// subscription. A loop that is slow holds nobody up: the stream keeps up to 1,024 commands for it, or 4 MiB of them and one
// more, and the rest stays in the log, unless that is compacted.
//
// The data of a command is shared with the log. It stays as it is, and must not be changed; who keeps many copies what is
// needed. One sequence may be ranged over several times, at once too: each is a stream of its own.
func (c *Client) Applied(ctx context.Context, from Index) iter.Seq2[Command, error] {
	return func(yield func(Command, error) bool) {
		s := appliedStream{system: c.system, members: c.members, closed: c.closed, next: from, silence: appliedSilence}
		defer s.leave()
		for {
			commands, err := s.receive(ctx)
			for k := range commands {
				if err = s.over(ctx); err != nil {
					break
				}
				if !yield(commands[k], nil) {
					return
				}
				s.delivered(&commands[k])
			}
			if err != nil {
				yield(Command{}, err)
				return
			}
		}
	}
}

// appliedStream is one loop over applied commands. Its fields belong to the loop's goroutine.
type appliedStream struct {
	system  *actor.ActorSystem
	members []*actor.PID
	closed  <-chan struct{} // the client is
	silence time.Duration

	// next is the first index that was not delivered. Zero: nobody has said yet where "now" is.
	next Index
	// at says which member is asked, and failed how often that was in vain, one time after the other: since began was
	// asked.
	at, began, failed int
	// resume is the lowest index that one of those has offered in place of next, or zero.
	resume Index

	source *appliedSource // nil between members
	// taken counts the commands of the source that were delivered, and granted is its credit; then the same in bytes.
	taken, granted           uint64
	takenBytes, grantedBytes int64
	spare                    []Command
	timer                    *time.Timer
}

// receive waits for commands. They are its own until the next call.
func (s *appliedStream) receive(ctx context.Context) ([]Command, error) {
	for {
		if s.source == nil {
			if err := s.subscribe(ctx); err != nil {
				return nil, err
			}
		}
		clear(s.spare)
		commands, state := s.source.take(s.spare[:0])
		s.spare = commands
		if state.started {
			s.began, s.failed, s.resume = s.at, 0, 0
			if s.next == 0 {
				s.next = state.first
			}
		}
		if len(commands) > 0 {
			return commands, nil
		}
		if state.end != nil {
			if err := s.ended(state.end); err != nil {
				return nil, err
			}
			continue
		}
		if err := s.wait(ctx, state.started); err != nil {
			return nil, err
		}
	}
}

// subscribe asks the member whose turn it is. After one that could not help there is a pause.
func (s *appliedStream) subscribe(ctx context.Context) error {
	if len(s.members) == 0 {
		return errors.New("raft: receiving applied commands: the client was given no members")
	}
	if s.failed > 0 {
		s.pause(ctx, min(appliedPauseMin<<min(s.failed-1, 10), appliedPauseMax))
	}
	if err := s.over(ctx); err != nil {
		return err
	}
	s.taken, s.granted = 0, appliedWindow
	s.takenBytes, s.grantedBytes = 0, appliedWindowBytes
	s.source = newAppliedSource(s.system, s.members[s.at%len(s.members)], s.next)
	return nil
}

// ended leaves a source that is over, and decides who is asked next.
func (s *appliedStream) ended(end *appliedEnd) error {
	s.leave()
	s.failed++
	if !end.broken {
		s.at++
	}
	if end.rejected != nil && end.rejected.Code != Code_OVERLOADED && end.rejected.Code != Code_STOPPED {
		return fmt.Errorf("raft: receiving applied commands: %w", end.rejected.Err())
	}
	if s.next != 0 && end.resume > s.next && (s.resume == 0 || end.resume < s.resume) {
		s.resume = end.resume
	}
	if s.resume != 0 && s.at-s.began >= len(s.members) {
		return &GapError{Wanted: s.next, Resume: s.resume}
	}
	return nil
}

// wait waits until the source has something to say, or has been silent for too long.
func (s *appliedStream) wait(ctx context.Context, started bool) error {
	if s.timer == nil {
		s.timer = time.NewTimer(s.silence)
	} else {
		s.timer.Reset(s.silence)
	}
	select {
	case <-s.source.arrived:
	case <-s.timer.C:
		switch {
		case !started:
			s.leave()
			s.at, s.failed = s.at+1, s.failed+1
		case !isHere(s.system, s.source.member):
			s.leave()
		}
	case <-ctx.Done():
	case <-s.closed:
	}
	return s.over(ctx)
}

// over tells why the stream must end now, if it must.
func (s *appliedStream) over(ctx context.Context) error {
	select {
	case <-s.closed:
		return s.cause(ErrClosed)
	default:
	}
	if err := ctx.Err(); err != nil {
		return s.cause(err)
	}
	return nil
}

func (s *appliedStream) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-s.closed:
	}
}

func (s *appliedStream) cause(err error) error {
	return fmt.Errorf("raft: receiving applied commands from index %d on: %w", s.next, err)
}

// delivered takes note of what the loop is done with, and grants credit for it in portions.
func (s *appliedStream) delivered(command *Command) {
	s.next = command.Index + 1
	s.taken++
	s.takenBytes += creditBytesEach + int64(len(command.Data))
	if s.granted-s.taken <= appliedWindow/2 || s.grantedBytes-s.takenBytes <= appliedWindowBytes/2 {
		s.granted, s.grantedBytes = s.taken+appliedWindow, s.takenBytes+appliedWindowBytes
		s.source.grant(s.granted, uint64(s.grantedBytes))
	}
}

func (s *appliedStream) leave() {
	if s.source != nil {
		s.source.leave()
		s.source = nil
	}
}
