package node

import (
	"fmt"
	"slices"
)

// MemoryLog is a [Log] in memory. It survives the node that uses it, not the process.
type MemoryLog struct {
	incarnation Incarnation
	hardState   HardState
	met         []Acquaintance
	founding    Configuration
	snapshot    SnapshotMeta

	entries Window
	// beforeTerm is the term of the entry in front of the first.
	beforeTerm Term
	// configurations are the configuration entries behind snapshot.Index.
	configurations []Entry
}

var _ Log = (*MemoryLog)(nil)

// NewMemoryLog makes an empty log. The incarnation should be drawn at random, and must not be zero.
func NewMemoryLog(incarnation Incarnation) *MemoryLog {
	if incarnation == 0 {
		panic("node: NewMemoryLog: incarnation 0 stands for an unknown one; draw another")
	}
	l := &MemoryLog{incarnation: incarnation}
	l.entries.Reset(1)
	return l
}

// Clone copies the log, sharing the entries, which are immutable.
func (l *MemoryLog) Clone() *MemoryLog {
	c := *l
	c.met = slices.Clone(l.met)
	c.configurations = slices.Clone(l.configurations)
	c.entries = l.entries.Clone()
	return &c
}

// Incarnation implements [Log].
func (l *MemoryLog) Incarnation() Incarnation { return l.incarnation }

// HardState implements [Log].
func (l *MemoryLog) HardState() HardState { return l.hardState }

// Met implements [Log].
func (l *MemoryLog) Met() []Acquaintance { return slices.Clone(l.met) }

// Founding implements [Log].
func (l *MemoryLog) Founding() Configuration { return l.founding }

// Snapshot implements [Log].
func (l *MemoryLog) Snapshot() SnapshotMeta { return l.snapshot }

// FirstIndex implements [Log].
func (l *MemoryLog) FirstIndex() Index { return l.entries.First() }

// LastIndex implements [Log].
func (l *MemoryLog) LastIndex() Index { return l.entries.Next() - 1 }

// Term implements [Log].
func (l *MemoryLog) Term(i Index) (Term, error) {
	switch {
	case i == l.FirstIndex()-1:
		return l.beforeTerm, nil
	case i < l.FirstIndex() || i > l.LastIndex():
		return 0, fmt.Errorf("node: memory log: term of index %d: holds %d to %d", i, l.FirstIndex(), l.LastIndex())
	}
	return l.entries.At(i).Term, nil
}

// Entries implements [Log]. A run ends where a chunk does.
func (l *MemoryLog) Entries(lo, hi Index, bytesMax int) ([]Entry, error) {
	if lo < l.FirstIndex() || hi > l.LastIndex()+1 || lo >= hi {
		return nil, fmt.Errorf("node: memory log: entries %d to %d: holds %d to %d", lo, hi-1, l.FirstIndex(), l.LastIndex())
	}
	return l.entries.Slice(lo, hi, bytesMax), nil
}

// Configurations implements [Log].
func (l *MemoryLog) Configurations() ([]Entry, error) { return slices.Clone(l.configurations), nil }

// Append implements [Log].
func (l *MemoryLog) Append(entries []Entry) error {
	next := l.LastIndex() + 1
	for i := range entries {
		if want := next + Index(i); entries[i].Index != want {
			return fmt.Errorf("node: memory log: appending index %d: the next one is %d", entries[i].Index, want)
		}
	}
	for i := range entries {
		l.entries.Append(entries[i], len(entries)-1-i)
		if entries[i].Kind == EntryConfiguration {
			l.configurations = append(l.configurations, entries[i])
		}
	}
	return nil
}

// Truncate implements [Log].
func (l *MemoryLog) Truncate(from Index) error {
	if from < l.FirstIndex() || from > l.LastIndex() || from <= l.snapshot.Index {
		return fmt.Errorf("node: memory log: truncating from %d: holds %d to %d, and a snapshot at %d",
			from, l.FirstIndex(), l.LastIndex(), l.snapshot.Index)
	}
	l.entries.Truncate(from)
	for n := len(l.configurations); n > 0 && l.configurations[n-1].Index >= from; n-- {
		l.configurations = l.configurations[:n-1]
	}
	return nil
}

// SetHardState implements [Log].
func (l *MemoryLog) SetHardState(s HardState) error {
	l.hardState = s
	return nil
}

// SetMet implements [Log].
func (l *MemoryLog) SetMet(a Acquaintance) error {
	l.met = slices.DeleteFunc(l.met, func(other Acquaintance) bool { return other.ID == a.ID })
	if a.Incarnation != 0 {
		l.met = append(l.met, a)
	}
	return nil
}

// SetFounding implements [Log].
func (l *MemoryLog) SetFounding(c Configuration) error {
	l.founding = c
	return nil
}

// Compact implements [Log].
func (l *MemoryLog) Compact(meta SnapshotMeta, through Index) error {
	if meta.Index > l.LastIndex() || through > meta.Index || through < l.FirstIndex()-1 {
		return fmt.Errorf("node: memory log: compacting through %d behind a snapshot at %d: holds %d to %d",
			through, meta.Index, l.FirstIndex(), l.LastIndex())
	}
	term, err := l.Term(through)
	if err != nil {
		return err
	}
	l.setSnapshot(meta)
	l.beforeTerm = term
	l.entries.Release(through)
	return nil
}

// Install implements [Log].
func (l *MemoryLog) Install(meta SnapshotMeta) error {
	if meta.Index < l.snapshot.Index {
		return fmt.Errorf("node: memory log: installing a snapshot at %d over one at %d", meta.Index, l.snapshot.Index)
	}
	l.setSnapshot(meta)
	l.configurations = nil
	l.beforeTerm = meta.Term
	l.entries.Reset(meta.Index + 1)
	return nil
}

func (l *MemoryLog) setSnapshot(meta SnapshotMeta) {
	l.snapshot = meta
	l.configurations = slices.DeleteFunc(l.configurations, func(e Entry) bool { return e.Index <= meta.Index })
}
