package persist

import (
	"fmt"
	"sync"
	"sync/atomic"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// member is the [node.Storage] of one member. It is the same for all who open it, one after the other.
//
// What the node writes goes through four buffers: staged by the node's goroutine, handed over by Sync, being
// written, and arrived on the disk. So the node never waits for the writer, nor the writer for the node.
type member struct {
	store *Store
	// log belongs to the goroutine that steps the node, and so does handed, which counts the handovers.
	log    stagedLog
	handed uint64

	mu sync.Mutex
	// state is what is durable, less the records of arrived, which is at a place, and those of writing, once their flight
	// has landed; its key and name never change. Whoever looks at it calls settle before. Guarded by mu.
	state   state
	arrived parcel
	at      place
	// due is what follows from what has been applied, until the writer takes it. Guarded by mu.
	due effects
	// writing is with the writer, at an offset in a batch, until the flight has landed. Then it is guarded by mu; flight is
	// nil if there is none.
	writing parcel
	flight  *flight
	offset  int64
	// pending has been handed over, and waits for the writer. queued: the store's queue names this member for it.
	// Guarded by mu.
	pending parcel
	queued  bool
	// void is where a truncation begins that is on its way in the handover voidBy, or zero: what is durable from there on
	// is not the log any more. Guarded by mu.
	void   node.Index
	voidBy uint64
	// open: somebody has it. Guarded by mu.
	open bool
	// want asks for a release of entries, or is nil. Guarded by mu.
	want func(through node.Index)
	// failed is told when the store has failed, or is nil. Guarded by mu.
	failed func(err error)
}

var _ node.Storage = (*member)(nil)

func newMember(s *Store, key node.Incarnation, name MemberName) *member {
	m := &member{store: s, state: state{key: key, name: name}}
	m.log.member = m
	return m
}

// take opens the member, if nobody has it and nothing of it is on its way to the disk.
func (m *member) take() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open || m.queued || m.isFlying() {
		return fmt.Errorf("persist: opening member %v: %w", m.state.name, node.ErrInUse)
	}
	m.settle()
	m.open, m.void = true, 0
	m.log.load(&m.state)
	return nil
}

// Log implements [node.Storage].
func (m *member) Log() node.Log { return &m.log }

// Sync implements [node.Storage].
func (m *member) Sync(seq uint64, done func(seq uint64, err error)) bool {
	m.mu.Lock()
	if m.log.stage.count == 0 && !m.queued && !m.isFlying() {
		m.mu.Unlock()
		if err := m.store.failure(); err != nil { // what was on its way is not durable, though it is not there any more
			done(seq, err)
			return false
		}
		return true
	}
	m.handOver(seq, done)
	return false
}

// handOver gives what is staged to the writer. It is called with mu held, and lets go of it.
func (m *member) handOver(seq uint64, done func(uint64, error)) {
	m.settle()
	m.pending.add(&m.log.stage)
	m.handed++
	m.pending.number, m.pending.seq, m.pending.done = m.handed, seq, done
	queued := m.queued
	m.queued = true
	m.mu.Unlock()
	if !queued {
		m.store.enqueue(m)
	}
}

// write writes records of the store's own, and waits until they are durable. Who calls it has the member.
func (m *member) write(records func(*parcel)) error {
	done := make(chan error, 1)
	m.mu.Lock()
	records(&m.log.stage)
	m.handOver(0, func(_ uint64, err error) { done <- err })
	if m.store.opts.inline {
		for m.store.commit() {
		}
	}
	return <-done
}

// collect moves what has been handed over to the writer, who calls it, for a flight. It returns what is known of it.
func (m *member) collect(f *flight) (l load, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.land()
	m.writing, m.pending = m.pending, m.writing
	m.queued, m.flight = false, f
	l = load{member: m, weighty: m.writing.weighty, seq: m.writing.seq, done: m.writing.done}
	return l, len(m.writing.records)
}

// A flight is a batch on its way to the disk. All whose records are in it see by it that they have become durable, so
// that the writer need not go to each.
type flight struct {
	// at is where the batch is. Set before landed.
	at     place
	landed atomic.Bool
}

// isFlying tells whether the writer has something of this member that is not durable. It is called with mu held.
func (m *member) isFlying() bool { return m.flight != nil && !m.flight.landed.Load() }

// land makes room for the next flight if the last one has landed. It is called with mu held.
func (m *member) land() {
	if m.flight == nil || !m.flight.landed.Load() {
		return
	}
	m.apply()
	m.arrived, m.writing = m.writing, m.arrived
	m.at = place{m.flight.at.segment, m.flight.at.offset + m.offset}
	m.flight = nil
}

// settle brings the state up to date with what is durable: mostly on the goroutine of the node, and during the next sync.
// It is called with mu held.
func (m *member) settle() {
	m.land()
	m.apply()
}

// apply applies what has arrived to the state. It is called with mu held.
func (m *member) apply() {
	at := m.at
	if at.segment == nil {
		return
	}
	for rest := m.arrived.records; len(rest) > 0; {
		r, after, err := format.Split(rest)
		if err == nil {
			err = m.due.apply(&m.state, r, at)
		}
		if err != nil {
			m.store.fail(fmt.Errorf("persist: member %v: it has written what it cannot: %w", m.state.name, err))
			break
		}
		at.offset += int64(len(rest) - len(after))
		rest = after
	}
	if m.arrived.number >= m.voidBy {
		m.void = 0
	}
	m.at = place{}
	m.arrived.clear()
}

// takeDue settles, and returns what the writer, who calls it, has to do. Others may have looked at the member, and so
// settled it, since the flight has landed.
func (m *member) takeDue() effects {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	e := m.due
	m.due = effects{}
	return e
}

// refuse tells who waits for what has been handed over, and cannot be queued any more. The writer may be at what came
// before.
func (m *member) refuse(err error) {
	m.mu.Lock()
	pending := m.pending
	m.pending, m.queued = parcel{}, false
	m.mu.Unlock()
	pending.complete(err)
}

// fail tells all who wait that nothing more becomes durable. The writer calls it.
func (m *member) fail(err error) {
	m.mu.Lock()
	m.settle()
	writing, pending := m.writing, m.pending
	m.writing, m.pending = parcel{}, parcel{}
	m.queued, m.flight = false, nil
	m.mu.Unlock()
	if pending.done == nil {
		pending = writing
	}
	pending.complete(err)
}

// effects are what follows from records that have become durable.
type effects struct {
	// released: some entries need not be kept any more. replaced are snapshots that are not needed any more.
	released bool
	replaced []string
	deleted  bool
}

func (e *effects) apply(s *state, r format.Record, at place) error {
	before := s.snapshot.Handle
	if err := s.apply(r, at); err != nil {
		return err
	}
	switch r.Kind {
	case format.KindCompact, format.KindInstall:
		e.released = true
	case format.KindDelete:
		e.released, e.deleted = true, true
		s.snapshot = node.SnapshotMeta{}
	}
	if name, ok := before.(string); ok && s.snapshot.Handle != before {
		e.replaced = append(e.replaced, name)
	}
	return nil
}

// truncating says that what is durable from an index on is void as soon as what is staged now is.
func (m *member) truncating(from node.Index) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.void == 0 || from < m.void {
		m.void = from
	}
	m.voidBy = m.handed + 1
}

// durableLast is the index of the last entry that is durable, and not about to be truncated.
func (m *member) durableLast() node.Index {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.validLast()
}

// validLast is durableLast, with mu held.
func (m *member) validLast() node.Index {
	m.settle()
	if m.void != 0 {
		return min(m.state.last, m.void-1)
	}
	return m.state.last
}

func (m *member) termOf(i node.Index) (node.Term, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	return m.state.entries.term(i)
}

// OnReleaseWanted implements [node.Storage].
func (m *member) OnReleaseWanted(want func(through node.Index)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want = want
}

// OnFailure implements [node.Storage].
func (m *member) OnFailure(failed func(err error)) {
	m.mu.Lock()
	m.failed = failed
	m.mu.Unlock()
	if err := m.store.failure(); err != nil {
		m.tell(err)
	}
}

// tell tells whoever has the member, once, that the store has failed.
func (m *member) tell(err error) {
	m.mu.Lock()
	failed := m.failed
	m.failed = nil
	m.mu.Unlock()
	if failed != nil {
		failed(err)
	}
}

// CreateSnapshot implements [node.Storage].
func (m *member) CreateSnapshot(meta node.SnapshotMeta) (node.SnapshotWriter, error) {
	if err := m.store.failure(); err != nil {
		return nil, err
	}
	return m.store.snapshots.create(m.owner(), meta)
}

// OpenSnapshot implements [node.Storage].
func (m *member) OpenSnapshot(meta node.SnapshotMeta) (node.SnapshotReader, error) {
	return m.store.snapshots.open(m.owner(), meta)
}

// DropSnapshot implements [node.Storage].
func (m *member) DropSnapshot(handle any) {
	if name, ok := handle.(string); ok {
		m.store.dropSnapshots([]string{name})
	}
}

// Stats implements [node.Storage].
func (m *member) Stats() node.StorageStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	if len(m.state.entries) == 0 {
		return node.StorageStats{}
	}
	return node.StorageStats{PinnedBytes: m.store.newest.Load().before - m.state.entries[0].segment.before}
}

// pressing returns whom to ask for a release of the entries in front of a segment, and of which, if there are any.
func (m *member) pressing(cutoff uint64) (want func(node.Index), through node.Index) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	s := &m.state
	if m.want == nil || len(s.entries) == 0 || s.entries[0].segment.number >= cutoff {
		return nil, 0
	}
	through = s.last
	for _, r := range s.entries {
		if r.segment.number >= cutoff {
			through = r.first - 1
			break
		}
	}
	return m.want, through
}

func (m *member) owner() snapshotOwner {
	return snapshotOwner{Key: m.state.key, Group: m.state.name.Group, ID: m.state.name.ID}
}

// Close implements [node.Storage]. What is staged is handed over, though nobody waits for it.
func (m *member) Close() error {
	m.mu.Lock()
	if !m.open {
		m.mu.Unlock()
		return nil
	}
	m.open, m.want, m.failed = false, nil, nil
	if m.log.stage.count == 0 {
		m.mu.Unlock()
		return nil
	}
	m.handOver(m.pending.seq, m.pending.done)
	return nil
}
