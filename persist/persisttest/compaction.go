package persisttest

import "example.com/raftactor/node"

var compactionChecks = []check{
	{name: "compaction keeps a tail", do: retainedTail},
	{name: "compaction through the last entry", do: compactAll},
	{name: "compaction that releases nothing", do: compactNothing},
	{name: "an installed snapshot takes the place of the log", do: installed},
	{name: "a log that was compacted many times", do: compactedOften},
}

func retainedTail(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	m.append(2, 40, 50, 60)
	m.compact(5, 2, []byte("five"))
	p.survives(m)
	m.append(3, 70)
	m.compact(6, 5, []byte("six"))
	p.survives(m)
	m.truncate(7)
	m.append(4, 71, 80)
	p.survives(m)
}

func compactAll(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	m.compact(3, 3, []byte("three"))
	p.survives(m)
	m.append(2, 40)
	p.survives(m)
	m.compact(4, 4, nil)
	m.append(2, 50) // in the same step
	p.survives(m)
}

func compactNothing(p *probe) {
	m := p.member("group", 1)
	m.append(1, 10, 20, 30)
	m.compact(2, 0, []byte("two"))
	p.survives(m)
	m.compact(3, 0, []byte("three"))
	p.survives(m)
	m.compact(3, 1, []byte("three, again"))
	p.survives(m)
}

func installed(p *probe) {
	m := p.member("group", 1)
	m.install(1000, 5, []byte("ahead of an empty log"))
	p.survives(m)
	m.append(5, 10)
	m.append(6, 20, 30)
	p.survives(m)
	m.install(1002, 6, []byte("within the log"))
	p.survives(m)
	m.append(7, 40, 50)
	m.install(1004, 7, []byte("at the end of the log"))
	m.append(7, 60)
	p.survives(m)
	m.install(node.IndexMax-10, node.TermMax, []byte("far ahead"))
	m.append(node.TermMax, 70)
	p.survives(m)
	m.compact(node.IndexMax-9, node.IndexMax-10, nil)
	p.survives(m)
}

func compactedOften(p *probe) {
	m := p.member("group", 1)
	for term := node.Term(1); term <= 60; term++ {
		for range 10 {
			m.append(term, 100, 200, 300)
		}
		last := m.model.last()
		m.compact(last-node.Index(term%4), last-node.Index(term%4)-node.Index(term%7), m.model.data(int(term)))
		if term%5 == 0 {
			m.sync()
		}
	}
	p.survives(m)
}
