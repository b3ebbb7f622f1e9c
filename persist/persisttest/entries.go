package persisttest

import (
	"bytes"

	"example.com/raftactor/node"
)

var entryChecks = []check{
	{name: "what is appended is read", do: appended},
	{name: "reading keeps to its limits", do: readingLimits},
	{name: "truncated entries are gone", do: truncated},
	{name: "entries that were read do not change", do: immutable},
	{name: "configurations are found", do: configurations},
	{name: "large entries", do: largeEntries},
	{name: "many small entries", do: manyEntries},
	{name: "what cannot be done is refused", do: refusals},
	{name: "what cannot be read is refused", do: readingRefusals},
}

func appended(p *probe) {
	m := p.member("group", 1)
	m.append(1, 0)
	p.survives(m)
	m.append(1, 10, 0, 1000, 4096, 1)
	m.stage([]node.Entry{
		m.model.next(0, 3, node.EntryEmpty, nil),
		m.model.next(1, 3, node.EntryCommand, m.model.data(7)),
		m.model.next(2, node.TermMax, node.EntryEmpty, nil),
	})
	p.must(m.log.Append(nil), "appending nothing")
	p.survives(m)
	m.append(node.TermMax, 70_000)
	m.append(node.TermMax, 5)
	p.survives(m)
}

func readingLimits(p *probe) {
	m := p.member("group", 1)
	for range 10 {
		m.append(1, 100, 1, 0, 3000, 50, 50)
	}
	for range 2 {
		for lo := m.model.first; lo <= m.model.last(); lo += 7 {
			for _, hi := range []node.Index{lo + 1, lo + 2, m.model.last() + 1} {
				for _, bytesMax := range []int{0, 1, 100, 3500, node.Unlimited} {
					if hi > m.model.last()+1 {
						continue
					}
					got := m.read(lo, hi, bytesMax)
					if want := m.model.entries[lo-m.model.first:][:len(got)]; !equalEntries(got, want) {
						p.fatalf("reading from %d on: other entries than were written", lo)
					}
				}
			}
		}
		p.survives(m)
	}
}

func truncated(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30, 40, 50)
	m.truncate(4)
	p.survives(m)
	m.append(2, 11, 21)
	m.truncate(5)
	m.append(3, 12)
	m.truncate(5)
	m.append(4, 13, 14, 15)
	p.survives(m)
	m.truncate(1) // all of them
	p.survives(m)
	m.append(5, 1)
	p.survives(m)
	m.append(5, 1, 1, 1)
	m.compact(2, 1, nil)
	m.truncate(3) // up to the snapshot
	p.survives(m)
	m.append(6, 9)
	p.survives(m)
}

// immutable looks at entries that were handed out when the log has gone other ways. They may be on their way to a
// peer.
func immutable(p *probe) {
	m := p.member("group", 1)
	type handedOut struct{ entries, copied []node.Entry }
	var out []handedOut
	handOut := func() {
		for lo := m.model.first; lo <= m.model.last(); {
			got := m.read(lo, m.model.last()+1, 1<<20)
			h := handedOut{entries: got}
			for _, e := range got {
				e.Data = bytes.Clone(e.Data)
				h.copied = append(h.copied, e)
			}
			out = append(out, h)
			lo += node.Index(len(got))
		}
	}
	for term := node.Term(1); term <= 20; term++ {
		m.append(term, 10, 100, 10, 2000)
		if term%3 == 0 {
			m.sync()
		}
		handOut()
		m.truncate(m.model.last() - node.Index(term%3))
		m.append(term, 10, 100, 10)
		handOut()
		if term%5 == 0 {
			m.compact(m.model.last()-1, m.model.last()-3, nil)
			handOut()
		}
	}
	m.sync()
	m.install(m.model.last()+1, 30, nil)
	m.append(30, 10, 100, 10, 2000, 10)
	m.sync()
	for _, h := range out {
		if !equalEntries(h.entries, h.copied) {
			p.fatalf("entries from %d on, which had been read, have changed since", h.copied[0].Index)
		}
	}
	p.survives(m)
}

func configurations(p *probe) {
	m := p.member("group", 1)
	m.appendConfiguration(1, configuration(0)) // 1
	m.append(1, 10, 20)
	m.appendConfiguration(1, configuration(1)) // 4
	m.appendConfiguration(1, configuration(2)) // 5
	m.append(1, 30)
	p.survives(m)
	m.truncate(5)
	p.survives(m)
	m.append(2, 5)
	m.appendConfiguration(2, configuration(3)) // 6
	m.compact(4, 1, nil)                       // 4 is held, and not behind the snapshot
	p.survives(m)
	m.compact(5, 5, nil)
	p.survives(m)
	m.truncate(6)
	p.survives(m)
	m.appendConfiguration(3, configuration(4))
	m.install(9, 4, nil)
	p.survives(m)
	m.appendConfiguration(4, configuration(1))
	p.survives(m)
}

func largeEntries(p *probe) {
	m := p.member("group", 1)
	m.append(1, 1<<20, 1<<20+1, 3<<20, 10)
	p.survives(m)
	m.append(1, 10, 5<<20)
	m.truncate(3)
	m.append(2, 1<<20)
	p.survives(m)
}

func manyEntries(p *probe) {
	m := p.member("group", 1)
	sizes := make([]int, 100)
	for i := range sizes {
		sizes[i] = i % 40
	}
	for i := range 100 {
		m.append(node.Term(1+i/10), sizes...)
		if i%10 == 0 {
			m.ask()
		}
	}
	p.survives(m)
	m.truncate(7777)
	m.append(50, sizes...)
	m.compact(7700, 5000, nil)
	p.survives(m)
}

// refusals tries what cannot be. A member is of no use after each of them.
func refusals(p *probe) {
	attempts := []struct {
		what string
		try  func(*member) error
	}{
		{"appending behind a gap", func(m *member) error {
			return m.log.Append([]node.Entry{m.model.next(1, 1, node.EntryEmpty, nil)})
		}},
		{"appending what is there", func(m *member) error {
			return m.log.Append([]node.Entry{{Index: m.model.last(), Term: 1, Kind: node.EntryEmpty}})
		}},
		{"appending entries with a gap between them", func(m *member) error {
			return m.log.Append([]node.Entry{
				m.model.next(0, 1, node.EntryEmpty, nil), m.model.next(2, 1, node.EntryEmpty, nil),
			})
		}},
		{"truncating from a released entry", func(m *member) error { return m.log.Truncate(2) }},
		{"truncating from behind the end", func(m *member) error { return m.log.Truncate(m.model.last() + 1) }},
		{"truncating what the snapshot covers", func(m *member) error { return m.log.Truncate(4) }},
		{"compacting beyond the end", func(m *member) error {
			return m.log.Compact(m.newSnapshot(m.model.last()+1), 3)
		}},
		{"releasing entries beyond the snapshot", func(m *member) error {
			return m.log.Compact(m.newSnapshot(5), 6)
		}},
		{"releasing what is released further down", func(m *member) error {
			return m.log.Compact(m.newSnapshot(5), 1)
		}},
		{"installing a snapshot behind the one that is there", func(m *member) error {
			return m.log.Install(m.newSnapshot(3))
		}},
	}
	for i, attempt := range attempts {
		m := p.member("group", node.ID(i+1))
		m.append(1, 10, 20, 30, 40, 50, 60)
		m.compact(4, 2, nil)
		m.sync()
		if attempt.try(m) == nil {
			p.errorf("%s: no error", attempt.what)
		}
	}
}

// newSnapshot commits one that the log is not told of.
func (m *member) newSnapshot(index node.Index) node.SnapshotMeta {
	meta := m.model.meta(index, 1)
	meta.Handle = m.commit(meta, nil)
	return meta
}

func readingRefusals(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30, 40, 50)
	m.compact(3, 2, nil)
	for _, bounds := range [][2]node.Index{{2, 4}, {3, 7}, {3, 3}, {4, 3}, {0, 1}, {6, 7}, {0, 0}} {
		if _, err := m.log.Entries(bounds[0], bounds[1], 1000); err == nil {
			p.errorf("of 3 to 5, entries from %d up to but without %d are read: no error", bounds[0], bounds[1])
		}
	}
	for _, i := range []node.Index{0, 1, 6} {
		if _, err := m.log.Term(i); err == nil {
			p.errorf("of 2 to 5, the term of %d is read: no error", i)
		}
	}
}
