// Package timer gives many groups their ticks from one goroutine.
//
// A group subscribes to a [Source] with its tick interval and a function that is called when a
// tick has passed. How many groups there are does not change the number of goroutines or of
// runtime timers: one [Real] source serves an actor system.
//
//	source := timer.NewReal()
//	defer source.Stop()
//	subscription := source.Subscribe(50*time.Millisecond, func(elapsed int) {
//		system.Root.Send(member, tick) // post, and return at once
//	})
//	defer subscription.Cancel()
//
// # What elapsed means
//
// Ticks are counted, not signalled. A subscription has a grid of instants, an interval apart; a
// call reports how many of them have passed since the last. After a pause of the process (SIGSTOP,
// a debugger, no CPU to be had) one call reports them all. Nothing drifts: the ticks reported up to
// a call are exactly those whose instants have come, however late the call is.
//
// The first instant lies between one and two intervals after Subscribe. Where between is different
// for every subscription of a Real source, so that a thousand groups of equal interval spread
// evenly over the interval instead of waking together. So the sum of all reported ticks is never
// more than the time since Subscribe divided by the interval.
//
// An idle group can be called less often, see [Subscription.SetStride]: the unit of elapsed stays
// the same.
//
// # Tests
//
// A [Manual] source has no goroutine and no clock but its own, which [Manual.Advance] and
// [Manual.Jump] move; it calls its subscribers on the caller's goroutine, in an order that depends
// on nothing else.
package timer
