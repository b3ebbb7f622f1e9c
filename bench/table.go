package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// render shows a report: for each workload and payload some tables, with a
// column for each number of outstanding requests.
func render(w io.Writer, r report) {
	for left := good(r); len(left) > 0; {
		first := left[0].Cell
		same := func(s *series) bool {
			return s.Cell.Workload == first.Workload && s.Cell.PayloadBytes == first.PayloadBytes
		}
		end := slices.IndexFunc(left, func(s *series) bool { return !same(s) })
		if end < 0 {
			end = len(left)
		}
		renderBlock(w, left[:end], r.Series)
		left = left[end:]
	}
	renderNotes(w, r)
}

// A part is one table of a block: what it shows of a series. cellmates are
// those of the same cell.
type part struct {
	title string
	show  func(s *series, cellmates, all []*series) string
}

var busyParts = []part{
	{"thousand per second (least to most), ratio to the best peer, to the floor", showThroughput},
	{"latency in us: p50, p99", func(s *series, _, _ []*series) string {
		return fmt.Sprintf("%.0f, %.0f", median(s, func(m measurement) float64 { return m.P50Micros }),
			median(s, func(m measurement) float64 { return m.P99Micros }))
	}},
	{"CPU us per request, which is CPU seconds per million (above null)", showCPU},
	{"allocations and bytes allocated per request, peak MiB", func(s *series, _, _ []*series) string {
		return fmt.Sprintf("%.1f, %.0f, %.0f", median(s, func(m measurement) float64 { return m.Allocations }),
			median(s, func(m measurement) float64 { return m.AllocBytes }),
			median(s, func(m measurement) float64 { return m.PeakBytes })/(1<<20))
	}},
}

var idleParts = []part{
	{"CPU in % of one core for all groups; KiB and goroutines per group", func(s *series, _, _ []*series) string {
		return fmt.Sprintf("%.1f; %.1f, %.1f", median(s, func(m measurement) float64 { return m.IdleCPUPercent }),
			median(s, func(m measurement) float64 { return m.BytesPerGroup })/1024,
			median(s, func(m measurement) float64 { return m.GoroutinesPerGroup }))
	}},
}

func median(s *series, of func(measurement) float64) float64 { return figureOf(s.Rounds, of).median }

func showThroughput(s *series, cellmates, _ []*series) string {
	f := figureOf(s.Rounds, perSecond)
	text := thousands(f.median)
	if len(s.Rounds) > 1 {
		text += fmt.Sprintf(" (%s to %s)", thousands(f.least), thousands(f.most))
	}
	for _, other := range []role{rolePeer, roleFloor} {
		v, found := against(s, cellmates, other)
		switch {
		case !found || other == roleFloor && roleOf(s.Contender) == roleFloor:
			text += "  -"
		case v.tie && other == rolePeer:
			text += fmt.Sprintf("  %.2f tie", v.ratio)
		default:
			text += fmt.Sprintf("  %.2f", v.ratio)
		}
	}
	return text
}

// showCPU also says what is left when the harness's own share is taken off, if
// null was measured under the same load.
func showCPU(s *series, _, all []*series) string {
	cpu := func(m measurement) float64 { return m.CPUMicros }
	own := median(s, cpu)
	for _, other := range all {
		c := other.Cell
		if roleOf(other.Contender) == roleNull && len(other.Rounds) > 0 && !workloadNamed(c.Workload).reads &&
			c.PayloadBytes == s.Cell.PayloadBytes && c.Outstanding == s.Cell.Outstanding {
			return fmt.Sprintf("%.2f (%.2f)", own, own-median(other, cpu))
		}
	}
	return fmt.Sprintf("%.2f", own)
}

// thousands has three digits that count.
func thousands(perSecond float64) string {
	k := perSecond / 1000
	switch {
	case k >= 100:
		return fmt.Sprintf("%.0f", k)
	case k >= 10:
		return fmt.Sprintf("%.1f", k)
	}
	return fmt.Sprintf("%.2f", k)
}

// renderBlock shows what belongs to one workload and payload.
func renderBlock(w io.Writer, block, all []*series) {
	load := workloadNamed(block[0].Cell.Workload)
	heading, parts := fmt.Sprintf("%s: %s", load.name, load.about), busyParts
	switch {
	case load.idle:
		parts = idleParts
		heading += fmt.Sprintf("; %d groups", block[0].Cell.Groups)
	case !load.reads:
		heading += fmt.Sprintf("; %d bytes", block[0].Cell.PayloadBytes)
	}
	fmt.Fprintf(w, "\n%s\n", heading)
	var columns []int
	var rows []string
	for _, s := range block {
		if !slices.Contains(columns, s.Cell.Outstanding) {
			columns = append(columns, s.Cell.Outstanding)
		}
		if !slices.Contains(rows, s.Contender) {
			rows = append(rows, s.Contender)
		}
	}
	for _, p := range parts {
		fmt.Fprintf(w, "\n  %s\n", p.title)
		t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		if !load.idle {
			fmt.Fprint(t, "  ")
			for _, outstanding := range columns {
				fmt.Fprintf(t, "\t%d outstanding", outstanding)
			}
			fmt.Fprintln(t)
		}
		for _, name := range rows {
			fmt.Fprintf(t, "  %s", name)
			for _, outstanding := range columns {
				fmt.Fprintf(t, "\t%s", showOne(p, name, outstanding, block, all))
			}
			fmt.Fprintln(t)
		}
		t.Flush()
	}
}

// showOne finds a series, and shows it.
func showOne(p part, name string, outstanding int, block, all []*series) string {
	var own *series
	var cellmates []*series
	for _, s := range block {
		if s.Cell.Outstanding == outstanding {
			cellmates = append(cellmates, s)
			if s.Contender == name {
				own = s
			}
		}
	}
	if own == nil {
		return "-"
	}
	return p.show(own, cellmates, all)
}

// renderNotes says how the contenders were set up, and where this was.
func renderNotes(w io.Writer, r report) {
	var names []string
	rounds := 0
	for _, s := range r.Series {
		if !slices.Contains(names, s.Contender) {
			names = append(names, s.Contender)
		}
		rounds = max(rounds, len(s.Rounds))
	}
	fmt.Fprintf(w, "\nMedians of %d rounds. A peer is another library. A tie: the medians differ by less than the larger spread, "+
		"least to most", rounds)
	if rounds == 1 {
		fmt.Fprint(w, ", which one round does not have: -rounds 3 or more shows it")
	}
	fmt.Fprint(w, ".\nAll were held to what they acknowledged: after each turn the three replicas had the same commands, in order.\n")
	for _, name := range names {
		if c, err := contenderNamed(name); err == nil {
			fmt.Fprintf(w, "%s: %s.\n", name, strings.TrimSuffix(c.settings, "."))
		}
	}
	fmt.Fprintf(w, "\n%s\n%v\n", r.Command, r.Machine)
}
