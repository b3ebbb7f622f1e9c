package raft

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"example.com/raftactor/node"
)

// MemoryStore is a [Store] in memory. It survives the actors that use it, and not the process: use it
// where the loss of all members at once may lose the state.
type MemoryStore struct {
	mu       sync.Mutex
	storages map[memberKey]*memoryStorage // guarded by mu
	cluster  string                       // guarded by mu
}

type memberKey struct {
	group string
	id    ID
}

// NewMemoryStore makes an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{storages: map[memberKey]*memoryStorage{}}
}

// Open implements [Store].
func (s *MemoryStore) Open(group string, id ID) (Storage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := memberKey{group, id}
	storage := s.storages[key]
	if storage == nil {
		storage = &memoryStorage{store: s, log: node.NewMemoryLog(newIncarnation())}
		s.storages[key] = storage
	}
	if storage.open {
		return nil, fmt.Errorf("opening member %d of group %q: %w", id, group, ErrInUse)
	}
	storage.open = true
	return storage, nil
}

// Claim implements [Store].
func (s *MemoryStore) Claim(cluster string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == "" {
		s.cluster = cluster
	}
	if s.cluster != cluster {
		return fmt.Errorf("raft: memory store: claimed for cluster %q: it belongs to cluster %q", cluster, s.cluster)
	}
	return nil
}

// newIncarnation draws the number of a new life.
func newIncarnation() node.Incarnation {
	for {
		if i := node.Incarnation(rand.Uint64()); i != 0 {
			return i
		}
	}
}

// memoryStorage is a [Storage]. Memory is as durable as it gets here at once.
type memoryStorage struct {
	store *MemoryStore
	log   *node.MemoryLog
	open  bool // guarded by store.mu
}

func (s *memoryStorage) Log() node.Log { return s.log }

func (s *memoryStorage) Sync(uint64, func(uint64, error)) bool { return true }

func (s *memoryStorage) ReadEntries(lo, hi Index, _ int) ([]Entry, error) {
	return nil, fmt.Errorf("raft: memory store: reading %d to %d: all that it holds is in memory", lo, hi-1)
}

func (s *memoryStorage) CreateSnapshot(SnapshotMeta) (SnapshotWriter, error) {
	return &memorySnapshotWriter{}, nil
}

func (s *memoryStorage) OpenSnapshot(meta SnapshotMeta) (SnapshotReader, error) {
	state, ok := meta.Handle.(*memorySnapshot)
	if !ok {
		return nil, fmt.Errorf("raft: memory store: opening the snapshot at %d: %w", meta.Index, errNoSnapshot)
	}
	return memorySnapshotReader{bytes.NewReader(state.data)}, nil
}

func (s *memoryStorage) DropSnapshot(any) {}

func (s *memoryStorage) OnReleaseWanted(func(Index)) {}

func (s *memoryStorage) OnFailure(func(error)) {}

func (s *memoryStorage) Stats() StorageStats { return StorageStats{} }

var errNoSnapshot = errors.New("there is none by that handle")

func (s *memoryStorage) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.open = false
	return nil
}

// memorySnapshot is a snapshot's state. Handles point to it, so that it lives as long as anybody knows
// it.
type memorySnapshot struct{ data []byte }

type memorySnapshotWriter struct {
	data    []byte
	aborted bool
}

func (w *memorySnapshotWriter) Write(p []byte) (int, error) {
	w.data = append(w.data, p...)
	return len(p), nil
}

func (w *memorySnapshotWriter) Commit() (any, error) {
	if w.aborted {
		return nil, errors.New("raft: memory store: committing a snapshot that was aborted")
	}
	return &memorySnapshot{data: w.data}, nil
}

func (w *memorySnapshotWriter) Abort() { w.data, w.aborted = nil, true }

type memorySnapshotReader struct{ *bytes.Reader }

func (memorySnapshotReader) Close() error { return nil }
