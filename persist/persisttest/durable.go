package persisttest

import "example.com/raftactor/node"

var durableChecks = []check{
	{name: "what was synced is there when the store is opened again", do: reopened, needs: needsReopen},
	{name: "a store that is opened many times", do: reopenedOften, needs: needsReopen},
	{name: "a member that was never written to keeps its life", do: livesStay, needs: needsReopen},
}

func reopened(p *probe) {
	for id := node.ID(1); id <= 3; id++ {
		m := p.member("group", id)
		m.setFounding(configuration(2))
		m.setHardState(node.HardState{Term: 5, Vote: id})
		m.setMet(2, 20)
		for range int(id) * 100 {
			m.append(3, 100, 0, 3000)
		}
		m.append(4, 1<<20)
		m.compact(100, node.Index(10*id), m.model.data(1<<20))
		m.truncate(150)
		m.appendConfiguration(5, configuration(3))
		m.sync()
	}
	for range 3 {
		p.reopenStore()
		for _, m := range p.members {
			m.compare("opened again")
			m.append(6, 10)
			m.sync()
		}
	}
	p.survives(p.members...)
}

func reopenedOften(p *probe) {
	for i := range 12 {
		if i%4 == 0 {
			p.member("group", node.ID(i+1))
		}
		for k, m := range p.members {
			switch (i + k) % 4 {
			case 0:
				m.append(node.Term(i+1), 10, 2000)
			case 1:
				m.setHardState(node.HardState{Term: node.Term(i + 1)})
			case 2:
				m.append(node.Term(i+1), 5)
				m.compact(m.model.last(), m.model.last(), m.model.data(i))
			case 3: // nothing is written
			}
			m.sync()
		}
		p.reopenStore()
		for _, m := range p.members {
			m.compare("opened again")
		}
	}
}

func livesStay(p *probe) {
	p.member("group", 1)
	p.member("group", 2)
	for range 3 {
		for _, m := range p.members {
			m.sync()
		}
		p.reopenStore()
		for _, m := range p.members {
			m.compare("opened again")
		}
	}
}
