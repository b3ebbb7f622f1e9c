package persisttest

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"example.com/raftactor/node"
)

// A member is one that the probe uses, and what it should be like. It is used by one goroutine at a time.
type member struct {
	*probe
	group string
	id    node.ID

	storage node.Storage
	log     node.Log
	isOpen  bool
	model   *model

	// syncs are those that were asked for since the member was opened.
	syncs *syncs
}

type syncs struct {
	*probe
	// answered has something in it when a Sync has been answered.
	answered chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	asked []uint64
	done  uint64
	err   error
}

// seqStep is from one sequence number to the next, so that one that was made up shows.
const seqStep = 3

// open opens the member, at once.
func (m *member) open() {
	storage, err := m.Store.Open(m.group, m.id)
	m.must(err, "opening member %d of group %q, which is not open", m.id, m.group)
	m.use(storage)
}

func (m *member) use(storage node.Storage) {
	if storage == nil || storage.Log() == nil {
		m.fatalf("opening member %d of group %q: there is no storage, or it has no log", m.id, m.group)
	}
	m.storage, m.log, m.isOpen = storage, storage.Log(), true
	m.syncs = &syncs{probe: m.probe, answered: make(chan struct{}, 1)}
	if m.model.incarnation == 0 {
		m.model.incarnation = m.log.Incarnation()
	}
}

func (m *member) close() {
	m.isOpen = false
	m.must(m.storage.Close(), "closing member %d of group %q", m.id, m.group)
}

// sync waits until all that is staged is durable.
func (m *member) sync() { m.await(m.ask()) }

// ask asks for a sync, and returns its number.
func (m *member) ask() uint64 {
	s := m.syncs
	s.mu.Lock()
	seq := uint64(len(s.asked)+1) * seqStep
	s.asked = append(s.asked, seq)
	s.mu.Unlock()
	if m.storage.Sync(seq, s.answer) {
		s.mu.Lock()
		s.done = max(s.done, seq)
		s.mu.Unlock()
	}
	return seq
}

// answer is what the storage calls, from any goroutine.
func (s *syncs) answer(seq uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.err == nil {
		s.err = err
	}
	if !slices.Contains(s.asked, seq) {
		s.errorf("sync %d is answered, and was never asked for", seq)
	}
	s.done = max(s.done, seq)
	select {
	case s.answered <- struct{}{}:
	default:
	}
}

// durable is the highest number that was answered.
func (m *member) durable() uint64 {
	m.syncs.mu.Lock()
	defer m.syncs.mu.Unlock()
	if m.syncs.err != nil {
		m.must(m.syncs.err, "a sync failed")
	}
	return m.syncs.done
}

// await waits until a sync has been answered.
func (m *member) await(seq uint64) {
	for late := time.After(m.patience); m.durable() < seq; {
		select {
		case <-m.syncs.answered:
		case <-late:
			m.fatalf("sync %d was not answered within %v; the last one that was is %d", seq, m.patience, m.durable())
		}
	}
}

// append stages entries of these sizes.
func (m *member) append(term node.Term, sizes ...int) {
	entries := make([]node.Entry, len(sizes))
	for i, size := range sizes {
		entries[i] = m.model.next(i, term, node.EntryCommand, m.model.data(size))
	}
	m.stage(entries)
}

// appendConfiguration stages a configuration.
func (m *member) appendConfiguration(term node.Term, c node.Configuration) {
	m.stage([]node.Entry{m.model.next(0, term, node.EntryConfiguration, c.Encode())})
}

func (m *member) stage(entries []node.Entry) {
	m.model.append(entries)
	m.must(m.log.Append(entries), "appending %d entries from %d on", len(entries), entries[0].Index)
	clear(entries) // the log keeps their data, not the slice
}

func (m *member) truncate(from node.Index) {
	m.model.truncate(from)
	m.must(m.log.Truncate(from), "truncating from %d", from)
}

func (m *member) setHardState(s node.HardState) {
	m.model.hard = s
	m.must(m.log.SetHardState(s), "setting %+v", s)
}

func (m *member) setMet(id node.ID, life node.Incarnation) {
	m.model.met[id] = life
	if life == 0 {
		delete(m.model.met, id)
	}
	m.must(m.log.SetMet(node.Acquaintance{ID: id, Incarnation: life}), "setting the life of %d to %d", id, life)
}

func (m *member) setFounding(c node.Configuration) {
	m.model.founding = c
	m.must(m.log.SetFounding(c), "setting the founding configuration %v", c)
}

// compact takes a snapshot at an index that is held, and releases entries.
func (m *member) compact(index, through node.Index, state []byte) {
	meta := m.model.meta(index, m.model.term(index))
	meta.Handle = m.commit(meta, state)
	m.model.compact(meta, through, state)
	m.must(m.log.Compact(meta, through), "compacting through %d behind a snapshot at %d", through, index)
}

// install takes a snapshot in, as one that came from a leader.
func (m *member) install(index node.Index, term node.Term, state []byte) {
	meta := m.model.meta(index, term)
	meta.Handle = m.commit(meta, state)
	m.model.install(meta, state)
	m.must(m.log.Install(meta), "installing a snapshot at %d", index)
}

// commit writes a snapshot, and returns its handle.
func (m *member) commit(meta node.SnapshotMeta, state []byte) any {
	w := m.createSnapshot(meta)
	m.write(w, state)
	handle, err := w.Commit()
	m.must(err, "committing the snapshot at %d", meta.Index)
	w.Abort() // has no effect any more
	return handle
}

func (m *member) createSnapshot(meta node.SnapshotMeta) node.SnapshotWriter {
	w, err := m.storage.CreateSnapshot(meta)
	m.must(err, "creating a snapshot at %d", meta.Index)
	return w
}

// write writes the state in pieces.
func (m *member) write(w node.SnapshotWriter, state []byte) {
	for size := 1; len(state) > 0; size = size*3 + 1 {
		n := min(size, len(state), 1<<20)
		// The writer must not keep the slice.
		piece := bytes.Clone(state[:n])
		written, err := w.Write(piece)
		clear(piece)
		if m.must(err, "writing %d bytes of a snapshot", n); written != n {
			m.fatalf("writing a snapshot: %d of %d bytes were written, without an error", written, n)
		}
		state = state[n:]
	}
}

// openSnapshot opens a snapshot that is there.
func (m *member) openSnapshot(meta node.SnapshotMeta) node.SnapshotReader {
	r, err := m.storage.OpenSnapshot(meta)
	m.must(err, "opening the snapshot at %d by the handle %v", meta.Index, meta.Handle)
	return r
}

// holds wants a snapshot to have that state.
func (m *member) holds(what string, meta node.SnapshotMeta, state []byte) {
	r := m.openSnapshot(meta)
	defer func() { m.must(r.Close(), "closing a snapshot") }()
	m.reads(what, r, state)
}

// reads wants a reader to give that state.
func (m *member) reads(what string, r node.SnapshotReader, state []byte) {
	if r.Size() != int64(len(state)) {
		m.fatalf("%s: a snapshot of %d bytes has the size %d", what, len(state), r.Size())
	}
	got := make([]byte, len(state))
	// At the very end, io.EOF is as good as no error.
	if n, err := r.ReadAt(got, 0); n != len(state) {
		m.fatalf("%s: reading a snapshot of %d bytes: %d, %v", what, len(state), n, err)
	}
	if !bytes.Equal(got, state) {
		m.errorf("%s: the snapshot has another state than was written", what)
	}
}
