package persist

import (
	"sync"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// A stage is what a member has written since it handed something over: the records, and what they change once they are
// durable. It belongs to the goroutine that steps the node, and goes from one member to the next, who finds it in a cache.
type stage struct {
	cargo
	steps []step
	// weighty: files may go when this is durable.
	weighty bool
}

var stages = sync.Pool{New: func() any { return &stage{} }}

// A step is what a run of entries, or another record, changes once it is durable.
type step struct {
	// flight is the batch that it is in, once it has been handed over, and offset where. Before that it is where in the
	// records that are staged.
	flight *flight
	offset int64
	// first and term are those of a number of entries of one term. None: it is a record of another kind, or a
	// configuration, and kept as it was written.
	first   node.Index
	term    node.Term
	entries uint32
	// bytes is how long the records are.
	bytes uint32
}

// entry stages an entry, for which there is room.
func (s *stage) entry(key node.Incarnation, e *node.Entry) {
	offset := len(s.records())
	s.buffer = format.AppendEntry(s.buffer, key, e)
	s.count++
	s.sumUp()
	added := step{offset: int64(offset), bytes: uint32(len(s.records()) - offset)}
	if e.Kind != node.EntryConfiguration {
		added.first, added.term, added.entries = e.Index, e.Term, 1
	}
	if n := len(s.steps); n > 0 {
		last := &s.steps[n-1]
		same := last.entries > 0 && added.entries > 0 && last.term == added.term
		if same && int64(last.bytes)+int64(added.bytes) <= runBytesMax {
			last.entries++
			last.bytes += added.bytes
			return
		}
	}
	s.steps = append(s.steps, added)
}

// note stages a record of another kind, which record appends.
func (s *stage) note(record func([]byte) []byte) {
	s.reserve(0)
	offset := len(s.records())
	s.buffer = record(s.buffer)
	s.count++
	added := s.records()[offset:]
	s.steps = append(s.steps, step{offset: int64(offset), bytes: uint32(len(added))})
	switch format.RecordKind(added) {
	case format.KindCompact, format.KindInstall, format.KindDelete:
		s.weighty = true
	}
}

// appendNotes appends the records of the steps that keep theirs.
func (s *stage) appendNotes(b []byte) []byte {
	for i := range s.steps {
		if n := &s.steps[i]; n.entries == 0 {
			b = append(b, s.records()[n.offset:n.offset+int64(n.bytes)]...)
		}
	}
	return b
}

// giveBack empties the stage for the next member.
func (s *stage) giveBack() {
	*s = stage{cargo: cargo{buffer: giveBack(s.buffer)}, steps: keepSteps(s.steps[:0])}
	if s.buffer != nil {
		s.buffer = s.buffer[:format.BatchHeaderBytes]
	}
	stages.Put(s)
}

// keepSteps returns what a member keeps of steps: no room for many when there are none.
func keepSteps(steps []step) []step {
	if len(steps) == 0 && cap(steps) > stepsKept {
		return nil
	}
	return steps
}

const stepsKept = 128
