package simfs

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"example.com/raftactor/persist/internal/vfs"
)

// An oracle is the model of doc.go once more, in the plainest way: bytes, lists of what has happened, and all
// combinations. It knows neither failed syncs nor garbage.
type oracle struct {
	files   map[int]*oracleFile
	names   map[string]int
	durable map[string]int
	dirOps  []oracleDirOp
}

type oracleFile struct {
	durable []byte
	events  []oracleEvent // since the last sync
}

// An oracleEvent is a write, or a truncation to a size.
type oracleEvent struct {
	offset int
	data   []byte
	size   int
}

type oracleDirOp struct {
	from, to string // one is empty for a removal or a creation
	id       int
}

func (op oracleDirOp) names() []string {
	return slices.DeleteFunc([]string{op.from, op.to}, func(name string) bool { return name == "" })
}

func (op oracleDirOp) apply(names map[string]int) {
	delete(names, op.from)
	if op.to != "" {
		names[op.to] = op.id
	}
}

func resized(content []byte, size int) []byte {
	return append(slices.Clone(content[:min(len(content), size)]), make([]byte, max(size-len(content), 0))...)
}

func (e oracleEvent) apply(content []byte) []byte {
	if e.data == nil {
		return resized(content, e.size)
	}
	content = resized(content, max(len(content), e.offset+len(e.data)))
	copy(content[e.offset:], e.data)
	return content
}

func (f *oracleFile) content() []byte {
	content := f.durable
	for _, e := range f.events {
		content = e.apply(content)
	}
	return content
}

// states are all contents that the file may have after a power loss.
func (f *oracleFile) states() map[string]bool {
	all := map[string]bool{}
	for happened := 0; happened <= len(f.events); happened++ {
		content := f.durable
		for _, e := range f.events[:happened] {
			content = e.apply(content)
		}
		f.combine(len(content), all)
	}
	return all
}

// combine adds the states in which the file has a length. Sectors of equal lengths at different times may be
// mixed.
func (f *oracleFile) combine(length int, all map[string]bool) {
	combinations := []string{""}
	for at := 0; at < length; at += SectorBytes {
		outcomes := map[string]bool{}
		before := f.durable
		for happened := 0; happened <= len(f.events); happened++ {
			if happened > 0 {
				before = f.events[happened-1].apply(before)
			}
			if len(before) == length {
				f.sector(at, min(length-at, SectorBytes), happened, outcomes)
			}
		}
		var longer []string
		for _, c := range combinations {
			for o := range outcomes {
				longer = append(longer, c+o)
			}
		}
		combinations = longer
	}
	for _, c := range combinations {
		all[c] = true
	}
}

// sector adds what a sector may hold when so many events have determined the length.
func (f *oracleFile) sector(at, size, happened int, outcomes map[string]bool) {
	part := func(content []byte) []byte { return resized(content[min(at, len(content)):], SectorBytes) }
	content := f.durable
	may := [][]byte{part(content)}
	for i, e := range f.events {
		before := len(content)
		content = e.apply(content)
		if e.data == nil && e.size < min(before, at+SectorBytes) && i >= happened {
			break // a cut that has not happened
		}
		switch {
		case e.data != nil && e.offset < at+SectorBytes && e.offset+len(e.data) > at:
			may = append(may, part(content), make([]byte, SectorBytes))
		case e.data == nil:
			for j := range may {
				may[j] = resized(may[j][:min(max(e.size-at, 0), SectorBytes)], SectorBytes)
			}
		}
	}
	for _, content := range may {
		outcomes[string(content[:size])] = true
	}
}

// states are the dumps of all that a power loss may leave.
func (o *oracle) states() map[string]bool {
	all := map[string]bool{}
	files := map[int][]string{}
	for id, f := range o.files {
		files[id] = slices.Collect(maps.Keys(f.states()))
	}
	for set := range 1 << len(o.dirOps) {
		names, closed := maps.Clone(o.durable), true
		for i, op := range o.dirOps {
			if set&(1<<i) == 0 {
				continue
			}
			for j, earlier := range o.dirOps[:i] {
				shared := slices.ContainsFunc(op.names(), func(n string) bool { return slices.Contains(earlier.names(), n) })
				closed = closed && (!shared || set&(1<<j) != 0)
			}
			op.apply(names)
		}
		if !closed {
			continue
		}
		combinations := []string{""}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			var longer []string
			for _, c := range combinations {
				for _, content := range files[names[name]] {
					longer = append(longer, c+fmt.Sprintf("%s %d %q\n", name, len(content), content))
				}
			}
			combinations = longer
		}
		for _, c := range combinations {
			all[c] = true
		}
	}
	return all
}

// A run carries out random operations on a simulated file system and on the oracle.
type run struct {
	t      *testing.T
	rng    *rand.Rand
	fs     *FS
	oracle oracle
	nextID int
	open   map[int]vfs.File
	log    []string
}

func (r *run) step() {
	names := []string{"a", "b", "c"}
	name, to := names[r.rng.IntN(3)], names[r.rng.IntN(3)]
	o := &r.oracle
	id, exists := o.names[name]
	do := func(op oracleDirOp, err error) {
		noError(r.t, err)
		op.apply(o.names)
		o.dirOps = append(o.dirOps, op)
	}
	what := r.rng.IntN(12)
	r.log = append(r.log, fmt.Sprintf("%d %s %s", what, name, to))
	switch {
	case what == 0:
		noError(r.t, r.fs.SyncDir("."))
		o.durable, o.dirOps = maps.Clone(o.names), nil
	case !exists:
		r.nextID++
		r.open[r.nextID] = create(r.t, r.fs, name)
		o.files[r.nextID] = &oracleFile{}
		do(oracleDirOp{to: name, id: r.nextID}, nil)
		// Files that may come out equal under one name are counted twice, so each has a first sector of its
		// own.
		r.event(r.nextID, oracleEvent{data: resized(fmt.Append(nil, "file ", r.nextID), SectorBytes)})
		r.sync(r.nextID)
	case what == 1:
		do(oracleDirOp{from: name, id: id}, r.fs.Remove(name))
	case what <= 3 && name != to:
		do(oracleDirOp{from: name, to: to, id: id}, r.fs.Rename(name, to))
	case what <= 6:
		r.sync(id)
	case what <= 8:
		size := SectorBytes + r.rng.IntN(1200)
		noError(r.t, r.open[id].Truncate(int64(size)))
		o.files[id].events = append(o.files[id].events, oracleEvent{size: size})
	default:
		data := bytes.Repeat([]byte{byte('A' + r.rng.IntN(3))}, 1+r.rng.IntN(700))
		r.event(id, oracleEvent{offset: SectorBytes + r.rng.IntN(500), data: data})
	}
}

func (r *run) event(id int, e oracleEvent) {
	write(r.t, r.open[id], string(e.data), int64(e.offset))
	r.oracle.files[id].events = append(r.oracle.files[id].events, e)
}

func (r *run) sync(id int) {
	noError(r.t, r.open[id].Sync())
	f := r.oracle.files[id]
	f.durable, f.events = f.content(), nil
}

func TestTheStatesOfAPowerLossAreThoseOfBruteForce(t *testing.T) {
	const statesMax = 1000
	checked := 0
	for seed := range uint64(80) {
		r := &run{t: t, rng: rand.New(rand.NewPCG(seed, 4)), fs: New(), open: map[int]vfs.File{}}
		r.oracle = oracle{files: map[int]*oracleFile{}, names: map[string]int{}, durable: map[string]int{}}
		r.fs.SetOutcomes(plain)
		for range 12 {
			r.step()
			l := r.fs.Losses()
			if l.Count() > statesMax || len(r.oracle.dirOps) > 8 {
				break
			}
			want := r.oracle.states()
			got := map[string]bool{}
			for image := range l.States(statesMax, nil) {
				got[dump(image)] = true
			}
			checked += len(got)
			if !maps.Equal(got, want) || l.Count() != uint64(len(want)) {
				t.Fatalf("seed %d: %d states, %d of them distinct, want %d, after\n%s",
					seed, l.Count(), len(got), len(want), strings.Join(r.log, "\n"))
			}
		}
	}
	if checked < 10_000 {
		t.Errorf("only %d states were compared", checked)
	}
	t.Logf("%d states", checked)
}
