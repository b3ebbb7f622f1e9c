package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/simfs"
)

// onDisk are options of a small store on a simulated disk. All that it draws at random follows from the seed.
func onDisk(disk *simfs.FS, seed uint64) Options {
	return Options{
		Logger: hclog.NewNullLogger(), SegmentBytes: 1 << 15, inline: true, fs: disk,
		random: rand.New(rand.NewPCG(seed, 1)).Uint64,
	}
}

// contents is all that a store tells of a member.
type contents struct {
	life     node.Incarnation
	hard     node.HardState
	founding node.Configuration
	met      []node.Acquaintance
	first    node.Index
	before   node.Term
	entries  []node.Entry
	snapshot node.SnapshotMeta
	state    []byte
}

// readContents reads a member back from the disk, all that there is of it.
func readContents(m node.Storage) (*contents, error) {
	log := m.Log()
	c := &contents{
		life: log.Incarnation(), hard: log.HardState(), founding: log.Founding(), met: log.Met(),
		first: log.FirstIndex(), snapshot: log.Snapshot(),
	}
	var err error
	if c.before, err = log.Term(c.first - 1); err != nil {
		return nil, err
	}
	if c.entries, err = readDurable(m, c.first, log.LastIndex()); err != nil {
		return nil, err
	}
	if c.snapshot.Index == 0 {
		return c, nil
	}
	c.state, err = readState(m, c.snapshot)
	return c, err
}

// readDurable reads entries from disk, also those that are in memory.
func readDurable(m node.Storage, first, last node.Index) ([]node.Entry, error) {
	var all []node.Entry
	for i := first; i <= last; {
		entries, err := m.ReadEntries(i, last+1, 10_000)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return nil, fmt.Errorf("nothing was read at %d of %d to %d", i, first, last)
		}
		for _, e := range entries {
			if term, err := m.Log().Term(i); err != nil || e.Index != i || e.Term != term {
				return nil, fmt.Errorf("entry %d of term %d was read in the place of %d of term %d, %w",
					e.Index, e.Term, i, term, err)
			}
			i++
		}
		all = append(all, entries...)
	}
	return all, nil
}

func readState(m node.Storage, meta node.SnapshotMeta) ([]byte, error) {
	r, err := m.OpenSnapshot(meta)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	state := make([]byte, r.Size())
	if _, err := r.ReadAt(state, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return state, nil
}

func (c *contents) equal(other *contents) bool {
	return c.life == other.life && c.hard == other.hard && c.first == other.first && c.before == other.before &&
		c.founding.Equal(other.founding) && slices.Equal(c.met, other.met) && equalEntries(c.entries, other.entries) &&
		reflect.DeepEqual(c.snapshot, other.snapshot) && bytes.Equal(c.state, other.state)
}

// readStore reads all members of a store back.
func readStore(s *Store) (map[MemberName]*contents, error) {
	all := map[MemberName]*contents{}
	for _, name := range s.Members() {
		m, err := s.Open(name.Group, name.ID)
		if err != nil {
			return nil, err
		}
		if all[name], err = readContents(m); err != nil {
			return nil, err
		}
		if err := m.Close(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func equalStores(a, b map[MemberName]*contents) bool {
	if len(a) != len(b) {
		return false
	}
	for name, c := range a {
		if other := b[name]; other == nil || !c.equal(other) {
			return false
		}
	}
	return true
}

// payload is data of some length that no other entry has.
func payload(i node.Index, term node.Term, length int) []byte {
	data := fmt.Appendf(nil, "entry %d of term %d ", i, term)
	for len(data) < length {
		data = append(data, byte(len(data)*int(i+7)), byte(uint64(term)+uint64(len(data))))
	}
	return data[:length]
}

// appendSome appends entries of a length behind the last one. The configurations among them have the last index.
func appendSome(t testing.TB, m node.Storage, term node.Term, count, length int, last node.EntryKind) {
	t.Helper()
	next := m.Log().LastIndex() + 1
	var entries []node.Entry
	for k := range count {
		i := next + node.Index(k)
		e := node.Entry{Index: i, Term: term, Kind: node.EntryCommand, Data: payload(i, term, length)}
		if k == count-1 && last == node.EntryConfiguration {
			e.Kind, e.Data = last, node.Voters(1, 2, node.ID(i+3)).Encode()
		}
		entries = append(entries, e)
	}
	must(t, m.Log().Append(entries))
}

// makeSnapshot writes a snapshot of some bytes. The log is not told of it.
func makeSnapshot(t testing.TB, m node.Storage, index node.Index, term node.Term, length int) node.SnapshotMeta {
	t.Helper()
	meta := node.SnapshotMeta{Index: index, Term: term, Configuration: node.Voters(1, 2, 3), ConfigurationIndex: 1}
	w, err := m.CreateSnapshot(meta)
	must(t, err)
	_, err = w.Write(payload(index, term, length))
	must(t, err)
	meta.Handle, err = w.Commit()
	must(t, err)
	return meta
}

// A specimen is a store of about 200 KB that tests damage.
type specimen struct {
	dir  string
	disk *simfs.FS
	// want is what was durable, and without what there is without the newest batch.
	want, without map[MemberName]*contents
	orderly       bool
	// parts are what the files consist of, and newest is the file of the newest segment.
	parts  map[string][]part
	newest string
}

// A part is something in a file that is damaged as a whole.
type part struct {
	start, end int64
	// used is where the padding begins.
	used int64
	// headers are where there is something else than data.
	headers [][2]int64
	// members are those whose records are in it.
	members []MemberName
	// last: nothing was written after it.
	last bool
}

const specimenSeed = 4

// newSpecimen fills a store, and ends it in an orderly way, or kills it.
func newSpecimen(t testing.TB, orderly bool) *specimen {
	t.Helper()
	return newSpecimenOn(t, simfs.New(), orderly, specimenSeed)
}

func newSpecimenOn(t testing.TB, disk *simfs.FS, orderly bool, seed uint64) *specimen {
	t.Helper()
	sp := &specimen{orderly: orderly, dir: "store", disk: disk, parts: map[string][]part{}}
	s, err := Open(sp.dir, onDisk(sp.disk, seed))
	must(t, err)
	must(t, s.Claim("a cluster"))
	members := fill(t, s)
	sp.without = sp.read(t, sp.disk.Kill())
	appendSome(t, members[0], 9, 4, 700, node.EntryCommand)
	must(t, members[1].Log().SetHardState(node.HardState{Term: 9, Vote: 3, VoteIncarnation: 1 << 60, Commit: 20}))
	commitAll(t, s, members...)
	for _, m := range members {
		must(t, m.Close())
	}
	if orderly {
		must(t, s.Close())
	}
	sp.disk = sp.disk.Kill()
	sp.want = sp.read(t, sp.disk.Kill())
	sp.survey(t)
	return sp
}

// fill writes what a specimen has: three members with logs in several segments, of which one has installed a snapshot,
// and one has compacted its log and changed its mind about the end, and a member that has been deleted.
func fill(t testing.TB, s *Store) []node.Storage {
	a, b, c := mustMember(t, s, "a", 1), mustMember(t, s, "b", 2), mustMember(t, s, "b", 3)
	gone := mustMember(t, s, "gone", 1)
	all := []node.Storage{a, b, c}
	for id, m := range all {
		must(t, m.Log().SetFounding(node.Voters(1, 2, 3)))
		must(t, m.Log().SetMet(node.Acquaintance{ID: node.ID(id + 10), Incarnation: node.Incarnation(id + 1)}))
		must(t, m.Log().SetHardState(node.HardState{Term: node.Term(id + 1), Vote: 1, Commit: 4}))
		appendSome(t, m, 1, 3, 1500, node.EntryConfiguration)
	}
	appendSome(t, gone, 1, 3, 500, node.EntryCommand)
	commitAll(t, s, a, b, c, gone)
	must(t, gone.Close())
	must(t, s.Delete("gone", 1))
	must(t, c.Log().Install(makeSnapshot(t, c, 50, 2, 70_000)))
	for round := range 6 {
		term := node.Term(round + 3)
		for _, m := range all {
			appendSome(t, m, term, 2, 1700, node.EntryConfiguration)
		}
		commitAll(t, s, all...)
		if round == 3 {
			must(t, b.Log().Compact(makeSnapshot(t, b, 8, 5, 9000), 4))
			must(t, b.Log().Truncate(b.Log().LastIndex()-1))
		}
	}
	return all
}

// commitAll makes durable what members have staged, all in one batch.
func commitAll(t testing.TB, s *Store, members ...node.Storage) {
	t.Helper()
	waiting, failed := 0, error(nil)
	for _, m := range members {
		if !m.Sync(1, func(_ uint64, err error) { waiting--; failed = errors.Join(failed, err) }) {
			waiting++
		}
	}
	for s.commit() {
	}
	if waiting != 0 || failed != nil {
		t.Fatalf("%d members were not told; %v", waiting, failed)
	}
}

func (sp *specimen) read(t testing.TB, disk *simfs.FS) map[MemberName]*contents {
	t.Helper()
	s, err := Open(sp.dir, onDisk(disk, specimenSeed))
	must(t, err)
	all, err := readStore(s)
	must(t, err)
	if s.recovery.TailDropped != nil {
		t.Fatalf("a tail was dropped: %+v", s.recovery.TailDropped)
	}
	return all
}

// survey finds out what the files consist of.
func (sp *specimen) survey(t testing.TB) {
	t.Helper()
	found, err := loadChain(sp.disk.Kill(), sp.dir)
	must(t, err)
	names := map[node.Incarnation]MemberName{}
	for _, g := range found.segments {
		sp.parts[g.name] = []part{{
			start: 0, end: format.BlockBytes, used: format.SegmentHeaderBytes, headers: [][2]int64{{0, format.SegmentHeaderBytes}},
		}}
		sp.newest = g.name
	}
	_, err = found.replay(sp.disk.BootID(), func(b *batch) error {
		p := part{start: b.offset, end: b.offset + format.BatchBytes(int64(len(b.payload)))}
		p.used = b.offset + format.BatchHeaderBytes + int64(len(b.payload))
		p.headers = append(p.headers, [2]int64{b.offset, b.offset + format.BatchHeaderBytes}, [2]int64{p.end - format.BatchFooterBytes, p.end})
		for rest := b.payload; len(rest) > 0; {
			r, after, err := format.Next(rest)
			must(t, err)
			at := b.offset + format.BatchHeaderBytes + int64(len(b.payload)-len(rest))
			p.headers = append(p.headers, [2]int64{at, at + format.RecordHeaderBytes})
			if r.Kind == format.KindMember {
				m, err := r.Member()
				must(t, err)
				names[r.Key] = MemberName(m)
			}
			if name, ok := names[r.Key]; ok && !slices.Contains(p.members, name) {
				p.members = append(p.members, name)
			}
			rest = after
		}
		sp.parts[b.segment.name] = append(sp.parts[b.segment.name], p)
		return nil
	})
	must(t, err)
	ps := sp.parts[sp.newest]
	ps[len(ps)-1].last = true
	for name, c := range sp.want {
		if handle, ok := c.snapshot.Handle.(string); ok {
			file := filepath.Join(snapshotsDir, handle)
			sp.parts[file] = snapshotParts(sp.disk.Content(filepath.Join(sp.dir, file)), name)
		}
	}
}

// snapshotParts is a snapshot's header, its chunks and its footer.
func snapshotParts(file []byte, name MemberName) []part {
	const chunk, footer = 64<<10 + 4, 32
	header := int64(file[12]) | int64(file[13])<<8
	owner, size := []MemberName{name}, int64(len(file))
	parts := []part{{start: 0, end: header, used: header, headers: [][2]int64{{0, header}}, members: owner}}
	for at := header; at < size-footer; at += chunk {
		end := min(at+chunk, size-footer)
		sums := [][2]int64{{at, at + 4}, {end - 4, end}} // which of the two has it is not known here
		parts = append(parts, part{start: at, end: end, used: end, headers: sums, members: owner})
	}
	return append(parts, part{
		start: size - footer, end: size, used: size, headers: [][2]int64{{size - footer, size}}, members: owner,
	})
}

// at is the part that a place is in, or nil if nothing is there.
func (sp *specimen) at(file string, offset int64) *part {
	for i, p := range sp.parts[file] {
		if p.start <= offset && offset < p.end {
			return &sp.parts[file][i]
		}
	}
	return nil
}
