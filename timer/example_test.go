package timer_test

import (
	"fmt"
	"time"

	"example.com/raftactor/timer"
)

func Example() {
	source := timer.NewManual()
	subscription := source.Subscribe(50*time.Millisecond, func(elapsed int) {
		fmt.Println(source.Now(), elapsed)
	})
	source.Advance(100 * time.Millisecond) // two ticks
	source.Jump(200 * time.Millisecond)    // as after a pause
	subscription.Cancel()
	source.Advance(time.Second)
	// Output:
	// 50ms 1
	// 100ms 1
	// 300ms 4
}

func ExampleSubscription_SetStride() {
	source := timer.NewManual()
	subscription := source.Subscribe(50*time.Millisecond, func(elapsed int) {
		fmt.Println(source.Now(), elapsed)
	})
	subscription.SetStride(20) // nothing to do: a call a second, of 20 ticks, will do
	source.Advance(2 * time.Second)
	// Output:
	// 1s 20
	// 2s 20
}
