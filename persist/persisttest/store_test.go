package persisttest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"example.com/raftactor/node"
)

// A sampleStore is the simplest store that has everything the suite looks for: it forgets what was not synced, it
// answers syncs later, and it keeps few entries in memory. A flaw breaks one thing in it.
type sampleStore struct {
	flaw string

	mu sync.Mutex
	// Guarded by mu.
	members   map[string]*sampleMember
	cluster   string
	snapshots map[string][]byte
	writers   int
	handles   int
	lives     node.Incarnation
}

// sampleMember is what is durable of a member. Guarded by the store's mu.
type sampleMember struct {
	durable *node.MemoryLog
	version int // of the newest sync that is durable
	open    bool
	pending int
}

// Memory of the sample: how many entries are kept in it, and that in the suite's terms.
const (
	sampleEntries     = 20
	sampleMemoryBytes = sampleEntries * evictionEntryBytes
)

func newSampleStore(flaw string) *sampleStore {
	return &sampleStore{flaw: flaw, members: map[string]*sampleMember{}, snapshots: map[string][]byte{}, lives: 100}
}

func (s *sampleStore) is(flaw string) bool { return s.flaw == flaw }

func (s *sampleStore) subject() Subject {
	return Subject{Store: s, MemoryBytes: sampleMemoryBytes, Reopen: s.reopen, Snapshots: s.count}
}

// reopen makes another store of what is durable.
func (s *sampleStore) reopen() Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is("the cluster is forgotten") {
		s.cluster = ""
	}
	if s.is("snapshots do not outlive the store") {
		clear(s.snapshots)
	}
	if s.is("members do not outlive the store") {
		clear(s.members)
	}
	return s
}

func (s *sampleStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.snapshots) + s.writers
}

func (s *sampleStore) Claim(cluster string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == "" || s.is("any cluster is welcome") {
		s.cluster = cluster
	}
	if s.cluster != cluster {
		return errors.New("another cluster's")
	}
	return nil
}

func (s *sampleStore) Open(group string, id node.ID) (node.Storage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprintf("%s/%d", group, id)
	if s.is("groups share members") {
		key = fmt.Sprint(id)
	}
	m := s.members[key]
	if m == nil {
		if !s.is("all lives are one") {
			s.lives++
		}
		m = &sampleMember{durable: node.NewMemoryLog(s.lives)}
		s.members[key] = m
	}
	if (m.open && !s.is("a member is handed out twice")) || m.pending > 0 {
		return nil, fmt.Errorf("opening %s: %w", key, node.ErrInUse)
	}
	m.open = true
	log := m.durable.Clone()
	if s.is("a new life at each opening") {
		s.lives++
		log = node.NewMemoryLog(s.lives)
	}
	storage := &sampleStorage{store: s, member: m, version: m.version}
	storage.log = &sampleLog{MemoryLog: log, storage: storage, synced: log.LastIndex()}
	return storage, nil
}

type sampleStorage struct {
	store  *sampleStore
	member *sampleMember
	log    *sampleLog
	// Owned by the node's goroutine.
	version int
	garbage []string // handles that the log needs no more
	// before is closed when the syncs so far have been answered.
	before chan struct{}
}

func (s *sampleStorage) Log() node.Log { return s.log }

func (s *sampleStorage) Sync(seq uint64, done func(uint64, error)) bool {
	if s.store.is("syncs are not answered") {
		return false
	}
	s.version++
	image, version, garbage := s.log.Clone(), s.version, s.garbage
	s.garbage = nil
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.member.pending++
	from := s.log.truncations
	before, answered := s.before, make(chan struct{})
	s.before = answered
	go func() {
		defer close(answered)
		if before != nil {
			<-before
		}
		s.store.mu.Lock()
		if version > s.member.version {
			s.member.version, s.member.durable = version, image
		}
		for _, handle := range garbage {
			delete(s.store.snapshots, handle)
		}
		if s.log.truncations == from {
			s.log.synced = max(s.log.synced, image.LastIndex())
		}
		s.member.pending--
		s.store.mu.Unlock()
		switch {
		case s.store.is("syncs are answered with an earlier number"):
			done(seq-seqStep, nil)
		case s.store.is("syncs are answered with a later number"):
			done(seq+1, nil)
		case s.store.is("syncs fail"):
			done(seq, errors.New("no disk"))
		default:
			done(seq, nil)
		}
	}()
	return s.store.is("syncs are done before they are")
}

func (s *sampleStorage) ReadEntries(lo, hi node.Index, bytesMax int) ([]node.Entry, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	log := s.member.durable
	// What is durable behind that has been truncated, and is still there because no sync has been done since.
	if held := s.log.synced + 1; !s.store.is("truncated entries come back from the disk") {
		hi = min(hi, held)
	}
	hi = min(hi, log.LastIndex()+1)
	switch {
	case lo >= hi:
		return nil, nil
	case lo < log.FirstIndex() && s.store.is("reading what was released is an error"):
		return nil, errors.New("released")
	case lo < log.FirstIndex():
		return nil, nil
	case s.store.is("the disk has no limits"):
		return log.Entries(lo, log.LastIndex()+1, node.Unlimited)
	case s.store.is("the disk is read one behind") && lo < log.LastIndex():
		return log.Entries(lo+1, min(hi+1, log.LastIndex()+1), bytesMax)
	}
	var all []node.Entry
	for lo < hi { // what is in memory comes in pieces
		entries, err := log.Entries(lo, hi, bytesMax)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			bytesMax -= len(entries[i].Data)
			if len(all) > 0 && bytesMax < 0 {
				return all, nil
			}
			all = append(all, entries[i])
		}
		lo += node.Index(len(entries))
	}
	return all, nil
}

func (s *sampleStorage) OnReleaseWanted(func(node.Index)) {}

func (s *sampleStorage) OnFailure(func(error)) {}

func (s *sampleStorage) Stats() node.StorageStats { return node.StorageStats{} }

func (s *sampleStorage) Close() error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.member.open = false
	if s.store.is("closing forgets the vote") {
		return s.member.durable.SetHardState(node.HardState{})
	}
	return nil
}

func (s *sampleStorage) CreateSnapshot(node.SnapshotMeta) (node.SnapshotWriter, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.writers++
	return &sampleWriter{store: s.store}, nil
}

func (s *sampleStorage) DropSnapshot(handle any) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	switch {
	case s.store.is("dropping one snapshot drops all"):
		clear(s.store.snapshots)
	case !s.store.is("dropped snapshots stay"):
		delete(s.store.snapshots, handle.(string))
	}
}

func (s *sampleStorage) OpenSnapshot(meta node.SnapshotMeta) (node.SnapshotReader, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	handle, _ := meta.Handle.(string)
	state, ok := s.store.snapshots[handle]
	if !ok {
		return nil, fmt.Errorf("there is no snapshot %q", handle)
	}
	return &sampleReader{bytes.NewReader(state), s.store, handle}, nil
}

type sampleWriter struct {
	store  *sampleStore
	pieces [][]byte
	handle string
	ended  bool
}

func (w *sampleWriter) Write(p []byte) (int, error) {
	if w.store.is("snapshots keep the writer's slices") {
		w.pieces = append(w.pieces, p)
	} else {
		w.pieces = append(w.pieces, bytes.Clone(p))
	}
	return len(p), nil
}

func (w *sampleWriter) Commit() (any, error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.ended {
		return nil, errors.New("aborted")
	}
	w.ended = true
	w.store.writers--
	w.store.handles++
	w.handle = fmt.Sprint("snapshot-", w.store.handles)
	if w.store.is("there is one snapshot for all") {
		w.handle = "snapshot"
	}
	state := bytes.Join(w.pieces, nil)
	if w.store.is("snapshots end after a MiB") {
		state = state[:min(len(state), 1<<20)]
	}
	w.store.snapshots[w.handle] = state
	return w.handle, nil
}

func (w *sampleWriter) Abort() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if w.store.is("aborting takes back what was committed") {
		delete(w.store.snapshots, w.handle)
	}
	if !w.ended && !w.store.is("aborted snapshots stay") {
		w.ended = true
		w.store.writers--
	}
}

type sampleReader struct {
	*bytes.Reader
	store  *sampleStore
	handle string
}

func (r *sampleReader) Close() error { return nil }

func (r *sampleReader) ReadAt(p []byte, off int64) (int, error) {
	r.store.mu.Lock()
	_, ok := r.store.snapshots[r.handle]
	r.store.mu.Unlock()
	if !ok && r.store.is("replaced snapshots cannot be read") {
		return 0, errors.New("gone")
	}
	n, err := r.Reader.ReadAt(p, off)
	if r.store.is("snapshots end without io.EOF") {
		err = nil
	}
	if r.store.is("snapshots are read in blocks") && off%512 != 0 {
		return r.Reader.ReadAt(p, off-off%512)
	}
	return n, err
}
