package node

import "testing"

// pump runs nodes in one loop: every message is delivered at once and in order, and every sync is
// done when it is asked for.
type pump struct {
	tb      testing.TB
	nodes   map[ID]*Node
	queue   []Message
	free    map[ID]*[]Message
	applied map[ID]int
	events  struct {
		receive Receive
		synced  Synced
		propose Propose
		taken   Snapshotted
	}
}

func newPump(tb testing.TB, cfg Config, ids ...ID) *pump {
	tb.Helper()
	p := &pump{tb: tb, nodes: map[ID]*Node{}, applied: map[ID]int{}}
	members := make([]Member, len(ids))
	for i, id := range ids {
		members[i] = Member{ID: id, Suffrage: Voter, Incarnation: Incarnation(100 + id)}
	}
	for _, id := range ids {
		c := cfg
		c.ID, c.Seed, c.Bootstrap = id, uint64(id), NewConfiguration(members...)
		n, err := New(c, NewMemoryLog(Incarnation(100+id)))
		if err != nil {
			tb.Fatal(err)
		}
		p.nodes[id] = n
	}
	return p
}

// step steps a node, and carries its actions out but for sends, which it queues.
func (p *pump) step(id ID, event Event) {
	n := p.nodes[id]
	actions, err := n.Step(event)
	if err != nil {
		p.tb.Fatal(err)
	}
	sync, take := uint64(0), (*SnapshotMeta)(nil)
	for _, a := range actions {
		switch a := a.(type) {
		case *Send:
			p.queue = append(p.queue, Clone(a.Message))
		case *Sync:
			sync = a.Seq
		case *Apply:
			p.applied[id] += len(a.Entries)
		case *TakeSnapshot:
			meta := a.Meta
			take = &meta
		}
	}
	if sync != 0 {
		p.step(id, &Synced{Seq: sync})
	}
	if take != nil {
		p.step(id, &Snapshotted{Meta: *take})
	}
}

// run delivers messages until there are none.
func (p *pump) run() {
	for len(p.queue) > 0 {
		m := p.queue[0]
		p.queue = p.queue[1:]
		if p.nodes[m.Head().To] != nil {
			p.step(m.Head().To, &Receive{Message: m})
		}
	}
}

// elect makes id the leader.
func (p *pump) elect(id ID) *Node {
	p.tb.Helper()
	p.step(id, &Campaign{})
	p.run()
	if p.nodes[id].Role() != Leader {
		p.tb.Fatalf("member %d is %v, want leader", id, p.nodes[id].Role())
	}
	return p.nodes[id]
}

func TestThreeNodesReplicate(t *testing.T) {
	p := newPump(t, Config{SnapshotEntries: 50, RetainEntries: 10}, 1, 2, 3)
	p.elect(1)
	for range 1000 {
		p.step(1, &Propose{Commands: [][]byte{{1}, {2}, {3}}})
		p.run()
	}
	for id, n := range p.nodes {
		if n.Commit() != 3002 || n.Applied() != 3002 {
			t.Errorf("member %d: commit %d, applied %d, want 3002", id, n.Commit(), n.Applied())
		}
		if s := n.Status(); s.FirstIndex < 2900 {
			t.Errorf("member %d: the log starts at %d", id, s.FirstIndex)
		}
	}
	p.step(1, &TransferLeadership{Target: 3})
	p.run()
	if p.nodes[3].Role() != Leader {
		t.Errorf("3 is %v", p.nodes[3].Role())
	}
	p.step(3, &AddMember{ID: 4})
	p.run()
	p.nodes[4], _ = New(Config{ID: 4}, NewMemoryLog(104))
	for range 10 {
		p.step(3, &Tick{Elapsed: 1})
		p.run()
	}
	t.Logf("%+v", p.nodes[3].Status())
	t.Logf("%+v", p.nodes[4].Status())
}
