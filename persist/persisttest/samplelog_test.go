package persisttest

import (
	"fmt"

	"example.com/raftactor/node"
)

// sampleLog keeps a few entries in memory of those that are durable, or says so.
type sampleLog struct {
	*node.MemoryLog
	storage *sampleStorage
	// Guarded by the store's mu. Entries up to synced are durable, and have not been truncated since.
	synced      node.Index
	truncations int
	// last is the slice that Entries has returned, and from where.
	last []node.Entry
	from node.Index
}

func (l *sampleLog) is(flaw string) bool { return l.storage.store.is(flaw) }

func (l *sampleLog) Entries(lo, hi node.Index, bytesMax int) ([]node.Entry, error) {
	entries, err := l.MemoryLog.Entries(lo, hi, bytesMax)
	if err != nil {
		return nil, err
	}
	l.storage.store.mu.Lock()
	inMemory := lo+sampleEntries > l.synced
	l.storage.store.mu.Unlock()
	switch {
	case !inMemory && l.is("what is not in memory has an error of its own"):
		return nil, fmt.Errorf("reading %d: %w", lo, node.ErrNotInMemory)
	case !inMemory:
		return nil, node.ErrNotInMemory
	case l.is("nothing staged can be read") && lo > l.synced:
		return nil, node.ErrNotInMemory
	case l.is("memory has no limits"):
		return l.MemoryLog.Entries(lo, l.LastIndex()+1, node.Unlimited)
	case l.is("truncation writes over what was read"):
		l.last, l.from = append([]node.Entry(nil), entries...), lo
		return l.last, nil
	}
	return entries, nil
}

func (l *sampleLog) Append(entries []node.Entry) error {
	if l.is("data has no more than a MiB") {
		for i := range entries {
			entries[i].Data = entries[i].Data[:min(1<<20, len(entries[i].Data))]
		}
	}
	for i, e := range entries {
		at := e.Index - l.from
		if l.is("truncation writes over what was read") && e.Index >= l.from && at < node.Index(len(l.last)) {
			l.last[at] = entries[i]
		}
	}
	if l.is("gaps are welcome") && len(entries) > 0 && entries[0].Index != l.LastIndex()+1 {
		return nil
	}
	return l.MemoryLog.Append(entries)
}

func (l *sampleLog) Truncate(from node.Index) error {
	if l.is("anything can be truncated") && (from < l.FirstIndex() || from > l.LastIndex() || from <= l.Snapshot().Index) {
		return nil
	}
	l.storage.store.mu.Lock()
	l.synced = min(l.synced, from-1)
	l.truncations++
	l.storage.store.mu.Unlock()
	if l.is("truncation leaves one entry") && from < l.LastIndex() {
		from++
	}
	return l.MemoryLog.Truncate(from)
}

func (l *sampleLog) Configurations() ([]node.Entry, error) {
	all, err := l.MemoryLog.Configurations()
	if l.is("one configuration is enough") && len(all) > 1 {
		all = all[len(all)-1:]
	}
	return all, err
}

func (l *sampleLog) SetHardState(s node.HardState) error {
	if l.is("the life that was voted for is lost") {
		s.VoteIncarnation = 0
	}
	return l.MemoryLog.SetHardState(s)
}

func (l *sampleLog) SetMet(a node.Acquaintance) error {
	if l.is("nobody is forgotten") && a.Incarnation == 0 {
		return nil
	}
	return l.MemoryLog.SetMet(a)
}

func (l *sampleLog) SetFounding(c node.Configuration) error {
	if l.is("the founding configuration is lost") {
		return nil
	}
	return l.MemoryLog.SetFounding(c)
}

func (l *sampleLog) Compact(meta node.SnapshotMeta, through node.Index) error {
	switch {
	case l.is("compaction keeps no tail"):
		through = max(through, min(meta.Index, l.LastIndex()))
	case l.is("compaction can do anything") && (through > meta.Index || meta.Index > l.LastIndex()):
		return nil
	case l.is("no entry needs the term before it") && through == l.LastIndex():
		meta.Term++
	}
	old := l.Snapshot()
	if err := l.MemoryLog.Compact(meta, through); err != nil {
		return err
	}
	l.replaced(old)
	return nil
}

func (l *sampleLog) Install(meta node.SnapshotMeta) error {
	old := l.Snapshot()
	if l.is("installing keeps what follows") && meta.Index < l.LastIndex() && meta.Index >= l.FirstIndex() {
		return l.MemoryLog.Compact(meta, meta.Index)
	}
	if err := l.MemoryLog.Install(meta); err != nil {
		return err
	}
	l.storage.store.mu.Lock()
	l.synced = meta.Index
	l.truncations++
	l.storage.store.mu.Unlock()
	l.replaced(old)
	return nil
}

// replaced has the old snapshot removed when the new one is durable.
func (l *sampleLog) replaced(old node.SnapshotMeta) {
	if handle, ok := old.Handle.(string); ok && !l.is("replaced snapshots stay") {
		l.storage.garbage = append(l.storage.garbage, handle)
	}
}
