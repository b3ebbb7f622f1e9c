package persist

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// The benchmarks use a real disk: a directory of their own where the tests run, or the one that RAFTACTOR_BENCH_DIR
// names. Their figures mean something beside each other, in one run.
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
	if err := s.spares.prepare(); err != nil {
		b.Fatal(err)
	}
	return s
}

// A load keeps so many writes under way, each an entry and a sync, and issues the next when one is done.
type load struct {
	members []*benchMember
	data    []byte

	mu   sync.Mutex
	done *sync.Cond
	// ready are the members of which a write has been done, once for each. Guarded by mu.
	ready []*benchMember
	// finished counts those that are done. Guarded by mu.
	finished int
	err      error // guarded by mu
}

type benchMember struct {
	load    *load
	storage node.Storage
	next    node.Index
	synced  uint64 // guarded by load.mu
	entry   [1]node.Entry
	report  func(uint64, error)
}

func newLoad(b *testing.B, s *Store, members, writes, bytes int) *load {
	b.Helper()
	l := &load{data: make([]byte, bytes)}
	l.done = sync.NewCond(&l.mu)
	for i := range members {
		storage, err := s.Open("bench", node.ID(i+1))
		if err != nil {
			b.Fatal(err)
		}
		m := &benchMember{load: l, storage: storage, next: 1}
		m.report = m.done
		l.members = append(l.members, m)
		for range writes / members {
			l.ready = append(l.ready, m)
		}
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
	for ; m.synced < seq; m.synced++ {
		l.ready = append(l.ready, m)
		l.finished++
	}
	l.done.Signal()
}

func (m *benchMember) write(b *testing.B) {
	m.entry[0] = node.Entry{Index: m.next, Term: 1, Kind: node.EntryCommand, Data: m.load.data}
	if err := m.storage.Log().Append(m.entry[:]); err != nil {
		b.Fatal(err)
	}
	if m.storage.Sync(uint64(m.next), m.report) {
		b.Fatal("what was not there is durable at once")
	}
	m.next++
}

// run does n writes, and waits for all.
func (l *load) run(b *testing.B, n int) {
	var issue []*benchMember
	for issued := 0; issued < n; {
		issue = l.await(b, issue)
		for _, m := range issue[:min(len(issue), n-issued)] {
			m.write(b)
			issued++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.finished < n && l.err == nil {
		l.done.Wait()
	}
	l.finished = 0
}

// await returns members of which writes are done, in the place of spent.
func (l *load) await(b *testing.B, spent []*benchMember) []*benchMember {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) == 0 && l.err == nil {
		l.done.Wait()
	}
	if l.err != nil {
		b.Fatal(l.err)
	}
	ready := l.ready
	l.ready = spent[:0]
	return ready
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

// BenchmarkAlone is the latency of one entry with its sync, one after the other, beside that of the bare disk: a
// block appended to a file filled with zeros, and fdatasync.
func BenchmarkAlone(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchBare(b, b.N, format.BlockBytes) })
	b.Run("store", func(b *testing.B) {
		l := newLoad(b, benchStore(b), 1, 1, 16)
		b.ResetTimer()
		l.run(b, b.N)
	})
}

// benchBare writes and syncs so many bytes in each round, to a file that is ready, and has been in use before.
func benchBare(b *testing.B, rounds, size int) {
	files := &spares{fs: vfs.OS{}, dir: benchDir(b), size: segmentBytesDefault}
	file, err := files.take("bare", files.size)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	data := make([]byte, format.RoundUp(int64(size)))
	for i := range data {
		data[i] = byte(i * 7)
	}
	b.ResetTimer()
	offset := int64(0)
	for range rounds {
		if offset+int64(len(data)) > files.size {
			offset = 0
		}
		if _, err := file.WriteAt(data, offset); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		offset += int64(len(data))
	}
}

// BenchmarkThroughput has 1,024 writes under way. The bare loop writes the same bytes in batches of the same size: as
// many as that leaves for each.
func BenchmarkThroughput(b *testing.B) {
	const writes = 1024
	for _, bytes := range []int{16, 256, 4096} {
		perBatch := 0
		b.Run(fmt.Sprintf("bytes=%d/store", bytes), func(b *testing.B) {
			b.ReportAllocs()
			s := benchStore(b)
			l := newLoad(b, s, 1, writes, bytes)
			// A snapshot for each 128 MiB, so that segments go round as they do in use.
			round := 128 << 20 / (bytes + format.RecordHeaderBytes + format.EntryHeaderBytes)
			for range 2 {
				l.run(b, 4*round/3)
				l.members[0].compact(b)
			}
			b.ResetTimer()
			before := s.wal.position.Sequence
			for left := b.N; left > 0; left -= round {
				l.run(b, min(left, round))
				l.members[0].compact(b)
			}
			batches := int(s.wal.position.Sequence - before)
			perBatch = max(b.N/batches, 1)
			report(b, b.N, batches, bytes)
		})
		b.Run(fmt.Sprintf("bytes=%d/bare", bytes), func(b *testing.B) {
			n := perBatch * (bytes + format.RecordHeaderBytes + format.EntryHeaderBytes)
			rounds := max(b.N/perBatch, 1)
			benchBare(b, rounds, n)
			report(b, rounds*perBatch, rounds, bytes)
		})
	}
}

func report(b *testing.B, entries, batches, bytes int) {
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(entries)/seconds, "entries/s")
	b.ReportMetric(float64(entries)*float64(bytes)/1e6/seconds, "MB/s")
	b.ReportMetric(float64(batches)/seconds, "syncs/s")
	b.ReportMetric(float64(entries)/float64(batches), "entries/sync")
}

// BenchmarkGroups compares a thousand groups with one write each under way to one group with a thousand.
func BenchmarkGroups(b *testing.B) {
	for _, groups := range []int{1, 1000} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			b.ReportAllocs()
			s := benchStore(b)
			l := newLoad(b, s, groups, 1000, 16)
			b.ResetTimer()
			before := s.wal.position.Sequence
			l.run(b, b.N)
			report(b, b.N, int(s.wal.position.Sequence-before), 16)
		})
	}
}
