package raft

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// replayBytesMax limits how much of the log is read at once for a subscription.
const replayBytesMax = 1 << 20

// subscriptions feed who wants the applied commands. Owned by the applier.
type subscriptions struct {
	all []*subscription
	// numbers tells subscriptions apart.
	numbers uint64
}

// subscription is one subscriber's place in the log.
type subscription struct {
	number     uint64
	subscriber *actor.PID
	// next is the first index that it has not been given, and previous that of the last command that
	// it has, or that it said it has.
	next, previous Index
	// started: the subscriber knows where the stream starts.
	started bool
	// replaying: entries that were applied earlier are being read for it.
	replaying bool
}

// logServed answers logWanted.
type logServed struct {
	subscription uint64
	entries      []Entry
	// gone: what was asked for is not in the log any more. first is the first that is.
	gone  bool
	first Index
}

// add begins a subscription, in place of an earlier one of the same subscriber.
func (s *subscriptions) add(ctx actor.Context, owner *actor.PID, m *subscribe, applied Index) {
	if m.subscriber == nil {
		return // nobody to tell
	}
	s.forget(ctx, m.subscriber)
	from := m.from
	if from == 0 {
		from = applied + 1
	}
	s.numbers++
	sub := &subscription{number: s.numbers, subscriber: m.subscriber, next: from, previous: from - 1}
	s.all = append(s.all, sub)
	ctx.Watch(m.subscriber)
	if from > applied {
		sub.start(ctx)
		return
	}
	sub.replay(ctx, owner)
}

func (s *subscription) start(ctx actor.Context) {
	if s.started {
		return
	}
	s.started = true
	tell(ctx.ActorSystem(), s.subscriber, &SubscriptionStarted{PreviousIndex: uint64(s.previous)})
}

func (s *subscription) replay(ctx actor.Context, owner *actor.PID) {
	s.replaying = true
	ctx.Send(owner, &logWanted{subscription: s.number, lo: s.next})
}

// give hands over an entry, if it is the subscriber's turn for it.
func (s *subscription) give(ctx actor.Context, e *Entry) {
	if e.Index < s.next {
		return
	}
	s.next = e.Index + 1
	if e.Kind != node.EntryCommand {
		return
	}
	f, err := parseFrame(e.Data)
	if err != nil || f.kind == frameKindOpenSession {
		return
	}
	tell(ctx.ActorSystem(), s.subscriber, &Applied{
		Index: uint64(e.Index), Term: uint64(e.Term), PreviousIndex: uint64(s.previous), Command: f.command,
	})
	s.previous = e.Index
}

// applied gives an entry, just applied, to all who are up to date.
func (s *subscriptions) applied(ctx actor.Context, e *Entry) {
	for _, sub := range s.all {
		if !sub.replaying {
			sub.give(ctx, e)
		}
	}
}

// served goes on with a subscription for which the log has been read, up to what is applied.
func (s *subscriptions) served(ctx actor.Context, owner *actor.PID, m *logServed, applied Index) {
	k := slices.IndexFunc(s.all, func(sub *subscription) bool { return sub.number == m.subscription })
	if k < 0 {
		return
	}
	sub := s.all[k]
	if m.gone {
		s.end(ctx, k, SubscriptionEnded_SNAPSHOT, m.first)
		return
	}
	sub.start(ctx)
	for i := range m.entries {
		if e := &m.entries[i]; e.Index <= applied {
			sub.give(ctx, e)
		}
	}
	sub.replaying = sub.next <= applied
	if sub.replaying {
		sub.replay(ctx, owner)
	}
}

// restored ends the subscriptions whose place the machine has jumped over.
func (s *subscriptions) restored(ctx actor.Context, index Index) {
	for k := len(s.all) - 1; k >= 0; k-- {
		if s.all[k].next <= index {
			s.end(ctx, k, SubscriptionEnded_SNAPSHOT, index+1)
		}
	}
}

// unsubscribe ends a subscription at its subscriber's wish, and says so even if there is none.
func (s *subscriptions) unsubscribe(ctx actor.Context, subscriber *actor.PID) {
	if k := s.find(subscriber); k >= 0 {
		s.end(ctx, k, SubscriptionEnded_UNSUBSCRIBED, s.all[k].next)
	} else if subscriber != nil {
		tell(ctx.ActorSystem(), subscriber, &SubscriptionEnded{Reason: SubscriptionEnded_UNSUBSCRIBED})
	}
}

// forget drops a subscriber without a word.
func (s *subscriptions) forget(ctx actor.Context, subscriber *actor.PID) {
	if k := s.find(subscriber); k >= 0 {
		ctx.Unwatch(subscriber)
		s.all = slices.Delete(s.all, k, k+1)
	}
}

// end drops a subscriber and tells it from where on to subscribe again.
func (s *subscriptions) end(ctx actor.Context, k int, reason SubscriptionEnded_Reason, resume Index) {
	subscriber := s.all[k].subscriber
	s.forget(ctx, subscriber)
	tell(ctx.ActorSystem(), subscriber, &SubscriptionEnded{Reason: reason, ResumeIndex: uint64(resume)})
}

// stop ends all, each where it is.
func (s *subscriptions) stop(ctx actor.Context) {
	for k := len(s.all) - 1; k >= 0; k-- {
		s.end(ctx, k, SubscriptionEnded_STOPPED, s.all[k].next)
	}
}

func (s *subscriptions) find(subscriber *actor.PID) int {
	return slices.IndexFunc(s.all, func(sub *subscription) bool { return sub.subscriber.Equal(subscriber) })
}

// serveLog reads the log for a subscription: from memory here, from further away in the reader.
func (r *raftActor) serveLog(m *logWanted) {
	log := r.storage.Log()
	served := &logServed{subscription: m.subscription, first: log.FirstIndex()}
	hi := r.node.Applied() + 1
	if m.lo < served.first || m.lo >= hi {
		served.gone = true
		served.first = min(served.first, hi)
		r.work.add(served)
		return
	}
	entries, err := log.Entries(m.lo, hi, replayBytesMax)
	switch {
	case err == nil:
		served.entries = entries
		r.work.add(served)
	case err == node.ErrNotInMemory: //nolint:errorlint // documented to be returned as it is
		r.system.Root.Send(r.reader, &readLog{subscription: m.subscription, lo: m.lo, hi: hi, applier: r.applier})
	default:
		r.fail(err)
	}
}

// readLog asks the reader to serve a subscription.
type readLog struct {
	subscription uint64
	lo, hi       Index
	applier      *actor.PID
}

func (r *reader) readLog(ctx actor.Context, m *readLog) {
	entries, err := r.storage.ReadEntries(m.lo, m.hi, replayBytesMax)
	if err != nil {
		fail(ctx, r.owner, err)
		return
	}
	served := &logServed{subscription: m.subscription, entries: entries}
	if len(entries) == 0 {
		served.gone, served.first = true, m.hi
	}
	w := newWork()
	w.add(served)
	ctx.Send(m.applier, w)
}
