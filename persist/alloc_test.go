package persist

import (
	"testing"

	"example.com/raftactor/node"
)

func TestAppendingAllocatesNothingPerEntry(t *testing.T) {
	opts := quiet()
	opts.SegmentBytes = 64 << 20
	s := mustOpen(t, t.TempDir(), opts)
	m := mustMember(t, s, "g", 1)
	const entries = 1000
	batch := make([]node.Entry, entries)
	data := make([]byte, 100)
	done := func(_ uint64, err error) { must(t, err) }
	next := node.Index(1)
	write := func() {
		for i := range batch {
			batch[i] = node.Entry{Index: next, Term: 1, Kind: node.EntryCommand, Data: data}
			next++
		}
		must(t, m.Log().Append(batch))
		m.Sync(1, done)
		for s.commit() {
		}
	}
	write()
	// What is left are the chunks of the entries in memory, and the runs.
	if n := testing.AllocsPerRun(50, write); n > 10 {
		t.Errorf("%v allocations for %d entries, want at most 10", n, entries)
	}
	must(t, s.Close())
}

func TestReadingBackAllocatesPerRunAndNotPerEntry(t *testing.T) {
	opts := quiet()
	opts.SegmentBytes = 4 << 20
	s := mustOpen(t, t.TempDir(), opts)
	m := mustMember(t, s, "g", 1)
	const entries = 2000
	must(t, m.Log().Append(commands(1, 1, entries)))
	commitAll(t, s, m)
	read := func() {
		got, err := m.ReadEntries(1, entries+1, 1<<30)
		if err != nil || len(got) != entries {
			t.Fatalf("%d entries, %v", len(got), err)
		}
	}
	runs := len(stateOf(s.members[MemberName{"g", 1}]).entries.all())
	// For each run its bytes and its entries, as they grow.
	if n := testing.AllocsPerRun(20, read); n > float64(20*runs+20) {
		t.Errorf("%v allocations for %d entries in %d runs", n, entries, runs)
	}
	must(t, s.Close())
}
