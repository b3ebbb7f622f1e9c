package persist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
)

// quiet are options of a small store that logs nothing, and writes when the test says so.
func quiet() Options {
	return Options{Logger: hclog.NewNullLogger(), SegmentBytes: 1 << 16, inline: true}
}

func mustOpen(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustMember(t testing.TB, s *Store, group string, id node.ID) node.Storage {
	t.Helper()
	m, err := s.Open(group, id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commands makes entries of a term, each with data that names it.
func commands(term node.Term, first, last node.Index) []node.Entry {
	var entries []node.Entry
	for i := first; i <= last; i++ {
		entries = append(entries, node.Entry{
			Index: i, Term: term, Kind: node.EntryCommand, Data: fmt.Appendf(nil, "entry %d of term %d", i, term),
		})
	}
	return entries
}

// syncNow makes what is staged durable, and waits for it.
func syncNow(t *testing.T, s *Store, m node.Storage) {
	t.Helper()
	done := errors.New("nobody was told")
	if m.Sync(1, func(_ uint64, err error) { done = err }) {
		return
	}
	for s.commit() {
	}
	must(t, done)
}

// readAll reads a member's log from memory, or from disk where that is needed.
func readAll(t *testing.T, m node.Storage) []node.Entry {
	t.Helper()
	log := m.Log()
	var all []node.Entry
	for i := log.FirstIndex(); i <= log.LastIndex(); {
		entries, err := log.Entries(i, log.LastIndex()+1, 1<<20)
		if errors.Is(err, node.ErrNotInMemory) {
			entries, err = m.ReadEntries(i, log.LastIndex()+1, 1<<20)
		}
		must(t, err)
		if len(entries) == 0 {
			t.Fatalf("no entries at %d of %d to %d", i, log.FirstIndex(), log.LastIndex())
		}
		all = append(all, entries...)
		i += node.Index(len(entries))
	}
	return all
}

func equalEntries(a, b []node.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b node.Entry) bool {
		return a.Index == b.Index && a.Term == b.Term && a.Kind == b.Kind && string(a.Data) == string(b.Data)
	})
}

func TestWhatWasSyncedIsThereAfterAnOrderlyEnd(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, quiet())
	m := mustMember(t, s, "g", 1)
	log := m.Log()
	life := log.Incarnation()
	hard := node.HardState{Term: 3, Vote: 2, VoteIncarnation: 77, Commit: 4}
	must(t, log.SetHardState(hard))
	must(t, log.SetMet(node.Acquaintance{ID: 2, Incarnation: 77}))
	must(t, log.SetFounding(node.Voters(1, 2, 3)))
	must(t, log.Append(commands(1, 1, 5)))
	must(t, log.Truncate(4))
	must(t, log.Append(commands(3, 4, 6)))
	syncNow(t, s, m)
	must(t, m.Close())
	must(t, s.Close())

	s = mustOpen(t, dir, quiet())
	defer s.Close()
	m = mustMember(t, s, "g", 1)
	log = m.Log()
	want := append(commands(1, 1, 3), commands(3, 4, 6)...)
	if got := readAll(t, m); !equalEntries(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if log.Incarnation() != life || log.HardState() != hard || !log.Founding().Equal(node.Voters(1, 2, 3)) || len(log.Met()) != 1 {
		t.Errorf("got life %v, %+v, founders %v, met %v", log.Incarnation(), log.HardState(), log.Founding(), log.Met())
	}
	if s.Recovery().TailDropped != nil {
		t.Errorf("a tail was dropped: %+v", s.Recovery().TailDropped)
	}
}

func TestSegmentsGoRound(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, quiet())
	m := mustMember(t, s, "g", 1)
	next := node.Index(1)
	for range 100 {
		must(t, m.Log().Append(commands(1, next, next+9)))
		next += 10
		syncNow(t, s, m)
		if next%50 == 1 {
			w, err := m.CreateSnapshot(node.SnapshotMeta{Index: next - 1, Term: 1, Configuration: node.Voters(1), ConfigurationIndex: 1})
			must(t, err)
			_, err = w.Write([]byte("state"))
			must(t, err)
			handle, err := w.Commit()
			must(t, err)
			meta := node.SnapshotMeta{Index: next - 1, Term: 1, Configuration: node.Voters(1), ConfigurationIndex: 1, Handle: handle}
			must(t, m.Log().Compact(meta, next-6))
			syncNow(t, s, m)
		}
	}
	if n := len(s.wal.segments); n > 3 {
		t.Errorf("there are %d segments, of which at most 3 are needed", n)
	}
	must(t, m.Close())
	must(t, s.Close())
	s = mustOpen(t, dir, quiet())
	defer s.Close()
	m = mustMember(t, s, "g", 1)
	if got, want := readAll(t, m), commands(1, next-5, next-1); !equalEntries(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// stateOf is what is durable of a member.
func stateOf(m *member) *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	return &m.state
}

// A store keeps its ID, a copy has the same, and another store has another.
func TestTheIDOfAStore(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	s := mustOpen(t, dir, quiet())
	id := s.ID()
	must(t, s.Close())
	must(t, os.CopyFS(copied, os.DirFS(dir)))
	for name, c := range map[string]struct {
		dir  string
		same bool
	}{"opened again": {dir, true}, "copied": {copied, true}, "emptied": {t.TempDir(), false}} {
		s := mustOpen(t, c.dir, quiet())
		if (s.ID() == id) != c.same || s.ID() == 0 {
			t.Errorf("%s: the ID is %d, and it was %d", name, s.ID(), id)
		}
		must(t, s.Close())
	}
}
