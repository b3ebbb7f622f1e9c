package persisttest

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"example.com/raftactor/node"
)

// A model is what a member's storage should be like.
type model struct {
	incarnation node.Incarnation
	hard        node.HardState
	met         map[node.ID]node.Incarnation
	founding    node.Configuration
	snapshot    node.SnapshotMeta
	state       []byte
	first       node.Index
	beforeTerm  node.Term
	entries     []node.Entry

	// source of data, no two of which are equal.
	source *rand.Rand
}

func newModel() *model {
	return &model{
		met: map[node.ID]node.Incarnation{}, first: 1, source: rand.New(rand.NewPCG(1, 2)),
	}
}

func (d *model) last() node.Index { return d.first + node.Index(len(d.entries)) - 1 }

func (d *model) term(i node.Index) node.Term {
	if i == d.first-1 {
		return d.beforeTerm
	}
	return d.entries[i-d.first].Term
}

// data is a new command.
func (d *model) data(size int) []byte {
	b := make([]byte, 0, size+8)
	for len(b) < size {
		word := d.source.Uint64()
		for range 8 {
			b = append(b, byte(word))
			word >>= 8
		}
	}
	return b[:size:size]
}

// next is the entry that comes skip behind the next one.
func (d *model) next(skip int, term node.Term, kind node.EntryKind, data []byte) node.Entry {
	return node.Entry{Index: d.last() + 1 + node.Index(skip), Term: term, Kind: kind, Data: data}
}

// meta is that of a snapshot at an index. Its configuration depends on the index.
func (d *model) meta(index node.Index, term node.Term) node.SnapshotMeta {
	return node.SnapshotMeta{
		Index: index, Term: term, ConfigurationIndex: (index + 1) / 2, Configuration: configuration(int(index % 5)),
	}
}

// configuration is one of several, with all that a configuration can have.
func configuration(kind int) node.Configuration {
	members := []node.Member{{ID: 1, Suffrage: node.Voter, Incarnation: 77, Address: "host-1:7000"}}
	for i := range kind {
		members = append(members, node.Member{ID: node.ID(i + 2), Suffrage: node.Learner, Address: "host"})
	}
	return node.NewConfiguration(members...)
}

func (d *model) append(entries []node.Entry) { d.entries = append(d.entries, entries...) }

func (d *model) truncate(from node.Index) { d.entries = slices.Clone(d.entries[:from-d.first]) }

func (d *model) compact(meta node.SnapshotMeta, through node.Index, state []byte) {
	d.beforeTerm = d.term(through)
	d.entries = slices.Clone(d.entries[through+1-d.first:])
	d.first, d.snapshot, d.state = through+1, meta, state
}

func (d *model) install(meta node.SnapshotMeta, state []byte) {
	d.first, d.beforeTerm, d.entries = meta.Index+1, meta.Term, nil
	d.snapshot, d.state = meta, state
}

// configurations are the configuration entries behind the snapshot.
func (d *model) configurations() []node.Entry {
	var found []node.Entry
	for _, e := range d.entries {
		if e.Kind == node.EntryConfiguration && e.Index > d.snapshot.Index {
			found = append(found, e)
		}
	}
	return found
}

// equalEntries compares entries. One without data may have an empty slice or none.
func equalEntries(a, b []node.Entry) bool {
	return slices.EqualFunc(a, b, func(a, b node.Entry) bool {
		return a.Index == b.Index && a.Term == b.Term && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
	})
}

// difference is the first one between entries.
func difference(got, want []node.Entry) string {
	for i := range got {
		if g, w := got[i], want[i]; !equalEntries(got[i:i+1], want[i:i+1]) {
			return fmt.Sprintf("the %v of index %d and term %d with %d bytes is not the %v of index %d and term %d "+
				"with %d bytes that was written", g.Kind, g.Index, g.Term, len(g.Data), w.Kind, w.Index, w.Term, len(w.Data))
		}
	}
	return fmt.Sprintf("they are %d, and %d were written", len(got), len(want))
}

// equalMeta compares what describes snapshots, but not their handles.
func equalMeta(a, b node.SnapshotMeta) bool {
	return a.Index == b.Index && a.Term == b.Term && a.ConfigurationIndex == b.ConfigurationIndex &&
		a.Configuration.Equal(b.Configuration)
}

// compare wants the storage to be as the model is.
func (m *member) compare(when string) {
	d, log := m.model, m.log
	wrong := func(what string, got, want any) { m.errorf("%s: %s is %v, want %v", when, what, got, want) }
	if got := log.Incarnation(); got != d.incarnation || got == 0 {
		wrong("the incarnation", got, d.incarnation)
	}
	if got := log.HardState(); got != d.hard {
		wrong("the hard state", got, d.hard)
	}
	if got := metOf(log); !reflect.DeepEqual(got, d.met) {
		wrong("who was met", got, d.met)
	}
	if got := log.Founding(); !got.Equal(d.founding) {
		wrong("the founding configuration", got, d.founding)
	}
	if got := log.Snapshot(); !equalMeta(got, d.snapshot) {
		wrong("the snapshot", got, d.snapshot)
	}
	if first, last := log.FirstIndex(), log.LastIndex(); first != d.first || last != d.last() {
		m.fatalf("%s: the log holds %d to %d, want %d to %d", when, first, last, d.first, d.last())
	}
	for i := d.first - 1; i <= d.last(); i++ {
		if term, err := log.Term(i); err != nil || term != d.term(i) {
			m.fatalf("%s: the term of %d is %d, %v, want %d", when, i, term, err, d.term(i))
		}
	}
	if got, err := log.Configurations(); err != nil || !equalEntries(got, d.configurations()) {
		m.errorf("%s: %d configurations, %v, want %d", when, len(got), err, len(d.configurations()))
	}
	m.compareEntries(when)
	if d.snapshot.Index > 0 {
		m.holds(when, log.Snapshot(), d.state)
	}
}

// metOf is what a log has in any order, and must not have twice.
func metOf(log node.Log) map[node.ID]node.Incarnation {
	met := map[node.ID]node.Incarnation{}
	all := log.Met()
	slices.SortFunc(all, func(a, b node.Acquaintance) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range all {
		if _, twice := met[a.ID]; twice {
			return nil
		}
		met[a.ID] = a.Incarnation
	}
	return met
}

// compareEntries reads all entries, wherever they are.
func (m *member) compareEntries(when string) {
	d := m.model
	for lo := d.first; lo <= d.last(); {
		got := m.read(lo, d.last()+1, 1<<20)
		if want := d.entries[lo-d.first:][:len(got)]; !equalEntries(got, want) {
			m.fatalf("%s: reading %d entries from %d on: %s", when, len(got), lo, difference(got, want))
		}
		lo += node.Index(len(got))
	}
}

// read reads from memory, or the disk, and wants the limits to be kept.
func (m *member) read(lo, hi node.Index, bytesMax int) []node.Entry {
	entries, err := m.log.Entries(lo, hi, bytesMax)
	if err == node.ErrNotInMemory { //nolint:errorlint // documented to be returned as it is
		entries, err = m.storage.ReadEntries(lo, hi, bytesMax)
	}
	m.must(err, "reading entries from %d up to but without %d", lo, hi)
	m.keepsLimits(entries, lo, hi, bytesMax)
	if len(entries) == 0 {
		m.fatalf("reading entries from %d up to but without %d: none, and they are held", lo, hi)
	}
	return entries
}

// keepsLimits wants entries to be no more than were asked for.
func (p *probe) keepsLimits(entries []node.Entry, lo, hi node.Index, bytesMax int) {
	bytes := 0
	for i := range entries {
		bytes += len(entries[i].Data)
		if want := lo + node.Index(i); entries[i].Index != want {
			p.fatalf("reading from %d: the entry in place %d has index %d", lo, i, entries[i].Index)
		}
	}
	if len(entries) > int(hi-lo) || (len(entries) > 1 && bytes > bytesMax) {
		p.fatalf("reading from %d up to but without %d and %d bytes at most: %d entries of %d bytes",
			lo, hi, bytesMax, len(entries), bytes)
	}
}
