package node

import (
	"fmt"
	"slices"
)

// chunkEntries is how many entries share one allocation in a [MemoryLog].
const chunkEntries = 1024

// MemoryLog is a [Log] in memory. It survives the node that uses it, not the process.
//
// Entries lie in chunks of fixed size, so that appending never moves those that are there, and
// compaction frees them chunk by chunk.
type MemoryLog struct {
	incarnation Incarnation
	hardState   HardState
	met         []Acquaintance
	founding    Configuration
	snapshot    SnapshotMeta

	// first is the index of the first entry held; beforeTerm is the term of the one before it.
	first      Index
	beforeTerm Term
	// chunks hold the entries. All but the last are full; skip slots of the first are released.
	chunks [][]Entry
	skip   int
	// configurations are the configuration entries behind snapshot.Index.
	configurations []Entry
}

var _ Log = (*MemoryLog)(nil)

// NewMemoryLog makes an empty log. The incarnation should be drawn at random, and must not be zero.
func NewMemoryLog(incarnation Incarnation) *MemoryLog {
	if incarnation == 0 {
		panic("node: NewMemoryLog: incarnation 0 stands for an unknown one; draw another")
	}
	return &MemoryLog{incarnation: incarnation, first: 1}
}

// Clone copies the log, sharing the entries, which are immutable.
func (l *MemoryLog) Clone() *MemoryLog {
	c := *l
	c.met = slices.Clone(l.met)
	c.configurations = slices.Clone(l.configurations)
	c.chunks = slices.Clone(l.chunks)
	if n := len(c.chunks); n > 0 {
		c.chunks[n-1] = cutChunk(c.chunks[n-1], len(c.chunks[n-1]))
	}
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
func (l *MemoryLog) FirstIndex() Index { return l.first }

// LastIndex implements [Log].
func (l *MemoryLog) LastIndex() Index {
	if len(l.chunks) == 0 {
		return l.first - 1
	}
	full := (len(l.chunks) - 1) * chunkEntries
	return l.first + Index(full+len(l.chunks[len(l.chunks)-1])-l.skip) - 1
}

// Term implements [Log].
func (l *MemoryLog) Term(i Index) (Term, error) {
	switch {
	case i == l.first-1:
		return l.beforeTerm, nil
	case i < l.first || i > l.LastIndex():
		return 0, fmt.Errorf("node: memory log: term of index %d: holds %d to %d", i, l.first, l.LastIndex())
	}
	return l.at(i).Term, nil
}

// Entries implements [Log]. A run ends where a chunk does.
func (l *MemoryLog) Entries(lo, hi Index, bytesMax int) ([]Entry, error) {
	if lo < l.first || hi > l.LastIndex()+1 || lo >= hi {
		return nil, fmt.Errorf("node: memory log: entries %d to %d: holds %d to %d", lo, hi-1, l.first, l.LastIndex())
	}
	slot := int(lo-l.first) + l.skip
	chunk := l.chunks[slot/chunkEntries][slot%chunkEntries:]
	if want := int(hi - lo); want < len(chunk) {
		chunk = chunk[:want]
	}
	count, bytes := 1, chunk[0].bytes()
	for count < len(chunk) {
		if bytes += chunk[count].bytes(); bytes > bytesMax {
			break
		}
		count++
	}
	return chunk[:count:count], nil
}

// Configurations implements [Log].
func (l *MemoryLog) Configurations() ([]Entry, error) { return slices.Clone(l.configurations), nil }

// Append implements [Log].
func (l *MemoryLog) Append(entries []Entry) error {
	next := l.LastIndex() + 1
	for i := range entries {
		if entries[i].Index != next {
			return fmt.Errorf("node: memory log: appending index %d: the next one is %d", entries[i].Index, next)
		}
		last := len(l.chunks) - 1
		if last < 0 || len(l.chunks[last]) == chunkEntries {
			l.chunks = append(l.chunks, make([]Entry, 0, chunkEntries))
			last++
		}
		l.chunks[last] = append(l.chunks[last], entries[i])
		if entries[i].Kind == EntryConfiguration {
			l.configurations = append(l.configurations, entries[i])
		}
		next++
	}
	return nil
}

// Truncate implements [Log]. The chunk that is cut is copied, so that slots which a message in
// flight refers to are not written again.
func (l *MemoryLog) Truncate(from Index) error {
	if from < l.first || from > l.LastIndex() || from <= l.snapshot.Index {
		return fmt.Errorf("node: memory log: truncating from %d: holds %d to %d, and a snapshot at %d",
			from, l.first, l.LastIndex(), l.snapshot.Index)
	}
	slot := int(from-l.first) + l.skip
	keep := slot / chunkEntries
	cut := l.chunks[keep]
	clear(l.chunks[keep:])
	l.chunks = l.chunks[:keep]
	if slot%chunkEntries > 0 {
		l.chunks = append(l.chunks, cutChunk(cut, slot%chunkEntries))
	}
	if from == l.first {
		l.skip = 0
		l.chunks = nil
	}
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
	if meta.Index > l.LastIndex() || through > meta.Index || through < l.first-1 {
		return fmt.Errorf("node: memory log: compacting through %d behind a snapshot at %d: holds %d to %d",
			through, meta.Index, l.first, l.LastIndex())
	}
	term, err := l.Term(through)
	if err != nil {
		return err
	}
	l.setSnapshot(meta)
	l.skip += int(through - (l.first - 1))
	l.first, l.beforeTerm = through+1, term
	if gone := min(l.skip/chunkEntries, len(l.chunks)); gone > 0 {
		l.chunks = slices.Delete(l.chunks, 0, gone)
		l.skip -= gone * chunkEntries
	}
	if len(l.chunks) == 0 || (len(l.chunks) == 1 && l.skip == len(l.chunks[0])) {
		l.chunks, l.skip = nil, 0
	}
	return nil
}

// Install implements [Log].
func (l *MemoryLog) Install(meta SnapshotMeta) error {
	if meta.Index < l.snapshot.Index {
		return fmt.Errorf("node: memory log: installing a snapshot at %d over one at %d", meta.Index, l.snapshot.Index)
	}
	l.setSnapshot(meta)
	l.configurations = nil
	l.first, l.beforeTerm = meta.Index+1, meta.Term
	l.chunks, l.skip = nil, 0
	return nil
}

func (l *MemoryLog) setSnapshot(meta SnapshotMeta) {
	l.snapshot = meta
	l.configurations = slices.DeleteFunc(l.configurations, func(e Entry) bool { return e.Index <= meta.Index })
}

// at returns the entry at i, which is held.
func (l *MemoryLog) at(i Index) *Entry {
	slot := int(i-l.first) + l.skip
	return &l.chunks[slot/chunkEntries][slot%chunkEntries]
}

// cutChunk copies the first n entries of a chunk into one of their own.
func cutChunk(chunk []Entry, n int) []Entry {
	return append(make([]Entry, 0, chunkEntries), chunk[:n]...)
}
