package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

// Bounds of what is not measured.
const (
	startTime     = 60 * time.Second
	checkTime     = 5 * time.Minute
	checkPatience = 15 * time.Second // with replicas that apply nothing
	settleTime    = 3 * time.Second  // until idle groups are idle
)

// errCannot is what a turn says that a contender is not made for.
var errCannot = errors.New("the contender cannot do that")

// takeTurn starts a contender, measures it, checks what it has done, and stops
// it. Other replicas run in processes of their own if the workload says so.
func takeTurn(ctx context.Context, j job, log io.Writer) (m measurement, err error) {
	c, err := contenderNamed(j.Contender)
	if err != nil {
		return m, err
	}
	w := workloadNamed(j.Cell.Workload)
	if !c.can(w.kind) {
		return m, errCannot
	}
	p, err := newPlan(w.kind, j, log)
	if err != nil {
		return m, err
	}
	before, err := settledUsage()
	if err != nil {
		return m, err
	}
	d, err := deploy(ctx, c, p)
	if err != nil {
		if errors.Is(err, errNoGroups) || errors.Is(err, errNoReads) {
			err = errCannot
		}
		return m, err
	}
	defer func() {
		if stopped := d.stop(); err == nil && stopped != nil {
			err = fmt.Errorf("stopping: %w", stopped)
		}
	}()
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := d.leader.lead(starting); err != nil {
		return m, fmt.Errorf("leading: %w", err)
	}
	if w.idle {
		return d.idle(ctx, j, before)
	}
	return d.busy(ctx, j, w.reads)
}

// newPlan finds places for the replicas.
func newPlan(k kind, j job, log io.Writer) (plan, error) {
	p := plan{
		kind: k, payloadBytes: j.Cell.PayloadBytes, outstanding: j.Cell.Outstanding, groups: max(1, j.Cell.Groups), log: log,
	}
	for number := uint64(1); number <= replicaCount; number++ {
		e := endpoint{number: number}
		if k != inMemory {
			e.dir = filepath.Join(j.Dir, fmt.Sprint("replica-", number))
			if err := os.MkdirAll(e.dir, 0o700); err != nil {
				return p, err
			}
		}
		p.members = append(p.members, e)
		if number == 1 || k != inProcesses {
			p.here = append(p.here, number)
		}
	}
	if k == inMemory {
		return p, nil
	}
	for i := range p.members {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer l.Close() // all are held until the last is found
		p.members[i].address = l.Addr().String()
	}
	return p, nil
}

const replicaCount = 3

// A deployment is all replicas of a contender: those here, and those in
// processes of their own.
type deployment struct {
	leader replica
	here   []replica
	away   []*child
}

func deploy(ctx context.Context, c contender, p plan) (*deployment, error) {
	d := &deployment{}
	if p.kind == inProcesses {
		for number := uint64(2); number <= replicaCount; number++ {
			child, err := startChild(ctx, c, p, number)
			if err != nil {
				return nil, errors.Join(err, d.stop())
			}
			d.away = append(d.away, child)
		}
	}
	here, err := c.start(p)
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	if len(here) != len(p.here) {
		return nil, fmt.Errorf("%s has started %d replicas instead of %d", c.name, len(here), len(p.here))
	}
	d.leader, d.here = here[0], here
	return d, nil
}

// tallies are those of all replicas, by number.
func (d *deployment) tallies() ([]tally, error) {
	var all []tally
	for _, r := range d.here {
		all = append(all, r.tally())
	}
	for _, c := range d.away {
		t, err := c.tally()
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// usage is that of all processes.
func (d *deployment) usage() (usage, error) {
	sum, err := ownUsage()
	for _, c := range d.away {
		u, childErr := c.usage()
		sum, err = sum.add(u), errors.Join(err, childErr)
	}
	return sum, err
}

func (d *deployment) stop() error {
	var faults []error
	for _, r := range d.here {
		faults = append(faults, r.stop())
	}
	for _, c := range d.away {
		faults = append(faults, c.stop())
	}
	return errors.Join(faults...)
}

// busy measures a load, and checks what it has left.
func (d *deployment) busy(ctx context.Context, j job, reads bool) (m measurement, err error) {
	if reads {
		if err := d.leader.read(ctx); errors.Is(err, errNoReads) {
			return m, errCannot
		}
	}
	l := newLoad(d.leader, reads, j.Cell.PayloadBytes, j.Cell.Outstanding)
	var before, after usage
	var profiling *profiling
	begin := func() (err error) {
		if profiling, err = j.Profiles.begin(); err != nil {
			return err
		}
		before, err = d.usage()
		return err
	}
	end := func() (err error) {
		after, err = d.usage()
		return errors.Join(err, profiling.end())
	}
	took, err := l.run(ctx, j.WarmUp, j.Duration, begin, end)
	if err != nil {
		return m, err
	}
	checking, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := check(checking, d.tallies, l.workers); err != nil {
		return m, err
	}
	return summarize(l.latencies(), took, before, after), nil
}

func summarize(latencies *histogram, took time.Duration, before, after usage) measurement {
	each := 1 / float64(max(1, latencies.count))
	return measurement{
		Requests: latencies.count, Seconds: took.Seconds(),
		PerSecond:   float64(latencies.count) / took.Seconds(),
		P50Micros:   float64(latencies.quantile(0.5).Nanoseconds()) / 1e3,
		P99Micros:   float64(latencies.quantile(0.99).Nanoseconds()) / 1e3,
		CPUMicros:   (after.CPUSeconds - before.CPUSeconds) * 1e6 * each,
		Allocations: float64(after.Allocations-before.Allocations) * each,
		AllocBytes:  float64(after.AllocBytes-before.AllocBytes) * each,
		PeakBytes:   float64(after.PeakBytes),
	}
}

// idle measures groups that do nothing.
func (d *deployment) idle(ctx context.Context, j job, empty usage) (m measurement, err error) {
	pause(ctx, settleTime)
	before, err := settledUsage()
	if err != nil {
		return m, err
	}
	start := time.Now()
	pause(ctx, j.Duration)
	if err := ctx.Err(); err != nil {
		return m, err
	}
	after, err := ownUsage()
	if err != nil {
		return m, err
	}
	took := time.Since(start).Seconds()
	groups := float64(j.Cell.Groups)
	return measurement{
		Seconds:            took,
		IdleCPUPercent:     100 * (after.CPUSeconds - before.CPUSeconds) / took,
		BytesPerGroup:      (float64(before.LiveBytes) - float64(empty.LiveBytes)) / groups,
		GoroutinesPerGroup: float64(before.Goroutines-empty.Goroutines) / groups,
		PeakBytes:          float64(after.PeakBytes),
	}, nil
}

// settledUsage is that of this process, without garbage.
func settledUsage() (usage, error) {
	runtime.GC()
	debug.FreeOSMemory()
	return ownUsage()
}
