package persist

import (
	"fmt"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// ReadEntries implements [node.Storage]: it reads what is durable, run by run.
func (m *member) ReadEntries(lo, hi node.Index, bytesMax int) ([]node.Entry, error) {
	var entries []node.Entry
	for bytes := 0; lo < hi; {
		r, last, ok := m.runAt(lo)
		if !ok {
			return entries, nil
		}
		read, there, err := r.segment.readRun(m, r, lo, min(last, hi-1))
		if err != nil {
			return nil, err
		}
		if !there { // released, or closed with the store
			return entries, m.store.failure()
		}
		for _, e := range read {
			if bytes += len(e.Data) + entryBytes; bytes > bytesMax && len(entries) > 0 {
				return entries, nil
			}
			entries = append(entries, e)
		}
		lo = entries[len(entries)-1].Index + 1
	}
	return entries, nil
}

// entryBytes is about what an entry takes in memory beside its data.
const entryBytes = 32

// runAt returns the run that holds entry i, and the index at which it ends.
func (m *member) runAt(i node.Index) (run, node.Index, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	s := &m.state
	found, next, ok := s.entries.find(i)
	last := m.validLast()
	if !ok || i <= s.through || i > last {
		return run{}, 0, false
	}
	if next > 0 {
		last = min(last, next-1)
	}
	return found, last, true
}

// readRun reads the entries lo to last of a run. They are not there if the segment has been released.
func (g *logSegment) readRun(m *member, r run, lo, last node.Index) (entries []node.Entry, there bool, err error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.file == nil {
		return nil, false, nil
	}
	data := make([]byte, r.bytes)
	if _, err := g.file.ReadAt(data, r.offset); err != nil {
		return nil, false, fmt.Errorf("persist: reading entries %d to %d of member %v from %s at offset %d: %w",
			lo, last, m.state.name, g.name, r.offset, err)
	}
	for i, rest := r.first, data; i <= last; i++ {
		offset := r.offset + int64(len(data)-len(rest))
		record, after, err := format.Next(rest)
		var e node.Entry
		if err == nil {
			e, err = record.Entry()
		}
		if err == nil &&
			(record.Kind != format.KindEntry || record.Key != m.state.key || e.Index != i || e.Term != r.term) {
			err = fmt.Errorf("there is a record of kind %v, for index %d and term %d", record.Kind, e.Index, e.Term)
		}
		if err != nil {
			return nil, false, &DamageError{
				Dir: m.store.dir, File: g.name, Offset: offset, Members: []MemberName{m.state.name},
				Detail: fmt.Sprintf("reading entry %d: %v", i, err),
			}
		}
		if i >= lo {
			entries = append(entries, e)
		}
		rest = after
	}
	return entries, true, nil
}
