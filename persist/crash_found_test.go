package persist

import (
	"path/filepath"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

// What the exploration of crashes has found, each by itself.

func quietOn(disk *simfs.FS) Options {
	opts := quiet()
	opts.fs, opts.SegmentBytes = disk, 2*segmentBytesMin
	return opts
}

// beforeWrites runs what changes a disk, and returns what a process leaves that is killed before one of its writes.
func beforeWrites(disk *simfs.FS, act func()) (images []*simfs.FS) {
	disk.OnOperation(func(op simfs.Op) {
		if op.Kind == simfs.Write && !op.Done {
			images = append(images, disk.Kill())
		}
	})
	act()
	disk.OnOperation(nil)
	return images
}

// A fresh segment makes void the one in front of it, where only the newest batch is in doubt. It must be in effect for that.
func TestASegmentThatIsNotInEffectMakesNoOtherVoid(t *testing.T) {
	disk := simfs.New()
	s := mustOpen(t, storeDir, quietOn(disk))
	m := mustMember(t, s, "g", 1)
	for i := node.Index(1); i <= 2; i++ {
		must(t, m.Log().Append(commands(1, i, i)))
		syncNow(t, s, m)
	}

	disk = disk.Kill()
	mustOpen(t, storeDir, quietOn(disk)) // the newest entry is in the fresh segment now, and cut off the old one
	disk = disk.Kill()
	for i, image := range beforeWrites(disk, func() { mustOpen(t, storeDir, quietOn(disk)) }) {
		m := mustMember(t, mustOpen(t, storeDir, quietOn(image)), "g", 1)
		if got, want := readAll(t, m), commands(1, 1, 2); !equalEntries(got, want) {
			t.Errorf("killed before write %d of recovery: got %v, want %v", i+1, got, want)
		}
	}
}

// What a segment opens with is durable. The batch that makes a member known comes behind it.
func TestAMemberThatIsBeingCreatedIsNotInTheOpeningOfASegment(t *testing.T) {
	disk := simfs.New()
	s := mustOpen(t, storeDir, quietOn(disk))
	m := mustMember(t, s, "g", 1)
	for s.wal.offset < s.wal.newest().size {
		must(t, m.Log().SetHardState(node.HardState{Term: 1}))
		syncNow(t, s, m)
	}
	images := beforeWrites(disk, func() { mustMember(t, s, "g", 2) })
	s = mustOpen(t, storeDir, quietOn(images[len(images)-1]))
	if names := s.Members(); len(names) != 1 {
		t.Errorf("got members %v before the last write, want only g/1", names)
	}
}

// A spare that a former life has left keeps its name: one that is made gets another.
func TestASpareDoesNotTakeThePlaceOfAnother(t *testing.T) {
	disk := simfs.New()
	must(t, disk.MkdirAll(storeDir))
	former := &spares{fs: disk, dir: storeDir, size: segmentBytesMin}
	must(t, former.prepare(steadily))
	s := &spares{fs: disk, dir: storeDir, size: segmentBytesMin}
	names, err := disk.ReadDir(storeDir)
	must(t, err)
	must(t, s.init(names, 1))
	for _, size := range []int64{2 * segmentBytesMin, segmentBytesMin} {
		f, err := s.take(segmentName(uint64(size)), size)
		must(t, err)
		if got, err := f.Size(); err != nil || got != size {
			t.Errorf("got a spare of %d bytes, %v, want %d", got, err, size)
		}
	}
}

// A spare may have been taken as a segment, and have its header, when the machine lost power and its new name was lost. Another
// file got the number, and the removal of the spare was lost too, because a sync of the directory had failed.
func TestASpareIsNotTakenThatHasTheHeaderOfAnotherSegment(t *testing.T) {
	disk := simfs.New()
	s := mustOpen(t, storeDir, quietOn(disk))
	m := mustMember(t, s, "g", 1)
	must(t, m.Log().Append(commands(1, 1, 1)))
	syncNow(t, s, m)
	spare := filepath.Join(storeDir, "taken"+spareEnding)
	f, err := disk.Create(spare)
	must(t, err)
	must(t, f.Close())
	write(t, disk, spare, disk.Content(filepath.Join(storeDir, s.wal.newest().name)))
	disk = disk.Kill()
	for i, image := range beforeWrites(disk, func() { mustOpen(t, storeDir, quietOn(disk)) }) {
		m := mustMember(t, mustOpen(t, storeDir, quietOn(image)), "g", 1)
		if got, want := readAll(t, m), commands(1, 1, 1); !equalEntries(got, want) {
			t.Errorf("killed before write %d of recovery: got %v, want %v", i+1, got, want)
		}
	}
}

// An opening batch that is in doubt holds the state already. What it is repeated in begins with the same: it is not longer
// each time.
func TestKillsRightAfterOpeningDoNotLengthenTheOpeningBatch(t *testing.T) {
	disk, s := inMemory(t)
	for id := range node.ID(3) {
		m := mustMember(t, s, "g", id+1)
		must(t, m.Log().SetHardState(node.HardState{Term: 3, Vote: 1}))
		appendSome(t, m, 3, 2, 3000, node.EntryCommand)
		commitAll(t, s, m)
	}
	var first int64
	for opened := range uint64(20) {
		disk = disk.Kill()
		s = mustOpen(t, useDir, onDisk(disk, opened+2))
		if first == 0 {
			first = s.wal.offset
		}
		if s.wal.offset != first {
			t.Fatalf("opening %d: the first batch ends at %d, and at %d before", opened+1, s.wal.offset, first)
		}
	}
	for id := range node.ID(3) {
		if last := mustMember(t, s, "g", id+1).Log().LastIndex(); last != 2 {
			t.Errorf("member %d has entries up to %d, want 2", id+1, last)
		}
	}
}
