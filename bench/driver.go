package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// An outcome is how a turn has ended: in the words of its process.
type outcome struct {
	Measurement measurement
	Cannot      bool
	Error       string
}

// beTurn is what the process of a turn does.
func beTurn() error {
	return serve(func(ctx context.Context, j job) (outcome, error) {
		m, err := takeTurn(ctx, j, os.Stderr)
		switch {
		case errors.Is(err, errCannot):
			return outcome{Cannot: true}, nil
		case err != nil:
			return outcome{Error: err.Error()}, nil
		}
		return outcome{Measurement: m}, nil
	})
}

// runTurn has a process take a turn.
func runTurn(ctx context.Context, j job) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, j.WarmUp+j.Duration+turnTime)
	defer cancel()
	p, err := startProcess(turnProcess)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	err = p.ask(ctx, j, &o)
	said := p.saids.String()
	if closed := p.close(); err != nil {
		err = errors.Join(err, closed)
	}
	if o.Error != "" && said != "" {
		o.Error += "; it said:\n" + said
	}
	return o, err
}

// turnTime bounds what a turn may take beside the load: startTime, drainTime,
// checkTime, and stopping.
const turnTime = 7 * time.Minute

// A series is what one contender has shown in one cell.
type series struct {
	Cell      cell
	Contender string
	Rounds    []measurement
	Error     string `json:",omitempty"` // why it is out of the run
	cannot    bool
}

// A driver has all contenders take their turns.
type driver struct {
	options
	base     string    // the directory for all stores
	progress io.Writer // what is going on
	series   []*series
}

// run fills the table: in each cell A B C A B C. It fails with what is wrong
// with the run as such; what is wrong with a contender is in its series.
func (d *driver) run(ctx context.Context) error {
	cells := d.cells()
	turns, turn := len(cells)*len(d.contenders)*d.rounds, 0
	start := time.Now()
	for _, c := range cells {
		row := make([]*series, len(d.contenders))
		for i, name := range d.contenders {
			row[i] = &series{Cell: c, Contender: name}
		}
		for round := range d.rounds {
			for _, s := range row {
				turn++
				if s.cannot || s.Error != "" {
					continue
				}
				fmt.Fprintf(d.progress, "[%d/%d %v] %v, round %d: %-24s ",
					turn, turns, time.Since(start).Round(time.Second), c, round+1, s.Contender)
				if err := d.turn(ctx, s); err != nil {
					fmt.Fprintln(d.progress, "interrupted")
					return err
				}
				fmt.Fprintln(d.progress, s.newest())
			}
		}
		for _, s := range row {
			if !s.cannot {
				d.series = append(d.series, s)
			}
		}
	}
	return nil
}

var errInterrupted = errors.New("interrupted; the table has what was measured before")

// turn adds a measurement to a series, or says in it why there is none.
func (d *driver) turn(ctx context.Context, s *series) error {
	c, err := contenderNamed(s.Contender)
	if err != nil {
		return err
	}
	if !c.can(workloadNamed(s.Cell.Workload).kind) {
		s.cannot = true
		return nil
	}
	dir := filepath.Join(d.base, "turn")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	o, err := runTurn(ctx, job{
		Cell: s.Cell, Contender: s.Contender, WarmUp: s.Cell.warmUp(d.warmUp), Duration: d.duration, Dir: dir, Profiles: d.profiles,
	})
	if removed := os.RemoveAll(dir); removed != nil {
		return removed
	}
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		s.Error = err.Error()
	case o.Error != "":
		s.Error = o.Error
	case o.Cannot:
		s.cannot = true
	default:
		s.Rounds = append(s.Rounds, o.Measurement)
	}
	return nil
}

// newest says what the last turn has shown.
func (s *series) newest() string {
	switch {
	case s.cannot:
		return "cannot do that"
	case s.Error != "":
		return "FAILED: " + s.Error
	}
	m := s.Rounds[len(s.Rounds)-1]
	if workloadNamed(s.Cell.Workload).idle {
		return fmt.Sprintf("%.1f %% of a core, %.1f KiB and %.1f goroutines a group",
			m.IdleCPUPercent, m.BytesPerGroup/1024, m.GoroutinesPerGroup)
	}
	return fmt.Sprintf("%9.0f/s  p50 %.0f us  p99 %.0f us", m.PerSecond, m.P50Micros, m.P99Micros)
}

// failures are what is wrong with contenders, in words.
func (d *driver) failures() []string {
	var all []string
	for _, s := range d.series {
		if s.Error != "" {
			all = append(all, fmt.Sprintf("%s in %v: %s", s.Contender, s.Cell, s.Error))
		}
	}
	return all
}

// A report is all of a run, for machines.
type report struct {
	Command string
	Machine machineInfo
	Series  []*series
}

// writeJSON writes the report to a file, or to standard output if that is "-".
func writeJSON(name string, r report, stdout io.Writer) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if name == "-" {
		_, err = stdout.Write(text)
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

// readJSON reads what writeJSON has written.
func readJSON(name string) (report, error) {
	var r report
	text, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is no report of -json: %w", name, err)
	}
	for _, s := range r.Series {
		if s == nil || !slices.Contains(workloadNames(), s.Cell.Workload) {
			return r, fmt.Errorf("%s has a workload that this version does not know", name)
		}
	}
	return r, nil
}
