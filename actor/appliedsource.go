package raft

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// An appliedSource is one subscription of a stream, at one member. It is a process, as a future is, and no actor: what
// comes is kept here, by whoever sends it, until the stream takes it. Its credit bounds it. It lets nothing through that
// does not follow what came before.
type appliedSource struct {
	system      *actor.ActorSystem
	member, pid *actor.PID
	// arrived has a token when something has come.
	arrived chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	commands []Command
	appliedState
	previous, number uint64 // of the last command
}

var _ actor.Process = (*appliedSource)(nil)

// appliedState is how far a source has come.
type appliedState struct {
	// started: the member has begun, at index first. Before that first is what was asked for, or zero.
	started bool
	first   Index
	// end is why nothing more comes, or nil.
	end *appliedEnd
}

// appliedEnd says why a source is over.
type appliedEnd struct {
	// broken: what came does not follow what came before. The member is all right.
	broken bool
	// resume is where the member can go on, if a snapshot covers what was asked for.
	resume   Index
	rejected *Rejected
}

// newAppliedSource subscribes at a member.
func newAppliedSource(system *actor.ActorSystem, member *actor.PID, from Index) *appliedSource {
	s := &appliedSource{system: system, member: member, arrived: make(chan struct{}, 1)}
	s.first = from
	// What is sent to a subscriber of an earlier process must not find this one.
	s.pid, _ = system.ProcessRegistry.Add(s, fmt.Sprintf("applied%s-%016x", system.ProcessRegistry.NextId(), rand.Uint64()))
	process, there := system.ProcessRegistry.Get(member)
	if !there {
		s.stop(&appliedEnd{})
		return s
	}
	process.SendSystemMessage(member, &actor.Watch{Watcher: s.pid})
	system.Root.RequestWithCustomSender(member, &Subscribe{
		FromIndex: uint64(from), Credit: appliedWindow, CreditBytes: appliedWindowBytes,
	}, s.pid)
	return s
}

// take hands over what has come, in exchange for an empty slice.
func (s *appliedSource) take(empty []Command) ([]Command, appliedState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	commands := s.commands
	s.commands = empty
	return commands, s.appliedState
}

// grant raises the credit.
func (s *appliedSource) grant(upTo, upToBytes uint64) {
	tell(s.system, s.member, &GrantCredit{Subscriber: s.pid, UpTo: upTo, UpToBytes: upToBytes})
}

// leave ends the subscription. Nothing is left of it.
func (s *appliedSource) leave() {
	s.system.ProcessRegistry.Remove(s.pid)
	s.stop(&appliedEnd{})
	if process, there := s.system.ProcessRegistry.Get(s.member); there {
		process.SendSystemMessage(s.member, &actor.Unwatch{Watcher: s.pid})
		process.SendUserMessage(s.member, &Unsubscribe{Subscriber: s.pid})
	}
}

// SendUserMessage takes what the member has sent, on the member's goroutine.
func (s *appliedSource) SendUserMessage(_ *actor.PID, message any) {
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case *Applied:
		s.applied(m)
	case *SubscriptionStarted:
		s.begin(m)
	case *SubscriptionEnded:
		end := &appliedEnd{}
		if m.Reason == SubscriptionEnded_SNAPSHOT {
			end.resume = Index(m.ResumeIndex)
		}
		s.stop(end)
	case *Rejected:
		s.stop(&appliedEnd{rejected: m})
	case *actor.DeadLetterResponse:
		s.stop(&appliedEnd{})
	}
}

// SendSystemMessage hears of the member's end.
func (s *appliedSource) SendSystemMessage(_ *actor.PID, message any) {
	if _, ok := message.(*actor.Terminated); ok {
		s.stop(&appliedEnd{})
	}
}

// Stop is asked for by nobody who knows what this is.
func (s *appliedSource) Stop(*actor.PID) { s.stop(&appliedEnd{}) }

func (s *appliedSource) begin(m *SubscriptionStarted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := Index(m.PreviousIndex) + 1
	switch {
	case s.end != nil:
		return
	case s.started || (s.first != 0 && s.first != first):
		s.end = &appliedEnd{broken: true}
	default:
		s.started, s.first, s.previous = true, first, m.PreviousIndex
	}
	s.signal()
}

func (s *appliedSource) applied(m *Applied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.end != nil:
		return
	case !s.started || m.PreviousIndex != s.previous || m.Index <= m.PreviousIndex || m.Number != s.number+1:
		s.end = &appliedEnd{broken: true}
	default:
		s.previous, s.number = m.Index, m.Number
		s.commands = append(s.commands, Command{Index: Index(m.Index), Term: Term(m.Term), Data: m.Command})
	}
	s.signal()
}

func (s *appliedSource) stop(end *appliedEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = end
	}
	s.signal()
}

func (s *appliedSource) signal() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}
