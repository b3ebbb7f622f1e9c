package persisttest

import "example.com/raftactor/node"

var identityChecks = []check{
	{name: "a new member is empty", do: newMember},
	{name: "each member has a life of its own", do: lives},
	{name: "a member is handed out once at a time", do: handedOutOnce},
	{name: "members do not mix", do: membersDoNotMix},
	{name: "a store belongs to one cluster", do: claim},
}

func newMember(p *probe) {
	m := p.member("group", 1)
	m.compare("new")
	if term, err := m.log.Term(0); term != 0 || err != nil {
		p.errorf("the term of index 0 is %d, %v", term, err)
	}
	if s := m.storage.Stats(); s.PinnedBytes < 0 {
		p.errorf("a new member pins %d bytes", s.PinnedBytes)
	}
	p.survives(m)
}

func lives(p *probe) {
	seen := map[node.Incarnation]*member{}
	for id := node.ID(1); id <= 4; id++ {
		for _, group := range []string{"a", "b"} {
			m := p.member(group, id)
			life := m.log.Incarnation()
			if other := seen[life]; other != nil {
				p.errorf("member %d of %q and member %d of %q have the same incarnation", id, group, other.id, other.group)
			}
			if life == 0 {
				p.errorf("member %d of %q has the incarnation 0", id, group)
			}
			seen[life] = m
		}
	}
	p.survives(p.members...)
}

func handedOutOnce(p *probe) {
	m := p.member("group", 1)
	refused := func(when string) {
		if _, err := p.Store.Open("group", 1); !inUse(err) {
			p.errorf("opening a member that is open, %s: %v, want ErrInUse", when, err)
		}
	}
	refused("new")
	m.append(1, 10)
	m.sync()
	refused("written to")
	p.member("group", 2)
	p.member("other", 1)
	m.close()
	m.open()
	refused("for the second time")
	m.compare("opened again")
}

func membersDoNotMix(p *probe) {
	names := []string{"a", "a-1", "A", "1", "a.b_c"}
	for i, group := range names {
		for id := node.ID(1); id <= 3; id++ {
			m := p.member(group, id)
			m.model.source.Uint64()
			for range i {
				m.model.source.Uint64() // other data than the other members have
			}
			m.setHardState(node.HardState{Term: node.Term(i + 1), Vote: id})
			m.setMet(id, node.Incarnation(i+10))
			m.append(node.Term(i+1), i, 20, int(id))
		}
	}
	for i, m := range p.members { // not one after the other
		if i%2 == 0 {
			m.truncate(2)
		}
		m.sync()
	}
	for _, m := range p.members {
		m.compact(1, 1, []byte(m.group))
		m.append(node.Term(100+m.id), 5)
	}
	p.survives(p.members...)
}

func claim(p *probe) {
	belongs := func(when, mine string) {
		for _, other := range []string{mine + "-2", "other"} {
			if p.Store.Claim(other) == nil {
				p.errorf("%s: the store belongs to %q, and is claimed by %q", when, mine, other)
			}
		}
		p.must(p.Store.Claim(mine), "%s: claiming the store for %q, which it belongs to", when, mine)
	}
	p.must(p.Store.Claim("production"), "claiming a new store")
	belongs("claimed", "production")
	m := p.member("group", 1)
	m.append(1, 10)
	m.sync()
	belongs("written to", "production")
	if p.Reopen != nil {
		p.reopenStore()
		belongs("opened again", "production")
	}
}
