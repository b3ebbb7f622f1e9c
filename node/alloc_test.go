package node

import "testing"

// TestSteadyStateAllocatesNothing pins the cost of a step. Growing is not counted: the log takes a new
// chunk for every 1,024 entries.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if checked {
		t.Skip("a checked build allocates, to find who keeps what it must not")
	}
	for name, make := range steadyStates {
		t.Run(name, func(t *testing.T) {
			step := make(t)
			for range 3000 { // queues and slabs find their size
				step()
			}
			if allocations := testing.AllocsPerRun(1000, step); allocations != 0 {
				t.Errorf("%v allocations per step", allocations)
			}
		})
	}
}

// steadyStates make what happens again and again to a leader and to a follower.
var steadyStates = map[string]func(tb testing.TB) func(){
	"follower: tick and heartbeat":             followerTicks,
	"leader: tick, heartbeats and the answers": leaderTicks,
	"leader: propose, sync, acknowledgements":  leaderProposes,
	"follower: append of one and sync":         func(tb testing.TB) func() { return followerAppends(tb, 1, Unlimited) },
	"follower: append of 64 and sync":          func(tb testing.TB) func() { return followerAppends(tb, 64, Unlimited) },
	"follower: append of 64, a slow machine":   func(tb testing.TB) func() { return followerAppends(tb, 64, 500) },
	"follower: a duplicate append":             followerHearsAgain,
	"leader: a read":                           leaderReadsIndex,
	"leader: the state of its peers":           leaderTellsOfPeers,
	"pipeline: 64 in flight":                   func(tb testing.TB) func() { return pipelined(tb, 64) },
	"pipeline: 1024 in flight":                 func(tb testing.TB) func() { return pipelined(tb, 1024) },
}

// stepper fails the test if a step fails.
func stepper(tb testing.TB, n *Node) func(Event) {
	return func(e Event) {
		if _, err := n.Step(e); err != nil {
			tb.Fatal(err)
		}
	}
}

func quietLeader(tb testing.TB) *subject {
	tb.Helper()
	return start(tb, given{cfg: Config{SnapshotEntries: Unlimited}}).leads()
}

func quietFollower(tb testing.TB) *subject {
	tb.Helper()
	return start(tb, given{id: 2, cfg: Config{SnapshotEntries: Unlimited}}).follows(1, 2)
}

func followerTicks(tb testing.TB) func() {
	s := quietFollower(tb)
	step := stepper(tb, s.Node)
	tick, heartbeat := &Tick{Elapsed: 1}, &Heartbeat{Header: s.from(1, 2)}
	receive := &Receive{Message: heartbeat}
	return func() {
		heartbeat.Round++
		step(tick)
		step(receive)
	}
}

func leaderTicks(tb testing.TB) func() {
	s := quietLeader(tb)
	step := stepper(tb, s.Node)
	tick := &Tick{Elapsed: 2}
	reply2, reply3 := &HeartbeatReply{Header: s.re(2, 2)}, &HeartbeatReply{Header: s.re(3, 2)}
	receive2, receive3 := &Receive{Message: reply2}, &Receive{Message: reply3}
	return func() {
		step(tick)
		reply2.Round, reply3.Round = s.lead.round, s.lead.round
		step(receive2)
		step(receive3)
	}
}

func leaderProposes(tb testing.TB) func() {
	s := quietLeader(tb)
	step := stepper(tb, s.Node)
	propose := &Propose{Commands: [][]byte{[]byte("sixteen bytes...")}}
	synced, applied := &Synced{}, &MachineApplied{}
	ack2 := &AppendEntriesReply{Header: s.re(2, 2), Success: true}
	ack3 := &AppendEntriesReply{Header: s.re(3, 2), Success: true}
	receive2, receive3 := &Receive{Message: ack2}, &Receive{Message: ack3}
	return func() {
		step(propose)
		synced.Seq = s.disk.seq
		step(synced)
		ack2.Match, ack3.Match = s.terms.last, s.terms.last
		step(receive2)
		step(receive3)
		applied.Index = s.applied
		step(applied)
	}
}

// followerAppends has a machine that is handed so many bytes at a time, and reports until it has everything.
func followerAppends(tb testing.TB, count, unappliedBytesMax int) func() {
	cfg := Config{SnapshotEntries: Unlimited, UnappliedBytesMax: unappliedBytesMax}
	s := start(tb, given{id: 2, cfg: cfg}).follows(1, 2)
	step := stepper(tb, s.Node)
	entries := make([]Entry, count)
	for i := range entries {
		entries[i] = command(0, 2, "sixteen bytes...")
	}
	m := &AppendEntries{Header: s.from(1, 2), Entries: entries}
	receive, synced, applied := &Receive{Message: m}, &Synced{}, &MachineApplied{}
	return func() {
		m.PrevIndex, m.PrevTerm = s.terms.last, s.terms.lastTerm()
		m.Commit = m.PrevIndex
		for i := range entries {
			entries[i].Index = m.PrevIndex + 1 + Index(i)
		}
		step(receive)
		synced.Seq = s.disk.seq
		step(synced)
		for s.machine.applied < s.applied {
			applied.Index = s.applied
			step(applied)
		}
	}
}

func followerHearsAgain(tb testing.TB) func() {
	s := quietFollower(tb)
	step := stepper(tb, s.Node)
	m := s.append(1, 2, command(1, 1, ""), 1, command(2, 2, "x"))
	receive := &Receive{Message: m}
	step(receive)
	step(&Synced{Seq: s.disk.seq})
	return func() { step(receive) }
}

func leaderReadsIndex(tb testing.TB) func() {
	s := quietLeader(tb)
	step := stepper(tb, s.Node)
	read, reply := &ReadIndex{}, &HeartbeatReply{Header: s.re(2, 2)}
	receive := &Receive{Message: reply}
	return func() {
		read.ID++
		step(read)
		reply.Round = s.lead.round
		step(receive)
	}
}

func leaderTellsOfPeers(tb testing.TB) func() {
	s := quietLeader(tb)
	var peers []PeerStatus
	return func() {
		if peers = s.AppendPeers(peers[:0]); len(peers) != 2 || s.Overview().Role != Leader {
			tb.Fatalf("got %+v of %v", peers, s.Overview())
		}
	}
}

func pipelined(tb testing.TB, inflight int) func() {
	p := newPipeline(tb)
	for _, n := range p.nodes {
		n.cfg.SnapshotEntries = Unlimited // taking one allocates
	}
	p.commit(20_000, inflight)
	return func() { p.commit(1, inflight) }
}
