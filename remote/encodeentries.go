package raftremote

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/raftactor/node"
)

// entryLengthBytes is what says how long an entry is. That it is always as long makes the length of all of them known before
// they are looked at, and both ends quick.
const entryLengthBytes = 4

func appendAppendEntries(b []byte, m *node.AppendEntries) []byte {
	b, start := begin(b, kindAppendEntries)
	b = appendUint(b, appendPrevIndex, uint64(m.PrevIndex))
	b = appendUint(b, appendPrevTerm, uint64(m.PrevTerm))
	b = appendUint(b, appendCommit, uint64(m.Commit))
	if len(m.Entries) > 0 {
		b = appendEntries(b, m)
	}
	return end(b, start)
}

// appendEntries appends the lengths and the data of the entries, and then the runs, if there are any: most often all entries
// are commands of one term.
func appendEntries(b []byte, m *node.AppendEntries) []byte {
	size := entryLengthBytes * len(m.Entries)
	b = protowire.AppendTag(b, appendLengths, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	lengths := len(b)
	b = slices.Grow(b, size)[:lengths+size]
	b, start := begin(b, appendData)
	uniform := true
	for i := range m.Entries {
		e := &m.Entries[i]
		binary.LittleEndian.PutUint32(b[lengths+entryLengthBytes*i:], uint32(len(e.Data)))
		b = append(b, e.Data...)
		uniform = uniform && e.Term == m.PrevTerm && e.Kind == node.EntryCommand
	}
	b = end(b, start)
	if uniform {
		return b
	}
	return appendEntryRuns(b, m)
}

func appendEntryRuns(b []byte, m *node.AppendEntries) []byte {
	term, kind, start := m.PrevTerm, node.EntryCommand, 0
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Term == term && e.Kind == kind {
			continue
		}
		term, kind = e.Term, e.Kind
		b, start = begin(b, appendRuns)
		b = appendUint(b, runBegin, uint64(i))
		b = appendUint(b, runTerm, uint64(term))
		b = appendUint(b, runKind, uint64(kind-node.EntryCommand))
		b = end(b, start)
	}
	return b
}
