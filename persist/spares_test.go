package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
	"example.com/raftactor/persist/internal/vfs"
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

// What a spare holds means nothing: not rubbish, and not the batches of a segment that it was.
func TestWhatASpareHoldsMeansNothing(t *testing.T) {
	contents := map[string]func(disk *simfs.FS, s *Store) []byte{
		"rubbish": func(_ *simfs.FS, s *Store) []byte {
			b := make([]byte, s.spares.size)
			fillRandom(rand.New(rand.NewPCG(1, 2)), b)
			return b
		},
		"the segment in front": func(disk *simfs.FS, s *Store) []byte {
			return disk.Content(filepath.Join(useDir, s.wal.newest().name))
		},
	}
	for name, content := range contents {
		for _, restarted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, machine restarted: %v", name, restarted), func(t *testing.T) {
				disk, s := inMemory(t)
				m := &twin{name: MemberName{"g", 1}}
				must(t, m.open(s))
				must(t, s.spares.prepare(steadily))
				for first := s.wal.newest(); s.wal.newest() == first || s.wal.offset < s.wal.newest().size/2; {
					if s.wal.newest() == first {
						write(t, disk, filepath.Join(useDir, s.spares.ready[0]), content(disk, s))
					}
					must(t, m.append(1, 3001))
					m.sync()
					s.commit()
				}
				must(t, m.compare())
				image := disk.Kill()
				if restarted {
					image = disk.PowerLoss(simfs.Choice{})
				}
				s = mustOpen(t, useDir, onDisk(image, 2))
				must(t, m.reopen(s))
				if s.Recovery().TailDropped != nil {
					t.Errorf("got %+v", s.Recovery().TailDropped)
				}
			})
		}
	}
}

// One sector is all that a small batch has of records. When that is gone, the watermark behind it knows that it was durable, and
// so does any later batch.
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

// A log that is being written shares the disk with the next segment. No more zeros than a piece may lie in front of its sync,
// and none where it is that segment that it waits for.
func TestZerosDoNotPileUpInFrontOfTheLogsSync(t *testing.T) {
	const pieces = 4
	for name, c := range map[string]struct {
		fill func(s *spares) error
		want int64
	}{
		"there is no log yet": {func(s *spares) error { return s.prepare(atOnce) }, pieces * zeroBytes},
		"nobody waits":        {func(s *spares) error { return s.prepare(steadily) }, zeroBytes},
		"the log waits for it": {func(s *spares) error {
			f, err := s.take(segmentName(1), s.size)
			if err != nil {
				return err
			}
			size, err := f.Size()
			if err == nil && size != s.size {
				err = fmt.Errorf("it has %d bytes", size)
			}
			return errors.Join(err, f.Close())
		}, 0},
		"the store is being closed": {func(s *spares) error {
			defer s.await()()
			return s.prepare(steadily)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var dirty, most int64
			disk := &plantedFS{FS: simfs.New()}
			must(t, disk.MkdirAll(useDir))
			disk.write = func(f vfs.File, _ string, p []byte, offset int64) error {
				dirty += int64(len(p))
				most = max(most, dirty)
				_, err := f.WriteAt(p, offset)
				return err
			}
			disk.sync = func(f vfs.File, _ string) error {
				dirty = 0
				return f.Sync()
			}
			must(t, c.fill(&spares{fs: disk, dir: useDir, size: pieces * zeroBytes}))
			if dirty != 0 || most != c.want {
				t.Errorf("%d bytes waited for a sync at most, and %d do still: want %d, and none", most, dirty, c.want)
			}
		})
	}
}

// A log that has filled its segment does not wait until all of the next one is zeros.
func TestZerosEndWhereTheLogWaitsForThem(t *testing.T) {
	disk := &plantedFS{FS: simfs.New()}
	must(t, disk.MkdirAll(useDir))
	s := &spares{fs: disk, dir: useDir, size: 8 * zeroBytes}
	written := 0
	disk.write = func(f vfs.File, _ string, p []byte, offset int64) error {
		if written++; written == 3 {
			s.awaited.Add(1)
		}
		_, err := f.WriteAt(p, offset)
		return err
	}
	must(t, s.prepare(steadily))
	f, err := disk.Open(s.path(s.ready[0]))
	must(t, err)
	size, err := f.Size()
	must(t, err)
	if written != 3 || size != s.size {
		t.Errorf("%d pieces were written of a spare with %d bytes, want 3 of %d", written, size, s.size)
	}
	must(t, f.Close())
}
