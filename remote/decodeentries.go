package raftremote

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/raftactor/node"
)

func decodeAppendEntries(data []byte) (node.Message, error) {
	m := new(node.AppendEntries)
	var u unpacking
	runs := false
	r := fieldReader{message: "AppendEntries", data: data}
	for r.next() {
		switch r.field {
		case appendPrevIndex:
			m.PrevIndex = node.Index(r.uint64())
		case appendPrevTerm:
			m.PrevTerm = node.Term(r.uint64())
		case appendCommit:
			m.Commit = node.Index(r.uint64())
		case appendLengths:
			u.lengths = r.once(u.lengths != nil)
		case appendData:
			u.data = r.once(u.data != nil)
		case appendRuns:
			runs = r.is(protowire.BytesType)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(u.lengths)%entryLengthBytes != 0 {
		return nil, malformed("AppendEntries", "%d bytes of lengths, which have %d each", len(u.lengths), entryLengthBytes)
	}
	u.entries = room[node.Entry](len(u.lengths) / entryLengthBytes)
	u.index, u.term, u.kind = m.PrevIndex, m.PrevTerm, node.EntryCommand
	if err := u.unpack(data, runs); err != nil {
		return nil, err
	}
	m.Entries = u.entries
	return m, nil
}

// An unpacking makes entries of the lengths and the data that are left of those in an AppendEntries. index is that of the entry
// before, term and kind are those of the next ones. There is room for all entries.
type unpacking struct {
	entries []node.Entry
	lengths []byte
	data    []byte
	index   node.Index
	term    node.Term
	kind    node.EntryKind
}

// unpack makes all entries. message has the runs, if there are any.
func (u *unpacking) unpack(message []byte, runs bool) error {
	r := fieldReader{data: message}
	begun := -1
	for runs && r.next() {
		if r.field != appendRuns {
			continue
		}
		begin, term, kind, err := decodeRun(r.raw())
		switch {
		case err != nil:
			return err
		case begin <= begun || begin >= cap(u.entries):
			return malformed("run", "one that begins at %d, of %d entries, comes after one that begins at %d", begin, cap(u.entries), begun)
		}
		if err := u.take(begin - len(u.entries)); err != nil {
			return err
		}
		begun, u.term, u.kind = begin, term, kind
	}
	if err := u.take(len(u.lengths) / entryLengthBytes); err != nil {
		return err
	}
	if len(u.data) > 0 {
		return malformed("AppendEntries", "%d bytes are left of the data of %d entries", len(u.data), len(u.entries))
	}
	return nil
}

// take makes the next n entries.
func (u *unpacking) take(n int) error {
	first := len(u.entries)
	entries := u.entries[:first+n]
	lengths, data, index, term, kind := u.lengths[:entryLengthBytes*n], u.data, u.index, u.term, u.kind
	for k := first; k < len(entries); k++ {
		length := uint64(binary.LittleEndian.Uint32(lengths))
		lengths = lengths[entryLengthBytes:]
		if length > uint64(len(data)) {
			return malformed("AppendEntries", "an entry of %d bytes, and %d are left of the data", length, len(data))
		}
		index++
		e := &entries[k]
		e.Index, e.Term, e.Kind = index, term, kind
		if length > 0 {
			e.Data = data[:length:length]
			data = data[length:]
		}
	}
	u.entries, u.lengths, u.data, u.index = entries, u.lengths[entryLengthBytes*n:], data, index
	return nil
}

func decodeRun(data []byte) (begin int, term node.Term, kind node.EntryKind, err error) {
	kind = node.EntryCommand
	r := fieldReader{message: "run", data: data}
	for r.next() {
		switch r.field {
		case runBegin:
			begin = int(r.uint32())
		case runTerm:
			term = node.Term(r.uint64())
		case runKind:
			kind = node.EntryKind(r.uint(math.MaxUint8)) + node.EntryCommand
		}
	}
	return begin, term, kind, r.err
}
