package raft

import (
	"math"

	"github.com/asynkron/protoactor-go/actor"
)

// Subscribers of a random schedule: with little credit, grants of which some are lost and some repeated, and those who
// go on elsewhere when a stream ends.

// randomStream is a stream of a schedule.
type randomStream struct {
	*stream
	member ID
	// after is the stream that this one goes on with, or nil.
	after *randomStream
	// followed: another one goes on with it.
	followed bool
}

// isDead tells whether there was no member to subscribe at.
func (r *randomStream) isDead() bool {
	got := r.in.all()
	if len(got) == 0 {
		return false
	}
	_, dead := got[0].(*actor.DeadLetterResponse)
	return dead && !r.started
}

func (s *schedule) subscribeAt(id ID, from uint64, after *randomStream) {
	credit := 1 + s.rng.Uint64N(5)
	r := &randomStream{stream: newStream(s.TB, s.ask(id, &Subscribe{FromIndex: from, Credit: credit})), member: id, after: after}
	r.credit = credit
	s.streams = append(s.streams, r)
}

// grantSome grants credit to one of the subscribers, or loses or repeats a grant.
func (s *schedule) grantSome() {
	if len(s.streams) == 0 {
		return
	}
	r := s.streams[s.rng.IntN(len(s.streams))]
	if r.isDead() {
		return
	}
	r.take()
	switch s.rng.IntN(4) {
	case 0: // lost
	case 1:
		r.grant(s.fixture, r.member, s.rng.Uint64N(r.credit+1))
	default:
		r.grant(s.fixture, r.member, uint64(len(r.commands))+s.rng.Uint64N(8))
	}
}

// resumeSome has one of the subscribers whose stream has ended go on at a member.
func (s *schedule) resumeSome(id ID) {
	for _, r := range s.streams {
		if r.followed || r.isDead() {
			continue
		}
		if r.take(); r.ended != nil {
			r.followed = true
			s.subscribeAt(id, r.ended.ResumeIndex, r)
			return
		}
	}
}

// finishStreams gives all of them the credit for what is left.
func (s *schedule) finishStreams() {
	for _, r := range s.streams {
		if !r.isDead() {
			r.grant(s.fixture, r.member, math.MaxUint64)
		}
	}
	s.settle()
}

// judgeStreams wants each subscriber to have seen every command between the first and the last, also from one stream to
// the next, and those whose stream has not ended to have seen the last of all.
func (s *schedule) judgeStreams(counts map[Index]uint64) {
	all := s.machines[1].all()
	for _, r := range s.streams {
		if r.isDead() {
			continue
		}
		r.take()
		before := r.lastBefore()
		for _, index := range r.indices {
			if before != 0 && counts[Index(index)] != counts[Index(before)]+1 {
				s.Fatalf("a subscriber got %d after %d", index, before)
			}
			before = index
		}
		switch {
		case r.ended == nil:
			s.tally.streams++
			if last := uint64(all[len(all)-1].Index); r.previous < last {
				s.Fatalf("a subscriber of member %d has got no further than %d, and %d is applied", r.member, r.previous, last)
			}
		case r.ended.Reason == SubscriptionEnded_SNAPSHOT:
			s.tally.covered++
		}
		if r.after != nil && len(r.indices) > 0 {
			s.tally.resumed++
		}
	}
}

// lastBefore is the last index that the subscriber had got when this stream began, or zero if there may be something in
// between.
func (r *randomStream) lastBefore() uint64 {
	for before := r.after; before != nil && before.ended.Reason == SubscriptionEnded_STOPPED; before = before.after {
		if n := len(before.indices); n > 0 {
			return before.indices[n-1]
		}
	}
	return 0
}
