package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var errLostLeadership = errors.New("the replica does not lead any more")

// run is the loop: gather, step, and carry out what comes of it.
func (n *etcdNode) run() {
	defer close(n.toApply)
	ticker := time.NewTicker(etcdTick)
	defer ticker.Stop()
	for {
		select {
		case <-n.wake:
			if n.pending.several() {
				runtime.Gosched() // who was answered proposes again: a larger batch is cheaper
			}
		case <-ticker.C:
			n.raw.Tick()
		case <-n.stopping:
			return
		}
		n.gather()
		for n.raw.HasReady() {
			if !n.carryOut(n.raw.Ready()) {
				return
			}
		}
	}
}

// gather steps all that has come.
func (n *etcdNode) gather() {
	for _, m := range n.inbox.poll() {
		if m.GetType() == raftpb.MsgUnreachable {
			n.raw.ReportUnreachable(m.GetFrom())
			continue
		}
		_ = n.raw.Step(m) // what it does not want it drops
	}
	if n.wanted.Swap(false) && n.raw.BasicStatus().RaftState != raft.StateLeader {
		if n.raw.BasicStatus().Lead == raft.None {
			_ = n.raw.Campaign()
		} else {
			n.raw.TransferLeader(n.number)
		}
	}
	n.spareCommand = n.commands.poll(n.spareCommand)
	if len(n.spareCommand) > 0 {
		n.offer(n.spareCommand)
	}
	if n.reading == nil {
		n.spareReads = n.reads.poll(n.spareReads)
		if len(n.spareReads) > 0 {
			n.next++
			n.reading = &etcdRead{id: n.next, requests: append([]*request(nil), n.spareReads...)}
			n.raw.ReadIndex(binary.LittleEndian.AppendUint64(nil, n.next))
		}
	}
}

// offer proposes commands as one message. Each has an id in front, by which
// the applier finds who waits for it.
func (n *etcdNode) offer(requests []*request) {
	bytes := 0
	for _, r := range requests {
		bytes += 8 + len(r.command)
	}
	data := make([]byte, 0, bytes)
	slab := make([]raftpb.Entry, len(requests))
	entries := make([]*raftpb.Entry, len(requests))
	first := n.next + 1
	for i, r := range requests {
		n.next++
		from := len(data)
		data = append(binary.LittleEndian.AppendUint64(data, n.next), r.command...)
		slab[i].Data = data[from:len(data):len(data)]
		entries[i] = &slab[i]
	}
	n.pending.add(first, requests)
	err := n.raw.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: proto.Uint64(n.number), Entries: entries})
	if err != nil {
		answer(n.pending.clear(), err)
	}
}

// carryOut does what a Ready asks for. It returns false if the node stops.
func (n *etcdNode) carryOut(rd raft.Ready) bool {
	if rd.SoftState != nil {
		leads := rd.SoftState.RaftState == raft.StateLeader
		if n.leading.Swap(leads) && !leads {
			answer(n.pending.clear(), errLostLeadership)
			if n.reading != nil {
				answer(n.reading.requests, errLostLeadership)
				n.reading = nil
			}
		}
	}
	leads := n.leading.Load()
	early := appliesEarly(rd)
	if early && !n.handOver(rd) {
		return false
	}
	if leads { // its own disk works at the same time as those of the others
		n.send(rd.Messages)
	}
	if n.disk != nil {
		if !raft.IsEmptySnap(rd.Snapshot) {
			must(n.disk.SaveSnap(rd.Snapshot))
		}
		must(n.disk.Save(rd.HardState, rd.Entries))
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		must(n.storage.ApplySnapshot(rd.Snapshot))
	}
	if !raft.IsEmptyHardState(rd.HardState) {
		must(n.storage.SetHardState(rd.HardState))
	}
	must(n.storage.Append(rd.Entries))
	if !early && !n.handOver(rd) {
		return false
	}
	if !leads {
		n.send(rd.Messages)
	}
	n.raw.Advance(rd)
	return true
}

// appliesEarly tells whether what is committed is in the log already. A
// follower may be told of entries and of their commit at once; its snapshots
// must not be ahead of its log.
func appliesEarly(rd raft.Ready) bool {
	if !raft.IsEmptySnap(rd.Snapshot) {
		return false
	}
	committed := len(rd.CommittedEntries)
	return len(rd.Entries) == 0 || committed == 0 ||
		rd.CommittedEntries[committed-1].GetIndex() < rd.Entries[0].GetIndex()
}

// handOver gives the applier what it can have.
func (n *etcdNode) handOver(rd raft.Ready) bool {
	job := etcdApply{entries: rd.CommittedEntries}
	if !raft.IsEmptySnap(rd.Snapshot) {
		job.snapshot, n.handed = rd.Snapshot, rd.Snapshot.GetMetadata().GetIndex()
	}
	if count := len(rd.CommittedEntries); count > 0 {
		n.handed = rd.CommittedEntries[count-1].GetIndex()
	}
	for _, state := range rd.ReadStates {
		if n.reading != nil && binary.LittleEndian.Uint64(state.RequestCtx) == n.reading.id {
			n.reading.index = state.Index
			n.readDue, n.reading = n.reading, nil
			n.commands.rouse() // for those who have come meanwhile
		}
	}
	if n.readDue != nil && n.readDue.index <= n.handed {
		job.reads, n.readDue = n.readDue.requests, nil
	}
	if job.snapshot == nil && job.entries == nil && job.reads == nil {
		return true
	}
	select {
	case n.toApply <- job:
		return true
	case <-n.stopping:
		return false
	}
}

// send passes messages on, and says of snapshots that they are gone.
func (n *etcdNode) send(messages []*raftpb.Message) {
	if len(messages) == 0 {
		return
	}
	n.transport.send(messages)
	for _, m := range messages {
		if m.GetType() == raftpb.MsgSnap {
			n.raw.ReportSnapshot(m.GetTo(), raft.SnapshotFinish)
		}
	}
}

// applyAll is the applier.
func (n *etcdNode) applyAll() {
	var done []*request
	var kept uint64 = 1 // the index of the newest snapshot
	for job := range n.toApply {
		if job.snapshot != nil {
			must(n.restore(job.snapshot.GetData()))
			kept = job.snapshot.GetMetadata().GetIndex()
		}
		for _, e := range job.entries {
			if e.GetType() != raftpb.EntryNormal || len(e.Data) == 0 {
				continue
			}
			n.apply(e.Data[8:])
			if r := n.pending.take(binary.LittleEndian.Uint64(e.Data)); r != nil {
				done = append(done, r)
			}
		}
		answer(done, nil)
		clear(done)
		done = done[:0]
		answer(job.reads, nil)
		if count := len(job.entries); count > 0 {
			if applied := job.entries[count-1].GetIndex(); applied >= kept+etcdSnapshotEvery {
				n.snapshot(applied)
				kept = applied
			}
		}
	}
}

// snapshot keeps the tally, and gives up the entries that it covers.
func (n *etcdNode) snapshot(applied uint64) {
	saved, err := n.save()
	must(err)
	s, err := n.storage.CreateSnapshot(applied, nil, saved)
	if errors.Is(err, raft.ErrSnapOutOfDate) {
		return // a newer one has come from the leader
	}
	must(err)
	if n.disk != nil {
		must(n.disk.SaveSnap(s))
		must(n.disk.Release(s))
	}
	if err := n.storage.Compact(applied - etcdCatchUp); !errors.Is(err, raft.ErrCompacted) {
		must(err)
	}
}

// must ends the process of this turn: a replica cannot go on without its disk.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("etcd-io/raft: %v", err))
	}
}

// etcdPending is who waits for which id, in the order of the log.
type etcdPending struct {
	mu      sync.Mutex
	first   uint64     // of the one in front; guarded by mu
	waiting []*request // with the ids that follow; guarded by mu
}

func (p *etcdPending) add(first uint64, requests []*request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Reads take ids, too: they leave a gap.
	if len(p.waiting) == 0 {
		p.first = first
	}
	for p.first+uint64(len(p.waiting)) < first {
		p.waiting = append(p.waiting, nil)
	}
	p.waiting = append(p.waiting, requests...)
}

// several tells whether more than one waits.
func (p *etcdPending) several() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 1
}

// take removes who waits for an id, or returns nil.
func (p *etcdPending) take(id uint64) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id < p.first || id >= p.first+uint64(len(p.waiting)) {
		return nil
	}
	at := id - p.first
	r := p.waiting[at]
	clear(p.waiting[:at+1])
	p.waiting, p.first = p.waiting[at+1:], id+1
	return r
}

// clear removes all.
func (p *etcdPending) clear() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*request
	for _, r := range p.waiting {
		if r != nil {
			all = append(all, r)
		}
	}
	p.waiting = nil
	return all
}
