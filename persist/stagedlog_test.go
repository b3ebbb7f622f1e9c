package persist

import (
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

func TestALogRefusesWhatItCannotHold(t *testing.T) {
	_, s := inMemory(t)
	m := &twin{name: MemberName{"g", 1}}
	must(t, m.open(s))
	must(t, m.append(1, 1, 2, 3, 4, 6))
	must(t, m.compact(3, 1, 10))
	log := m.storage.Log()
	meta := func(index node.Index) node.SnapshotMeta {
		return node.SnapshotMeta{Index: index, Term: 1, Handle: "g-1.snap"}
	}
	for name, err := range map[string]error{
		"an entry behind a gap":                      log.Append(commands(1, 7, 7)),
		"an entry that is there":                     log.Append(commands(1, 5, 5)),
		"truncating what is not there":               log.Truncate(6),
		"truncating what the snapshot covers":        log.Truncate(3),
		"truncating what has been released":          log.Truncate(1),
		"a snapshot beyond the end":                  log.Compact(meta(6), 2),
		"releasing more than the snapshot has":       log.Compact(meta(4), 5),
		"releasing less than before":                 log.Compact(meta(4), 0),
		"a snapshot of another store":                log.Compact(node.SnapshotMeta{Index: 4, Handle: 4}, 2),
		"installing a snapshot of another store":     log.Install(node.SnapshotMeta{Index: 9, Handle: 4}),
		"installing a snapshot that is older":        log.Install(meta(2)),
		"installing a snapshot without an index":     log.Install(meta(0)),
		"the term in front of what is known":         second(log.Term(0)),
		"the term of what comes":                     second(log.Term(6)),
		"reading what has been released":             second(log.Entries(1, 3, 100)),
		"reading nothing":                            second(log.Entries(3, 3, 100)),
		"reading beyond the end":                     second(log.Entries(3, 7, 100)),
		"opening a snapshot of another store":        second(m.storage.OpenSnapshot(node.SnapshotMeta{Index: 3, Handle: 4})),
		"opening a snapshot that is not where it is": second(m.storage.OpenSnapshot(meta(3))),
		"opening a snapshot elsewhere":               second(m.storage.OpenSnapshot(node.SnapshotMeta{Index: 3, Handle: "../LOCK"})),
	} {
		if err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	must(t, m.compare()) // and nothing has changed
	m.sync()
	s.commit()
	must(t, m.compare())
	if entries, err := m.storage.ReadEntries(1, 2, 100); err != nil || len(entries) > 0 {
		t.Errorf("reading what has been released: got %v, %v", entries, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Entry 5 of term 1 becomes durable, is replaced, and comes again. Only when its second life is durable may it leave memory,
// and what is read from the disk in between is never the first.
func TestWhatComesBackIsNotTakenForWhatWasThere(t *testing.T) {
	opts := onDisk(simfs.New(), 1)
	opts.RecentBytesMax = 1
	s := mustOpen(t, useDir, opts)
	m := &twin{name: MemberName{"g", 1}}
	must(t, m.open(s))
	must(t, m.append(1, 101, 102, 103, 104))
	large := make([]int, 12)
	for k := range large {
		large[k] = 7001
	}
	must(t, m.append(1, large...))
	m.sync()
	s.commit()
	log := m.storage.Log().(*stagedLog)
	for range 3 {
		for _, term := range []node.Term{2, 1} {
			must(t, m.truncate(5))
			must(t, m.append(term, large...))
			if first := log.recent.First(); first > 5 {
				t.Fatalf("what is staged has left memory: it begins with %d", first)
			}
			if entries, err := m.storage.ReadEntries(5, 17, 1<<20); err != nil || len(entries) > 0 {
				t.Fatalf("%d entries are read that are about to be replaced, %v", len(entries), err)
			}
			m.sync()
			must(t, m.compare())
		}
		s.commit()
		must(t, m.append(1, 20_001))
		must(t, m.truncate(m.model.LastIndex()))
		must(t, m.compare())
	}
	m.sync()
	s.commit()
	must(t, m.append(3, 7001))
	if log.recent.First() <= 5 {
		t.Error("what is durable never leaves memory")
	}
	must(t, m.compare())
}
