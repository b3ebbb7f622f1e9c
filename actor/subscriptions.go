package raft

import (
	"container/list"
	"sort"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// subscription is one subscriber's place in the log. Its fields belong to the feeder, but where said otherwise.
type subscription struct {
	// Set before the feeder knows of it.
	subscriber *actor.PID
	key        subscriberKey
	// process is the subscriber, if it is an actor of this system: a later one of the same name is somebody else.
	process *actor.ActorProcess
	// local: it lives in this system.
	local bool

	// granted is the number up to which it may be given Applied. Raised by whoever posts a grant.
	granted atomic.Uint64
	// parked: it has used its credit up, and is not looked at until it is granted more. Guarded by the feed's mu.
	parked bool

	// next is the first index that it has not been given, and previous that of the last command that it has, or that
	// it was said to have.
	next, previous Index
	// number counts the Applied that it was given. Invariant: at most granted.
	number uint64
	// started: the subscriber knows where the stream starts.
	started bool
	// place is its element among all subscriptions, nil once it is over; ready that among those with credit, nil while
	// it has none.
	place, ready *list.Element
}

// reach finds the subscriber. It is gone if another process has its name.
func (s *subscription) reach(system *actor.ActorSystem) (to actor.Process, there bool) {
	to, there = system.ProcessRegistry.Get(s.subscriber)
	if s.process != nil && there {
		found, _ := to.(*actor.ActorProcess)
		there = found == s.process
	}
	return to, there
}

// watched tells whether it can be heard when the subscriber dies. What is no actor is not watched: a future, for one,
// would take it for its answer.
func (s *subscription) watched() bool { return s.process != nil || !s.local }

// start says where the stream starts.
func (s *subscription) start(to actor.Process) {
	if !s.started {
		s.started = true
		to.SendUserMessage(s.subscriber, &SubscriptionStarted{PreviousIndex: uint64(s.previous)})
	}
}

// give hands the part of a chunk over that the subscriber has not got, as far as its credit goes, and no more than most
// commands. It returns how many.
func (s *subscription) give(to actor.Process, c *chunk, most int) int {
	s.start(to)
	first := c.search(s.next)
	end := first + int(min(uint64(len(c.commands)-first), uint64(most), s.granted.Load()-s.number))
	messages := c.messages(first, end, s.previous, s.number)
	for k := range messages {
		to.SendUserMessage(s.subscriber, &messages[k])
	}
	if end > first {
		s.previous, s.number = c.commands[end-1].Index, messages[end-first-1].Number
	}
	if s.next = c.hi; end < len(c.commands) {
		s.next = c.commands[end].Index
	}
	return end - first
}

// endOf is the last message of a subscription.
func endOf(reason SubscriptionEnded_Reason, resume Index) *SubscriptionEnded {
	return &SubscriptionEnded{Reason: reason, ResumeIndex: uint64(resume)}
}

// A chunk is a part of the log, from lo up to but without hi, as subscribers see it.
type chunk struct {
	lo, hi   Index
	commands []Command // aliases the log, whose data is immutable

	// made are the messages that somebody was given last, from command first on. Subscribers who are at the same number
	// are given the same ones.
	made  []Applied
	first int
}

// fill takes the commands out of what was read. It is an error if that is not what a log holds.
func (c *chunk) fill(m *logServed) error {
	c.lo, c.hi = m.entries[0].Index, m.entries[len(m.entries)-1].Index+1
	c.commands, c.made = c.commands[:0], nil
	suppressed := m.suppressed
	for i := range m.entries {
		e := &m.entries[i]
		for len(suppressed) > 0 && suppressed[0] < e.Index {
			suppressed = suppressed[1:]
		}
		if e.Kind != node.EntryCommand || (len(suppressed) > 0 && suppressed[0] == e.Index) {
			continue
		}
		f, err := parseFrame(e.Data)
		if err != nil {
			return err
		}
		if f.kind != frameKindOpenSession {
			c.commands = append(c.commands, Command{Index: e.Index, Term: e.Term, Data: f.command})
		}
	}
	return nil
}

// messages are the commands from first up to but without end, for whoever has the number, and previous before them.
func (c *chunk) messages(first, end int, previous Index, number uint64) []Applied {
	count := end - first
	if count <= len(c.made) && c.first == first && (count == 0 ||
		(c.made[0].PreviousIndex == uint64(previous) && c.made[0].Number == number+1)) {
		return c.made[:count]
	}
	c.made, c.first = make([]Applied, count), first
	for k := range c.made {
		command, m := &c.commands[first+k], &c.made[k]
		number++
		m.Index, m.Term, m.Command = uint64(command.Index), uint64(command.Term), command.Data
		m.PreviousIndex, m.Number = uint64(previous), number
		previous = command.Index
	}
	return c.made
}

// drop lets go of what others may still use, and keeps its own memory.
func (c *chunk) drop() {
	clear(c.commands)
	c.made = nil
}

func (c *chunk) holds(index Index) bool { return c.lo <= index && index < c.hi }

// search finds the first command at an index or behind it.
func (c *chunk) search(index Index) int {
	if index == c.lo {
		return 0
	}
	return sort.Search(len(c.commands), func(i int) bool { return c.commands[i].Index >= index })
}
