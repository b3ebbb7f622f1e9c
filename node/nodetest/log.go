package nodetest

import (
	"fmt"

	"example.com/raftactor/node"
)

// A Log is a [node.Log] on a disk that forgets. It holds two images: what has been written, which is
// what the node reads, and what is durable, which is all that a crash leaves. Writes lie between them
// until [Log.Complete].
type Log struct {
	written, durable *node.MemoryLog
	// pending are the writes that are not durable, oldest first.
	pending []write
	// fresh counts the writes at the end of pending that no Sync has named yet.
	fresh int
	// synced is the newest number completed.
	synced uint64

	withhold  int
	failAfter int
	failWith  error
}

// write is one call of a writing method.
type write struct {
	kind    writeKind
	seq     uint64
	entries []node.Entry
	index   node.Index // where to truncate from or compact through
	term    node.Term  // of the entry at index, or in front of entries, before the write
	hard    node.HardState
	met     node.Acquaintance
	meta    node.SnapshotMeta
	// founding is the configuration of a writeFounding.
	founding node.Configuration
}

type writeKind uint8

const (
	writeEntries writeKind = iota
	writeTruncation
	writeHardState
	writeMet
	writeFounding
	writeCompaction
	writeInstallation
)

var _ node.Log = (*Log)(nil)

// NewLog makes an empty log for a new life of a member.
func NewLog(incarnation node.Incarnation) *Log {
	return &Log{
		written: node.NewMemoryLog(incarnation), durable: node.NewMemoryLog(incarnation), failAfter: -1,
	}
}

// Durable is the image that a crash would leave. It must not be changed.
func (l *Log) Durable() *node.MemoryLog { return l.durable }

// Withhold keeps all but the last entries out of memory: [Log.Entries] answers
// [node.ErrNotInMemory] for those further back. Zero withholds nothing.
func (l *Log) Withhold(entries int) { l.withhold = entries }

// FailAfter lets writes succeed, and makes each one after them fail with err. Nothing that fails is
// written.
func (l *Log) FailAfter(writes int, err error) { l.failAfter, l.failWith = writes, err }

// Sync names what has been written since the last Sync: it becomes durable when seq is completed.
func (l *Log) Sync(seq uint64) {
	for i := len(l.pending) - l.fresh; i < len(l.pending); i++ {
		l.pending[i].seq = seq
	}
	l.fresh = 0
}

// Complete makes everything durable that was named by seq or a lower number.
func (l *Log) Complete(seq uint64) {
	done := 0
	for done < len(l.pending)-l.fresh && l.pending[done].seq <= seq {
		if err := l.pending[done].to(l.durable); err != nil {
			panic(fmt.Sprintf("nodetest: a write that could be staged cannot be completed: %v", err))
		}
		done++
	}
	l.pending = append(l.pending[:0], l.pending[done:]...)
	l.synced = max(l.synced, seq)
}

// Tear makes the oldest writes durable that are not, as many as there are up to n, whatever sync they
// belong to: what a crash may leave of a sync that was under way.
func (l *Log) Tear(n int) {
	n = min(n, len(l.pending))
	for i := range n {
		if err := l.pending[i].to(l.durable); err != nil {
			panic(fmt.Sprintf("nodetest: a write that could be staged cannot be completed: %v", err))
		}
	}
	l.fresh = min(l.fresh, len(l.pending)-n)
	l.pending = append(l.pending[:0], l.pending[n:]...)
}

// Pending is how many writes are not durable.
func (l *Log) Pending() int { return len(l.pending) }

// Crash forgets what is not durable. Numbers start anew with the next node.
func (l *Log) Crash() {
	l.written = l.durable.Clone()
	l.pending, l.fresh, l.synced, l.failAfter = nil, 0, 0, -1
}

// Read answers a [node.ReadEntries], from what is withheld, too. It returns nothing if the entries
// are gone.
func (l *Log) Read(lo, hi node.Index, bytesMax int) []node.Entry {
	hi = min(hi, l.written.LastIndex()+1)
	if lo < l.written.FirstIndex() || lo >= hi {
		return nil
	}
	entries, err := l.written.Entries(lo, hi, bytesMax)
	if err != nil {
		return nil
	}
	return entries
}

// Incarnation implements [node.Log].
func (l *Log) Incarnation() node.Incarnation { return l.written.Incarnation() }

// HardState implements [node.Log].
func (l *Log) HardState() node.HardState { return l.written.HardState() }

// Met implements [node.Log].
func (l *Log) Met() []node.Acquaintance { return l.written.Met() }

// Founding implements [node.Log].
func (l *Log) Founding() node.Configuration { return l.written.Founding() }

// Snapshot implements [node.Log].
func (l *Log) Snapshot() node.SnapshotMeta { return l.written.Snapshot() }

// FirstIndex implements [node.Log].
func (l *Log) FirstIndex() node.Index { return l.written.FirstIndex() }

// LastIndex implements [node.Log].
func (l *Log) LastIndex() node.Index { return l.written.LastIndex() }

// Term implements [node.Log].
func (l *Log) Term(i node.Index) (node.Term, error) { return l.written.Term(i) }

// Entries implements [node.Log].
func (l *Log) Entries(lo, hi node.Index, bytesMax int) ([]node.Entry, error) {
	if l.withhold > 0 && lo+node.Index(l.withhold) <= l.written.LastIndex() {
		return nil, node.ErrNotInMemory
	}
	return l.written.Entries(lo, hi, bytesMax)
}

// Configurations implements [node.Log].
func (l *Log) Configurations() ([]node.Entry, error) { return l.written.Configurations() }

// Append implements [node.Log].
func (l *Log) Append(entries []node.Entry) error {
	term, _ := l.written.Term(l.written.LastIndex())
	return l.stage(write{kind: writeEntries, entries: append([]node.Entry(nil), entries...), term: term})
}

// Truncate implements [node.Log].
func (l *Log) Truncate(from node.Index) error {
	term, _ := l.written.Term(from)
	return l.stage(write{kind: writeTruncation, index: from, term: term})
}

// SetHardState implements [node.Log].
func (l *Log) SetHardState(s node.HardState) error {
	return l.stage(write{kind: writeHardState, hard: s})
}

// SetMet implements [node.Log].
func (l *Log) SetMet(a node.Acquaintance) error {
	return l.stage(write{kind: writeMet, met: a})
}

// SetFounding implements [node.Log].
func (l *Log) SetFounding(c node.Configuration) error {
	return l.stage(write{kind: writeFounding, founding: c})
}

// Compact implements [node.Log].
func (l *Log) Compact(meta node.SnapshotMeta, through node.Index) error {
	return l.stage(write{kind: writeCompaction, meta: meta, index: through})
}

// Install implements [node.Log].
func (l *Log) Install(meta node.SnapshotMeta) error {
	return l.stage(write{kind: writeInstallation, meta: meta})
}

func (l *Log) stage(w write) error {
	if l.failAfter == 0 {
		return l.failWith
	}
	if l.failAfter > 0 {
		l.failAfter--
	}
	if err := w.to(l.written); err != nil {
		return err
	}
	l.pending = append(l.pending, w)
	l.fresh++
	return nil
}

// unnamed are the writes since the last Sync.
func (l *Log) unnamed() []write { return l.pending[len(l.pending)-l.fresh:] }

func (w *write) to(image *node.MemoryLog) error {
	switch w.kind {
	case writeEntries:
		return image.Append(w.entries)
	case writeTruncation:
		return image.Truncate(w.index)
	case writeHardState:
		return image.SetHardState(w.hard)
	case writeMet:
		return image.SetMet(w.met)
	case writeFounding:
		return image.SetFounding(w.founding)
	case writeCompaction:
		return image.Compact(w.meta, w.index)
	default:
		return image.Install(w.meta)
	}
}
