package raft

import (
	"container/list"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

const (
	// replayBytesMax limits how much of the log is read at once for subscribers.
	replayBytesMax = 1 << 20
	// givenMax limits how many commands are given out of one chunk. Whoever has not come to its turn by then is the
	// first for whom the log is read next.
	givenMax = 1 << 14
)

// logWanted asks for entries from lo on, up to but without hi, all of them applied.
type logWanted struct{ lo, hi Index }

// logServed is a part of the log for the feeder. It comes through the applier, so that nothing is seen that the machine
// has not applied, and is handed over once.
type logServed struct {
	// asked: it answers logWanted. Otherwise it is what the applier has just applied, or a word of what is gone.
	asked   bool
	entries []Entry
	// suppressed are indices of duplicates, which the machine has not applied and nobody is to see, in ascending order.
	suppressed []Index
	// gone: what lies before first cannot be had any more.
	gone  bool
	first Index
}

// A feeder gives subscribers what has been applied. It is an actor of its own so that no number of them holds up the
// machine. Fields belong to its turns.
//
// It pulls: one chunk of the log is read at a time, for whoever has waited longest, and given to all whose place lies
// in it. So it holds one chunk, and each subscriber what it has been granted. Those who are up to date get what the
// applier has just applied, without reading.
type feeder struct {
	owner *actor.PID // the raft actor
	feed  *feed

	subscribers map[subscriberKey]*subscription
	// all are the subscriptions in the order in which they began, and ready those of them with credit: whoever was
	// given something last is at the end.
	all, ready list.List
	// reading: a logWanted has not been answered.
	reading bool
	chunk   chunk // reused
}

func newFeeder(owner *actor.PID, feed *feed) *feeder {
	return &feeder{owner: owner, feed: feed, subscribers: map[subscriberKey]*subscription{}}
}

// Receive takes requests and chunks.
func (f *feeder) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case feederWoken:
		f.look(ctx)
	case *logServed:
		f.served(ctx, m)
	case subscribersProbed:
		f.probe(ctx)
		return
	case *actor.Terminated:
		f.terminated(ctx, m.Who)
		return
	case *actor.Stopping:
		f.stop(ctx)
		return
	default:
		return
	}
	f.goOn(ctx)
}

// look takes what subscribers have asked for.
func (f *feeder) look(ctx actor.Context) {
	asked, topped := f.feed.take()
	for _, request := range asked {
		if request.subscribe == nil {
			f.unsubscribe(ctx, request.unsubscribe)
			continue
		}
		s := request.subscribe
		if to, there := f.begin(ctx, s); there && s.next > Index(f.feed.applied.Load()) && !s.start(to) {
			f.drop(ctx, s)
		}
	}
	for _, s := range topped {
		if s.place != nil && !f.feed.park(s) {
			s.ready = f.ready.PushBack(s)
		}
	}
}

// begin takes a subscription in, in place of an earlier one of the same subscriber, unless that is gone by now.
func (f *feeder) begin(ctx actor.Context, s *subscription) (to actor.Process, there bool) {
	if before := f.subscribers[s.key]; before != nil {
		f.drop(ctx, before)
	}
	if to, there = s.reach(f.feed.system); !there {
		f.feed.forget(s)
		return nil, false
	}
	f.subscribers[s.key] = s
	s.place, s.ready = f.all.PushBack(s), f.ready.PushBack(s)
	if !s.local {
		f.feed.away.Add(1)
	}
	if s.watched() {
		ctx.Watch(s.subscriber)
	}
	return to, true
}

// drop ends a subscription without a word.
func (f *feeder) drop(ctx actor.Context, s *subscription) {
	if _, there := s.reach(f.feed.system); there && s.watched() {
		ctx.Unwatch(s.subscriber)
	}
	f.feed.forget(s)
	if !s.local {
		f.feed.away.Add(-1)
	}
	delete(f.subscribers, s.key)
	f.all.Remove(s.place)
	s.place = nil
	f.unready(s)
}

func (f *feeder) unready(s *subscription) {
	if s.ready != nil {
		f.ready.Remove(s.ready)
		s.ready = nil
	}
}

// end drops a subscription, and tells the subscriber where to go on.
func (f *feeder) end(ctx actor.Context, s *subscription, reason SubscriptionEnded_Reason, resume Index) {
	to, there := s.reach(f.feed.system)
	f.drop(ctx, s)
	if there {
		s.post(to, endOf(reason, resume))
	}
}

// unsubscribe ends a subscription at its subscriber's wish, and says so even if there is none.
func (f *feeder) unsubscribe(ctx actor.Context, subscriber *actor.PID) {
	if s := f.subscribers[keyOf(subscriber)]; s != nil {
		f.end(ctx, s, SubscriptionEnded_UNSUBSCRIBED, s.next)
		return
	}
	tell(f.feed.system, subscriber, endOf(SubscriptionEnded_UNSUBSCRIBED, 0))
}

// terminated forgets a subscriber, unless the name is borne by another actor meanwhile, which has subscribed too.
func (f *feeder) terminated(ctx actor.Context, who *actor.PID) {
	s := f.subscribers[keyOf(who)]
	if s == nil {
		return
	}
	if _, there := s.reach(f.feed.system); there && s.process != nil {
		return
	}
	f.drop(ctx, s)
}

// probe watches the subscribers in other systems again, so that it is told once more of those that are gone.
func (f *feeder) probe(ctx actor.Context) {
	for e := f.all.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*subscription); !s.local {
			ctx.Watch(s.subscriber)
		}
	}
}

// stop ends all, each where it is.
func (f *feeder) stop(ctx actor.Context) {
	f.feed.close()
	asked, _ := f.feed.take()
	for _, request := range asked {
		if request.subscribe != nil {
			f.begin(ctx, request.subscribe)
		} else {
			f.unsubscribe(ctx, request.unsubscribe)
		}
	}
	for f.all.Len() > 0 {
		s := f.all.Front().Value.(*subscription)
		f.end(ctx, s, SubscriptionEnded_STOPPED, s.next)
	}
}

// served gives out a chunk.
func (f *feeder) served(ctx actor.Context, m *logServed) {
	if m.asked {
		f.reading = false
	}
	switch {
	case m.gone:
		f.covered(ctx, m.first)
	case len(m.entries) > 0:
		if err := f.chunk.fill(m); err != nil {
			fail(ctx, f.owner, err)
			return
		}
		f.give(ctx)
		f.chunk.drop()
	}
}

// covered ends the subscriptions whose place is not in the log any more.
func (f *feeder) covered(ctx actor.Context, first Index) {
	for e := f.all.Front(); e != nil; {
		s := e.Value.(*subscription)
		e = e.Next()
		if s.next < first {
			f.end(ctx, s, SubscriptionEnded_SNAPSHOT, first)
		}
	}
}

// give gives the chunk to all whose place is in it. They stand at the end of the queue then.
func (f *feeder) give(ctx actor.Context) {
	left, last := givenMax, f.ready.Back()
	for e := f.ready.Front(); e != nil && left > 0; {
		s, here := e.Value.(*subscription), e
		e = e.Next()
		if here == last {
			e = nil
		}
		if !f.chunk.holds(s.next) {
			continue
		}
		to, there := s.reach(f.feed.system)
		if !there {
			f.drop(ctx, s)
			continue
		}
		given, ok := s.give(to, &f.chunk, left)
		left -= given
		switch {
		case !ok:
			f.drop(ctx, s)
		case s.isSpent() && f.feed.park(s):
			f.unready(s)
		default:
			f.ready.MoveToBack(here)
		}
	}
}

// goOn reads the log for whoever has waited longest. If nobody lacks anything, the applier is asked for more.
func (f *feeder) goOn(ctx actor.Context) {
	if f.reading {
		return
	}
	for {
		applied := Index(f.feed.applied.Load())
		if lo, ok := f.hungry(applied); ok {
			f.reading = true
			ctx.Send(f.owner, &logWanted{lo: lo, hi: applied + 1})
			return
		}
		if f.feed.rest(applied, f.ready.Len() > 0) {
			return
		}
	}
}

// hungry is the place of the subscription that has waited longest for something that is there.
func (f *feeder) hungry(applied Index) (lo Index, ok bool) {
	for e := f.ready.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*subscription); s.next <= applied {
			return s.next, true
		}
	}
	return 0, false
}

// serveLog reads the log for the feeder: from memory here, from further away in the reader.
func (r *raftActor) serveLog(m *logWanted) {
	log := r.storage.Log()
	if first := log.FirstIndex(); m.lo < first {
		r.work.add(&logServed{asked: true, gone: true, first: first})
		return
	}
	entries, err := log.Entries(m.lo, m.hi, replayBytesMax)
	switch {
	case err == nil:
		r.work.add(&logServed{asked: true, entries: entries})
	case err == node.ErrNotInMemory: //nolint:errorlint // documented to be returned as it is
		r.system.Root.Send(r.reader, &readLog{logWanted: *m, applier: r.applier})
	default:
		r.fail(err)
	}
}

// readLog asks the reader to serve the feeder.
type readLog struct {
	logWanted
	applier *actor.PID
}

// readLog may come too late. Then there is nothing to give, and who asks again is told what is left.
func (r *reader) readLog(ctx actor.Context, m *readLog) {
	entries, err := r.storage.ReadEntries(m.lo, m.hi, replayBytesMax)
	if err != nil {
		fail(ctx, r.owner, err)
		return
	}
	w := newWork()
	w.add(&logServed{asked: true, entries: entries})
	ctx.Send(m.applier, w)
}
