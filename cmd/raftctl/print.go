package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"example.com/raftactor/persist"
)

// A printer writes one line for each thing, and its first word says what it is. After a failed write it does nothing.
type printer struct {
	w   io.Writer
	buf bytes.Buffer
	err error
}

const bufferBytes = 64 << 10

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.buf, format+"\n", args...)
	if p.buf.Len() > bufferBytes {
		_ = p.flush()
	}
}

func (p *printer) flush() error {
	if p.err == nil {
		_, p.err = p.buf.WriteTo(p.w)
	}
	p.buf.Reset()
	return p.err
}

// table aligns the cells of lines that belong together.
func (p *printer) table(lines [][]string) {
	t := tabwriter.NewWriter(&p.buf, 0, 0, 1, ' ', 0)
	for _, cells := range lines {
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	_ = t.Flush() // to a buffer
}

func (p *printer) list(i *persist.Inspection) {
	cluster := "none"
	if i.Cluster != "" {
		cluster = fmt.Sprintf("%q", i.Cluster)
	}
	p.line("store %016x cluster=%s", i.StoreID, cluster)
	var lines [][]string
	for _, g := range i.Segments {
		state := fmt.Sprintf("batches=%d-%d", g.First, g.Last)
		switch {
		case g.Void:
			state = "void"
		case g.Last == 0:
			state = "batches=none"
		}
		lines = append(lines, []string{
			"segment", g.File, state, fmt.Sprintf("used=%d", g.Used), fmt.Sprintf("size=%d", g.Bytes), "boot=" + orNone(g.BootID),
		})
	}
	p.table(lines)
	lines = nil
	for _, m := range i.Members {
		entries := fmt.Sprintf("entries=%d-%d", m.First, m.Last)
		if m.First > m.Last {
			entries = fmt.Sprintf("entries=none-after-%d", m.Last)
		}
		snapshot := "snapshot=none"
		if m.Snapshot > 0 {
			snapshot = fmt.Sprintf("snapshot=%d", m.Snapshot)
		}
		lines = append(lines, []string{
			"member", m.String(), fmt.Sprintf("incarnation=%016x", uint64(m.Incarnation)), fmt.Sprintf("term=%d", m.Term),
			fmt.Sprintf("vote=%d", m.Vote), entries, snapshot, fmt.Sprintf("bytes=%d", m.Bytes),
		})
	}
	p.table(lines)
	lines = nil
	for _, f := range i.Snapshots {
		owner := "of=nobody"
		if f.Member != nil {
			owner = "of=" + f.Member.String()
		}
		lines = append(lines, []string{"snapshot", f.File, fmt.Sprintf("size=%d", f.Bytes), owner})
	}
	p.table(lines)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (p *printer) record(r *persist.RecordInfo) {
	whose := "-"
	switch {
	case r.Member.Group != "":
		whose = r.Member.String()
	case r.Incarnation != 0:
		whose = fmt.Sprintf("?/%016x", uint64(r.Incarnation))
	}
	line := fmt.Sprintf("%s offset=%-9d batch=%-7d %-10s %-14s index=%-7d term=%-5d bytes=%-6d %s",
		r.File, r.Offset, r.Sequence, r.Kind, whose, r.Index, r.Term, r.Bytes, r.Detail)
	p.line("%s", strings.TrimRight(line, " "))
}

// faults prints what is not as it should be.
func (p *printer) faults(i *persist.Inspection) {
	if t := i.Tail; t != nil {
		why := "a power loss has torn it"
		if t.SameBoot {
			why = "it is being written, or a kill or a failed write has cut it off"
		}
		p.line("tail: %s offset=%d bytes=%d batch=%d: %s; the next to open the store drops it",
			t.File, t.Offset, t.Bytes, t.Sequence, why)
	}
	for _, d := range i.Damages {
		names := make([]string, len(d.Members))
		for n, m := range d.Members {
			names[n] = m.String()
		}
		concerned := "not known"
		if len(names) > 0 {
			concerned = strings.Join(names, ", ")
		}
		p.line("damaged: %s offset=%d: %s; members concerned: %s", d.File, d.Offset, d.Detail, concerned)
	}
	for _, err := range i.Unreadable {
		p.line("unreadable: %v", err)
	}
	_ = p.flush()
}

// verdict is the last line of verify.
func (p *printer) verdict(i *persist.Inspection) {
	counts := fmt.Sprintf("%s, %s, %s, %s, %s", count(len(i.Segments), "segment"), count(i.Batches, "batch"),
		count(i.Records, "record"), count(len(i.Members), "member"), count(len(i.Snapshots), "snapshot"))
	if i.Sound() {
		p.line("sound: %s", counts)
	} else {
		p.line("not sound: %s, %s unreadable; read in spite of that: %s. What to do: keep a copy of %s, start with an empty directory "+
			"in its place, and have the members removed and added again", count(len(i.Damages), "damage"),
			count(len(i.Unreadable), "place"), counts, i.Dir)
	}
	_ = p.flush()
}

func count[N int | int64](n N, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ch"):
		return fmt.Sprintf("%d %ses", n, what)
	default:
		return fmt.Sprintf("%d %ss", n, what)
	}
}
