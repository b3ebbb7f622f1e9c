package persisttest

import (
	"sync/atomic"

	"example.com/raftactor/node"
)

var syncChecks = []check{
	{name: "every sync is answered", do: answeredSyncs},
	{name: "a sync of nothing is answered", do: emptySyncs},
	{name: "many members sync at once", do: manyMembersSync},
	{name: "a member is closed while its writes are on their way", do: closedInFlight},
	{name: "statistics can be asked for from anywhere", do: statistics},
}

func answeredSyncs(p *probe) {
	m := p.member("group", 1)
	for i := range 500 {
		m.append(1, i%100)
		m.ask()
	}
	m.await(500 * seqStep)
	m.compare("synced")
	for i := range 50 {
		m.setHardState(node.HardState{Term: node.Term(i + 1)})
		m.sync()
	}
	p.survives(m)
}

func emptySyncs(p *probe) {
	m := p.member("group", 1)
	m.sync()
	m.append(1, 10)
	m.sync()
	m.sync()
	m.append(1, 20)
	m.ask()
	m.ask()
	m.sync()
	p.survives(m)
}

func manyMembersSync(p *probe) {
	for id := node.ID(1); id <= 16; id++ {
		p.member("group", id)
	}
	p.parallel(len(p.members), func(i int) {
		m := p.members[i]
		for k := range 40 {
			m.append(1, 10*i, k)
			if k%9 == 8 {
				m.truncate(m.model.last() - 3)
				m.append(node.Term(k), 7)
			}
			if k%3 == 0 {
				m.sync()
			} else {
				m.ask()
			}
		}
	})
	p.survives(p.members...)
}

// closedInFlight closes a member that has not been answered. What one sync names is there as a whole or not at
// all, and what was answered is there.
func closedInFlight(p *probe) {
	m := p.member("group", 1)
	for round := range 5 {
		steps := node.Index(20 * (round + 1))
		from := m.model.last()
		for i := from + 1; i <= from+steps; i++ {
			m.append(1, 50)
			m.setHardState(node.HardState{Term: 1, Commit: i})
			m.ask()
		}
		m.close()
		answered := from + node.Index(m.durable()/seqStep)
		m.openWhenWritten()
		last, commit := m.log.LastIndex(), m.log.HardState().Commit
		if last < answered || last > from+steps || commit != last {
			p.fatalf("closed while steps up to %d were on their way, and %d had been answered: the log ends at %d, and "+
				"the hard state is of step %d", from+steps, answered, last, commit)
		}
		if last < m.model.last() {
			m.model.truncate(last + 1)
		}
		m.model.hard = node.HardState{Term: 1, Commit: last}
		m.compare("opened again")
	}
	p.survives(m)
}

// openWhenWritten opens the member as soon as it is not in use any more.
func (m *member) openWhenWritten() {
	var storage node.Storage
	m.eventually(func() bool {
		var err error
		storage, err = m.Store.Open(m.group, m.id)
		if err != nil && !inUse(err) {
			m.must(err, "opening member %d of group %q again", m.id, m.group)
		}
		return err == nil
	}, "a member that was closed is still in use")
	m.use(storage)
}

func statistics(p *probe) {
	m := p.member("group", 1)
	m.storage.OnReleaseWanted(func(node.Index) {})
	var stop atomic.Bool
	p.parallel(2, func(i int) {
		if i == 1 {
			for !stop.Load() {
				if s := m.storage.Stats(); s.PinnedBytes < 0 {
					p.fatalf("a member pins %d bytes", s.PinnedBytes)
				}
			}
			return
		}
		defer stop.Store(true)
		for range 50 {
			m.append(1, 1000, 1000)
			m.sync()
		}
		m.compact(m.model.last(), m.model.last(), nil)
		m.sync()
	})
	p.survives(m)
}
