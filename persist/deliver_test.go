package persist

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
)

// Whoever looks at a member brings it up to date with what is durable. That may be in the moment before the writer does what
// follows from it.
func TestWhoLooksAtAMemberTakesNothingFromTheWriter(t *testing.T) {
	disk, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	for s.wal.newest().number < 4 {
		appendSome(t, m, 1, 4, 3000, node.EntryCommand)
		commitAll(t, s, m)
	}
	last := m.Log().LastIndex()
	must(t, m.Log().Compact(makeSnapshot(t, m, last-2, 1, 100), 1))
	commitAll(t, s, m)

	must(t, m.Log().Compact(makeSnapshot(t, m, last, 1, 100), last))
	landUnseen(t, s, m)
	if names, err := disk.ReadDir(filepath.Join(useDir, snapshotsDir)); err != nil || len(names) != 1 {
		t.Errorf("there are snapshots %v, %v, want the newer one only", names, err)
	}
	if n := len(s.wal.segments); n != 1 {
		t.Errorf("there are %d segments, want 1", n)
	}

	must(t, m.Close())
	gone := s.members[MemberName{"g", 1}]
	must(t, gone.take())
	gone.log.staging().note(func(b []byte) []byte { return format.AppendDelete(b, gone.state.key) })
	landUnseen(t, s, gone)
	if names := s.Members(); len(names) != 0 {
		t.Errorf("there are members %v", names)
	}
	must(t, s.Close())
}

// What is handed over twice before the writer takes it is one parcel.
func TestWhatFollowsFromAHandoverIsNotForgottenWithTheNext(t *testing.T) {
	_, s := inMemory(t)
	m := mustMember(t, s, "g", 1)
	for s.wal.newest().number < 4 {
		appendSome(t, m, 1, 4, 3000, node.EntryCommand)
		commitAll(t, s, m)
	}
	last := m.Log().LastIndex()
	must(t, m.Log().Compact(makeSnapshot(t, m, last, 1, 100), last))
	told := func(_ uint64, err error) { must(t, err) }
	if m.Sync(1, told) {
		t.Error("what has not been written is durable")
	}
	appendSome(t, m, 1, 1, 10, node.EntryCommand)
	commitAll(t, s, m)
	if n := len(s.wal.segments); n != 1 {
		t.Errorf("there are %d segments, want 1", n)
	}
	must(t, s.Close())
}

// Many members in one batch are told beside the next write: each once for each batch, in order, and before Close returns.
func TestManyWhoWaitAreAllToldInOrder(t *testing.T) {
	noneLeft(t)
	s := withoutChores(t, simfs.New())
	const rounds = 6
	members := make([]node.Storage, 3*manyLoads)
	told := make([][]uint64, len(members)) // each by one goroutine at a time
	var waiting sync.WaitGroup
	for k := range members {
		members[k] = mustMember(t, s, "g", node.ID(k+1))
	}
	for round := range uint64(rounds) {
		for k, m := range members {
			appendSome(t, m, 1, 1, 100, node.EntryCommand)
			waiting.Add(1)
			m.Sync(round+1, func(seq uint64, err error) {
				must(t, err)
				told[k] = append(told[k], seq)
				waiting.Done()
			})
		}
		if round < rounds-1 { // what is left is for Close
			waiting.Wait()
		}
	}
	must(t, s.Close())
	for k, got := range told {
		if want := []uint64{1, 2, 3, 4, 5, 6}; !slices.Equal(got, want) {
			t.Errorf("member %d was told of %v, want %v", k+1, got, want)
		}
	}
}

// landUnseen makes durable what a member has staged, and looks at it before the writer does.
func landUnseen(t *testing.T, s *Store, m node.Storage) {
	t.Helper()
	if m.Sync(1, func(_ uint64, err error) { must(t, err) }) || !s.take() {
		t.Fatal("nothing is staged")
	}
	s.wal.put(s.taken.cargo())
	at, err := s.wal.write()
	must(t, err)
	s.taken.flight.at = at
	s.taken.flight.landed.Store(true)
	m.Stats()
	s.arrive(at)
}
