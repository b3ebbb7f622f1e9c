package persist

import (
	"fmt"
	"slices"
	"sync"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// member is the [node.Storage] of one member. It is the same for all who open it, one after the other.
//
// What the node writes is staged by its goroutine. Sync puts it into the batch that is being gathered, and what is left to
// the member is what it changes: steps, which it takes when it next looks at its state, once the batch has landed.
type member struct {
	store *Store

	mu sync.Mutex
	// steps have been handed over, and notes are the records of those that have one, in the same order. Guarded by mu.
	steps []step
	notes []byte
	// flight is the newest batch that has something of this member or for which it waits, or nil, and load its number among
	// those who do. Guarded by mu.
	flight *flight
	load   int
	// log belongs to the goroutine that steps the node.
	log stagedLog
	// state is what is durable, less the steps whose flight has landed; its key and name never change. Whoever looks at it
	// calls settle before. Guarded by mu.
	state state
	// due is what follows from what has been applied, until the writer takes it. Guarded by mu.
	due effects
	// void is where the first of some truncations begins that are on their way, or zero: what is durable from there on is
	// not the log any more. Guarded by mu.
	void        node.Index
	truncations int
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
	if m.open || m.isFlying() {
		return fmt.Errorf("persist: opening member %v: %w", m.state.name, node.ErrInUse)
	}
	m.settle()
	m.open = true
	m.log.load(&m.state)
	return nil
}

// Log implements [node.Storage].
func (m *member) Log() node.Log { return &m.log }

// Sync implements [node.Storage].
func (m *member) Sync(seq uint64, done func(seq uint64, err error)) bool {
	m.mu.Lock()
	if !m.log.isStaged() && !m.isFlying() {
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
	stage, before := m.log.staging(), len(m.steps)
	m.steps = append(m.steps, stage.steps...)
	m.notes = stage.appendNotes(m.notes)
	at, first, err := m.store.enqueue(m, seq, done)
	for i := range m.steps[before:] {
		s := &m.steps[before+i]
		s.flight, s.offset = m.flight, at+s.offset
	}
	if err != nil {
		m.steps = m.steps[:before]
	}
	stage.giveBack()
	m.log.stage = nil
	m.mu.Unlock()
	switch {
	case err == nil && first:
		m.store.nudge()
	case err != nil && done != nil:
		done(seq, err)
	}
}

// write writes a record of the store's own, and waits until it is durable. Who calls it has the member.
func (m *member) write(record func([]byte) []byte) error {
	done := make(chan error, 1)
	m.mu.Lock()
	m.log.staging().note(record)
	m.handOver(0, func(_ uint64, err error) { done <- err })
	if m.store.opts.inline {
		for m.store.commit() {
		}
	}
	return <-done
}

// isFlying tells whether the writer has something of this member that is not durable. It is called with mu held.
func (m *member) isFlying() bool { return m.flight != nil && !m.flight.landed.Load() }

// settle brings the state up to date with what is durable: mostly on the goroutine of the node, and during the next sync.
// It is called with mu held.
func (m *member) settle() {
	n, notes := 0, m.notes
	for ; n < len(m.steps) && m.steps[n].flight.landed.Load(); n++ {
		s := &m.steps[n]
		var record []byte
		if s.entries == 0 {
			record, notes = notes[:s.bytes], notes[s.bytes:]
		}
		if err := m.apply(s, record); err != nil {
			m.store.fail(fmt.Errorf("persist: member %v: it has written what it cannot: %w", m.state.name, err))
		}
	}
	if n > 0 {
		m.steps = keepSteps(slices.Delete(m.steps, 0, n))
		m.notes = keepBytes(m.notes[:copy(m.notes, notes)])
	}
}

// apply applies a step to the state, whose record is given if it has one. It is called with mu held.
func (m *member) apply(s *step, record []byte) error {
	at := place{s.flight.at.segment, s.flight.at.offset + s.offset}
	if s.entries > 0 {
		return m.state.appendRun(s.first, node.Index(s.entries), s.term, at, int64(s.bytes))
	}
	r, _, err := format.Split(record)
	if err != nil {
		return err
	}
	if r.Kind == format.KindTruncate || r.Kind == format.KindInstall {
		if m.truncations--; m.truncations == 0 {
			m.void = 0
		}
	}
	return m.due.apply(&m.state, r, at)
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
	m.truncations++
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
	return node.StorageStats{PinnedBytes: m.store.newest.Load().before - m.state.entries.oldest().before}
}

// pressing returns whom to ask for a release of the entries in front of a segment, and of which, if there are any.
func (m *member) pressing(cutoff uint64) (want func(node.Index), through node.Index) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	s := &m.state
	if m.want == nil || len(s.entries) == 0 || s.entries.oldest().number >= cutoff {
		return nil, 0
	}
	through = s.last
	for i := range s.entries {
		if r := &s.entries[i]; r.segment.number >= cutoff {
			through = r.firstIndex() - 1
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
	if !m.log.isStaged() {
		m.mu.Unlock()
		return nil
	}
	m.handOver(0, nil)
	return nil
}
