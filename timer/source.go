package timer

import (
	"container/heap"
	"sync"
	"time"
)

// A Source calls its subscribers as their ticks pass. It is safe for concurrent use.
type Source interface {
	// Subscribe has tick called whenever an interval has passed, with the number of intervals
	// since the last call: more than 1 if calls were missed. Calls of all subscriptions of one
	// source come from one goroutine at a time, so tick must be quick, must not block, and must
	// not panic: it posts to a mailbox. It may use the source and its subscriptions. Subscribe
	// panics if interval is not positive.
	Subscribe(interval time.Duration, tick func(elapsed int)) *Subscription
}

// A Subscription is one subscriber's place in a Source. Its methods are safe for concurrent use.
type Subscription struct {
	schedule *schedule
	tick     func(elapsed int)
	interval time.Duration
	origin   time.Duration // one interval before the first instant of the grid
	number   uint64        // in the order of Subscribe

	// Guarded by schedule.mu.
	counted int64         // ticks reported so far
	stride  int64         // ticks from one call to the next; at least 1
	due     time.Duration // of the next call; always origin + (counted+stride)*interval
	place   int           // in schedule.queue; notQueued if cancelled
}

const notQueued = -1

// longest bounds intervals and strides, so that no instant is beyond what a Duration holds. It is
// 36 years.
const longest time.Duration = 1 << 60

// checked returns the interval within bounds.
func checked(interval time.Duration) time.Duration {
	if interval <= 0 {
		panic("timer: interval is not positive")
	}
	return min(interval, longest)
}

// Cancel ends the subscription: no call begins once it has returned. It does not wait for one that is
// running, as little as [time.Timer.Stop] does; so it never blocks, and a call may use it. Cancel may
// be called again.
func (s *Subscription) Cancel() {
	s.schedule.mu.Lock()
	defer s.schedule.mu.Unlock()
	if s.place != notQueued {
		heap.Remove(&s.schedule.queue, s.place)
		s.schedule.changed()
	}
}

// SetStride has calls come every so many ticks instead of every tick, from the last call on: an
// idle group costs less with a stride of 20, and its ticks are still all counted. If more than
// stride ticks have already passed, a call is due at once. SetStride panics if ticks is not
// positive.
func (s *Subscription) SetStride(ticks int) {
	if ticks <= 0 {
		panic("timer: stride is not positive")
	}
	s.schedule.mu.Lock()
	defer s.schedule.mu.Unlock()
	s.stride = max(1, min(int64(ticks), int64(longest/s.interval)))
	s.setDue()
	if s.place != notQueued {
		heap.Fix(&s.schedule.queue, s.place)
		s.schedule.changed()
	}
}

// setDue is called with schedule.mu held.
func (s *Subscription) setDue() {
	s.due = s.origin + time.Duration(s.counted+s.stride)*s.interval
}

// A schedule is what the sources have in common: who is due when, and calling them. Time is the
// duration since the source was made, by a clock that never goes back.
type schedule struct {
	// changed is called with mu held when the head of the queue may have changed, except by
	// runDue. Constant.
	changed func()

	mu sync.Mutex
	// Guarded by mu.
	queue      dueQueue
	subscribed uint64 // subscriptions ever made
	calling    bool   // a call is running
}

// add puts a new subscription into the queue. It is called with mu held.
func (s *schedule) add(now, phase, interval time.Duration, tick func(int)) *Subscription {
	subscription := &Subscription{
		schedule: s,
		tick:     tick,
		interval: interval,
		origin:   now + phase,
		number:   s.subscribed,
		stride:   1,
	}
	s.subscribed++
	subscription.setDue()
	heap.Push(&s.queue, subscription)
	s.changed()
	return subscription
}

// isDue tells if somebody is due at now. It is called with mu held.
func (s *schedule) isDue(now time.Duration) bool {
	return len(s.queue) > 0 && s.queue[0].due <= now
}

// runDue calls whoever is due at now, in order, on this goroutine. It is called with mu held, and lets
// go of it during calls.
func (s *schedule) runDue(now time.Duration) {
	for s.isDue(now) {
		next := s.queue[0]
		total := int64((now - next.origin) / next.interval)
		elapsed := int(total - next.counted)
		next.counted = total
		next.setDue()
		heap.Fix(&s.queue, 0)

		s.call(next, elapsed)
	}
}

// call is called with mu held, and holds it again when it returns or panics.
func (s *schedule) call(subscription *Subscription, elapsed int) {
	s.calling = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.calling = false
	}()
	subscription.tick(elapsed)
}

// A dueQueue is a heap: first whoever is due first, and of those due together, whoever has
// subscribed first.
type dueQueue []*Subscription

func (q dueQueue) Len() int { return len(q) }

func (q dueQueue) Less(i, j int) bool {
	if q[i].due != q[j].due {
		return q[i].due < q[j].due
	}
	return q[i].number < q[j].number
}

func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is called by package heap.
func (q *dueQueue) Push(x any) {
	s := x.(*Subscription)
	s.place = len(*q)
	*q = append(*q, s)
}

// Pop is called by package heap.
func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	s.place = notQueued
	return s
}
