package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// writeMarkdown writes the tables that stand in README to a file, or to standard output if that is "-".
func writeMarkdown(name string, r report, stdout io.Writer) error {
	var text strings.Builder
	renderMarkdown(&text, r)
	if name == "-" {
		_, err := io.WriteString(stdout, text.String())
		return err
	}
	return os.WriteFile(name, []byte(text.String()), 0o644)
}

// renderMarkdown shows what users compare first: throughput, a table for each payload, one for reads, and idle groups. The
// rest of a report is what render shows.
func renderMarkdown(w io.Writer, r report) {
	var payloads []int
	var reads, idle []*series
	writes := map[int][]*series{}
	for _, s := range good(r) {
		switch load, bytes := workloadNamed(s.Cell.Workload), s.Cell.PayloadBytes; {
		case load.idle:
			idle = append(idle, s)
		case load.reads:
			reads = append(reads, s)
		default:
			if writes[bytes] == nil {
				payloads = append(payloads, bytes)
			}
			writes[bytes] = append(writes[bytes], s)
		}
	}
	for _, bytes := range payloads {
		fmt.Fprintf(w, "Thousand commands of %s bytes committed per second, by how many are outstanding:\n\n", grouped(bytes))
		markdownRates(w, writes[bytes])
	}
	if len(reads) > 0 {
		fmt.Fprint(w, "Thousand linearizable reads on the leader per second:\n\n")
		markdownRates(w, reads)
	}
	if len(idle) > 0 {
		fmt.Fprintf(w, "%s idle groups of three replicas, in one process (W5):\n\n", grouped(idle[0].Cell.Groups))
		markdownIdle(w, idle)
	}
	markdownNotes(w, r)
}

// good are the series of a report that have figures.
func good(r report) []*series {
	var all []*series
	for _, s := range r.Series {
		if len(s.Rounds) > 0 && s.Error == "" {
			all = append(all, s)
		}
	}
	return all
}

// A column of a table of rates is a workload with so many outstanding.
type column struct {
	workload    string
	outstanding int
}

// markdownRates has a row for each contender, raftactor's first, and two rows of ratios below them.
func markdownRates(w io.Writer, all []*series) {
	var columns []column
	cells := map[column][]*series{}
	for _, s := range all {
		c := column{s.Cell.Workload, s.Cell.Outstanding}
		if cells[c] == nil {
			columns = append(columns, c)
		}
		cells[c] = append(cells[c], s)
	}
	fmt.Fprint(w, "| |")
	for i, c := range columns {
		if i == 0 || columns[i-1].workload != c.workload {
			fmt.Fprintf(w, " %s:", c.workload)
		}
		fmt.Fprintf(w, " %s |", grouped(c.outstanding))
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---:|", len(columns)))
	row := func(title string, show func(cell []*series) string) {
		fmt.Fprintf(w, "| %s |", title)
		for _, c := range columns {
			fmt.Fprintf(w, " %s |", show(cells[c]))
		}
		fmt.Fprintln(w)
	}
	names := byRole(all)
	for _, name := range names {
		row(titleOf(name), func(cell []*series) string {
			if s := seriesNamed(cell, name); s != nil {
				return rate(figureOf(s.Rounds, perSecond).median)
			}
			return ""
		})
	}
	if slices.Contains(names, ownName) {
		row("raftactor / best library", func(cell []*series) string { return ratio(cell, rolePeer) })
		row("raftactor / floor", func(cell []*series) string { return ratio(cell, roleFloor) })
	}
	fmt.Fprintln(w)
}

// rate is in thousands, as thousands has it, and 1,240 where that has 1240.
func rate(perSecond float64) string {
	if perSecond < 1e6 {
		return thousands(perSecond)
	}
	return grouped(int(math.Round(perSecond / 1000)))
}

// ratio is that of raftactor to the best of a role, in one cell.
func ratio(cell []*series, to role) string {
	own := seriesNamed(cell, ownName)
	if own == nil {
		return ""
	}
	v, found := against(own, cell, to)
	switch {
	case !found:
		return ""
	case v.tie && to == rolePeer:
		return fmt.Sprintf("%.2f tie", v.ratio)
	}
	return fmt.Sprintf("%.2f", v.ratio)
}

// markdownIdle has a row for each contender.
func markdownIdle(w io.Writer, all []*series) {
	fmt.Fprint(w, "| | % of a core, all groups | KiB per group | goroutines per group |\n|---|---:|---:|---:|\n")
	for _, name := range byRole(all) {
		s := seriesNamed(all, name)
		fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f |\n", titleOf(name),
			median(s, func(m measurement) float64 { return m.IdleCPUPercent }),
			median(s, func(m measurement) float64 { return m.BytesPerGroup })/1024,
			median(s, func(m measurement) float64 { return m.GoroutinesPerGroup }))
	}
	fmt.Fprintln(w)
}

// markdownNotes says what the columns are, how the contenders were set up, and where this was.
func markdownNotes(w io.Writer, r report) {
	var names, loads []string
	rounds := 0
	for _, s := range good(r) {
		if about := s.Cell.Workload + " is " + workloadNamed(s.Cell.Workload).about; !slices.Contains(loads, about) {
			loads = append(loads, about)
		}
		rounds = max(rounds, len(s.Rounds))
	}
	names = byRole(good(r))
	fmt.Fprintf(w, "%s. Medians of %d rounds. A *tie*: they differ by less than the rounds do. Floors are not Raft, and say what "+
		"the hardware leaves; `null` is what the harness itself reaches.\n\n", strings.Join(loads, "; "), rounds)
	for _, name := range names {
		if c, err := contenderNamed(name); err == nil {
			fmt.Fprintf(w, "- %s: %s.\n", name, strings.TrimSuffix(c.settings, "."))
		}
	}
	fmt.Fprintf(w, "\n`%s` on %v.\n", r.Command, r.Machine)
}

// byRole are the names of contenders: raftactor, the libraries, the floors, and null, otherwise in order.
func byRole(all []*series) []string {
	var names []string
	for _, s := range all {
		if !slices.Contains(names, s.Contender) {
			names = append(names, s.Contender)
		}
	}
	order := []role{roleOwn, rolePeer, roleFloor, roleNull}
	slices.SortStableFunc(names, func(a, b string) int {
		return slices.Index(order, roleOf(a)) - slices.Index(order, roleOf(b))
	})
	return names
}

func titleOf(name string) string {
	if roleOf(name) == roleOwn {
		return "**" + name + "**"
	}
	return name
}

func seriesNamed(all []*series, name string) *series {
	i := slices.IndexFunc(all, func(s *series) bool { return s.Contender == name })
	if i < 0 {
		return nil
	}
	return all[i]
}

// grouped writes 1024 as 1,024.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
