package node

import "testing"

// pipeline is three nodes that are pumped in one loop with so many commands on their way. Messages,
// completed syncs and what machines report stand in one queue, in the order in which they were sent, and
// nothing of it is allocated anew, so that what is measured is the nodes and their logs.
type pipeline struct {
	tb      testing.TB
	nodes   [3]*Node
	applied [3]int
	queue   ring[arrival]
	batch   Propose
	// proposed are the commands so far, and most how many entries were uncommitted at any time.
	proposed, most int
	events         struct {
		receive Receive
		synced  Synced
		applied MachineApplied
		taken   Snapshotted
	}
	current arrival
}

// arrival is a message, or a completed sync if seq is not zero, or what its machine reports if applied is not
// zero, for the node at position to.
type arrival struct {
	to             int
	seq            uint64
	applied        Index
	append         AppendEntries
	appendReply    AppendEntriesReply
	heartbeat      Heartbeat
	heartbeatReply HeartbeatReply
	kind           uint8
}

const (
	anAppend uint8 = iota
	anAppendReply
	aHeartbeat
	aHeartbeatReply
)

// batchCommands is how many commands come in one Propose.
const batchCommands = 64

func newPipeline(tb testing.TB) *pipeline {
	tb.Helper()
	p := &pipeline{tb: tb}
	for i := range p.nodes {
		id := ID(i + 1)
		n, err := New(Config{ID: id, Seed: uint64(id)}, given{id: id}.log(tb))
		must(tb, err)
		p.nodes[i] = n
	}
	for range batchCommands {
		p.batch.Commands = append(p.batch.Commands, []byte("sixteen bytes...")[:16:16])
	}
	leader := &subject{Node: p.nodes[0], tb: tb}
	leader.becomes(Leader)
	for _, id := range []ID{2, 3} { // a heartbeat each, for them to follow
		p.step(int(id)-1, &Receive{Message: &Heartbeat{Header: leader.header(id)}})
	}
	for _, peer := range p.nodes[0].lead.peers { // and nothing that was sent before is known
		peer.resume()
	}
	p.step(0, &Receive{Message: &HeartbeatReply{Header: leader.re(2, leader.hard.Term)}})
	p.step(0, &Receive{Message: &HeartbeatReply{Header: leader.re(3, leader.hard.Term)}})
	p.drain()
	return p
}

// drain delivers all that is in the queue.
func (p *pipeline) drain() {
	for p.queue.count > 0 {
		p.deliver()
	}
}

// commit has count more commands committed, with at most inflight of them on their way at any time.
func (p *pipeline) commit(count, inflight int) {
	for target := p.applied[0] + count; p.applied[0] < target; {
		for p.proposed-p.applied[0]+batchCommands <= inflight {
			p.proposed += batchCommands
			p.step(0, &p.batch)
			p.most = max(p.most, int(p.nodes[0].terms.last-p.nodes[0].commit))
		}
		p.deliver()
	}
}

func (p *pipeline) deliver() {
	p.current = p.queue.pop()
	a := &p.current
	if a.seq != 0 {
		p.events.synced.Seq = a.seq
		p.step(a.to, &p.events.synced)
		return
	}
	if a.applied != 0 {
		p.events.applied.Index = a.applied
		p.step(a.to, &p.events.applied)
		return
	}
	switch a.kind {
	case anAppend:
		p.events.receive.Message = &a.append
	case anAppendReply:
		p.events.receive.Message = &a.appendReply
	case aHeartbeat:
		p.events.receive.Message = &a.heartbeat
	default:
		p.events.receive.Message = &a.heartbeatReply
	}
	p.step(a.to, &p.events.receive)
}

// step steps a node and queues what it asks for: a sync is done when its turn has come, and what stands
// behind it comes after it.
func (p *pipeline) step(at int, event Event) {
	actions, err := p.nodes[at].Step(event)
	if err != nil {
		p.tb.Fatal(err)
	}
	for _, action := range actions {
		switch a := action.(type) {
		case *Sync:
			p.queue.push(arrival{to: at, seq: a.Seq})
		case *Send:
			p.send(a)
		case *Apply:
			for i := range a.Entries {
				if a.Entries[i].Kind == EntryCommand {
					p.applied[at]++
				}
			}
			p.queue.push(arrival{to: at, applied: a.Entries[len(a.Entries)-1].Index})
		case *TakeSnapshot:
			p.events.taken.Meta = a.Meta
			defer p.step(at, &p.events.taken)
		}
	}
}

func (p *pipeline) send(a *Send) {
	to := int(a.To) - 1
	switch m := a.Message.(type) {
	case *AppendEntries:
		p.queue.push(arrival{to: to, kind: anAppend, append: *m})
	case *AppendEntriesReply:
		p.queue.push(arrival{to: to, kind: anAppendReply, appendReply: *m})
	case *Heartbeat:
		p.queue.push(arrival{to: to, kind: aHeartbeat, heartbeat: *m})
	case *HeartbeatReply:
		p.queue.push(arrival{to: to, kind: aHeartbeatReply, heartbeatReply: *m})
	default:
		p.tb.Fatalf("there is no room for a %T", m)
	}
}

// TestPipelineHasThatMuchInFlight sees that the benchmark measures what it says.
func TestPipelineHasThatMuchInFlight(t *testing.T) {
	for _, inflight := range []int{64, 1024, 16384} {
		p := newPipeline(t)
		p.commit(4*inflight, inflight)
		if p.most != inflight {
			t.Errorf("%d entries are uncommitted at most, want %d", p.most, inflight)
		}
		p.drain()
		for i, n := range p.nodes {
			if p.applied[i] != p.proposed || n.commit != p.nodes[0].commit {
				t.Errorf("member %d: %d of %d applied, commit %d", i+1, p.applied[i], p.proposed, n.commit)
			}
		}
	}
}
