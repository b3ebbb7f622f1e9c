package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// Files that are to become segments. A file has the ending .spare when it has its length, and that is durable: it is filled with
// zeros while it ends with .tmp, or holds what it held as a segment.
const (
	spareEnding    = ".spare"
	spareTmpEnding = ".tmp"
)

// sparesMax is how many are kept. A group that takes a snapshot frees several segments at once, and needs as many until
// the next one: with the usual number of entries between them, and 4 KiB each, five.
const sparesMax = 8

// zeroBytes is how much is filled at once, and how far the log may have to wait behind zeros on their way to the disk, or
// for them to end.
const zeroBytes = 1 << 20

var zeros [zeroBytes]byte

// spares prepares the files that become segments, so that appending never waits for a file to grow: a sync of what was written
// over zeros takes two thirds of the time of one behind the end, and where the file has been used before, still less. A log
// that fills its segments faster than that does not wait for zeros: they end where they are.
type spares struct {
	fs   vfs.FS
	dir  string
	size int64

	// awaited counts those who wait for a file, or for its end: no more zeros are written then.
	awaited atomic.Int32

	mu sync.Mutex
	// ready are the names of those that are, all of one size. Guarded by mu.
	ready []string
	// made counts those that were made in this life. Guarded by mu.
	made int
}

// init finds out what a former life has left, in a directory with these names. Next is the number of the segment that is
// made next.
func (s *spares) init(names []string, next uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, spareEnding):
			if ok, err := s.usable(name, names, next); err != nil || ok {
				if err != nil {
					return err
				}
				continue
			}
		case !strings.HasSuffix(name, spareTmpEnding):
			continue
		}
		if err := s.fs.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(s.ready) == 0 {
		return nil
	}
	return s.fs.SyncDir(s.dir) // that a file is called a spare may not be durable, and it may be a segment still
}

// usable takes a file that was left as a spare if it is as long as they are, and does not have the header of a segment that is
// there as well, or is yet to come: until its own header is written, it would be taken for that under a wrong name.
func (s *spares) usable(name string, names []string, next uint64) (bool, error) {
	if len(s.ready) == sparesMax {
		return false, nil
	}
	f, err := s.fs.Open(s.path(name))
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size != s.size {
		return false, err
	}
	// It may have been taken, and its new name lost: then it has a number that is given again.
	var block [format.BlockBytes]byte
	if _, err := f.ReadAt(block[:], 0); err != nil {
		return false, err
	}
	h, err := format.ParseSegmentHeader(block[:])
	if err == nil && (h.Segment >= next || slices.Contains(names, segmentName(h.Segment))) {
		return false, nil
	}
	s.ready = append(s.ready, name)
	return true, nil
}

// A pace is how a file is filled.
type pace int

const (
	// steadily makes each piece durable before the next is written: a whole segment that goes to the disk at once holds up
	// every sync of the log.
	steadily pace = iota
	// atOnce is for when there is no log yet.
	atOnce
)

// prepare sees to it that there is one.
func (s *spares) prepare(p pace) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepareLocked(p)
}

func (s *spares) prepareLocked(p pace) error {
	if len(s.ready) > 0 {
		return nil
	}
	base, err := s.create(s.size, p)
	if err != nil {
		return err
	}
	s.ready = append(s.ready, base+spareEnding)
	return nil
}

// create makes a file, and returns its name less the ending.
func (s *spares) create(size int64, p pace) (base string, err error) {
	for {
		base = fmt.Sprintf("new-%d", s.made)
		s.made++
		if slices.Contains(s.ready, base+spareEnding) {
			continue // a former life has made it
		}
		f, err := s.fs.Create(s.path(base + spareTmpEnding))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return base, err
		}
		if err = s.fill(f, base, size, p); err != nil {
			_ = s.fs.Remove(s.path(base + spareTmpEnding)) // not to keep room on a disk that is full
		}
		return base, err
	}
}

// await has no more zeros written, until what it returns is called.
func (s *spares) await() (enough func()) {
	s.awaited.Add(1)
	return func() { s.awaited.Add(-1) }
}

// fill writes zeros over a file, unless somebody waits for it, and gives it the name of a spare.
func (s *spares) fill(f vfs.File, base string, size int64, p pace) error {
	var failed error
	for at := int64(0); at < size && failed == nil; at += zeroBytes {
		if s.awaited.Load() > 0 {
			failed = f.Truncate(size)
			break
		}
		_, failed = f.WriteAt(zeros[:min(zeroBytes, size-at)], at)
		if failed == nil && p == steadily && at+zeroBytes < size {
			failed = f.Sync()
		}
	}
	if failed == nil {
		failed = f.Sync()
	}
	if err := errors.Join(failed, f.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(s.path(base+spareTmpEnding), s.path(base+spareEnding)); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}

// take gives a spare another name, and opens it. The name is not durable yet. It is made if there is none, or if it must
// be larger than they are.
func (s *spares) take(name string, size int64) (vfs.File, error) {
	defer s.await()()
	s.mu.Lock()
	defer s.mu.Unlock()
	var spare string
	if size > s.size {
		base, err := s.create(size, steadily)
		if err != nil {
			return nil, err
		}
		spare = base + spareEnding
	} else {
		if err := s.prepareLocked(steadily); err != nil {
			return nil, err
		}
		spare = s.ready[len(s.ready)-1]
		s.ready = s.ready[:len(s.ready)-1]
	}
	if err := s.fs.Rename(s.path(spare), s.path(name)); err != nil {
		return nil, err
	}
	return s.fs.OpenWritable(s.path(name))
}

// recycle makes a segment that nobody needs a spare, if it has the size and there are not enough, or removes it. Its old
// name is gone for good before it can be taken: it is a segment of the log for as long as it has the name.
func (s *spares) recycle(name string, size int64) error {
	s.mu.Lock()
	enough := len(s.ready) >= sparesMax
	s.mu.Unlock()
	if enough || size != s.size {
		return s.fs.Remove(s.path(name))
	}
	spare := strings.TrimSuffix(name, segmentSuffix) + spareEnding
	if err := s.fs.Rename(s.path(name), s.path(spare)); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, spare)
	return nil
}

func (s *spares) path(name string) string { return filepath.Join(s.dir, name) }
