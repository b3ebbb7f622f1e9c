package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// Recovery says what was found when a store was opened.
type Recovery struct {
	// Members is how many there are, and Segments, Batches and Bytes are what was read of the log.
	Members, Segments int
	Batches, Bytes    int64
	// Took is how long it took.
	Took time.Duration
	// TailDropped says what was dropped at the end of the log, if something was. Nobody had been told that it
	// is durable, unless the disk has damaged the newest batch at the moment at which the power went.
	TailDropped *TailDropped
}

// TailDropped is the end of a log that was not written wholly when the process or the machine ended.
type TailDropped struct {
	// File is the name of the segment, Offset where in it the tail begins, and Bytes how long it is.
	File          string
	Offset, Bytes int64
}

// Names of the other things in the directory.
const (
	lockName     = "LOCK"
	snapshotsDir = "snapshots"
)

func open(dir string, opts Options) (*Store, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	dir = filepath.Clean(dir)
	s := &Store{
		dir: dir, opts: opts, logger: opts.Logger.Named("persist"), members: map[MemberName]*member{},
		spares: &spares{fs: opts.fs, dir: dir, size: opts.SegmentBytes},
		wake:   make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.chores.inline = opts.inline
	s.system = newMember(s, 0, MemberName{})
	if err := opts.fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("persist: making the directory %s: %w", dir, err)
	}
	lock, err := opts.fs.Lock(filepath.Join(dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("persist: locking the directory %s: %w", dir, err)
	}
	s.lock = lock
	if err := s.recover(); err != nil {
		for _, g := range s.segments() {
			err = errors.Join(err, g.release())
		}
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// segments are those that are open.
func (s *Store) segments() []*logSegment {
	if s.wal == nil {
		return nil
	}
	return s.wal.segments
}

// recovering is what recovery knows until the store is open.
type recovering struct {
	store *Store
	keys  map[node.Incarnation]*member
	files map[*segment]*logSegment
	// end is where the proven batches end in the last segment that has one.
	end place
	// opening is what the fresh segment opens with: what is proven, and then what is in doubt. Both are one
	// batch, since neither may be there without the other: what is in doubt may have been acknowledged, and
	// what it releases be gone.
	opening, inDoubt parcel
	// doubted: the batch in doubt has been visited. It is the last one.
	doubted     bool
	began, told time.Time
}

// recover reads the log back, and begins a fresh segment. Nothing is changed on disk before all has been read and
// found sound.
func (s *Store) recover() error {
	r := &recovering{
		store: s, keys: map[node.Incarnation]*member{0: s.system}, files: map[*segment]*logSegment{},
		began: s.opts.now(),
	}
	r.told = r.began.Add(time.Second) // the first word comes after two
	found, err := loadChain(s.opts.fs, s.dir)
	if err != nil {
		return s.named(err)
	}
	found.progress = r.progress
	r.beginLog(found)
	end, err := found.replay(s.opts.fs.BootID(), r.visit)
	if err != nil {
		return s.named(err)
	}
	if !r.doubted {
		r.opening = s.opening()
	}
	if err := r.applyDoubted(found.next); err != nil {
		return s.named(err)
	}
	if err := r.check(found); err != nil {
		return err
	}
	if s.opts.ClusterID != "" {
		if err := s.foreign(s.opts.ClusterID); err != nil {
			return err
		}
	}
	if err := r.beginFresh(found, &end); err != nil {
		return err
	}
	s.recovery = Recovery{
		Members: len(s.members), Segments: len(found.segments), Batches: end.batches, Bytes: end.bytes,
		Took: s.opts.now().Sub(r.began),
	}
	if t := end.tail; t != nil {
		s.recovery.TailDropped = &TailDropped{File: t.file, Offset: t.offset, Bytes: t.bytes}
	}
	s.tellRecovery()
	return nil
}

// beginLog makes what the log is read into.
func (r *recovering) beginLog(found *chain) {
	s := r.store
	s.wal = &wal{
		fs: s.opts.fs, dir: s.dir, storeID: found.storeID, bootID: s.opts.fs.BootID(), spares: s.spares,
		draw: s.opts.draw, number: found.next,
	}
	if s.wal.storeID == 0 {
		s.wal.storeID = s.opts.draw()
	}
	s.snapshots = newSnapshotDir(s.opts.fs, filepath.Join(s.dir, snapshotsDir), s.wal.storeID, s.fail)
	s.snapshots.random = s.opts.draw
}

// file opens a segment that entries will be read from. Segments come in order.
func (r *recovering) file(g *segment) (*logSegment, error) {
	if r.files[g] != nil {
		return r.files[g], nil
	}
	s := r.store
	file, err := s.opts.fs.Open(filepath.Join(s.dir, g.name))
	if err != nil {
		return nil, fmt.Errorf("persist: opening %s: %w", g.name, err)
	}
	r.files[g] = &logSegment{number: g.number, name: g.name, size: g.size, file: file}
	s.wal.addSegment(r.files[g])
	return r.files[g], nil
}

// visit takes a batch over, if it is proven. One that is in doubt, which is the last, is kept for the fresh
// segment.
func (r *recovering) visit(b *batch) error {
	if r.doubted {
		return &damage{file: b.segment.name, offset: b.offset, detail: "a batch follows one that nothing vouches for"}
	}
	if !b.proven {
		r.doubted = true
		r.opening = r.store.opening()
		// That of a segment which holds nothing else begins with the same.
		records, repeats := bytes.CutPrefix(b.payload, r.opening.records)
		r.inDoubt = parcel{records: bytes.Clone(records), count: b.header.Records}
		if repeats {
			r.inDoubt.count -= r.opening.count
		}
		return nil
	}
	file, err := r.file(b.segment)
	if err != nil {
		return err
	}
	at := place{file, b.offset + format.BatchHeaderBytes}
	r.end = place{at.segment, b.offset + format.BatchBytes(int64(len(b.payload)))}
	return r.apply(b.payload, at)
}

// apply takes over the records of a batch whose first one is at a place.
func (r *recovering) apply(payload []byte, at place) error {
	start := at.offset
	for rest := payload; len(rest) > 0; {
		record, after, err := format.Next(rest)
		at.offset = start + int64(len(payload)-len(rest))
		if err == nil {
			err = r.applyRecord(record, at)
		}
		if err != nil {
			return &damage{
				file: at.segment.name, offset: at.offset, detail: err.Error(), keys: []node.Incarnation{record.Key},
			}
		}
		rest = after
	}
	return nil
}

func (r *recovering) applyRecord(record format.Record, at place) error {
	s := r.store
	m := r.keys[record.Key]
	if m == nil {
		named, err := record.Member()
		if record.Kind != format.KindMember || err != nil {
			return fmt.Errorf("a record of kind %v of a member that is not known", record.Kind)
		}
		name := MemberName(named)
		if s.members[name] != nil {
			return fmt.Errorf("member %v is there twice", name)
		}
		m = newMember(s, record.Key, name)
		r.keys[record.Key], s.members[name] = m, m
		s.live.Add(1)
	}
	if err := m.state.apply(record, at); err != nil {
		return err
	}
	if m.state.deleted {
		delete(s.members, m.state.name)
		s.live.Add(-1)
	}
	return nil
}

// applyDoubted takes over the records that are in doubt, as if they stood in the fresh segment already.
func (r *recovering) applyDoubted(number uint64) error {
	fresh := &logSegment{number: number, name: segmentName(number)}
	r.store.wal.fresh = fresh
	at := format.BlockBytes + format.BatchHeaderBytes + int64(len(r.opening.records))
	return r.apply(r.inDoubt.records, place{fresh, at})
}

// check sees to it that every entry of every member has been found, and that every snapshot is there.
func (r *recovering) check(found *chain) error {
	s := r.store
	for _, m := range s.all() {
		if last := m.state.missing(); last > 0 {
			return &DamageError{
				Dir: s.dir, File: segmentName(found.missing), Members: []MemberName{m.state.name},
				Detail: fmt.Sprintf("the file is missing, and it held entries up to %d", last),
			}
		}
		if m.state.snapshot.Index > 0 {
			if err := s.snapshots.check(m.owner(), m.state.snapshot); err != nil {
				return s.named(err)
			}
		}
	}
	return nil
}

// beginFresh begins the segment in which the log goes on, and removes what it makes void.
func (r *recovering) beginFresh(found *chain, end *replayed) error {
	s, w := r.store, r.store.wal
	names, err := s.opts.fs.ReadDir(s.dir)
	if err == nil {
		err = s.spares.init(names, found.next)
	}
	if err != nil {
		return fmt.Errorf("persist: looking for spare segments in %s: %w", s.dir, err)
	}
	if err := s.spares.prepare(atOnce); err != nil {
		return fmt.Errorf("persist: making a segment in %s: %w", s.dir, err)
	}
	if err := s.snapshots.init(); err != nil {
		return err
	}
	// The files behind the last proven batch are void once the fresh segment is there.
	void := slices.Clone(found.void)
	for _, g := range found.segments {
		if g.number > end.durableSegment {
			void = append(void, g.name)
		}
	}
	room := format.BatchBytes(int64(len(r.opening.records) + len(r.inDoubt.records)))
	if err := w.begin(end.durableSegment, end.durable, room); err != nil {
		return err
	}
	w.put(cargo{})
	w.add(r.opening.records, r.opening.count)
	w.add(r.inDoubt.records, r.inDoubt.count)
	if _, err := w.write(); err != nil {
		return err
	}
	s.noteSegments()
	for _, name := range void {
		if err := s.opts.fs.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("persist: removing %s, which is void: %w", name, err)
		}
	}
	if err := r.cutPredecessor(); err != nil {
		return err
	}
	s.releaseSegments()
	return s.snapshots.sweep(s.snapshotNames())
}

// cutPredecessor gives back what the segment in front of the fresh one has behind its end: it is never
// written again.
func (r *recovering) cutPredecessor() error {
	g := r.end.segment
	if g == nil || g.size <= r.end.offset {
		return nil
	}
	s := r.store
	f, err := s.opts.fs.OpenWritable(filepath.Join(s.dir, g.name))
	if err != nil {
		return fmt.Errorf("persist: cutting %s: %w", g.name, err)
	}
	if err := errors.Join(f.Truncate(r.end.offset), f.Close()); err != nil {
		return fmt.Errorf("persist: cutting %s: %w", g.name, err)
	}
	s.wal.newest().before -= g.size - r.end.offset
	g.size = r.end.offset
	return nil
}

// snapshotNames are the snapshots that members need.
func (s *Store) snapshotNames() map[string]bool {
	names := map[string]bool{}
	for _, m := range s.all() {
		if name, ok := m.state.snapshot.Handle.(string); ok {
			names[name] = true
		}
	}
	return names
}

// named gives damage the names of the members that it concerns: those that could be read there, or else all.
func (s *Store) named(err error) error {
	var d *damage
	if !errors.As(err, &d) {
		return err
	}
	return d.in(s.dir, d.concerned(s.namesOnDisk()))
}

// namesOnDisk are the members whose names can still be read in the log: damage may be found before any is known.
func (s *Store) namesOnDisk() map[node.Incarnation]MemberName {
	names := map[node.Incarnation]MemberName{}
	found := &chain{fs: s.opts.fs, dir: s.dir, tolerate: func(error) {}}
	if found.load() != nil {
		return names
	}
	_, _ = found.replay(s.opts.fs.BootID(), func(b *batch) error { // what ends it has been reported
		for rest := b.payload; len(rest) > 0; {
			r, after, err := format.Next(rest)
			if err != nil {
				break
			}
			if m, err := r.Member(); r.Kind == format.KindMember && err == nil {
				names[r.Key] = MemberName(m)
			} else if r.Kind == format.KindDelete {
				delete(names, r.Key)
			}
			rest = after
		}
		return nil
	})
	return names
}

// progress tells how far recovery is, once a second when it takes longer than two.
func (r *recovering) progress(bytes, total int64) {
	if now := r.store.opts.now(); now.Sub(r.told) >= time.Second {
		r.told = now
		r.store.logger.Info("recovering", "dir", r.store.dir, "bytes", bytes, "of", total,
			"seconds", int(now.Sub(r.began).Seconds()))
	}
}

func (s *Store) tellRecovery() {
	v := &s.recovery
	s.logger.Info("store opened", "dir", s.dir, "members", v.Members, "segments", v.Segments, "batches", v.Batches,
		"bytes", v.Bytes, "took", v.Took)
	if t := v.TailDropped; t != nil {
		s.logger.Warn("the end of the log was not written wholly, and has been dropped", "dir", s.dir, "file", t.File,
			"offset", t.Offset, "bytes", t.Bytes)
	}
}
