package timer

import "time"

// A Manual source is one whose time a test moves. Subscribers are called on the goroutine that
// moves it, in the order of time and, at the same instant, of Subscribe. Its subscriptions are not
// staggered: the first tick is one interval after Subscribe.
//
// The time is moved by one goroutine at a time, and not from within a call.
type Manual struct {
	schedule schedule
	now      time.Duration // guarded by schedule.mu
}

var _ Source = (*Manual)(nil)

// NewManual returns a source whose time is zero.
func NewManual() *Manual {
	return &Manual{schedule: schedule{changed: func() {}}}
}

// Subscribe implements Source.
func (m *Manual) Subscribe(interval time.Duration, tick func(elapsed int)) *Subscription {
	interval = checked(interval)
	m.schedule.mu.Lock()
	defer m.schedule.mu.Unlock()
	return m.schedule.add(m.now, 0, interval, tick)
}

// Now returns the time since the source was made, by its own clock. Within a call it is the
// instant that was due, except after Jump.
func (m *Manual) Now() time.Duration {
	m.schedule.mu.Lock()
	defer m.schedule.mu.Unlock()
	return m.now
}

// Next returns the time from now until somebody is due, zero if somebody is now, and false if
// nobody is subscribed.
func (m *Manual) Next() (wait time.Duration, ok bool) {
	m.schedule.mu.Lock()
	defer m.schedule.mu.Unlock()
	if len(m.schedule.queue) == 0 {
		return 0, false
	}
	return max(0, m.schedule.queue[0].due-m.now), true
}

// Advance lets time pass instant by instant, so that nobody misses a tick.
func (m *Manual) Advance(d time.Duration) {
	m.move(d, func(end time.Duration) {
		for m.schedule.isDue(end) {
			m.now = max(m.now, m.schedule.queue[0].due)
			m.schedule.runDue(m.now)
		}
		m.now = end
	})
}

// Jump lets time pass at once, as for a process that was stopped meanwhile: whoever has missed
// ticks is called once, with all of them.
func (m *Manual) Jump(d time.Duration) {
	m.move(d, func(end time.Duration) {
		m.now = end
		m.schedule.runDue(end)
	})
}

// move has to called with mu held and the time that will be.
func (m *Manual) move(d time.Duration, to func(end time.Duration)) {
	if d < 0 {
		panic("timer: time goes back")
	}
	m.schedule.mu.Lock()
	defer m.schedule.mu.Unlock()
	if m.schedule.calling {
		panic("timer: time is moved from within a call")
	}
	to(m.now + d)
}
