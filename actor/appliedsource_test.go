package raft

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// scripted stands for a member: a test says what it sends to whoever subscribes, on the subscriber's goroutine.
type scripted struct {
	system *actor.ActorSystem
	pid    *actor.PID
	// asked are the indices that were subscribed from.
	asked []uint64
	play  func(attempt int, tell func(...any))
	// watchers are how many watch it, and dies has it tell each at once that it is dead.
	watchers int
	dies     bool
}

func newScripted(system *actor.ActorSystem, play func(attempt int, tell func(...any))) *scripted {
	s := &scripted{system: system, play: play}
	s.pid, _ = system.ProcessRegistry.Add(s, "scripted"+system.ProcessRegistry.NextId())
	return s
}

func (s *scripted) SendUserMessage(_ *actor.PID, message any) {
	_, request, sender := actor.UnwrapEnvelope(message)
	if m, ok := request.(*Subscribe); ok {
		s.asked = append(s.asked, m.FromIndex)
		s.play(len(s.asked), func(messages ...any) {
			for _, m := range messages {
				tell(s.system, sender, m)
			}
		})
	}
}

func (s *scripted) SendSystemMessage(_ *actor.PID, message any) {
	switch m := message.(type) {
	case *actor.Watch:
		s.watchers++
		if s.dies {
			watcher, _ := s.system.ProcessRegistry.Get(m.Watcher)
			watcher.SendSystemMessage(m.Watcher, &actor.Terminated{Who: s.pid})
		}
	case *actor.Unwatch:
		s.watchers--
	}
}
func (*scripted) Stop(*actor.PID) {}

func startedAt(index uint64) *SubscriptionStarted {
	return &SubscriptionStarted{PreviousIndex: index - 1}
}

func appliedAt(index, previous, number uint64) *Applied {
	return &Applied{Index: index, Term: 1, PreviousIndex: previous, Number: number}
}

// What does not follow what came before is not passed on: the stream begins again where it was.
func TestAppliedPassesNoGapOn(t *testing.T) {
	for name, wrong := range map[string][]any{
		"a gap":                    {startedAt(5), appliedAt(5, 4, 1), appliedAt(8, 6, 2)},
		"a lost first":             {startedAt(5), appliedAt(6, 5, 2)},
		"a duplicate":              {startedAt(5), appliedAt(5, 4, 1), appliedAt(5, 4, 1)},
		"an older one":             {startedAt(5), appliedAt(5, 4, 1), appliedAt(3, 5, 2)},
		"a number left out":        {startedAt(5), appliedAt(5, 4, 1), appliedAt(6, 5, 3)},
		"a start that is too late": {startedAt(6), appliedAt(6, 5, 1)},
		"a start that is too soon": {startedAt(4), appliedAt(4, 3, 1)},
		"two starts":               {startedAt(5), appliedAt(5, 4, 1), startedAt(6)},
		"no start":                 {appliedAt(5, 4, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			system := quietSystem()
			member := newScripted(system, nil)
			member.play = func(attempt int, tell func(...any)) {
				from := member.asked[attempt-1]
				if attempt == 1 {
					tell(wrong...)
					return
				}
				tell(startedAt(from))
				for i := range uint64(4) {
					tell(appliedAt(from+i, from+i-1, i+1))
				}
			}
			other := newScripted(system, func(int, func(...any)) {})
			c := NewClient(system, member.pid, other.pid)
			defer c.Close()
			var got []Index
			for _, command := range collectAll(t, within(t, 10*time.Second), c, 5, 4) {
				got = append(got, command.Index)
			}
			if want := []Index{5, 6, 7, 8}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if len(member.asked) != 2 || len(other.asked) > 0 {
				t.Errorf("asked %d times, and %d times another member, want twice and never", len(member.asked), len(other.asked))
			}
		})
	}
}

// A member that cannot go on is left for the next one, each in turn.
func TestAppliedAsksTheOtherMembers(t *testing.T) {
	for name, answer := range map[string]func() []any{
		"STOPPED at once":       func() []any { return []any{endOf(SubscriptionEnded_STOPPED, 5)} },
		"STOPPED after a start": func() []any { return []any{startedAt(5), endOf(SubscriptionEnded_STOPPED, 5)} },
		"a snapshot":            func() []any { return []any{endOf(SubscriptionEnded_SNAPSHOT, 50)} },
		"overloaded":            func() []any { return []any{tooManySubscribers()} },
		"a dead letter":         func() []any { return []any{&actor.DeadLetterResponse{}} },
	} {
		t.Run(name, func(t *testing.T) {
			system := quietSystem()
			helpless := func(_ int, tell func(...any)) { tell(answer()...) }
			first, second := newScripted(system, helpless), newScripted(system, helpless)
			third := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(5), appliedAt(5, 4, 1)) })
			gone := actor.NewPID(system.Address(), "gone")
			c := NewClient(system, first.pid, gone, second.pid, third.pid)
			defer c.Close()
			collectAll(t, within(t, 10*time.Second), c, 5, 1)
			for _, m := range []*scripted{first, second, third} {
				if !slices.Equal(m.asked, []uint64{5}) {
					t.Errorf("asked from %v, want from 5 once", m.asked)
				}
				if m.watchers != 0 {
					t.Errorf("watched by %d, want nobody", m.watchers)
				}
			}
		})
	}
}

func TestAppliedHearsOfTheEndOfItsMember(t *testing.T) {
	system := quietSystem()
	first := newScripted(system, func(int, func(...any)) {})
	first.dies = true
	second := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(5), appliedAt(5, 4, 1)) })
	c := NewClient(system, first.pid, second.pid)
	defer c.Close()
	collectAll(t, within(t, 5*time.Second), c, 5, 1)
}

// What comes after the end is of no subscription.
func TestAppliedIgnoresWhatComesAfterTheEnd(t *testing.T) {
	system := quietSystem()
	member := newScripted(system, func(attempt int, tell func(...any)) {
		from := uint64(4 + attempt)
		tell(startedAt(from), appliedAt(from, from-1, 1), endOf(SubscriptionEnded_STOPPED, Index(from+1)), appliedAt(from+1, from, 2))
	})
	c := NewClient(system, member.pid)
	defer c.Close()
	collectAll(t, within(t, 10*time.Second), c, 5, 3)
	if want := []uint64{5, 6, 7}; !slices.Equal(member.asked, want) {
		t.Errorf("asked from %v, want %v", member.asked, want)
	}
}

// What a member could not give before the stream got on is forgotten.
func TestAppliedForgetsAGapThatItHasGotOver(t *testing.T) {
	system := quietSystem()
	first := newScripted(system, func(attempt int, tell func(...any)) {
		if attempt == 1 {
			tell(endOf(SubscriptionEnded_SNAPSHOT, 50))
		} else {
			tell(startedAt(6), appliedAt(6, 5, 1))
		}
	})
	second := newScripted(system, func(_ int, tell func(...any)) {
		tell(startedAt(5), appliedAt(5, 4, 1), endOf(SubscriptionEnded_STOPPED, 6))
	})
	c := NewClient(system, first.pid, second.pid)
	defer c.Close()
	collectAll(t, within(t, 10*time.Second), c, 5, 2)
}

// The first message of a stream from now on says where that is, and it goes on there.
func TestAppliedRemembersWhereNowWas(t *testing.T) {
	system := quietSystem()
	first := newScripted(system, func(_ int, tell func(...any)) {
		tell(startedAt(7), endOf(SubscriptionEnded_STOPPED, 7))
	})
	second := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(7), appliedAt(9, 6, 1)) })
	c := NewClient(system, first.pid, second.pid)
	defer c.Close()
	collectAll(t, within(t, 10*time.Second), c, 0, 1)
	if !slices.Equal(first.asked, []uint64{0}) || !slices.Equal(second.asked, []uint64{7}) {
		t.Errorf("asked from %v and %v, want from 0 and 7", first.asked, second.asked)
	}
}

// It is a gap only if nobody has it, and the nearest place is the one to go on from.
func TestAppliedEndsOnlyIfASnapshotCoversItEverywhere(t *testing.T) {
	system := quietSystem()
	at := func(resume Index) *scripted {
		return newScripted(system, func(_ int, tell func(...any)) { tell(endOf(SubscriptionEnded_SNAPSHOT, resume)) })
	}
	members := []*scripted{at(50), at(40), at(60)}
	c := NewClient(system, members[0].pid, members[1].pid, members[2].pid, actor.NewPID(system.Address(), "gone"))
	defer c.Close()
	_, err := collect(within(t, 10*time.Second), c, 5, 1)
	var gap *GapError
	if !errors.As(err, &gap) || *gap != (GapError{Wanted: 5, Resume: 40}) {
		t.Errorf("got %v, want a gap from 5 to 40", err)
	}
	for _, m := range members {
		if len(m.asked) != 1 {
			t.Errorf("asked %d times, want once", len(m.asked))
		}
	}
}

// A member that is asked twice stands for nobody else.
func TestAppliedCountsMembersAndNotAttempts(t *testing.T) {
	system := quietSystem()
	gap := endOf(SubscriptionEnded_SNAPSHOT, 50)
	first := newScripted(system, func(attempt int, tell func(...any)) {
		if attempt == 1 {
			tell(appliedAt(5, 4, 1)) // without a start: broken
		} else {
			tell(gap)
		}
	})
	second := newScripted(system, func(_ int, tell func(...any)) { tell(gap) })
	third := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(5), appliedAt(5, 4, 1)) })
	c := NewClient(system, first.pid, second.pid, third.pid)
	defer c.Close()
	if _, err := collect(within(t, 10*time.Second), c, 5, 1); err != nil {
		t.Errorf("got %v, want what the third member has", err)
	}
}

// What cannot be got over by asking again is returned.
func TestAppliedReturnsARefusal(t *testing.T) {
	system := quietSystem()
	member := newScripted(system, func(_ int, tell func(...any)) { tell(invalid("no")) })
	c := NewClient(system, member.pid)
	defer c.Close()
	_, err := collect(within(t, 10*time.Second), c, 5, 1)
	var rejected *RejectedError
	if !errors.As(err, &rejected) || rejected.Code != Code_INVALID {
		t.Errorf("got %v, want the refusal", err)
	}
}

// A member that does not begin is given up. One that has begun and says nothing for long is asked anew if it is in
// another process, where something may have got lost.
func TestAppliedDoesNotWaitForASilentMemberForever(t *testing.T) {
	system := quietSystem()
	first := newScripted(system, func(int, func(...any)) {})
	second := newScripted(system, nil)
	second.pid = actor.NewPID("far.away:1", "member")
	system.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) {
		return second, pid.Address == second.pid.Address
	})
	second.play = func(attempt int, tell func(...any)) {
		if attempt == 1 {
			tell(startedAt(5), appliedAt(5, 4, 1))
		} else {
			tell(startedAt(6), appliedAt(6, 5, 1))
		}
	}
	s := &appliedStream{
		system: system, members: []*actor.PID{first.pid, second.pid}, next: 5, silence: 5 * time.Millisecond,
	}
	defer s.leave()
	for want := Index(5); want <= 6; want++ {
		commands, err := s.receive(within(t, 10*time.Second))
		if err != nil || len(commands) != 1 || commands[0].Index != want {
			t.Fatalf("got %v, %v, want index %d", commands, err, want)
		}
		s.delivered(&commands[0])
	}
	if !slices.Equal(first.asked, []uint64{5}) || !slices.Equal(second.asked, []uint64{5, 6}) {
		t.Errorf("asked from %v and %v", first.asked, second.asked)
	}
}

// In one process nothing gets lost, and a silence means that there is nothing.
func TestAppliedLeavesASilentMemberOfItsOwnProcessAlone(t *testing.T) {
	system := quietSystem()
	member := newScripted(system, func(_ int, tell func(...any)) { tell(startedAt(5)) })
	s := &appliedStream{system: system, members: []*actor.PID{member.pid}, next: 5, silence: time.Millisecond}
	defer s.leave()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if len(member.asked) != 1 {
		t.Errorf("asked %d times, want once", len(member.asked))
	}
}
