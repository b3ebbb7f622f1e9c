package persist

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// The benchmarks use a real disk: that of the directory for temporary files, or of the one that RAFTACTOR_BENCH_DIR names.
// What they measure is compared to a floor, in turns, since the disk and the machine may be busy with something else now
// and then: what counts is the metric "ratio", the median of all turns.
func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv("RAFTACTOR_BENCH_DIR"), "persist-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(benchDir(b), Options{Logger: hclog.NewNullLogger()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	for len(s.spares.ready) < sparesMax { // as after some time
		base, err := s.spares.create(s.spares.size, atOnce)
		if err != nil {
			b.Fatal(err)
		}
		s.spares.ready = append(s.spares.ready, base+spareEnding)
	}
	return s
}

// A benchLoad keeps so many writes under way, and issues the next when one is done.
type benchLoad struct {
	members []*benchMember
	data    []byte
	// turn is how many entries a member appends at once, with one sync, as in the turn of a raft actor.
	turn int

	mu   sync.Mutex
	done *sync.Cond
	// ready are the members of which writes have been done. Guarded by mu.
	ready []*benchMember
	// finished counts those that are done. Guarded by mu.
	finished int
	err      error // guarded by mu
	waits    bool  // guarded by mu
}

type benchMember struct {
	load    *benchLoad
	storage node.Storage
	next    node.Index
	entries []node.Entry
	synced  uint64 // guarded by load.mu
	free    int    // how many writes may be issued; guarded by load.mu
	report  func(uint64, error)
}

func newLoad(b *testing.B, s *Store, members, writes, bytes int) *benchLoad {
	b.Helper()
	l := &benchLoad{data: make([]byte, bytes), turn: 1}
	l.done = sync.NewCond(&l.mu)
	for i := range members {
		storage, err := s.Open("bench", node.ID(i+1))
		if err != nil {
			b.Fatal(err)
		}
		m := &benchMember{load: l, storage: storage, next: 1, free: writes / members}
		m.report = m.done
		l.members = append(l.members, m)
		l.ready = append(l.ready, m)
	}
	return l
}

// done counts what a sync has made durable: it may answer for several.
func (m *benchMember) done(seq uint64, err error) {
	l := m.load
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.err = err
	}
	n := int(seq - m.synced)
	m.synced = seq
	l.finished += n
	if l.waits {
		l.waits = false
		l.done.Signal()
	}
	l.free(m, n)
}

// wait waits until something has been done. It is called with mu held.
func (l *benchLoad) wait() {
	l.waits = true
	l.done.Wait()
}

// free lets a member issue n writes more. It is called with mu held.
func (l *benchLoad) free(m *benchMember, n int) {
	if m.free == 0 && n > 0 {
		l.ready = append(l.ready, m)
	}
	m.free += n
}

// write issues n writes.
func (m *benchMember) write(b *testing.B, n int) {
	for ; n > 0; n -= len(m.entries) {
		m.entries = m.entries[:0]
		for range min(n, m.load.turn) {
			m.entries = append(m.entries, node.Entry{Index: m.next, Term: 1, Kind: node.EntryCommand, Data: m.load.data})
			m.next++
		}
		if err := m.storage.Log().Append(m.entries); err != nil {
			b.Fatal(err)
		}
		if m.storage.Sync(uint64(m.next-1), m.report) {
			b.Fatal("what was not there is durable at once")
		}
		if m.load.turn > 1 {
			runtime.Gosched() // its turn is over
		}
	}
}

// run does n writes, and waits for all.
func (l *benchLoad) run(b *testing.B, n int) {
	var ready []*benchMember
	var counts []int
	for issued := 0; issued < n; {
		ready, counts = l.await(b, ready, counts, n-issued)
		for i, m := range ready {
			m.write(b, counts[i])
			issued += counts[i]
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.finished < n && l.err == nil {
		l.wait()
	}
	l.finished = 0
}

// await returns members that may write, and how much, up to most in all. The slices are used again.
func (l *benchLoad) await(b *testing.B, ready []*benchMember, counts []int, most int) ([]*benchMember, []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) == 0 && l.err == nil {
		l.wait()
	}
	if l.err != nil {
		b.Fatal(l.err)
	}
	ready, counts = append(ready[:0], l.ready...), counts[:0]
	l.ready = l.ready[:0]
	for _, m := range ready {
		n := min(m.free, most)
		counts = append(counts, n)
		most -= n
		left := m.free - n
		m.free = 0
		l.free(m, left)
	}
	return ready, counts
}

// compact releases what the benchmark does not need, so that segments go round.
func (m *benchMember) compact(b *testing.B) {
	meta := node.SnapshotMeta{
		Index: m.next - 1, Term: 1, Configuration: node.Voters(1), ConfigurationIndex: 1,
	}
	writer, err := m.storage.CreateSnapshot(meta)
	if err != nil {
		b.Fatal(err)
	}
	if meta.Handle, err = writer.Commit(); err != nil {
		b.Fatal(err)
	}
	if err := m.storage.Log().Compact(meta, meta.Index); err != nil {
		b.Fatal(err)
	}
}

// A floor is the least that a disk has to do: a file filled with zeros, and a write and a sync for each batch, one behind
// the other.
type floor struct {
	files  *spares
	file   vfs.File
	offset int64
	data   []byte
}

func newFloor(b *testing.B) *floor {
	b.Helper()
	f := &floor{files: &spares{fs: vfs.OS{}, dir: benchDir(b), size: segmentBytesDefault}}
	f.fresh(b)
	b.Cleanup(func() { f.file.Close() })
	return f
}

// fresh takes a new file, in no time that is measured.
func (f *floor) fresh(b *testing.B) {
	if f.file != nil {
		f.file.Close()
	}
	file, err := f.files.take("floor", f.files.size)
	if err != nil {
		b.Fatal(err)
	}
	f.file, f.offset = file, 0
}

// run writes and syncs so many batches, and returns how long that took.
func (f *floor) run(b *testing.B, batches, bytes int) (took time.Duration) {
	bytes = int(format.RoundUp(int64(bytes)))
	for len(f.data) < bytes {
		f.data = append(f.data, byte(len(f.data)*7))
	}
	for range batches {
		if f.offset+int64(bytes) > f.files.size {
			f.fresh(b)
		}
		start := time.Now()
		if _, err := f.file.WriteAt(f.data[:bytes], f.offset); err != nil {
			b.Fatal(err)
		}
		if err := f.file.Sync(); err != nil {
			b.Fatal(err)
		}
		took += time.Since(start)
		f.offset += int64(bytes)
	}
	return took
}

// timed tells how long work takes.
func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

// inTurns has both do their part b.N times, and reports the medians: how long each takes for one of so many units,
// and how many times as long ours takes.
func inTurns(b *testing.B, units int, ours, floor func() time.Duration) {
	b.ReportAllocs()
	times := [2][]float64{}
	var ratios []float64
	b.ResetTimer()
	for range b.N {
		took := [2]float64{ours().Seconds(), floor().Seconds()}
		for i := range took {
			times[i] = append(times[i], took[i]*1e9/float64(units))
		}
		ratios = append(ratios, took[0]/took[1])
	}
	median := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	b.ReportMetric(median(times[0]), "ns/unit")
	b.ReportMetric(median(times[1]), "ns/floor")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op") // the units are what counts
}

// BenchmarkAlone is the latency of one entry with its sync, one after the other. The floor is a block of 4 KiB.
func BenchmarkAlone(b *testing.B) {
	const writes = 100
	l, f := newLoad(b, benchStore(b), 1, 1, 16), newFloor(b)
	inTurns(b, writes,
		func() time.Duration { return timed(func() { l.run(b, writes) }) },
		func() time.Duration { return f.run(b, writes, format.BlockBytes) })
}

// BenchmarkThroughput has 1,024 writes under way. The floor writes the same bytes in as many batches. There is a
// snapshot for each 128 MiB, so that segments go round.
func BenchmarkThroughput(b *testing.B) {
	for _, bytes := range []int{16, 256, 4096} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			s := benchStore(b)
			l, f := newLoad(b, s, 1, 1024, bytes), newFloor(b)
			l.turn = 512 // one half is appended while the other one is written
			recordBytes := bytes + format.RecordHeaderBytes + format.EntryHeaderBytes
			writes := max(32<<20/recordBytes/8, 1<<14)
			var batches, written int
			ours := func() time.Duration {
				start := time.Now()
				before := s.wal.position.Sequence
				l.run(b, writes)
				batches = int(s.wal.position.Sequence - before)
				if written += writes * recordBytes; written > 128<<20 {
					l.members[0].compact(b)
					written = 0
				}
				return time.Since(start)
			}
			inTurns(b, writes, ours, func() time.Duration { return f.run(b, batches, writes*recordBytes/batches) })
			b.ReportMetric(float64(writes)/float64(batches), "entries/sync")
		})
	}
}

// BenchmarkGroups has a thousand groups with one write each under way. The floor is one group with a thousand.
func BenchmarkGroups(b *testing.B) {
	const writes = 1 << 16
	many, one := newLoad(b, benchStore(b), 1000, 1000, 16), newLoad(b, benchStore(b), 1, 1000, 16)
	inTurns(b, writes,
		func() time.Duration { return timed(func() { many.run(b, writes) }) },
		func() time.Duration { return timed(func() { one.run(b, writes) }) })
}

// BenchmarkOpen reads back a log that is in the page cache: the whole recovery, the fresh segment included.
func BenchmarkOpen(b *testing.B) {
	for _, bytes := range []int{16, 256, 4096} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			opts := Options{Logger: hclog.NewNullLogger()}
			dir := benchDir(b)
			s, err := Open(dir, opts)
			if err != nil {
				b.Fatal(err)
			}
			l := newLoad(b, s, 1, 1024, bytes)
			l.turn = 512
			l.run(b, 256<<20/(bytes+format.RecordHeaderBytes+format.EntryHeaderBytes))
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			var rates []float64
			for range b.N {
				if s, err = Open(dir, opts); err != nil {
					b.Fatal(err)
				}
				rates = append(rates, float64(s.Recovery().Bytes)/1e6/s.Recovery().Took.Seconds())
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(rates)
			b.ReportMetric(rates[len(rates)/2], "MB/s")
		})
	}
}
