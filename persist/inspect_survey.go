package persist

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// A surveyor reads a store for an inspection.
type surveyor struct {
	fs     vfs.FS
	result *Inspection
	chain  *chain
	visit  func(*RecordInfo) error
	// found are the damages, with the keys of those concerned.
	found []*damage
	// members are all that have been heard of, those too that have been deleted.
	members map[node.Incarnation]*surveyed
	// used says of each segment what batches it has.
	used map[*segment]*SegmentInfo
}

// A surveyed is a member as far as it has been read.
type surveyed struct {
	info MemberInfo
	// snapshot is the newest one. Its handle is a string.
	snapshot node.SnapshotMeta
	named    bool
	deleted  bool
	// unseen is the last of those entries at the start that are in segments that are gone. Zero: none.
	unseen node.Index
}

func survey(fs vfs.FS, dir string, visit func(*RecordInfo) error) (*Inspection, error) {
	dir = filepath.Clean(dir)
	s := &surveyor{
		fs: fs, result: &Inspection{Dir: dir}, visit: visit,
		members: map[node.Incarnation]*surveyed{}, used: map[*segment]*SegmentInfo{},
	}
	s.chain = &chain{fs: fs, dir: dir, tolerate: s.tolerate}
	if err := s.chain.load(); err != nil {
		return nil, err
	}
	if s.chain.next == 1 {
		return nil, fmt.Errorf("%w: %s has no segments of a log", ErrNoStore, dir)
	}
	s.result.StoreID = s.chain.storeID
	end, err := s.chain.replay(fs.BootID(), s.batch)
	if err != nil {
		return nil, err
	}
	s.result.Batches, s.result.Bytes = end.batches, end.bytes
	if t := end.tail; t != nil {
		s.result.Tail = &TailInfo{
			File: t.file, Offset: t.offset, Bytes: t.bytes, Sequence: t.sequence, SameBoot: t.killed,
		}
	}
	s.listSegments()
	s.listMembers()
	s.nameDamages()
	s.listSnapshots()
	return s.result, nil
}

// tolerate notes what is wrong, once.
func (s *surveyor) tolerate(err error) {
	var d *damage
	if !errors.As(err, &d) {
		same := func(other error) bool { return other.Error() == err.Error() }
		if !slices.ContainsFunc(s.result.Unreadable, same) {
			s.result.Unreadable = append(s.result.Unreadable, err)
		}
		return
	}
	same := func(other *damage) bool {
		return other.file == d.file && other.offset == d.offset && other.detail == d.detail
	}
	if !slices.ContainsFunc(s.found, same) {
		s.found = append(s.found, d)
	}
}

// batch takes the records of a batch over.
func (s *surveyor) batch(b *batch) error {
	used := s.used[b.segment]
	if used == nil {
		used = &SegmentInfo{First: b.header.Sequence}
		s.used[b.segment] = used
	}
	used.Last = b.header.Sequence
	for rest := b.payload; len(rest) > 0; {
		r, after, err := format.Next(rest)
		if err != nil {
			return err // cannot be: the batch has been verified
		}
		info := RecordInfo{
			File: b.segment.name, Segment: b.segment.number, Sequence: b.header.Sequence,
			Offset: b.offset + format.BatchHeaderBytes + int64(len(b.payload)-len(rest)),
			Kind:   r.Kind.String(), Incarnation: r.Key, Bytes: len(r.Body),
		}
		rest = after
		if err := s.record(r, &info); err != nil {
			s.tolerate(&damage{
				file: info.File, offset: info.Offset, detail: fmt.Sprintf("batch %d: %v", info.Sequence, err),
				keys: []node.Incarnation{r.Key},
			})
		}
		s.result.Records++
		if s.visit == nil {
			continue
		}
		if err := s.visit(&info); err != nil {
			return err
		}
	}
	return nil
}

// record takes a record over. The error is what is wrong with it.
func (s *surveyor) record(r format.Record, info *RecordInfo) error {
	if err := r.Check(); err != nil {
		return err
	}
	if r.Kind == format.KindCluster {
		s.result.Cluster, info.Detail = r.Cluster(), fmt.Sprintf("%q", r.Cluster())
		return nil
	}
	m := s.members[r.Key]
	if m == nil {
		m = &surveyed{info: MemberInfo{Incarnation: r.Key, First: 1}}
		s.members[r.Key] = m
	}
	var err error
	if !m.named && r.Kind != format.KindMember && !s.gap() {
		err = fmt.Errorf("a record of kind %v of a member that is not known", r.Kind)
	}
	m.info.Bytes += int64(format.RecordHeaderBytes + len(r.Body))
	if wrong := m.apply(r, info); wrong != nil && !s.gap() {
		err = wrong
	}
	info.Member = m.info.MemberName
	return err
}

// gap reports whether something is missing already, so that what follows need not fit.
func (s *surveyor) gap() bool { return len(s.found) > 0 || len(s.result.Unreadable) > 0 }

// apply takes a record over that has been checked.
func (m *surveyed) apply(r format.Record, info *RecordInfo) (err error) {
	switch r.Kind {
	case format.KindMember:
		named, _ := r.Member()
		m.info.MemberName, m.named = MemberName(named), true
	case format.KindEntry:
		e, _ := r.Entry()
		if e.Index != m.info.Last+1 {
			err = fmt.Errorf("entry %d follows entry %d", e.Index, m.info.Last)
		}
		m.info.Last = e.Index
		info.Index, info.Term, info.Bytes, info.Detail = e.Index, e.Term, len(e.Data), e.Kind.String()
	case format.KindTruncate:
		from, _ := r.Truncate()
		m.info.Last = max(from, 1) - 1
		if m.unseen = min(m.unseen, m.info.Last); m.unseen < m.info.First {
			m.unseen = 0
		}
		info.Index = from
	case format.KindHardState:
		h, _ := r.HardState()
		m.info.Term, m.info.Vote = h.Term, h.Vote
		info.Term, info.Detail = h.Term, fmt.Sprintf("vote=%d commit=%d", h.Vote, h.Commit)
	case format.KindMet:
		a, _ := r.Met()
		info.Detail = fmt.Sprintf("peer=%d incarnation=%016x", a.ID, uint64(a.Incarnation))
	case format.KindFounding:
		c, _ := r.Founding()
		info.Detail = fmt.Sprintf("members=%d", len(c.Members))
	case format.KindCompact:
		c, _ := r.Compaction()
		m.setSnapshot(c.Snapshot)
		m.release(c.Through)
		info.Index, info.Term = c.Through, c.ThroughTerm
		info.Detail = fmt.Sprintf("snapshot=%d", c.Snapshot.Index)
	case format.KindInstall:
		meta, _ := r.Install()
		m.setSnapshot(meta)
		m.info.First, m.info.Last, m.unseen = meta.Index+1, meta.Index, 0
		info.Index, info.Term = meta.Index, meta.Term
	case format.KindCheckpoint:
		c, _ := r.Checkpoint()
		err = m.checkpoint(c)
		info.Index, info.Term = c.Last, c.ThroughTerm
		info.Detail = fmt.Sprintf("through=%d snapshot=%d", c.Through, c.Snapshot.Index)
	case format.KindDelete:
		m.deleted = true
	}
	return err
}

func (m *surveyed) setSnapshot(meta node.SnapshotMeta) {
	m.snapshot = meta
	m.info.Snapshot = meta.Index
	m.info.SnapshotFile, _ = meta.Handle.(string)
}

func (m *surveyed) release(through node.Index) {
	m.info.First = through + 1
	if m.unseen <= through {
		m.unseen = 0
	}
}

// checkpoint holds what is known against what a segment begins with, if that is not the first that is known.
func (m *surveyed) checkpoint(c format.Checkpoint) error {
	known := m.info
	fresh := known.First == 1 && known.Last == 0 && known.Snapshot == 0
	m.setSnapshot(c.Snapshot)
	m.info.First, m.info.Last = c.Through+1, c.Last
	switch {
	case fresh && c.Last > c.Through:
		m.unseen = c.Last
	case fresh:
	case known.First != m.info.First || known.Last != m.info.Last || known.Snapshot != m.info.Snapshot:
		return fmt.Errorf("a segment begins with entries %d to %d and a snapshot at %d, "+
			"and those before it end with %d to %d and %d",
			m.info.First, m.info.Last, m.info.Snapshot, known.First, known.Last, known.Snapshot)
	}
	return nil
}

func (s *surveyor) listSegments() {
	for _, g := range s.chain.segments {
		info := SegmentInfo{}
		if used := s.used[g]; used != nil {
			info = *used
		}
		info.Number, info.File, info.Bytes, info.Used, info.BootID = g.number, g.name, g.size, g.end, g.header.BootID
		s.result.Segments = append(s.result.Segments, info)
	}
	for _, name := range s.chain.void {
		number, _ := parseSegmentName(name)
		s.result.Segments = append(s.result.Segments, SegmentInfo{
			Number: number, File: name, Bytes: s.fileBytes(name), Void: true,
		})
	}
	slices.SortFunc(s.result.Segments, func(a, b SegmentInfo) int { return strings.Compare(a.File, b.File) })
}

func (s *surveyor) fileBytes(name string) int64 {
	f, err := s.fs.Open(filepath.Join(s.result.Dir, name))
	if err != nil {
		return 0
	}
	defer f.Close()
	size, _ := f.Size()
	return size
}

func (s *surveyor) listMembers() {
	for key, m := range s.members {
		if m.deleted {
			continue
		}
		s.result.Members = append(s.result.Members, m.info)
		if m.unseen > 0 && s.chain.missing != 0 {
			s.tolerate(&damage{
				file: segmentName(s.chain.missing), keys: []node.Incarnation{key},
				detail: fmt.Sprintf("the file is missing, and it held entries up to %d", m.unseen),
			})
		}
	}
	slices.SortFunc(s.result.Members, func(a, b MemberInfo) int { return a.compare(b.MemberName) })
}

// listSnapshots lists the files, and reads those that members need.
func (s *surveyor) listSnapshots() {
	d := newSnapshotDir(s.fs, filepath.Join(s.result.Dir, snapshotsDir), s.chain.storeID, nil)
	names, err := d.list()
	if err != nil {
		s.tolerate(err)
	}
	for _, name := range names {
		s.result.Snapshots = append(s.result.Snapshots, SnapshotInfo{
			File: name, Bytes: s.fileBytes(filepath.Join(snapshotsDir, name)),
		})
	}
	for i := range s.result.Members {
		m := &s.result.Members[i]
		if m.Snapshot == 0 {
			continue
		}
		for f := range s.result.Snapshots {
			if s.result.Snapshots[f].File == m.SnapshotFile {
				s.result.Snapshots[f].Member = &m.MemberName
			}
		}
		err := d.check(snapshotOwner{m.Incarnation, m.Group, m.ID}, s.members[m.Incarnation].snapshot)
		if err == nil {
			err = d.verify(m.SnapshotFile)
		}
		var damaged *DamageError
		if errors.As(err, &damaged) {
			s.result.Damages = append(s.result.Damages, damaged)
		} else if err != nil {
			s.tolerate(err)
		}
	}
}

// nameDamages gives the damages the names of the members concerned: if that is not known, of all.
func (s *surveyor) nameDamages() {
	names := map[node.Incarnation]MemberName{}
	for _, m := range s.result.Members {
		if m.Group != "" {
			names[m.Incarnation] = m.MemberName
		}
	}
	for _, d := range s.found {
		s.result.Damages = append(s.result.Damages, d.in(s.result.Dir, d.concerned(names)))
	}
}
