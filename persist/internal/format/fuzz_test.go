package format_test

import (
	"bytes"
	"runtime"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// seeds are records of every kind.
func seeds() [][]byte {
	c := node.NewConfiguration(node.Member{ID: 1, Suffrage: node.Voter, Address: "a:1"}, node.Member{ID: 2, Suffrage: node.Learner})
	meta := node.SnapshotMeta{Index: 5, Term: 2, ConfigurationIndex: 1, Configuration: c, Handle: "g-1.snap"}
	return [][]byte{
		format.AppendMember(nil, 7, format.Member{Group: "g", ID: 1}),
		format.AppendEntry(nil, 7, &node.Entry{Index: 1, Term: 1, Kind: node.EntryCommand, Data: []byte("data")}),
		format.AppendTruncate(nil, 7, 3),
		format.AppendHardState(nil, 7, node.HardState{Term: 1, Vote: 2, VoteIncarnation: 3, Commit: 4}),
		format.AppendMet(nil, 7, node.Acquaintance{ID: 1, Incarnation: 9}),
		format.AppendFounding(nil, 7, c),
		format.AppendCompact(nil, 7, format.Compaction{Through: 3, ThroughTerm: 1, Snapshot: meta}),
		format.AppendInstall(nil, 7, meta),
		format.AppendDelete(nil, 7),
		format.AppendCluster(nil, "cluster"),
		format.AppendCheckpoint(nil, 7, format.Checkpoint{Through: 3, ThroughTerm: 1, Last: 9, Snapshot: meta}),
	}
}

// allocated is what f allocates, in bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a member of a configuration takes in memory is more than in a record: 4 bytes there, and less than 100 here. Beyond
// that there are error texts, and what the runtime does meanwhile.
func allocationLimit(input int) uint64 { return 100*uint64(input) + 64<<10 }

// FuzzNext splits bytes into records. What is valid is the same when it is put together again.
func FuzzNext(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(bytes.Join(seeds(), nil))
	for _, seed := range seeds() {
		f.Add(seed)
		f.Add(seed[:len(seed)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			r, after, err := format.Next(rest)
			if err != nil {
				return
			}
			if len(after) >= len(rest) || len(r.Body) > len(rest) {
				t.Fatalf("%d bytes are left of %d", len(after), len(rest))
			}
			rest = after
		}
	})
}

// FuzzBody reads a body as every kind there is.
func FuzzBody(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed[8], seed[format.RecordHeaderBytes:])
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		r := format.Record{Kind: format.Kind(kind), Key: 7, Body: body}
		var err error
		if got := allocated(func() { err = r.Check() }); got > allocationLimit(len(body)) {
			t.Fatalf("%d bytes allocated for %d", got, len(body))
		}
		if err != nil {
			return
		}
		if again := encodeAgain(t, r); again != nil && !bytes.Equal(again[format.RecordHeaderBytes:], body) {
			t.Fatalf("%v: got %x, want %x", r.Kind, again[format.RecordHeaderBytes:], body)
		}
	})
}

// encodeAgain writes what was read. Nil: there is nothing to write.
func encodeAgain(t *testing.T, r format.Record) []byte {
	switch r.Kind {
	case format.KindMember:
		v, err := r.Member()
		return must(t, format.AppendMember(nil, 7, v), err)
	case format.KindEntry:
		v, err := r.Entry()
		return must(t, format.AppendEntry(nil, 7, &v), err)
	case format.KindTruncate:
		v, err := r.Truncate()
		return must(t, format.AppendTruncate(nil, 7, v), err)
	case format.KindHardState:
		v, err := r.HardState()
		return must(t, format.AppendHardState(nil, 7, v), err)
	case format.KindMet:
		v, err := r.Met()
		return must(t, format.AppendMet(nil, 7, v), err)
	case format.KindFounding:
		v, err := r.Founding()
		return must(t, format.AppendFounding(nil, 7, v), err)
	case format.KindCompact:
		v, err := r.Compaction()
		return must(t, format.AppendCompact(nil, 7, v), err)
	case format.KindInstall:
		v, err := r.Install()
		return must(t, format.AppendInstall(nil, 7, v), err)
	case format.KindCluster:
		return format.AppendCluster(nil, r.Cluster())
	case format.KindCheckpoint:
		v, err := r.Checkpoint()
		return must(t, format.AppendCheckpoint(nil, 7, v), err)
	}
	return nil
}

func must(t *testing.T, b []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzHeaders reads bytes as the headers.
func FuzzHeaders(f *testing.F) {
	h := format.SegmentHeader{StoreID: 1, Segment: 2, Salt: 3, BootID: "boot"}
	f.Add(h.Append(nil), uint64(3))
	batch := make([]byte, format.BatchHeaderBytes)
	(&format.BatchHeader{PayloadBytes: 5, Sequence: 9, Durable: 8}).Put(batch, 3)
	f.Add(batch, uint64(3))
	f.Add([]byte("raftwal\n"), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64) {
		if h, err := format.ParseSegmentHeader(b); err == nil && len(h.BootID) > 40 {
			t.Fatalf("got boot id %q", h.BootID)
		}
		h, sum, err := format.ParseBatchHeader(b, salt)
		if err != nil {
			return
		}
		again := make([]byte, format.BatchHeaderBytes)
		if got := h.Put(again, salt); got != sum && bytes.Equal(b[56:64], again[56:64]) {
			t.Fatalf("got checksum %x, want %x", got, sum)
		}
	})
}
