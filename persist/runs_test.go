package persist

import (
	"math/rand/v2"
	"testing"

	"example.com/raftactor/node"
)

// recordAt is where one entry lies.
type recordAt struct {
	term  node.Term
	place place
	bytes int64
}

// A run begins at the record of its first entry, and reaches over those of the others; the entry that is asked for is found
// by reading from there.
func TestRunsFindEveryEntry(t *testing.T) {
	for seed := range uint64(200 / min(faultStride, 20)) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var found runs
		var naive []recordAt // of entries first, first+1, ...
		first := node.Index(1)
		at := place{&logSegment{number: 1}, 4096}
		for range 300 {
			last := first + node.Index(len(naive)) - 1
			switch n := rng.IntN(20); {
			case n == 0:
				at = place{&logSegment{number: at.segment.number + 1}, 4096}
			case n < 3:
				at.offset += int64(rng.IntN(100)) // records of others, or padding
			case n == 3 && len(naive) > 0:
				from := first + node.Index(rng.IntN(len(naive)))
				naive = naive[:from-first]
				found.truncate(from)
				at.offset += 28
			case n == 4 && len(naive) > 0:
				through := first + node.Index(rng.IntN(len(naive)))
				naive, first = naive[through+1-first:], through+1
				found.release(through, last)
			default:
				e := recordAt{node.Term(1 + rng.IntN(2)), at, int64(37 + rng.IntN(30_000))}
				naive = append(naive, e)
				found.append(last+1, e.term, at, e.bytes)
				at.offset += e.bytes
			}
			compareRuns(t, found, naive, first)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// all are the runs, one by one.
func (r runs) all() (all []run) {
	for i := range r {
		for k := range r[i].spans {
			all = append(all, r[i].run(k))
		}
	}
	return all
}

func compareRuns(t *testing.T, found runs, naive []recordAt, first node.Index) {
	t.Helper()
	for k, e := range naive {
		i := first + node.Index(k)
		r, next, ok := found.find(i)
		if !ok {
			t.Fatalf("entry %d is in no run", i)
		}
		if next > 0 && (next <= i || next >= first+node.Index(len(naive))) {
			t.Fatalf("the run that holds entry %d is said to end at %d", i, next-1)
		}
		if term, ok := found.term(i); !ok || term != e.term || r.segment != e.place.segment || r.first > i {
			t.Fatalf("entry %d of term %d is said to be in %+v", i, e.term, r)
		}
		if r.first >= first { // what lies between is known: the record follows from it
			offset := r.offset
			for _, before := range naive[r.first-first : k] {
				offset += before.bytes
			}
			if offset != e.place.offset || offset+e.bytes > r.offset+r.bytes {
				t.Fatalf("entry %d is said to be at %d, and is at %d", i, offset, e.place.offset)
			}
		}
		if r.bytes > runBytesMax && r.bytes != e.bytes {
			t.Fatalf("a run of several entries has %d bytes", r.bytes)
		}
	}
}

// Entries that a member has no more keep no file.
func TestALogThatIsTruncatedToNothingPinsNothing(t *testing.T) {
	disk, s := inMemory(t)
	m, other := &twin{name: MemberName{"g", 1}}, mustMember(t, s, "h", 1)
	must(t, m.open(s))
	must(t, m.append(1, 11, 12, 13, 14))
	m.sync()
	s.commit()
	growSegments(t, s, other, 3)
	must(t, m.compact(2, 2, 10))
	m.sync()
	s.commit()
	if m.storage.Stats().PinnedBytes == 0 {
		t.Error("entries in an old segment pin nothing")
	}
	must(t, m.truncate(3))
	m.sync()
	s.commit()
	if n := m.storage.Stats().PinnedBytes; n != 0 {
		t.Errorf("%d bytes are pinned by no entries", n)
	}
	must(t, m.append(2, 16))
	m.sync()
	s.commit()
	if n := m.storage.Stats().PinnedBytes; n != 0 {
		t.Errorf("%d bytes are pinned by entries in the newest segment", n)
	}
	must(t, m.reopen(mustOpen(t, useDir, onDisk(disk.Kill(), 2))))
}
