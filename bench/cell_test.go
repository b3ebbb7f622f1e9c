package main

import (
	"testing"
	"time"
)

func TestLogsOfLargeCommandsSettleBeforeTheyAreMeasured(t *testing.T) {
	for _, c := range []struct {
		cell cell
		want time.Duration
	}{
		{cell{Workload: "W1", PayloadBytes: 4096}, time.Second},
		{cell{Workload: "W2", PayloadBytes: 256}, time.Second},
		{cell{Workload: "W2", PayloadBytes: 4096}, 5 * time.Second},
		{cell{Workload: "W3", PayloadBytes: 4096}, 5 * time.Second},
		{cell{Workload: "W5"}, time.Second},
	} {
		if got := c.cell.warmUp(time.Second); got != c.want {
			t.Errorf("%v warms up for %v, want %v", c.cell, got, c.want)
		}
	}
}
