package persist

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
	"example.com/raftactor/persist/internal/vfs"
)

// Mistakes that a store could make. Each is planted, and must be caught by the check that is said to catch it: so it is
// known that the tests of crashes can fail.

// A mistake is something that the store does wrong.
type mistake struct {
	// caught are the checks that find it: which one is the first depends on the workload. None: it does no harm, and
	// harmless says why.
	caught   []string
	harmless string
	// drive is a workload that shows it. Nil: some that are drawn at random do.
	drive func(*workload)
	// wrap is the file system that makes the mistake, opened makes it when the store has been opened, and early before a
	// commit. Those that are nil make none.
	wrap   func(disk *simfs.FS) vfs.FS
	opened func(s *Store) error
	early  func(s *Store)
}

// What a mistake leads to.
var (
	loss    = []string{checkWorld, checkTail, checkOpen}
	refusal = []string{checkOpen}
)

var mistakes = map[string]*mistake{
	"no directory sync":            {wrap: withoutDirectorySync, caught: loss},
	"no header sync":               {wrap: withoutHeaderSync, caught: refusal},
	"acknowledge before sync":      {wrap: withLateSync, caught: loss},
	"retry after a failed sync":    {wrap: withRetry, caught: loss, drive: syncsFailInARow},
	"no payload checksum":          {wrap: withoutPayloadChecksum, caught: refusal},
	"no record checksum":           {wrap: withoutRecordChecksum, caught: []string{checkRead}, drive: servesAltered},
	"trusting the page cache":      {wrap: trustingThePageCache, caught: loss},
	"appending behind a torn tail": {opened: appendWhereTorn, caught: loss},
	"no chaining": {wrap: withoutChain, drive: votesWhileSegmentsGoRound, harmless: "the checksum of a header takes a salt of the segment's present life, and the " +
		"header says sequence, segment and offset: a batch that is not the next one is told by those. The chain guards " +
		"against a disk that brings back old sectors of the same life, which no crash does"},
	"no zeroing": {wrap: withoutZeroing, drive: votesWhileSegmentsGoRound, harmless: "nothing depends on it: segments go round with what " +
		"they held, which the salt tells from what is written"},
	"a snapshot renamed before its sync": {wrap: withEarlyRename, drive: snapshotsFollow, harmless: "the name of a " +
		"snapshot means nothing, but the record that is written when the snapshot is durable: until then it is swept up"},
	"a release recorded before the snapshot is durable":     {wrap: withLateSnapshot, caught: refusal},
	"a segment removed before the release of it is durable": {early: releaseEarly, caught: refusal, drive: snapshotsFollow},
}

func TestPlantedMistakesAreCaught(t *testing.T) {
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := m.find()
			switch {
			case found == nil && m.caught != nil:
				t.Errorf("it is not caught, and should be by one of: %q", m.caught)
			case found == nil:
				t.Logf("it does no harm: %s", m.harmless)
			case !slices.Contains(m.caught, found.check):
				t.Errorf("it should be caught by one of %q, and this is something else: %v", m.caught, found)
			default:
				t.Logf("caught by: %s: %s", found.check, found.detail)
			}
		})
	}
}

// plantedSeeds is how many workloads are tried at most, and plantedPowerLosses how many power losses of each moment.
const (
	plantedSeeds       = 10
	plantedPowerLosses = 16
)

// find explores workloads until a check fails.
func (m *mistake) find() *crashFailure {
	seeds, drive := plantedSeeds, (*workload).random
	if m.drive != nil {
		drive = m.drive
	}
	if m.caught == nil {
		seeds = 1
	}
	for seed := range seeds {
		if _, failure := explore(uint64(seed)+1, m, plantedPowerLosses, drive); failure != nil {
			return failure
		}
	}
	return nil
}

// appendWhereTorn goes on in the segment whose tail was dropped, and takes the fresh one away.
func appendWhereTorn(s *Store) error {
	tail, fresh := s.recovery.TailDropped, s.wal.newest()
	if tail == nil || len(s.wal.segments) < 2 {
		return nil
	}
	old := s.wal.segments[len(s.wal.segments)-2]
	name := filepath.Join(s.dir, old.name)
	f, err := s.opts.fs.OpenWritable(name)
	if err != nil || old.name != tail.File {
		return err
	}
	block := make([]byte, format.SegmentHeaderBytes)
	if _, err := f.ReadAt(block, 0); err != nil {
		return err
	}
	header, err := format.ParseSegmentHeader(block)
	if err != nil {
		return err
	}
	w := s.wal
	w.segments = w.segments[:len(w.segments)-1]
	w.salt, w.offset = header.Salt, format.RoundUp(tail.Offset+tail.Bytes)
	w.position.Sequence--
	old.size, old.file = s.opts.SegmentBytes, f
	s.noteSegments()
	return errors.Join(s.opts.fs.Remove(filepath.Join(s.dir, fresh.name)), s.opts.fs.SyncDir(s.dir))
}

// releaseEarly lets go of what is released by what has been handed over.
func releaseEarly(s *Store) {
	for _, m := range s.all() {
		m.mu.Lock()
		for rest := m.notes; len(rest) > 0; {
			r, after, err := format.Next(rest)
			if err != nil {
				break
			}
			if c, err := r.Compaction(); r.Kind == format.KindCompact && err == nil && c.Snapshot.Index <= m.state.last {
				m.state.entries.release(c.Through, m.state.last)
			}
			rest = after
		}
		m.mu.Unlock()
	}
	s.releaseSegments()
}

// servesAltered flips a bit in each byte of an entry on the disk of a store that is open, and reads the entry.
func servesAltered(w *workload) {
	w.create(one)
	w.append(one, 1, 100)
	w.syncs(one)
	entry := stateOf(w.open[one].(*member)).entries.all()[0]
	path := filepath.Join(storeDir, entry.segment.name)
	for at := entry.offset; at < entry.offset+entry.bytes; at++ {
		w.must(w.disk.Flip(path, at, 3))
		read, err := w.open[one].ReadEntries(1, 2, 1<<20)
		w.must(w.disk.Flip(path, at, 3))
		if err == nil && !equalEntries(read, w.staged[one].entries) {
			panic(&crashFailure{where: w.describe(), check: checkRead, detail: "an altered entry is served"})
		}
	}
}

func TestNoAlteredEntryIsServed(t *testing.T) {
	if _, failure := explore(1, nil, 1, servesAltered); failure != nil {
		t.Error(failure)
	}
}
