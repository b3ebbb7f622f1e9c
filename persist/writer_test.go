package persist

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
)

// batches counts what has been written so far.
func batches(s *Store) uint64 { return s.wal.position.Sequence }

// answers counts what a member is told.
type answers struct {
	seqs []uint64
	errs []error
}

func (a *answers) done(seq uint64, err error) {
	a.seqs, a.errs = append(a.seqs, seq), append(a.errs, err)
}

func TestManySyncsAreOneWriteAndOneAnswer(t *testing.T) {
	_, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	before := batches(s)
	var got answers
	for seq := range uint64(10) {
		appendSome(t, m, 1, 1, 10, node.EntryCommand)
		if m.Sync(seq+1, got.done) {
			t.Error("what has not been written is durable")
		}
	}
	if !s.commit() || s.commit() || batches(s) != before+1 {
		t.Errorf("%d batches were written, want 1", batches(s)-before)
	}
	if !slices.Equal(got.seqs, []uint64{10}) || got.errs[0] != nil {
		t.Errorf("told %v %v, want that of 10", got.seqs, got.errs)
	}
}

func TestASyncWithNothingStagedIsDoneAtOnce(t *testing.T) {
	_, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	fail := func(uint64, error) { t.Error("somebody is told") }
	if before := batches(s); !m.Sync(1, fail) || s.commit() || batches(s) != before {
		t.Error("something has been written, or is waited for")
	}
	appendSome(t, m, 1, 1, 10, node.EntryCommand)
	commitAll(t, s, m)
	if !m.Sync(3, fail) {
		t.Error("all is durable, and it is waited for")
	}
}

// What has been handed over before is what such a sync waits for.
func TestASyncWithNothingStagedWaitsForTheOneBefore(t *testing.T) {
	_, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	var got answers
	appendSome(t, m, 1, 1, 10, node.EntryCommand)
	if m.Sync(1, got.done) || m.Sync(2, got.done) {
		t.Error("what has not been written is durable")
	}
	before := batches(s)
	for s.commit() {
	}
	if batches(s) != before+1 || !slices.Equal(got.seqs, []uint64{2}) {
		t.Errorf("%d batches were written, and %v told", batches(s)-before, got.seqs)
	}
}

func TestThousandsOfMembersShareABatch(t *testing.T) {
	disk := simfs.New()
	opts := onDisk(disk, 1)
	opts.SegmentBytes = 32 << 20
	s := mustOpen(t, useDir, opts)
	var members []node.Storage
	const count = 3000
	for i := range count {
		m := mustMember(t, s, fmt.Sprintf("g%d", i%1000), node.ID(1+i/1000))
		members = append(members, m)
	}
	before := batches(s)
	for _, m := range members {
		appendSome(t, m, 1, 2, 30, node.EntryCommand)
	}
	commitAll(t, s, members...)
	if n := batches(s) - before; n != 1 {
		t.Errorf("%d batches were written, want 1", n)
	}
	opts.fs = disk.Kill()
	s = mustOpen(t, useDir, opts)
	if n := s.Recovery().Members; n != count {
		t.Errorf("there are %d members, want %d", n, count)
	}
	for i := 0; i < count; i += 500 {
		m := mustMember(t, s, fmt.Sprintf("g%d", i%1000), node.ID(1+i/1000))
		if c, err := readContents(m); err != nil || len(c.entries) != 2 {
			t.Errorf("member %d: %v", i, err)
		}
	}
}

func TestBatchesAreSplitBetweenMembers(t *testing.T) {
	disk := simfs.New()
	opts := onDisk(disk, 1)
	opts.BatchBytesMax, opts.SegmentBytes = 10_000, 1<<20
	s := mustOpen(t, useDir, opts)
	var members []node.Storage
	for id := range 12 {
		members = append(members, mustMember(t, s, "g", node.ID(id+1)))
	}
	before := batches(s)
	for id, m := range members {
		length := 4000 // the third one makes it enough
		if id == 5 {
			length = 30_000 // what one member hands over is not split
		}
		appendSome(t, m, 1, 1, length, node.EntryCommand)
	}
	commitAll(t, s, members...)
	if n := batches(s) - before; n != 4 { // 3 each, the large one in the second
		t.Errorf("%d batches were written, want 4", n)
	}
}

func TestABatchMayBeLargerThanASegment(t *testing.T) {
	disk, s := inMemory(t)
	m := &twin{name: MemberName{"g", 1}}
	must(t, m.open(s))
	for round := range 6 {
		must(t, m.append(1, 100))
		m.sync()
		must(t, m.append(2, 70_001+round, 100_002))
		m.sync()
		for s.commit() {
		}
		must(t, m.compare())
		if round == 3 {
			must(t, m.compact(m.model.LastIndex()-3, m.model.LastIndex()-3, 10))
		}
	}
	// The next segments are of the usual size, and the large ones are not kept.
	must(t, m.compact(m.model.LastIndex(), m.model.LastIndex(), 10))
	for range 20 {
		must(t, m.append(3, 9001))
		m.sync()
		s.commit()
	}
	must(t, m.compact(m.model.LastIndex(), m.model.LastIndex(), 10))
	m.sync()
	s.commit()
	for _, f := range disk.Files() {
		if (strings.HasSuffix(f.Name, segmentSuffix) || strings.HasSuffix(f.Name, spareEnding)) && f.Size != s.opts.SegmentBytes {
			t.Errorf("%s has %d bytes", f.Name, f.Size)
		}
	}
	must(t, m.storage.Close())
	must(t, s.Close())
	must(t, m.reopen(mustOpen(t, useDir, onDisk(disk, 2))))
}

// grow makes a log of a member that reaches over a number of segments.
func growSegments(t *testing.T, s *Store, m node.Storage, segments int) {
	t.Helper()
	for len(s.wal.segments) < segments {
		appendSome(t, m, 1, 2, 5000, node.EntryCommand)
		commitAll(t, s, m)
	}
}

func TestMembersThatKeepOldSegmentsAreAskedForARelease(t *testing.T) {
	opts := onDisk(simfs.New(), 1)
	opts.SegmentsMax = 3
	s := mustOpen(t, useDir, opts)
	idle, lagging, modern := mustMember(t, s, "idle", 1), mustMember(t, s, "lagging", 1), mustMember(t, s, "modern", 1)
	asked := map[string][]node.Index{}
	for name, m := range map[string]node.Storage{"idle": idle, "lagging": lagging, "modern": modern} {
		m.OnReleaseWanted(func(through node.Index) { asked[name] = append(asked[name], through) })
	}
	growSegments(t, s, lagging, 3)
	if len(asked) > 0 || lagging.Stats().PinnedBytes != 2*opts.SegmentBytes {
		t.Errorf("asked %v, though there are %d segments; %d bytes are pinned",
			asked, len(s.wal.segments), lagging.Stats().PinnedBytes)
	}
	appendSome(t, modern, 1, 1, 10, node.EntryCommand)
	commitAll(t, s, modern)
	growSegments(t, s, lagging, 4)
	if len(asked) != 1 || len(asked["lagging"]) != 1 {
		t.Fatalf("asked %v, want the one that lags, once", asked)
	}
	// What it is asked for frees what is there too much of.
	through := asked["lagging"][0]
	if first := s.runIn(t, "lagging", s.cutoff).first; through != first-1 {
		t.Errorf("asked for a release through %d, and the segment %d begins with %d", through, s.cutoff, first)
	}
	must(t, lagging.Log().Compact(makeSnapshot(t, lagging, through, 1, 10), through))
	commitAll(t, s, lagging)
	if n := len(s.wal.segments); n != 3 {
		t.Errorf("there are %d segments, want 3", n)
	}
	s.pressAll()
	if len(asked["lagging"]) != 1 || len(asked) != 1 {
		t.Errorf("asked %v, though nothing old is kept any more", asked)
	}
	must(t, lagging.Close())
	growSegments(t, s, modern, 5)
	if len(asked["lagging"]) != 1 {
		t.Error("a member is asked that has been closed")
	}
}

// runIn is the first run of a member that is not in front of a segment.
func (s *Store) runIn(t *testing.T, group string, number uint64) run {
	t.Helper()
	entries := stateOf(s.members[MemberName{group, 1}]).entries.all()
	k := slices.IndexFunc(entries, func(r run) bool { return r.segment.number >= number })
	if k < 0 {
		t.Fatalf("member %s/1 has nothing in segment %d", group, number)
	}
	return entries[k]
}

func TestSegmentsAreUsedAgain(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	growSegments(t, s, m, 10)
	last := m.Log().LastIndex()
	must(t, m.Log().Compact(makeSnapshot(t, m, last, 1, 10), last))
	commitAll(t, s, m)
	if n := len(s.spares.ready); n != sparesMax {
		t.Fatalf("%d spares are kept, want %d", n, sparesMax)
	}
	for _, name := range s.spares.ready {
		if n := len(disk.Content(filepath.Join(useDir, name))); int64(n) != s.opts.SegmentBytes {
			t.Errorf("%s has %d bytes, want %d", name, n, s.opts.SegmentBytes)
		}
	}
	created, written, sequence := disk.Operations(simfs.Create), disk.Operations(simfs.Write), s.wal.position.Sequence
	growSegments(t, s, m, sparesMax)
	if n := disk.Operations(simfs.Create) - created; n > 0 {
		t.Errorf("%d files were made, though there were spares", n)
	}
	batches := int(s.wal.position.Sequence - sequence)
	if n := disk.Operations(simfs.Write) - written; n != batches+sparesMax {
		t.Errorf("%d writes for %d batches and %d headers: what a segment held need not be written over", n, batches, sparesMax)
	}
}

func TestEachBatchEndsWithAFooterAndEachSegmentHasItsOwnSalt(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	salts := map[uint64]bool{}
	for n := range 3 {
		growSegments(t, s, m, n+2)
		w := s.wal
		content := disk.Content(filepath.Join(useDir, w.newest().name))
		footer, err := format.ParseBatchFooter(content[w.offset-format.BatchFooterBytes:], w.salt)
		if err != nil || footer.Sequence != w.position.Sequence || footer.Segment != w.newest().number {
			t.Errorf("got the footer %+v, %v, behind batch %d of %s", footer, err, w.position.Sequence, w.newest().name)
		}
		if salts[w.salt] {
			t.Errorf("the salt %x is that of a segment in front", w.salt)
		}
		salts[w.salt] = true
	}
}

// It is prepared bit by bit, which may take as long as this one is written to.
func TestTheNextSegmentIsPreparedFromTheFirstBatchOfThisOneOn(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	for range 3 {
		before := s.wal.newest()
		appendSome(t, m, 1, 1, 100, node.EntryCommand)
		commitAll(t, s, m)
		if n := len(s.spares.ready); n != 1 {
			t.Fatalf("%d spares, though segment %d has a batch", n, before.number)
		}
		created := disk.Operations(simfs.Create)
		for s.wal.newest() == before {
			appendSome(t, m, 1, 1, 3000, node.EntryCommand)
			commitAll(t, s, m)
		}
		if n := disk.Operations(simfs.Create) - created; n != 1 {
			t.Errorf("%d files were made when segment %d was full, want 1: the segment behind the next one", n, before.number)
		}
	}
}

// A watermark vouches for the batch in front of it, and for none that comes later.
func TestCloseVouchesForWhatWasWrittenSinceTheStoreWasIdle(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	s.vouch()
	appendSome(t, m, 1, 1, 100, node.EntryCommand)
	at, name := s.wal.offset, s.wal.newest().name
	commitAll(t, s, m)
	must(t, s.Close())
	disk = disk.PowerLoss(simfs.Choice{})
	must(t, disk.Flip(filepath.Join(useDir, name), at+100, 1))
	_, err := Open(useDir, onDisk(disk, 2))
	isDamage(t, err, name, MemberName{"g", 1})
}

// A spare of a former life has a name that a new one must not take.
func TestASpareIsNotReplacedByAnother(t *testing.T) {
	disk, s := inMemory(t)
	must(t, s.spares.prepare(steadily))
	must(t, s.Close())
	s = mustOpen(t, useDir, onDisk(disk, 2))
	must(t, s.spares.prepare(steadily))
	must(t, s.Close())
	s = mustOpen(t, useDir, onDisk(disk, 3))
	m := mustMember(t, s, "g", 1)
	appendSome(t, m, 1, 1, 100_000, node.EntryCommand) // it needs a segment of its own
	commitAll(t, s, m)
	for range 3 {
		growSegments(t, s, m, len(s.wal.segments)+1)
	}
	must(t, s.Close())
}

// A snapshot goes when what replaces it is durable, and not before: at any moment a power loss leaves one that the log
// knows.
func TestAnOldSnapshotIsKeptUntilTheNewOneIsDurable(t *testing.T) {
	disk, s := inMemory(t)
	m := &twin{name: MemberName{"g", 1}}
	must(t, m.open(s))
	must(t, m.append(1, 100, 100, 100))
	must(t, m.compact(3, 3, 100))
	m.sync()
	s.commit()
	removed := 0
	disk.OnOperation(func(op simfs.Op) {
		if op.Kind != simfs.Remove || op.Done || !strings.HasSuffix(op.Name, snapshotEnding) {
			return
		}
		removed++
		c := *m
		c.durable = len(m.states) - 1 // the record of the new one
		if err := c.reopen(mustOpen(t, useDir, onDisk(disk.PowerLoss(simfs.Choice{}), 2))); err != nil {
			t.Error(err)
		}
	})
	for round := range 3 {
		must(t, m.append(1, 100))
		must(t, m.compact(node.Index(4+round), 3, 100))
		if removed != round {
			t.Errorf("%d snapshots are gone, though the new one is not the log's", removed-round)
		}
		m.sync()
		s.commit()
		if removed != round+1 {
			t.Errorf("%d snapshots have been removed, want %d", removed, round+1)
		}
	}
}

func TestASnapshotThatWasGivenBackIsRemoved(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	m.DropSnapshot(makeSnapshot(t, m, 3, 1, 100).Handle)
	m.DropSnapshot("../LOCK") // no handle of this store
	m.DropSnapshot(7)
	if names, err := disk.ReadDir(filepath.Join(useDir, snapshotsDir)); err != nil || len(names) > 0 {
		t.Errorf("there are %v, %v", names, err)
	}
	must(t, s.Close())
}

// The header of each batch vouches for the one before it, and the last one for all: on Close, and when nothing is written.
func TestTheNewestBatchIsVouchedForOnce(t *testing.T) {
	_, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	appendSome(t, m, 1, 1, 100, node.EntryCommand)
	commitAll(t, s, m)
	before, offset := batches(s), s.wal.offset
	s.vouch()
	s.vouch()
	if batches(s) != before+1 || s.wal.offset != offset+format.BlockBytes {
		t.Errorf("%d batches of %d bytes vouch for the last one", batches(s)-before, s.wal.offset-offset)
	}
}

// Where the segment is full there is no room for a batch that vouches: the header of the next segment does, if the store is
// closed. Otherwise it waits for what comes.
func TestTheNewestBatchOfAFullSegmentIsVouchedForOnClose(t *testing.T) {
	disk, s := inMemory(t)
	m := &twin{name: MemberName{"g", 1}}
	must(t, m.open(s))
	full := s.wal.newest()
	for s.wal.offset < full.size {
		must(t, m.append(1, 3001))
		m.sync()
		s.commit()
	}
	before := batches(s)
	if s.vouch(); batches(s) != before || s.wal.newest() != full {
		t.Error("a segment was begun for nothing")
	}
	must(t, m.storage.Close())
	must(t, s.Close())
	disk = disk.PowerLoss(simfs.Choice{})
	must(t, m.reopen(mustOpen(t, useDir, onDisk(disk.Kill(), 2))))
	must(t, disk.Flip(filepath.Join(useDir, full.name), full.size-format.BlockBytes+500, 1))
	_, err := Open(useDir, onDisk(disk, 2))
	isDamage(t, err, full.name, MemberName{"g", 1})
}

// What is cut off in the middle of a segment's creation is not in effect, and the store goes on from what is in front
// of it.
func TestARotationThatFailsLosesNothing(t *testing.T) {
	for _, kind := range []simfs.Kind{simfs.Rename, simfs.Write, simfs.Sync, simfs.SyncDir} {
		for nth := range 3 {
			disk, s := inMemory(t)
			m := &twin{name: MemberName{"g", 1}}
			must(t, m.open(s))
			for s.wal.offset+8192 < s.wal.newest().size {
				must(t, m.append(1, 3001))
				m.sync()
				s.commit()
			}
			left := nth
			disk.Inject(func(op simfs.Op) *simfs.Fault {
				if op.Kind == kind {
					left--
				}
				if op.Kind == kind && left < 0 {
					return &simfs.Fault{Err: syscall.EIO}
				}
				return nil
			})
			for range 3 {
				_ = m.append(1, 9001)
				m.sync()
				s.commit()
			}
			if err := s.Close(); !errors.Is(err, syscall.EIO) {
				t.Errorf("%v %d: Close: got %v", kind, nth, err)
			}
			disk.Inject(nil)
			if err := m.reopen(mustOpen(t, useDir, onDisk(disk, 2))); err != nil {
				t.Errorf("%v %d: %v", kind, nth, err)
			}
		}
	}
}
