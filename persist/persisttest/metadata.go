package persisttest

import "example.com/raftactor/node"

var metadataChecks = []check{
	{name: "the last hard state stays", do: hardState},
	{name: "who was met stays until it is forgotten", do: met},
	{name: "the founding configuration stays", do: founding},
	{name: "compaction leaves the rest alone", do: metadataOutlivesEntries},
}

func hardState(p *probe) {
	m := p.member("group", 1)
	for _, s := range []node.HardState{
		{Term: 1},
		{Term: 1, Vote: 3, VoteIncarnation: 30},
		{Term: node.TermMax, Vote: 1<<64 - 1, VoteIncarnation: 1<<64 - 1, Commit: node.IndexMax},
		{Term: 9, Vote: 2},
	} {
		m.setHardState(s)
		p.survives(m)
	}
	m.setHardState(node.HardState{Term: 10})
	m.setHardState(node.HardState{Term: 11, Vote: 1})
	p.survives(m)
}

func met(p *probe) {
	m := p.member("group", 1)
	m.setMet(2, 20)
	m.setMet(3, 30)
	m.setMet(1<<64-1, 1<<64-1)
	p.survives(m)
	m.setMet(2, 21)
	m.setMet(3, 0)
	m.setMet(9, 0) // who was never met
	p.survives(m)
	m.setMet(3, 31)
	p.survives(m)
	for _, id := range []node.ID{2, 3, 1<<64 - 1} {
		m.setMet(id, 0)
	}
	p.survives(m)
}

func founding(p *probe) {
	m, joiner := p.member("group", 1), p.member("group", 2)
	m.setFounding(configuration(3))
	p.survives(m, joiner)
	m.append(1, 1)
	m.install(9, 3, nil)
	p.survives(m, joiner)
}

// Whatever happens to entries, the rest is as it was.
func metadataOutlivesEntries(p *probe) {
	m := p.member("group", 1)
	m.setFounding(configuration(2))
	m.setHardState(node.HardState{Term: 4, Vote: 2, VoteIncarnation: 22, Commit: 3})
	m.setMet(2, 22)
	m.append(4, 1, 2, 3, 4, 5)
	m.truncate(5)
	p.survives(m)
	m.compact(3, 2, nil)
	p.survives(m)
	m.compact(4, 4, nil)
	p.survives(m)
	m.install(100, 7, nil)
	p.survives(m)
}
