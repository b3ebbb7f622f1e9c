package timer_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/raftactor/timer"
)

// Time in these tests is the fake clock of a synctest bubble: to wait is to let it pass, at once.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// elapse lets time pass, until whoever is due has been called.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRealTicksNeitherDriftNorStopCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		defer source.Stop()
		const subscribers = 100
		var totals [subscribers]atomic.Int64
		for i := range totals {
			source.Subscribe(50*ms, func(elapsed int) { totals[i].Add(int64(elapsed)) })
		}
		elapse(time.Minute)
		for i := range totals {
			// One tick of the last interval may be yet to come.
			got, want := totals[i].Load(), int64(time.Minute/(50*ms))
			if got > want || got < want-1 {
				t.Errorf("subscriber %d: %d ticks in a minute, want %d", i, got, want)
			}
		}
	})
}

func TestRealSubscriptionsAreSpreadOverTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		defer source.Stop()
		start := time.Now()
		perMillisecond := make([]int, 200)
		for range 1000 {
			source.Subscribe(50*ms, func(int) { perMillisecond[time.Since(start)/ms]++ })
		}
		elapse(150*ms - 1)
		source.Stop()
		for i, n := range perMillisecond {
			switch {
			case i < 50 && n > 0:
				t.Errorf("%d calls at %d ms, before an interval has passed", n, i)
			case i >= 102 && i < 150 && (n < 10 || n > 40):
				t.Errorf("%d calls at %d ms, want about 20", n, i)
			}
		}
	})
}

func TestRealReportsAPauseInOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		defer source.Stop()
		pause := make(chan struct{})
		var calls []int
		source.Subscribe(10*ms, func(elapsed int) {
			calls = append(calls, elapsed)
			if len(calls) == 3 {
				<-pause // a call must not block; the process that is stopped here is what is tested
			}
		})
		elapse(30*ms + 95*ms)
		close(pause)
		elapse(5 * ms)
		if got, want := fmt.Sprint(calls), "[1 1 1 9 1]"; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestCancelDoesNotWaitForTheRunningCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		defer source.Stop()
		entered, leave := make(chan struct{}), make(chan struct{})
		s := source.Subscribe(10*ms, func(int) {
			close(entered)
			<-leave
		})
		<-entered
		s.Cancel()
		close(leave)
		elapse(time.Second) // a second call would close entered again
	})
}

func TestNoCallAfterCancelWithManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		defer source.Stop()
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				for range 100 {
					var cancelled, after atomic.Int32
					s := source.Subscribe(time.Duration(1+i%7)*ms, func(int) {
						if cancelled.Load() > 0 && after.Add(1) > 1 { // one may have been running
							t.Error("call after Cancel")
						}
					})
					<-time.After(time.Duration(i) * ms)
					s.SetStride(1 + i%3)
					<-time.After(5 * ms)
					s.Cancel()
					cancelled.Store(1)
				}
			})
		}
		all.Wait()
	})
}

func TestStopFromACallEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		calls := 0
		for range 10 {
			source.Subscribe(10*ms, func(int) { calls++; source.Stop() })
		}
		elapse(time.Second)
		source.Stop()
		source.Subscribe(10*ms, func(int) { calls++ }).Cancel()
		elapse(time.Second)
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

// A bubble ends only when all its goroutines have, so this would fail if one stayed without
// subscribers.
func TestRealHasNoGoroutineWithoutSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		for range 100 {
			called := make(chan struct{}, 1)
			s := source.Subscribe(10*ms, func(int) {
				select {
				case called <- struct{}{}:
				default:
				}
			})
			<-called
			s.Cancel()
		}
	})
}

func TestEarlierSubscriberWakesTheSleeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := timer.NewReal()
		defer source.Stop()
		source.Subscribe(time.Hour, func(int) {})
		synctest.Wait()
		ticks := 0
		lazy := source.Subscribe(10*ms, func(elapsed int) { ticks += elapsed })
		lazy.SetStride(1000)
		elapse(105 * ms)
		lazy.SetStride(1)
		elapse(2 * ms)
		if ticks < 9 || ticks > 10 {
			t.Errorf("%d ticks, want 9 or 10", ticks)
		}
	})
}
