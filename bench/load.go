package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The phases of a load: only what ends while it is measured counts.
const (
	phaseWarmUp int32 = iota
	phaseMeasure
	phaseOver
)

// A load is some workers that each have one request under way, again and
// again.
type load struct {
	leader       replica
	reads        bool // instead of proposals
	payloadBytes int
	workers      []*worker
	phase        atomic.Int32
}

// A worker is one of those who propose. It belongs to its goroutine until the
// load is over.
type worker struct {
	proposer     uint64
	acknowledged uint64 // the place of the newest command that was acknowledged
	err          error  // why it stopped before its time
	latency      histogram
	_            [64]byte // the next one's numbers are on another line of the cache
}

func newLoad(leader replica, reads bool, payloadBytes, outstanding int) *load {
	l := &load{leader: leader, reads: reads, payloadBytes: payloadBytes}
	for proposer := range outstanding {
		l.workers = append(l.workers, &worker{proposer: uint64(proposer)})
	}
	return l
}

// run warms up, calls begin, measures, calls end, and waits for all that is
// under way. It returns how long it measured.
func (l *load) run(ctx context.Context, warmUp, duration time.Duration, begin, end func() error) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	failed := make(chan struct{}, len(l.workers))
	for _, w := range l.workers {
		all.Go(func() {
			if w.run(ctx, l); w.err != nil {
				failed <- struct{}{}
			}
		})
	}
	took, err := l.measure(ctx, warmUp, duration, failed, begin, end)
	l.phase.Store(phaseOver)
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(drainTime):
		cancel()
		<-over
		return took, fmt.Errorf("requests were still unanswered %v after the load had ended", drainTime)
	}
	for _, w := range l.workers {
		if err == nil && w.err != nil {
			err = fmt.Errorf("worker %d, after %d acknowledged: %w", w.proposer, w.acknowledged, w.err)
		}
	}
	return took, err
}

// drainTime is how long the last requests may take.
const drainTime = 20 * time.Second

// measure goes through the phases.
func (l *load) measure(
	ctx context.Context, warmUp, duration time.Duration, failed <-chan struct{}, begin, end func() error,
) (time.Duration, error) {
	wait := func(d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-failed:
			return nil // the worker has said why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := wait(warmUp); err != nil {
		return 0, err
	}
	if err := begin(); err != nil {
		return 0, err
	}
	l.phase.Store(phaseMeasure)
	start := time.Now()
	err := wait(duration)
	l.phase.Store(phaseOver)
	took := time.Since(start)
	if err != nil {
		return took, err
	}
	return took, end()
}

// run proposes or reads until the load is over.
func (w *worker) run(ctx context.Context, l *load) {
	ctx, cancel := context.WithCancel(ctx) // a request's own, as in a server
	defer cancel()
	command := make([]byte, max(l.payloadBytes, commandBytesMin))
	before := time.Now()
	for l.phase.Load() != phaseOver {
		if l.reads {
			w.err = l.leader.read(ctx)
		} else {
			number(command, w.proposer, w.acknowledged+1)
			w.err = l.leader.propose(ctx, command)
		}
		if w.err != nil {
			return
		}
		now := time.Now()
		if !l.reads {
			w.acknowledged++
		}
		if l.phase.Load() == phaseMeasure {
			w.latency.add(now.Sub(before))
		}
		before = now
	}
}

// latencies are those of all workers.
func (l *load) latencies() *histogram {
	var all histogram
	for _, w := range l.workers {
		all.merge(&w.latency)
	}
	return &all
}
