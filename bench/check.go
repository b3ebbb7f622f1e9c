package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// errLost matches what is wrong with a contender that has lost, reordered or
// invented commands.
var errLost = errors.New("the replicas do not have what was acknowledged")

// check waits until all replicas have applied the same, and holds that against
// what the workers were told. It gives up when the context is done, or when no
// replica has applied anything for checkPatience: some libraries bring a replica
// that fell behind up slowly when nothing else is to be done.
func check(ctx context.Context, look func() ([]tally, error), workers []*worker) error {
	var applied uint64
	progress := time.Now()
	for {
		tallies, err := look()
		if err != nil {
			return err
		}
		for i := range tallies {
			if fault := tallies[i].Fault; fault != "" {
				return fmt.Errorf("%w: replica %d: %s", errLost, i+1, fault)
			}
		}
		behind := compare(tallies, workers)
		if behind == nil {
			return nil
		}
		if now := appliedBy(tallies); now != applied {
			applied, progress = now, time.Now()
		}
		if ctx.Err() != nil || time.Since(progress) > checkPatience {
			return fmt.Errorf("%w: %w", errLost, behind)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// appliedBy is how many commands the replicas have applied together.
func appliedBy(tallies []tally) (sum uint64) {
	for i := range tallies {
		sum += tallies[i].Applied
	}
	return sum
}

// compare says in what the replicas differ from each other, or from what was
// acknowledged.
func compare(tallies []tally, workers []*worker) error {
	for _, w := range workers {
		for i := range tallies {
			var last uint64
			if w.proposer < uint64(len(tallies[i].Last)) {
				last = tallies[i].Last[w.proposer]
			}
			switch {
			case last < w.acknowledged:
				return fmt.Errorf("replica %d has applied command %d of proposer %d last, and %d was acknowledged",
					i+1, last, w.proposer, w.acknowledged)
			case last > w.acknowledged && (w.err == nil || last > w.acknowledged+1):
				return fmt.Errorf("replica %d has applied command %d of proposer %d, who has only proposed %d",
					i+1, last, w.proposer, w.acknowledged)
			}
		}
	}
	for i := range tallies {
		a, b := &tallies[0], &tallies[i]
		if a.Applied != b.Applied || a.Sum != b.Sum || !slices.Equal(a.Last, b.Last) {
			return fmt.Errorf("replicas 1 and %d differ: %d commands applied with the sum %x, and %d with %x",
				i+1, a.Applied, a.Sum, b.Applied, b.Sum)
		}
	}
	return nil
}
