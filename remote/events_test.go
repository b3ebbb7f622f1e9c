package raftremote

import (
	"slices"
	"testing"
	"time"
)

func TestEventsAreDroppedWhileAHandlerBlocks(t *testing.T) {
	blocked, release := make(chan struct{}), make(chan struct{})
	events := make(chan any, 2*eventsMax)
	o := outlet{publish: func(event any) {
		if event == 0 {
			close(blocked)
			<-release
		}
		events <- event
	}}
	o.post(0)
	<-blocked
	for k := range 2 * eventsMax {
		o.post(k + 1)
	}
	close(release)
	var got []any
	for range eventsMax + 1 {
		got = append(got, <-events)
	}
	want := make([]any, eventsMax+1)
	for k := range want {
		want[k] = k
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want the first ones in order", got)
	}
}

func TestABlockedHandlerHoldsUpNeitherTheLinksNorTheirEnd(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	block := func(c *linkConfig) { c.publish = func(any) { <-release } }
	a, b, one, two := twoSystems(t, block)
	one.tell(2, b, heartbeat(1, 1))
	two.tell(1, a, heartbeat(1, 1))
	eventually(t, "both hear", func() bool { return len(one.heard()) == 1 && len(two.heard()) == 1 })
	start := time.Now()
	a.links.stop()
	if took := time.Since(start); took > stopPatience {
		t.Errorf("stop took %v", took)
	}
}
