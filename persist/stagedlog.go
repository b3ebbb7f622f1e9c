package persist

import (
	"fmt"
	"slices"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// stagedLog is the [node.Log] of an open member: what is durable and what has been staged since. It belongs to the
// goroutine that steps the node.
type stagedLog struct {
	member *member
	// stage is nil if nothing is staged.
	stage *stage
	// recent are the entries at the end. Those in front of it are durable, and found by the member's state.
	recent node.Window

	founding       node.Configuration
	hard           node.HardState
	met            []node.Acquaintance
	snapshot       node.SnapshotMeta
	first          node.Index
	beforeTerm     node.Term // of the entry in front of first
	configurations []node.Entry
}

var _ node.Log = (*stagedLog)(nil)

// load begins with what is durable.
func (l *stagedLog) load(s *state) {
	*l = stagedLog{
		member:   l.member,
		founding: s.founding, hard: s.hard, met: slices.Clone(s.met), snapshot: s.snapshot,
		first: s.through + 1, beforeTerm: s.throughTerm,
		configurations: slices.Clone(s.configurations),
	}
	l.recent.Reset(s.last + 1)
}

func (l *stagedLog) Incarnation() node.Incarnation { return l.member.state.key }

func (l *stagedLog) Founding() node.Configuration { return l.founding }

func (l *stagedLog) HardState() node.HardState { return l.hard }

func (l *stagedLog) Met() []node.Acquaintance { return slices.Clone(l.met) }

func (l *stagedLog) Snapshot() node.SnapshotMeta { return l.snapshot }

func (l *stagedLog) FirstIndex() node.Index { return l.first }

func (l *stagedLog) LastIndex() node.Index { return l.recent.Next() - 1 }

func (l *stagedLog) Configurations() ([]node.Entry, error) {
	return slices.Clone(l.configurations), nil
}

func (l *stagedLog) Term(i node.Index) (node.Term, error) {
	switch {
	case i == l.first-1:
		return l.beforeTerm, nil
	case i < l.first || i > l.LastIndex():
		return 0, fmt.Errorf("persist: term of index %d: the log holds %d to %d", i, l.first, l.LastIndex())
	case i >= l.recent.First():
		return l.recent.At(i).Term, nil
	}
	term, ok := l.member.termOf(i)
	if !ok {
		return 0, fmt.Errorf("persist: term of index %d: it is not where it should be", i)
	}
	return term, nil
}

func (l *stagedLog) Entries(lo, hi node.Index, bytesMax int) ([]node.Entry, error) {
	if lo < l.first || hi > l.LastIndex()+1 || lo >= hi {
		return nil, fmt.Errorf("persist: entries %d to %d: the log holds %d to %d", lo, hi-1, l.first, l.LastIndex())
	}
	if lo < l.recent.First() {
		return nil, node.ErrNotInMemory
	}
	return l.recent.Slice(lo, hi, bytesMax), nil
}

// staging is where to stage something.
func (l *stagedLog) staging() *stage {
	if l.stage == nil {
		l.stage = stages.Get().(*stage)
	}
	return l.stage
}

// isStaged tells whether there is something to hand over.
func (l *stagedLog) isStaged() bool { return l.stage != nil && l.stage.count > 0 }

func (l *stagedLog) Append(entries []node.Entry) error {
	if err := l.member.store.failure(); err != nil {
		return err
	}
	next, bytes := l.recent.Next(), 0
	for i := range entries {
		if e := &entries[i]; e.Index != next+node.Index(i) {
			return fmt.Errorf("persist: appending index %d: the next one is %d", e.Index, next+node.Index(i))
		}
		bytes += format.RecordHeaderBytes + format.EntryHeaderBytes + len(entries[i].Data)
	}
	s := l.staging()
	s.reserve(bytes)
	for i := range entries {
		e := &entries[i]
		l.recent.Append(*e, len(entries)-1-i)
		if e.Kind == node.EntryConfiguration {
			l.configurations = append(l.configurations, *e)
		}
		s.entry(l.member.state.key, e)
	}
	l.evict()
	return nil
}

// evict makes room in memory. Entries can go that are durable as they stand here.
func (l *stagedLog) evict() {
	if quota := l.member.store.recentBytes(); l.recent.Bytes() > quota {
		l.recent.Shrink(l.member.durableLast(), quota/2)
	}
}

func (l *stagedLog) Truncate(from node.Index) error {
	if err := l.member.store.failure(); err != nil {
		return err
	}
	if from < l.first || from > l.LastIndex() || from <= l.snapshot.Index {
		return fmt.Errorf("persist: truncating from %d: the log holds %d to %d, and a snapshot at %d",
			from, l.first, l.LastIndex(), l.snapshot.Index)
	}
	if from < l.recent.First() {
		l.recent.Reset(from)
	} else {
		l.recent.Truncate(from)
	}
	l.member.truncating(from)
	l.configurations = withoutFrom(l.configurations, from)
	l.staging().note(func(b []byte) []byte { return format.AppendTruncate(b, l.member.state.key, from) })
	return nil
}

func (l *stagedLog) SetHardState(s node.HardState) error {
	if err := l.member.store.failure(); err != nil {
		return err
	}
	l.hard = s
	l.staging().note(func(b []byte) []byte { return format.AppendHardState(b, l.member.state.key, s) })
	return nil
}

func (l *stagedLog) SetMet(a node.Acquaintance) error {
	if err := l.member.store.failure(); err != nil {
		return err
	}
	l.met = withMet(l.met, a)
	l.staging().note(func(b []byte) []byte { return format.AppendMet(b, l.member.state.key, a) })
	return nil
}

func (l *stagedLog) SetFounding(c node.Configuration) error {
	if err := l.member.store.failure(); err != nil {
		return err
	}
	l.founding = c
	l.staging().note(func(b []byte) []byte { return format.AppendFounding(b, l.member.state.key, c) })
	return nil
}

func (l *stagedLog) Compact(meta node.SnapshotMeta, through node.Index) error {
	if err := l.takesSnapshot(meta); err != nil {
		return err
	}
	if meta.Index > l.LastIndex() || through > meta.Index || through < l.first-1 {
		return fmt.Errorf("persist: compacting through %d behind a snapshot at %d: the log holds %d to %d",
			through, meta.Index, l.first, l.LastIndex())
	}
	term, err := l.Term(through)
	if err != nil {
		return err
	}
	l.setSnapshot(meta)
	l.first, l.beforeTerm = through+1, term
	if through+1 > l.recent.First() {
		l.recent.Release(through)
	}
	compaction := format.Compaction{Through: through, ThroughTerm: term, Snapshot: meta}
	l.staging().note(func(b []byte) []byte { return format.AppendCompact(b, l.member.state.key, compaction) })
	return nil
}

func (l *stagedLog) Install(meta node.SnapshotMeta) error {
	if err := l.takesSnapshot(meta); err != nil {
		return err
	}
	if meta.Index < l.snapshot.Index {
		return fmt.Errorf("persist: installing a snapshot at %d over one at %d", meta.Index, l.snapshot.Index)
	}
	l.setSnapshot(meta)
	l.configurations = nil
	l.first, l.beforeTerm = meta.Index+1, meta.Term
	l.recent.Reset(meta.Index + 1)
	l.member.truncating(1)
	l.staging().note(func(b []byte) []byte { return format.AppendInstall(b, l.member.state.key, meta) })
	return nil
}

func (l *stagedLog) takesSnapshot(meta node.SnapshotMeta) error {
	if err := l.member.store.failure(); err != nil {
		return err
	}
	if _, ok := meta.Handle.(string); !ok || meta.Index == 0 {
		return fmt.Errorf("persist: the snapshot at %d has the handle %v, which is not of this store",
			meta.Index, meta.Handle)
	}
	return nil
}

func (l *stagedLog) setSnapshot(meta node.SnapshotMeta) {
	l.snapshot = meta
	l.configurations = withoutThrough(l.configurations, meta.Index)
}
