package node

import "testing"

// pump runs nodes in one loop: messages are delivered in order, and every sync, and every snapshot, is
// done when it is asked for.
type pump struct {
	tb      testing.TB
	nodes   map[ID]*Node
	queue   []Message
	applied map[ID]int
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
	sync, applied, take := uint64(0), Index(0), (*SnapshotMeta)(nil)
	var accepted []*InstallSnapshot
	for _, a := range actions {
		switch a := a.(type) {
		case *Send:
			p.queue = append(p.queue, Clone(a.Message))
		case *Sync:
			sync = a.Seq
		case *Apply:
			p.applied[id] += len(a.Entries)
			applied = a.Entries[len(a.Entries)-1].Index
		case *TakeSnapshot:
			meta := a.Meta
			take = &meta
		case *SendSnapshot:
			p.queue = append(p.queue, Clone(a.Message))
		case *AcceptSnapshot:
			accepted = append(accepted, clone(a.Message))
		}
	}
	if sync != 0 {
		p.step(id, &Synced{Seq: sync})
	}
	if applied != 0 {
		p.step(id, &MachineApplied{Index: applied})
	}
	if take != nil {
		p.step(id, &Snapshotted{Meta: *take})
	}
	for _, m := range accepted {
		p.step(id, &SnapshotReceived{Message: m, Handle: m.Meta.Handle})
		p.step(m.From, &SnapshotSent{Peer: id, OK: true})
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
	equal(t, "role of 3", p.nodes[3].Role(), Leader)

	joiner, err := New(Config{ID: 4}, NewMemoryLog(104))
	must(t, err)
	p.nodes[4] = joiner
	p.step(3, &AddMember{ID: 4})
	p.run()
	for range 10 {
		p.step(3, &Tick{Elapsed: 1})
		p.run()
	}
	p.step(3, &Promote{ID: 4})
	p.run()
	last := p.nodes[3].Status().LastIndex
	for id, n := range p.nodes {
		if n.Applied() != last || !n.Configuration().IsVoter(4) {
			t.Errorf("member %d: applied %d of %d, %v", id, n.Applied(), last, n.Configuration())
		}
	}
}
