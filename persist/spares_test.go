package persist

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

// To fill a segment with zeros takes longer than all else that is done when a store is opened.
func TestTheNextOpeningFindsASpare(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	filled := func() int64 {
		var most int64
		names, err := disk.ReadDir(useDir)
		must(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, spareEnding) {
				most = max(most, int64(len(disk.Content(filepath.Join(useDir, name)))))
			}
		}
		return most
	}
	for seed := range uint64(3) {
		made := disk.Operations(simfs.Create)
		opts := withWriter(disk, seed)
		opts.ClusterID = "north"
		s := mustOpen(t, useDir, opts)
		s.chores.wait()
		if size := filled(); size != opts.SegmentBytes {
			t.Errorf("opening %d leaves a spare of %d bytes, want %d", seed+1, size, opts.SegmentBytes)
		}
		if n := disk.Operations(simfs.Create) - made; seed > 0 && n != 1 {
			t.Errorf("opening %d has made %d files, want the next spare only", seed+1, n)
		}
		must(t, s.Close())
	}
}

// A spare whose zeros are not zeros any more becomes a segment all the same. What is written over it is sound. What lies
// behind the end of the log may look like the remains of a batch: then it is dropped, or said to be damage, and nothing else
// is lost.
func TestADamagedSpareLosesNothing(t *testing.T) {
	counts := [verdicts]int{}
	for offset := int64(0); offset < 1<<15; offset += 509 {
		for _, restarted := range []bool{true, false} {
			v, err := spoiledSpare(t, offset, restarted)
			if err != nil {
				t.Errorf("offset %d, machine restarted: %v: %v", offset, restarted, err)
			}
			counts[v]++
		}
	}
	t.Log(counted(counts))
	if counts[harmless] == 0 || counts[dropped] == 0 {
		t.Errorf("got %s, want some that are harmless, and some that are dropped", counted(counts))
	}
}

// spoiledSpare damages the spare that the next segment is made of, fills a part of it, and ends the process.
func spoiledSpare(t *testing.T, offset int64, restarted bool) (verdict, error) {
	t.Helper()
	disk, s := inMemory(t)
	m := &twin{name: MemberName{"g", 1}}
	must(t, m.open(s))
	must(t, s.spares.prepare())
	must(t, disk.Flip(filepath.Join(useDir, s.spares.ready[0]), offset, int(offset)%8))
	for first := s.wal.newest(); s.wal.newest() == first || s.wal.offset < s.wal.newest().size/2; {
		must(t, m.append(1, 3001))
		m.sync()
		s.commit()
	}
	if err := m.compare(); err != nil {
		return harmless, err
	}
	image := disk.Kill()
	if restarted {
		image = disk.PowerLoss(simfs.Choice{})
	}
	s, err := Open(useDir, onDisk(image, 2))
	if errors.Is(err, ErrDamaged) && changes(image) == 0 {
		return refused, nil
	}
	if err != nil {
		return refused, err
	}
	if err := m.reopen(s); err != nil {
		return harmless, err
	}
	if s.Recovery().TailDropped != nil {
		return dropped, nil
	}
	return harmless, nil
}

// One sector is all that a small batch has. When that is gone, nothing is left of it; but the watermark behind it knows that
// it was there, and so does any later batch.
func TestAWatermarkKnowsOfABatchThatIsGoneWithoutATrace(t *testing.T) {
	for _, restarted := range []bool{true, false} {
		disk, s := inMemory(t)
		m := mustMember(t, s, "g", 1)
		appendSome(t, m, 1, 1, 100, node.EntryCommand)
		at := s.wal.offset
		commitAll(t, s, m)
		s.vouch()
		must(t, disk.Zero(filepath.Join(useDir, s.wal.newest().name), at, simfs.SectorBytes))
		image := disk.Kill()
		if restarted {
			image = disk.PowerLoss(simfs.Choice{})
		}
		_, err := Open(useDir, onDisk(image, 2))
		isDamage(t, err, s.wal.newest().name, MemberName{"g", 1})
		var damage *DamageError
		if errors.As(err, &damage); damage.Offset != at {
			t.Errorf("got %v, want offset %d", err, at)
		}
	}
}
