package node

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// naiveLog is a log as one thinks of it.
type naiveLog struct {
	first      Index
	beforeTerm Term
	entries    []Entry
	snapshot   SnapshotMeta
}

func (n *naiveLog) last() Index { return n.first + Index(len(n.entries)) - 1 }

func (n *naiveLog) term(i Index) Term {
	if i == n.first-1 {
		return n.beforeTerm
	}
	return n.entries[i-n.first].Term
}

// handedOut is a slice that the log has returned, and what it held then.
type handedOut struct{ entries, copied []Entry }

func TestMemoryLogIsLikeASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log, model := NewMemoryLog(1), naiveLog{first: 1}
		var out []handedOut
		var images []*MemoryLog
		var imaged []naiveLog
		written := 0
		pick := func(lo, hi Index, name string) Index {
			return Index(rapid.Uint64Range(uint64(lo), uint64(hi)).Draw(t, name))
		}
		// Counts near the size of a chunk, so that its borders are met.
		counts := rapid.OneOf(rapid.IntRange(1, 4), rapid.IntRange(windowChunkMin-2, windowChunkMin+2), rapid.IntRange(1, 2*windowChunkMin))
		do := func(t *rapid.T, err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				count := counts.Draw(t, "count")
				term := max(model.term(model.last()), 1) + Term(rapid.IntRange(0, 1).Draw(t, "step"))
				batch := make([]Entry, 0, count)
				for k := range count {
					written++
					e := command(model.last()+1+Index(k), term, fmt.Sprint(written))
					if written%7 == 0 {
						e.Kind = EntryConfiguration
					}
					batch = append(batch, e)
				}
				do(t, log.Append(batch))
				model.entries = append(model.entries, batch...)
				clear(batch) // the log keeps the data, not the slice
			},
			"truncate": func(t *rapid.T) {
				lowest := max(model.first, model.snapshot.Index+1)
				if lowest > model.last() {
					t.Skip("all is committed")
				}
				from := pick(lowest, model.last(), "from")
				do(t, log.Truncate(from))
				model.entries = model.entries[:from-model.first]
			},
			"compact": func(t *rapid.T) {
				if len(model.entries) == 0 {
					t.Skip("empty")
				}
				at := pick(max(model.first, model.snapshot.Index), max(model.last(), model.snapshot.Index), "at")
				if at > model.last() || at < model.first {
					t.Skip("below the snapshot")
				}
				through := pick(model.first-1, at, "through")
				meta := SnapshotMeta{Index: at, Term: model.term(at)}
				do(t, log.Compact(meta, through))
				model.snapshot, model.beforeTerm = meta, model.term(through)
				model.entries = model.entries[through-(model.first-1):]
				model.first = through + 1
			},
			"install": func(t *rapid.T) {
				at := pick(max(model.snapshot.Index, 1), model.last()+5, "at")
				meta := SnapshotMeta{Index: at, Term: 1}
				do(t, log.Install(meta))
				model = naiveLog{first: at + 1, beforeTerm: 1, snapshot: meta}
			},
			"read": func(t *rapid.T) {
				if len(model.entries) == 0 {
					t.Skip("empty")
				}
				lo := pick(model.first, model.last(), "lo")
				hi := pick(lo+1, model.last()+1, "hi")
				bytesMax := rapid.IntRange(0, 1<<16).Draw(t, "bytes")
				got, err := log.Entries(lo, hi, bytesMax)
				do(t, err)
				bytes := 0
				for i := range got {
					bytes += got[i].bytes()
				}
				if len(got) == 0 || len(got) > int(hi-lo) || (len(got) > 1 && bytes > bytesMax) {
					t.Fatalf("%d entries of %d bytes for %d to %d and %d bytes", len(got), bytes, lo, hi, bytesMax)
				}
				if !reflect.DeepEqual(got, model.entries[lo-model.first:][:len(got)]) {
					t.Fatalf("entries from %d on are not those that were written", lo)
				}
				out = append(out, handedOut{got, slices.Clone(got)})
			},
			"clone": func(t *rapid.T) {
				if len(images) == 3 {
					t.Skip("enough")
				}
				images = append(images, log.Clone())
				frozen := model
				frozen.entries = slices.Clone(model.entries)
				imaged = append(imaged, frozen)
			},
			"go on with a clone": func(*rapid.T) { log = log.Clone() },
			"": func(t *rapid.T) {
				compare(t, log, &model)
				for k, h := range out {
					if !reflect.DeepEqual(h.entries, h.copied) {
						t.Fatalf("what read %d had returned was written again", k)
					}
				}
				for k := range images {
					compare(t, images[k], &imaged[k])
				}
			},
		})
	})
}

// compare checks a log against the model, with some of the terms.
func compare(t *rapid.T, log *MemoryLog, model *naiveLog) {
	if log.FirstIndex() != model.first || log.LastIndex() != model.last() || log.Snapshot().Index != model.snapshot.Index {
		t.Fatalf("holds %d to %d behind %d, want %d to %d behind %d", log.FirstIndex(), log.LastIndex(),
			log.Snapshot().Index, model.first, model.last(), model.snapshot.Index)
	}
	for i := model.first - 1; i <= model.last(); i += 1 + Index(len(model.entries)/64) {
		if term, err := log.Term(i); err != nil || term != model.term(i) {
			t.Fatalf("term of %d is %d, %v, want %d", i, term, err, model.term(i))
		}
	}
	var want []Entry
	for _, e := range model.entries {
		if e.Kind == EntryConfiguration && e.Index > model.snapshot.Index {
			want = append(want, e)
		}
	}
	got, err := log.Configurations()
	if err != nil || len(got) != len(want) || (len(want) > 0 && !reflect.DeepEqual(got, want)) {
		t.Fatalf("%d configurations, %v, want %d", len(got), err, len(want))
	}
}

func TestMemoryLogRefusesWhatCannotBe(t *testing.T) {
	log := given{terms: []Term{1, 1, 1}}.log(t)
	must(t, log.Compact(SnapshotMeta{Index: 2, Term: 1}, 2))
	for name, err := range map[string]error{
		"append with a gap":         log.Append([]Entry{command(6, 1, "")}),
		"append again":              log.Append([]Entry{command(4, 1, "")}),
		"truncate below":            log.Truncate(2),
		"truncate beyond":           log.Truncate(5),
		"compact beyond the end":    log.Compact(SnapshotMeta{Index: 5}, 3),
		"compact beyond itself":     log.Compact(SnapshotMeta{Index: 3}, 4),
		"compact again, further up": log.Compact(SnapshotMeta{Index: 3}, 1),
		"install backwards":         log.Install(SnapshotMeta{Index: 1}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, bounds := range [][2]Index{{2, 4}, {3, 6}, {3, 3}, {4, 3}, {0, 1}} {
		if _, err := log.Entries(bounds[0], bounds[1], 100); err == nil {
			t.Errorf("entries %v: no error", bounds)
		}
	}
	for _, i := range []Index{0, 1, 5} {
		if _, err := log.Term(i); err == nil {
			t.Errorf("term of %d: no error", i)
		}
	}
}

func TestMemoryLogKeepsHardStateAndLives(t *testing.T) {
	log := NewMemoryLog(7)
	equal(t, "incarnation", log.Incarnation(), 7)
	must(t, log.SetHardState(HardState{Term: 3, Vote: 2}))
	equal(t, "hard state", log.HardState(), HardState{Term: 3, Vote: 2})
	must(t, log.SetMet(Acquaintance{ID: 2, Incarnation: 20}))
	must(t, log.SetMet(Acquaintance{ID: 3, Incarnation: 30}))
	image := log.Clone()
	must(t, log.SetMet(Acquaintance{ID: 2, Incarnation: 21}))
	must(t, log.SetMet(Acquaintance{ID: 3}))
	if got := log.Met(); !slices.Equal(got, []Acquaintance{{2, 21}}) {
		t.Errorf("met %v", got)
	}
	if got := image.Met(); !slices.Equal(got, []Acquaintance{{2, 20}, {3, 30}}) {
		t.Errorf("the clone has met %v", got)
	}
}

func TestMemoryLogKeepsWhatTheMemberWasFoundedWith(t *testing.T) {
	log := NewMemoryLog(7)
	equal(t, "founding", len(log.Founding().Members), 0)
	image := log.Clone()
	must(t, log.SetFounding(Voters(1, 2)))
	equal(t, "founding", log.Founding().Equal(Voters(1, 2)), true)
	equal(t, "founding of the clone made before", len(image.Founding().Members), 0)
	equal(t, "founding of a clone", log.Clone().Founding().Equal(Voters(1, 2)), true)
}

func TestMemoryLogNeedsALife(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a log of incarnation 0")
		}
	}()
	NewMemoryLog(0)
}

// TestTruncationDoesNotOverwriteWhatIsOnItsWay is what the test above finds by chance, at every
// position of a chunk's border.
func TestTruncationDoesNotOverwriteWhatIsOnItsWay(t *testing.T) {
	for _, from := range []Index{2, windowChunkMin - 1, windowChunkMin, windowChunkMin + 1, windowChunkMin + 2, 2*windowChunkMin - 1} {
		log := NewMemoryLog(1)
		for i := Index(1); i <= 2*windowChunkMin; i++ {
			must(t, log.Append([]Entry{command(i, 1, "old")}))
		}
		var sent [][]Entry
		for lo := Index(1); lo <= 2*windowChunkMin; {
			entries, err := log.Entries(lo, 2*windowChunkMin+1, Unlimited)
			must(t, err)
			sent = append(sent, entries)
			lo += Index(len(entries))
		}
		must(t, log.Truncate(from))
		for i := from; i <= 2*windowChunkMin; i++ {
			must(t, log.Append([]Entry{command(i, 2, "new")}))
		}
		for _, entries := range sent {
			for _, e := range entries {
				if e.Term != 1 || string(e.Data) != "old" {
					t.Fatalf("truncating from %d: index %d on its way was overwritten", from, e.Index)
				}
			}
		}
	}
}
