package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

// failing has all operations of some kinds fail on files with an ending.
func failing(err error, ending string, kinds ...simfs.Kind) func(simfs.Op) *simfs.Fault {
	return func(op simfs.Op) *simfs.Fault {
		for _, kind := range kinds {
			if op.Kind == kind && strings.HasSuffix(op.Name, ending) {
				return &simfs.Fault{Err: err}
			}
		}
		return nil
	}
}

func TestAReadErrorIsFinalForWhoReadsAndNotForTheStore(t *testing.T) {
	sp := newSpecimen(t, true)
	s, err := Open(sp.dir, onDisk(sp.disk, specimenSeed))
	must(t, err)
	a, b := mustMember(t, s, "a", 1), mustMember(t, s, "b", 2)
	sp.disk.Inject(failing(syscall.EIO, "", simfs.Read, simfs.Open))
	if _, err := a.ReadEntries(1, 5, 1000); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "a/1") {
		t.Errorf("reading entries: got %v", err)
	}
	if _, err := b.OpenSnapshot(b.Log().Snapshot()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), snapshotEnding) {
		t.Errorf("opening a snapshot: got %v", err)
	}
	sp.disk.Inject(failing(syscall.EIO, snapshotEnding, simfs.Read))
	if _, err := b.OpenSnapshot(b.Log().Snapshot()); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
		t.Errorf("reading a snapshot: got %v, which should not be damage: it may be there when it is read again", err)
	}
	for _, m := range []node.Storage{a, b} {
		appendSome(t, m, 30, 1, 100, node.EntryCommand)
		commitAll(t, s, m)
	}
	sp.disk.Inject(nil)
	if _, err := readContents(b); err != nil {
		t.Errorf("when the disk can be read again: %v", err)
	}
	must(t, s.Close())
}

// What cannot be read while the store is opened may be there the next time. So it is no damage, and nothing is changed.
func TestAReadErrorInOpenChangesNothing(t *testing.T) {
	sp := newSpecimen(t, false)
	clean := sp.disk.Kill()
	sp.read(t, clean)
	for _, kind := range []simfs.Kind{simfs.Read, simfs.Open, simfs.ReadDir} {
		tried := 0
		for n := 1; n <= clean.Operations(kind); n++ {
			disk := sp.disk.Kill()
			disk.Inject(simfs.FailNth(kind, n, simfs.Fault{Err: syscall.EIO}))
			s, err := Open(sp.dir, onDisk(disk, specimenSeed))
			if err == nil { // it is one of those that read the members back
				must(t, s.Close())
				continue
			}
			tried++
			if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
				t.Errorf("%v %d: got %v", kind, n, err)
			}
			disk.Inject(nil)
			sp.isWhole(t, disk)
		}
		if tried == 0 {
			t.Errorf("no operation of kind %v fails in Open", kind)
		}
	}
}

// isWhole checks that all that the specimen has is on a disk.
func (sp *specimen) isWhole(t *testing.T, disk *simfs.FS) {
	t.Helper()
	s, err := Open(sp.dir, onDisk(disk, specimenSeed))
	must(t, err)
	all, err := readStore(s)
	if err != nil || !equalStores(all, sp.want) {
		t.Errorf("something is lost: %v", err)
	}
	must(t, s.Close())
}

// A disk that is full when the store is opened loses nothing. There is room again when something is removed.
func TestAFullDiskIsAnErrorOfOpenAndNothingIsLost(t *testing.T) {
	sp := newSpecimen(t, false)
	for _, f := range sp.disk.Files() {
		if strings.HasSuffix(f.Name, spareEnding) {
			must(t, sp.disk.Remove(f.Name))
		}
	}
	used := usedOf(sp.disk)
	full, opened := 0, 0
	for room := int64(1); room <= 1<<17; room += 4096 - 37 {
		disk := sp.disk.Kill()
		disk.SetLimit(used + room)
		s, err := Open(sp.dir, onDisk(disk, specimenSeed))
		if err == nil {
			opened++
			must(t, s.Close())
		} else if full++; !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), sp.dir) {
			t.Errorf("with room for %d bytes: got %v", room, err)
		}
		if free := used + room - usedOf(disk); err != nil && free < room {
			t.Errorf("with room for %d bytes: Open failed, and left %d of them", room, free)
		}
		disk.SetLimit(0)
		sp.isWhole(t, disk)
	}
	if full == 0 || opened == 0 {
		t.Errorf("the disk was full %d times, and had room %d times", full, opened)
	}
}

func usedOf(disk *simfs.FS) (bytes int64) {
	for _, f := range disk.Files() {
		bytes += f.Size
	}
	return bytes
}

// A spare that waits is room that the store has already.
func TestAFullDiskDoesNotKeepAStoreWithASpareFromOpening(t *testing.T) {
	sp := newSpecimen(t, true)
	disk := sp.disk.Kill()
	spare := &spares{fs: disk, dir: sp.dir, size: onDisk(disk, 1).SegmentBytes}
	must(t, spare.prepare(steadily))
	disk.SetLimit(usedOf(disk))
	sp.isWhole(t, disk)
}

// What is done in the background is as final as the rest, where it is about the log.
func TestAFailedChore(t *testing.T) {
	for name, c := range map[string]struct {
		kind   simfs.Kind
		ending string
		final  bool
	}{
		"a spare cannot be made":       {simfs.Create, spareTmpEnding, true},
		"a spare cannot be filled":     {simfs.Write, spareTmpEnding, true},
		"a spare cannot be renamed":    {simfs.Rename, spareTmpEnding, true},
		"a segment cannot be recycled": {simfs.Rename, segmentSuffix, true},
		"a snapshot cannot be removed": {simfs.Remove, snapshotEnding, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newShift(func(simfs.Op) *simfs.Fault { return nil })
			must(t, w.open())
			w.disk.Inject(failing(syscall.EIO, c.ending, c.kind))
			var err error
			for round := 0; round < 200 && err == nil; round++ {
				err = w.round(round)
			}
			w.disk.Inject(nil)
			if got := errors.Is(err, syscall.EIO); got != c.final {
				t.Fatalf("got %v, want it to be final: %v", err, c.final)
			}
			if err := w.store.Close(); errors.Is(err, syscall.EIO) != c.final {
				t.Errorf("Close: got %v", err)
			}
			w.fired = &simfs.Op{Name: name}
			w.recovers(t, w.disk, name)
			if _, err := w.disk.ReadDir(shiftDir); errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		})
	}
}

// A snapshot that could not be removed is swept up when the store is opened.
func TestSnapshotsThatNobodyNeedsAreSweptUp(t *testing.T) {
	w := newShift(func(simfs.Op) *simfs.Fault { return nil })
	must(t, w.open())
	w.disk.Inject(failing(syscall.EIO, snapshotEnding, simfs.Remove))
	for round := range 40 {
		must(t, w.round(round))
	}
	must(t, w.store.Close())
	w.disk.Inject(nil)
	if n := w.snapshots(t); n <= 2 {
		t.Fatalf("there are %d snapshots, and none of those that were replaced could be removed", n)
	}
	must(t, w.open())
	needed := 0
	for _, m := range w.twins {
		needed += min(1, int(m.model.Snapshot().Index))
	}
	if n := w.snapshots(t); n != needed {
		t.Errorf("there are %d snapshots, and %d are needed", n, needed)
	}
}

func (w *shift) snapshots(t *testing.T) int {
	t.Helper()
	names, err := w.disk.ReadDir(fmt.Sprintf("%s/%s", shiftDir, snapshotsDir))
	must(t, err)
	return len(names)
}
