package timer_test

import (
	"fmt"
	"testing"

	"example.com/raftactor/timer"
)

// BenchmarkTick measures a tick of one subscriber among many with staggered phases (ns/tick).
func BenchmarkTick(b *testing.B) {
	for _, subscribers := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			source := timer.NewManual()
			ticks := 0
			for range subscribers {
				source.Subscribe(50*ms, func(elapsed int) { ticks += elapsed })
				source.Jump(50 * ms / 10_000)
			}
			b.ReportAllocs()
			for b.Loop() {
				source.Advance(50 * ms) // one tick of each
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(ticks), "ns/tick")
		})
	}
}

func TestTickDoesNotAllocate(t *testing.T) {
	source := timer.NewManual()
	for range 100 {
		source.Subscribe(50*ms, func(int) {})
		source.Jump(ms / 10)
	}
	const perAdvance = 1 // for the number of the goroutine
	n := testing.AllocsPerRun(100, func() { source.Advance(500 * ms) })
	if n > perAdvance {
		t.Errorf("%v allocations in 1000 ticks, want %v", n, perAdvance)
	}
}
