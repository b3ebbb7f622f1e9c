package raft

import (
	"container/list"
	"math"
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
	// grantedBytes is how many bytes they may come to before the last of them, and givenBytes what they come to, where
	// that is limited. The former is raised by whoever posts a grant, the latter written by the feeder.
	grantedBytes, givenBytes atomic.Uint64
	// countsBytes: the subscriber has said how many bytes it takes.
	countsBytes bool
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

// unlimitedBytes is what those are granted who need not be limited: what they are given is shared with the log.
const unlimitedBytes = math.MaxUint64

// creditBytesEach is what a command counts beside its length.
const creditBytesEach = 64

// CreditBytes is what it counts where credit is given in bytes.
func (x *Applied) CreditBytes() uint64 { return creditBytesEach + uint64(len(x.GetCommand())) }

// allow grants what the subscriber has asked for, before anything is given.
func (s *subscription) allow(m *Subscribe) {
	s.granted.Store(m.Credit)
	if m.Credit == 0 {
		s.granted.Store(creditDefault)
	}
	s.countsBytes = m.CreditBytes != 0
	switch {
	case !s.local && s.countsBytes:
		s.grantedBytes.Store(min(m.CreditBytes, creditBytesMax))
	case !s.local:
		s.grantedBytes.Store(creditBytesDefault)
	case s.countsBytes:
		s.grantedBytes.Store(m.CreditBytes)
	default:
		s.grantedBytes.Store(unlimitedBytes)
	}
}

// raise grants more. It tells whether it is more. It is called with the feed's mu held.
func (s *subscription) raise(m *GrantCredit) (more bool) {
	if m.UpTo > s.granted.Load() {
		s.granted.Store(m.UpTo)
		more = true
	}
	upTo := m.UpToBytes
	switch {
	case s.local:
	case upTo == 0 && !s.countsBytes:
		upTo = s.givenBytes.Load() + creditBytesDefault
	default:
		upTo = min(upTo, s.givenBytes.Load()+creditBytesMax)
	}
	if upTo > s.grantedBytes.Load() {
		s.grantedBytes.Store(upTo)
		more = true
	}
	return more
}

// isSpent tells whether it has used its credit up.
func (s *subscription) isSpent() bool {
	return s.number >= s.granted.Load() || s.givenBytes.Load() >= s.grantedBytes.Load()
}

// post sends the subscriber something. It tells whether that takes messages: there is no knowing what bears its name.
func (s *subscription) post(to actor.Process, message any) (ok bool) {
	defer func() { ok = recover() == nil }()
	to.SendUserMessage(s.subscriber, message)
	return true
}

// start says where the stream starts.
func (s *subscription) start(to actor.Process) (ok bool) {
	if s.started {
		return true
	}
	s.started = true
	return s.post(to, &SubscriptionStarted{PreviousIndex: uint64(s.previous)})
}

// afford is the end of the commands from first on that the bytes granted are enough for: what is sent last may exceed them.
func (s *subscription) afford(c *chunk, first, end int) int {
	limit := s.grantedBytes.Load()
	if limit == unlimitedBytes {
		return end
	}
	given := s.givenBytes.Load()
	k := first
	for ; k < end && given < limit; k++ {
		given += creditBytesEach + uint64(len(c.commands[k].Data))
	}
	s.givenBytes.Store(given)
	return k
}

// give hands the part of a chunk over that the subscriber has not got, as far as its credit goes, and no more than most
// commands. It returns how many, and whether the subscriber takes them.
func (s *subscription) give(to actor.Process, c *chunk, most int) (given int, ok bool) {
	if !s.start(to) {
		return 0, false
	}
	first := c.search(s.next)
	end := first + int(min(uint64(len(c.commands)-first), uint64(most), s.granted.Load()-s.number))
	end = s.afford(c, first, end)
	messages := c.messages(first, end, s.previous, s.number)
	for k := range messages {
		if !s.post(to, &messages[k]) {
			return k, false
		}
	}
	if end > first {
		s.previous, s.number = c.commands[end-1].Index, messages[end-first-1].Number
	}
	if s.next = c.hi; end < len(c.commands) {
		s.next = c.commands[end].Index
	}
	return end - first, true
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
