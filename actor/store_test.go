package raft

import (
	"bytes"
	"fmt"
	"io/fs"
	"sync"

	"example.com/raftactor/node"
)

// A testStore is a Store of one member whose faults a test controls. It survives the member's actors.
type testStore struct {
	incarnation node.Incarnation

	mu sync.Mutex
	// Guarded by mu.
	storage *testStorage // the newest, open or not
	durable *node.MemoryLog

	// wrap, if set, puts something between the node and its log.
	wrap func(*node.MemoryLog) node.Log
	// slow: syncs wait for complete.
	slow bool
	// loses: what was not synced when the actor stopped is gone.
	loses bool
	// Errors that are returned when they are not nil.
	syncErr, createErr, writeErr, commitErr, openErr, readErr error
	// readers counts the open readers of snapshots, writers the writers neither committed nor aborted.
	readers, writers int
	// replaces: a snapshot is gone as soon as the log has another one.
	replaces bool
	// cluster is what the store was claimed for, and claimErr what a claim returns.
	cluster  string
	claimErr error
	// committed are the handles of the snapshots that became durable and were not dropped.
	committed map[any]bool
	// want has entries released, and pinned is what they take.
	want   func(Index)
	pinned int64
}

func newTestStore(incarnation node.Incarnation) *testStore {
	return &testStore{incarnation: incarnation}
}

// Open implements Store.
func (s *testStore) Open(group string, id ID) (Storage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.storage != nil && s.storage.open {
		return nil, fmt.Errorf("opening member %d of group %q: %w", id, group, ErrInUse)
	}
	log := s.durable
	if log == nil {
		log = node.NewMemoryLog(s.incarnation)
	}
	log = log.Clone()
	s.storage = &testStorage{store: s, memory: log, log: log, open: true}
	if s.wrap != nil {
		s.storage.log = s.wrap(log)
	}
	return s.storage, nil
}

// Claim implements Store.
func (s *testStore) Claim(cluster string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimErr == nil {
		s.cluster = cluster
	}
	return s.claimErr
}

// set changes the faults.
func (s *testStore) set(change func(*testStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// complete completes the n oldest syncs that wait, as one. It tells how many there were.
func (s *testStore) complete(n int) int {
	s.mu.Lock()
	storage := s.storage
	waiting := storage.waiting[:min(n, len(storage.waiting))]
	storage.waiting = storage.waiting[len(waiting):]
	if len(waiting) == 0 {
		s.mu.Unlock()
		return 0
	}
	last := waiting[len(waiting)-1]
	s.durable = last.log
	err := s.syncErr
	s.mu.Unlock()
	last.done(last.seq, err)
	return len(waiting)
}

func (s *testStore) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.storage.waiting)
}

type testStorage struct {
	store  *testStore
	memory *node.MemoryLog
	log    node.Log
	// Guarded by store.mu.
	open    bool
	waiting []waitingSync
}

type waitingSync struct {
	seq  uint64
	log  *node.MemoryLog // as it will be durable
	done func(uint64, error)
}

func (s *testStorage) Log() node.Log { return s.log }

func (s *testStorage) Sync(seq uint64, done func(uint64, error)) bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	switch {
	case s.store.slow:
		s.waiting = append(s.waiting, waitingSync{seq, s.memory.Clone(), done})
		return false
	case s.store.syncErr != nil:
		err := s.store.syncErr
		go done(seq, err)
		return false
	}
	s.store.durable = s.memory
	if s.store.loses {
		s.store.durable = s.memory.Clone()
	}
	return true
}

func (s *testStorage) ReadEntries(lo, hi Index, bytesMax int) ([]Entry, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.readErr != nil {
		return nil, s.store.readErr
	}
	if lo < s.memory.FirstIndex() {
		return nil, nil
	}
	return s.memory.Entries(lo, min(hi, s.memory.LastIndex()+1), bytesMax)
}

func (s *testStorage) CreateSnapshot(SnapshotMeta) (SnapshotWriter, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.createErr != nil {
		return nil, s.store.createErr
	}
	s.store.writers++
	return &testWriter{store: s.store}, nil
}

func (s *testStorage) OpenSnapshot(meta SnapshotMeta) (SnapshotReader, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.openErr != nil {
		return nil, s.store.openErr
	}
	if s.store.replaces && s.log.Snapshot().Handle != meta.Handle {
		return nil, fs.ErrNotExist
	}
	s.store.readers++
	return &testReader{bytes.NewReader(meta.Handle.(*memorySnapshot).data), s.store}, nil
}

func (s *testStorage) DropSnapshot(handle any) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if !s.store.committed[handle] {
		panic("a snapshot is dropped that there is not")
	}
	delete(s.store.committed, handle)
}

func (s *testStorage) OnReleaseWanted(want func(Index)) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.want = want
}

func (s *testStorage) OnFailure(func(error)) {}

func (s *testStorage) Stats() StorageStats {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return StorageStats{PinnedBytes: s.store.pinned}
}

func (s *testStorage) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.open = false
	return nil
}

type testWriter struct {
	memorySnapshotWriter
	store  *testStore
	closed bool
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.store.writeErr != nil {
		return 0, w.store.writeErr
	}
	return w.memorySnapshotWriter.Write(p)
}

func (w *testWriter) Commit() (any, error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.store.commitErr != nil {
		return nil, w.store.commitErr
	}
	w.close()
	handle, err := w.memorySnapshotWriter.Commit()
	if w.store.committed == nil {
		w.store.committed = map[any]bool{}
	}
	w.store.committed[handle] = true
	return handle, err
}

func (w *testWriter) Abort() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.close()
}

// close is called with store.mu held.
func (w *testWriter) close() {
	if !w.closed {
		w.closed = true
		w.store.writers--
	}
}

type testReader struct {
	*bytes.Reader
	store *testStore
}

func (r *testReader) Close() error {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.readers--
	return nil
}

// forgetfulLog withholds the entries below an index, as a log does that keeps only recent ones in
// memory.
type forgetfulLog struct {
	*node.MemoryLog
	inMemory Index
}

func (l *forgetfulLog) Entries(lo, hi Index, bytesMax int) ([]Entry, error) {
	if lo < l.inMemory {
		return nil, node.ErrNotInMemory
	}
	return l.MemoryLog.Entries(lo, hi, bytesMax)
}

// brokenLog returns err, if it is set, from the writes that have already been made.
type brokenLog struct {
	*node.MemoryLog
	err error
}

func (l *brokenLog) Append(entries []Entry) error {
	if err := l.MemoryLog.Append(entries); err != nil {
		return err
	}
	return l.err
}

func (l *brokenLog) Compact(meta SnapshotMeta, through Index) error {
	if err := l.MemoryLog.Compact(meta, through); err != nil {
		return err
	}
	return l.err
}
