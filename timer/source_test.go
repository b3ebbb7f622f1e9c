package timer_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/raftactor/timer"
)

const ms = time.Millisecond

func TestAdvanceCallsInOrderOfTimeThenOfSubscribe(t *testing.T) {
	source := timer.NewManual()
	var trace []string
	for _, s := range []struct {
		name     string
		interval time.Duration
	}{{"a", 20 * ms}, {"b", 10 * ms}, {"c", 20 * ms}, {"d", 30 * ms}} {
		source.Subscribe(s.interval, func(elapsed int) {
			trace = append(trace, fmt.Sprintf("%d:%s%d", source.Now()/ms, s.name, elapsed))
		})
	}
	source.Advance(9 * ms)
	source.Advance(31 * ms)
	got := strings.Join(trace, " ")
	want := "10:b1 20:a1 20:b1 20:c1 30:b1 30:d1 40:a1 40:b1 40:c1"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if source.Now() != 40*ms {
		t.Errorf("now is %v, want 40ms", source.Now())
	}
}

func TestJumpReportsMissedTicksInOneCall(t *testing.T) {
	source := timer.NewManual()
	var got []int
	source.Subscribe(10*ms, func(elapsed int) { got = append(got, elapsed) })
	source.Jump(9 * ms)
	source.Jump(1 * ms)
	source.Jump(35 * ms)
	source.Jump(4 * ms)
	source.Jump(1 * ms)
	if want := []int{1, 3, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNextTellsWhenSomebodyIsDue(t *testing.T) {
	source := timer.NewManual()
	if _, ok := source.Next(); ok {
		t.Error("somebody is due in an empty source")
	}
	source.Subscribe(10*ms, func(int) {})
	source.Advance(4 * ms)
	if wait, ok := source.Next(); !ok || wait != 6*ms {
		t.Errorf("got %v, %v, want 6ms, true", wait, ok)
	}
}

func TestStrideCallsLessOftenAndCountsEveryTick(t *testing.T) {
	source := timer.NewManual()
	var got []string
	s := source.Subscribe(10*ms, func(elapsed int) {
		got = append(got, fmt.Sprintf("%d:%d", source.Now()/ms, elapsed))
	})
	source.Advance(10 * ms)
	s.SetStride(5)
	source.Advance(75 * ms) // at 85: called at 60, 2 ticks not yet reported
	s.SetStride(1)
	source.Advance(10 * ms)
	want := []string{"10:1", "60:5", "85:2", "90:1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHugeIntervalsAndStridesAreNeverDue(t *testing.T) {
	source := timer.NewManual()
	source.Advance(time.Hour)
	calls := 0
	source.Subscribe(1<<63-1, func(int) { calls++ })
	source.Subscribe(time.Nanosecond, func(int) { calls++ }).SetStride(1<<63 - 1)
	source.Jump(20 * 365 * 24 * time.Hour)
	if calls != 0 {
		t.Errorf("%d calls, want 0", calls)
	}
}

func TestWhatMakesNoSensePanics(t *testing.T) {
	source := timer.NewManual()
	for name, f := range map[string]func(){
		"zero interval":     func() { source.Subscribe(0, func(int) {}) },
		"negative interval": func() { timer.NewReal().Subscribe(-1, func(int) {}) },
		"zero stride":       func() { source.Subscribe(1, func(int) {}).SetStride(0) },
		"time goes back":    func() { source.Advance(-1) },
		"move from a call": func() {
			source.Subscribe(1, func(int) { source.Advance(1) })
			source.Advance(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestCancelFromACall(t *testing.T) {
	source := timer.NewManual()
	var calls [3]int
	var subscriptions [3]*timer.Subscription
	for i := range subscriptions {
		subscriptions[i] = source.Subscribe(10*ms, func(int) {
			calls[i]++
			if i == 1 {
				subscriptions[1].Cancel() // itself
				subscriptions[2].Cancel() // one that is due at the same instant
				subscriptions[2].Cancel()
			}
		})
	}
	source.Advance(30 * ms)
	if want := [3]int{3, 1, 0}; calls != want {
		t.Errorf("calls %v, want %v", calls, want)
	}
}

func TestSubscribeFromACall(t *testing.T) {
	source := timer.NewManual()
	inner := 0
	var once sync.Once
	source.Subscribe(10*ms, func(int) {
		once.Do(func() { source.Subscribe(10*ms, func(int) { inner++ }) })
	})
	source.Advance(40 * ms)
	if inner != 3 {
		t.Errorf("%d calls, want 3", inner)
	}
}

// Whatever happens, a subscription has reported, after each call, just the ticks whose instants
// have come.
func TestReportedTicksAreThoseThatPassed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := timer.NewManual()
		type subscriber struct {
			*timer.Subscription
			interval, since time.Duration
			stride, total   int
			cancelled       bool
		}
		var all []*subscriber
		durations := rapid.Map(rapid.IntRange(1, 200), func(n int) time.Duration {
			return time.Duration(n) * ms
		})
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				s := &subscriber{since: source.Now(), stride: 1}
				s.interval = durations.Draw(t, "interval")
				s.Subscription = source.Subscribe(s.interval, func(elapsed int) {
					s.total += elapsed
					passed := int((source.Now() - s.since) / s.interval)
					if elapsed < s.stride || s.total != passed || s.cancelled {
						t.Fatalf("call with %d at stride %d: %d in all, %d passed, cancelled %v",
							elapsed, s.stride, s.total, passed, s.cancelled)
					}
				})
				all = append(all, s)
			},
			"cancel": func(t *rapid.T) {
				if len(all) > 0 {
					s := rapid.SampledFrom(all).Draw(t, "who")
					s.Cancel()
					s.cancelled = true
				}
			},
			"stride": func(t *rapid.T) {
				if len(all) > 0 {
					s := rapid.SampledFrom(all).Draw(t, "who")
					s.stride = rapid.IntRange(1, 30).Draw(t, "stride")
					s.SetStride(s.stride)
				}
			},
			"advance": func(t *rapid.T) { source.Advance(durations.Draw(t, "d")) },
			"jump":    func(t *rapid.T) { source.Jump(10 * durations.Draw(t, "d")) },
			"": func(t *rapid.T) {
				for _, s := range all {
					passed := int((source.Now() - s.since) / s.interval)
					if behind := passed - s.total; !s.cancelled && (behind < 0 || behind > 30) {
						t.Fatalf("%d ticks reported of %d", s.total, passed)
					}
				}
			},
		})
	})
}
