package timer

import (
	"math"
	"time"
)

// resolution is the least that the goroutine of a Real source sleeps. With many subscriptions,
// staggered, somebody is due every few microseconds; so those of a millisecond share one wakeup.
const resolution = time.Millisecond

// A Real source follows the monotonic clock. It has one goroutine while there are subscriptions,
// and none otherwise. Calls come up to about a millisecond late.
type Real struct {
	schedule schedule
	start    time.Time
	wakeup   chan struct{} // holds at most one token

	// Guarded by schedule.mu.
	stopped bool
	running bool          // the goroutine is there
	asleep  time.Duration // when it will wake; zero if it is awake
}

var _ Source = (*Real)(nil)

// NewReal returns a source that follows the clock.
func NewReal() *Real {
	r := &Real{start: time.Now(), wakeup: make(chan struct{}, 1)}
	r.schedule.changed = r.changed
	return r
}

// Subscribe implements Source. After Stop, tick is never called.
func (r *Real) Subscribe(interval time.Duration, tick func(elapsed int)) *Subscription {
	interval = checked(interval)
	r.schedule.mu.Lock()
	defer r.schedule.mu.Unlock()
	if r.stopped {
		return &Subscription{schedule: &r.schedule, interval: interval, place: notQueued}
	}
	return r.schedule.add(r.now(), phase(r.schedule.subscribed, interval), interval, tick)
}

// phase spreads subscriptions over the interval: each falls into one of the largest gaps that the
// ones before have left, however many there will be (multiples of the golden ratio, modulo 1).
func phase(number uint64, interval time.Duration) time.Duration {
	_, fraction := math.Modf(float64(number) * (math.Phi - 1))
	return time.Duration(fraction * float64(interval))
}

// Stop cancels all subscriptions, as [Subscription.Cancel] does. It may be called again.
func (r *Real) Stop() {
	r.schedule.mu.Lock()
	defer r.schedule.mu.Unlock()
	r.stopped = true
	for _, s := range r.schedule.queue {
		s.place = notQueued
	}
	r.schedule.queue = nil
	r.changed()
}

func (r *Real) now() time.Duration { return time.Since(r.start) }

// changed sees to it that the goroutine is there and wakes in time. It is called with mu held.
func (r *Real) changed() {
	queue := r.schedule.queue
	switch {
	case !r.running:
		if len(queue) > 0 {
			r.running = true
			go r.run()
		}
	case r.asleep != 0 && (len(queue) == 0 || queue[0].due < r.asleep):
		select {
		case r.wakeup <- struct{}{}:
		default:
		}
	}
}

// run is the goroutine. It ends when nobody is subscribed.
func (r *Real) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	r.schedule.mu.Lock()
	defer r.schedule.mu.Unlock()
	for {
		r.schedule.runDue(r.now())
		if len(r.schedule.queue) == 0 {
			r.running = false
			return
		}
		now := r.now()
		wait := max(resolution, r.schedule.queue[0].due-now)
		r.asleep = now + wait
		timer.Reset(wait)
		r.schedule.mu.Unlock()
		select {
		case <-timer.C:
		case <-r.wakeup:
		}
		r.schedule.mu.Lock()
		r.asleep = 0
	}
}
