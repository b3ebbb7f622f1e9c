package persisttest

import (
	"example.com/raftactor/node"
)

var evictionChecks = []check{
	{name: "what is not synced is in memory", do: unsyncedInMemory, needs: needsEviction},
	{name: "entries are read from the disk", do: readFromDisk, needs: needsEviction},
	{name: "released entries are not read", do: releasedNotRead, needs: needsEviction},
	{name: "entries are read while others are written", do: readWhileWriting, needs: needsEviction},
}

const evictionEntryBytes = 1000

// fill appends as much as stays in memory.
func (m *member) fill(term node.Term) {
	for bytes := 0; bytes < m.MemoryBytes; bytes += evictionEntryBytes {
		m.append(term, evictionEntryBytes-100)
	}
}

// overfill appends several times as much, and syncs in between: what is durable need not stay.
func (m *member) overfill(term node.Term) {
	for range 4 {
		m.fill(term)
		m.sync()
	}
	m.append(term, 1)
	m.sync()
}

// firstEvicted is the first entry from lo on that is not in memory, or zero.
func (m *member) firstEvicted(lo node.Index) node.Index {
	for i := lo; i <= m.model.last(); i++ {
		_, err := m.log.Entries(i, i+1, 0)
		if err == node.ErrNotInMemory { //nolint:errorlint // documented to be returned as it is
			return i
		}
		m.must(err, "reading the entry at %d", i)
	}
	return 0
}

func unsyncedInMemory(p *probe) {
	m := p.member("group", 1)
	for range 4 {
		m.fill(1)
	}
	if i := m.firstEvicted(m.model.first); i != 0 {
		p.errorf("the entry at %d is not in memory, and no sync has been asked for", i)
	}
	p.survives(m)
	synced := m.model.last()
	m.truncate(synced - 10)
	m.append(2, 10, 10)
	m.fill(2)
	if i := m.firstEvicted(synced - 10); i != 0 {
		p.errorf("the entry at %d, which was written again, is not in memory, and no sync has been asked for", i)
	}
	p.survives(m)
}

func readFromDisk(p *probe) {
	m := p.member("group", 1)
	m.overfill(1)
	m.truncate(m.model.last() / 2)
	m.overfill(2)
	m.eventually(func() bool { return m.firstEvicted(m.model.first) != 0 },
		"all entries are in memory, and they are four times as many as should be")
	m.compare("synced")
	lo := m.firstEvicted(m.model.first)
	p.parallel(4, func(i int) {
		for _, bytesMax := range []int{0, 1, 5 * evictionEntryBytes, node.Unlimited} {
			for _, count := range []node.Index{1, 2, 10} {
				entries, err := m.storage.ReadEntries(lo, lo+count, bytesMax)
				p.must(err, "reading %d entries from the disk", count)
				p.keepsLimits(entries, lo, lo+count, bytesMax)
				if want := m.model.entries[lo-m.model.first:]; len(entries) == 0 || !equalEntries(entries, want[:len(entries)]) {
					p.fatalf("reading %d entries from the disk: %d, or others than were written", count, len(entries))
				}
			}
		}
	})
	p.survives(m)
}

// releasedNotRead reads what has been released meanwhile: there are none, or they are still those.
func releasedNotRead(p *probe) {
	m := p.member("group", 1)
	m.overfill(1)
	all := m.model.entries
	middle := m.model.last() / 2
	read := func(lo, hi node.Index) {
		entries, err := m.storage.ReadEntries(lo, hi, node.Unlimited)
		p.must(err, "reading entries from %d on, which have been released", lo)
		p.keepsLimits(entries, lo, hi, node.Unlimited)
		if !equalEntries(entries, all[lo-1:][:len(entries)]) {
			p.fatalf("reading entries from %d on, which have been released, gives others", lo)
		}
	}
	m.compact(middle+5, middle, nil)
	m.sync()
	read(1, 2)
	read(1, middle)
	read(middle, middle+3) // one is released, and the others are held
	m.install(node.Index(len(all)+10), 2, nil)
	read(1, 2)
	read(middle+1, middle+3)
	m.sync()
	read(middle+1, middle+3)
	p.survives(m)
}

func readWhileWriting(p *probe) {
	m := p.member("group", 1)
	m.overfill(1)
	want := m.model.entries[:10]
	if i := m.firstEvicted(1); i == 0 || i > 1 {
		return // they are in memory, and so not for ReadEntries
	}
	p.parallel(3, func(i int) {
		if i == 0 {
			m.overfill(2)
			m.truncate(m.model.last() - 5)
			m.append(3, 10)
			m.sync()
			return
		}
		for range 100 {
			entries, err := m.storage.ReadEntries(1, 11, node.Unlimited)
			p.must(err, "reading from the disk")
			if len(entries) == 0 || !equalEntries(entries, want[:min(len(entries), 10)]) {
				p.fatalf("reading from the disk: %d entries, or others than were written", len(entries))
			}
		}
	})
	p.survives(m)
}
