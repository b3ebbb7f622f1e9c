package raft

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// A subscriber follows what is applied, from member to member, and with little credit. It is the process that is
// told.
type subscriber struct {
	*trial
	pid *actor.PID
	// next is where it goes on.
	next  uint64
	parts []*part
}

// A part is what one subscription has brought.
type part struct {
	member         ID
	from, credit   uint64
	started, ended bool
	// start and last are the indices before the first command and of the last, and number says how many there were.
	start, last, number uint64
	commands            []string
}

var _ actor.Process = (*subscriber)(nil)

const subscribersMax = 3

// stepSubscriber has some subscriber go on, or a new one begin.
func (t *trial) stepSubscriber() {
	k := t.rng.IntN(subscribersMax)
	if k < len(t.subscribers) {
		t.subscribers[k].step()
		return
	}
	s := &subscriber{trial: t, next: uint64(t.rng.IntN(30))}
	s.pid, _ = t.system.ProcessRegistry.Add(s, "subscriber"+t.system.ProcessRegistry.NextId())
	t.subscribers = append(t.subscribers, s)
	s.subscribe(t.someone())
}

func (s *subscriber) newest() *part { return s.parts[len(s.parts)-1] }

// step gives credit, or subscribes again somewhere.
func (s *subscriber) step() {
	p := s.newest()
	switch {
	case p.ended:
		s.subscribe(s.someone())
	case !s.isThere(p.member):
		s.find("streams", "member %d is gone, and a subscriber was not told", p.member)
	default:
		s.grant(p.number + uint64(s.rng.IntN(5)))
	}
}

func (s *subscriber) subscribe(id ID) {
	p := &part{member: id, from: s.next, credit: uint64(1 + s.rng.IntN(5))}
	s.parts = append(s.parts, p)
	s.note("%s asks member %d for %d from %d on", s.pid.Id, id, p.credit, p.from)
	s.system.Root.RequestWithCustomSender(s.pids[id], &Subscribe{FromIndex: p.from, Credit: p.credit}, s.pid)
}

func (s *subscriber) grant(upTo uint64) {
	p := s.newest()
	p.credit = max(p.credit, upTo)
	s.note("%s grants member %d up to %d", s.pid.Id, p.member, upTo)
	s.system.Root.Send(s.pids[p.member], &GrantCredit{Subscriber: s.pid, UpTo: upTo}) // nobody is to answer it
}

// SendUserMessage holds what it is told to the contract. It is called within turns.
func (s *subscriber) SendUserMessage(_ *actor.PID, message any) {
	p, message := s.newest(), actor.UnwrapEnvelopeMessage(message)
	wrong := func(why string) {
		s.find("streams", "a subscriber is told %T{%v} by member %d: %s; until now %+v",
			message, message, p.member, why, *p)
	}
	s.note("%s is told by member %d: %T{%v}", s.pid.Id, p.member, message, message)
	if p.ended {
		wrong("its subscription has ended")
	}
	switch m := message.(type) {
	case *SubscriptionStarted:
		if p.started || p.from > 0 && m.PreviousIndex != p.from-1 {
			wrong("it has started, or was to start elsewhere")
		}
		p.started, p.start, p.last = true, m.PreviousIndex, m.PreviousIndex
		s.next = m.PreviousIndex + 1
	case *Applied:
		p.number++
		linked := p.started && m.PreviousIndex == p.last && m.Index > p.last
		if !linked || m.Number != p.number || p.number > p.credit {
			wrong("it does not follow")
		}
		p.last, s.next = m.Index, m.Index+1
		p.commands = append(p.commands, string(m.Command))
		s.counts["commands published to subscribers"]++
	case *SubscriptionEnded:
		p.ended = true
		if m.ResumeIndex <= p.last && p.started {
			wrong("it would get some again")
		}
		s.next = m.ResumeIndex
		s.counts["subscriptions ended: "+m.Reason.String()]++
	case *Rejected, *actor.DeadLetterResponse:
		if p.ended = true; p.started {
			wrong("it had started")
		}
	default:
		wrong("that is no word to a subscriber")
	}
}

func (*subscriber) SendSystemMessage(*actor.PID, any) {}
func (*subscriber) Stop(*actor.PID)                   {}

// catchUp has a subscriber get all that there is, from where it is or from another member.
func (s *subscriber) catchUp(other ID) {
	last := uint64(0)
	if n := len(s.record); n > 0 {
		last = uint64(s.record[n-1].index)
	}
	for range 100 {
		s.settle()
		if s.newest().ended {
			s.subscribe(other)
			s.settle()
		}
		s.grant(1 << 20)
		s.pass(1)
		if p := s.newest(); !p.ended && p.started && (p.last >= last || p.from > last) {
			return
		}
	}
	s.find("streams", "the group is well, and a subscriber does not get to %d: %+v", last, *s.newest())
}

// judgeSubscribers wants each part to be all that was applied from where it starts to its last command, once.
func (t *trial) judgeSubscribers() {
	for _, s := range t.subscribers {
		for _, p := range s.parts {
			var want []string
			for _, d := range t.record {
				if uint64(d.index) > p.start && uint64(d.index) <= p.last {
					want = append(want, string(d.encode()))
				}
			}
			if !slices.Equal(p.commands, want) {
				t.find("streams", "a subscriber got %q from member %d, from %d to %d, want %q",
					p.commands, p.member, p.start, p.last, want)
			}
		}
	}
}
