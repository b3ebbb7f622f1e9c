package raft

import (
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// published is what the raft actor tells of itself at the end of each turn. With the vitals it is what GetStatus
// is answered from, without a turn and without a leader.
type published struct {
	mu      sync.Mutex
	now     node.Overview // guarded by mu
	slow    slowStatus    // guarded by mu
	stopped bool          // guarded by mu
}

// slowStatus is what costs more to come by, and is as of the last tick.
type slowStatus struct {
	// peers are the other members as a leader knows them, when its log ended at last and was durable up to
	// durable. Empty on others.
	peers         []node.PeerStatus
	last, durable Index
	// unreached are members that the transport does not reach.
	unreached []ID
	// pending are the calls that were taken, and are not answered or wait for the machine.
	pending holding
	// machineStalled is for how many ticks the machine has been at machineApplied although more is committed, and
	// durable here.
	machineStalled int64
	machineApplied Index
}

func (p *published) set(now node.Overview) {
	p.mu.Lock()
	p.now = now
	p.mu.Unlock()
}

func (p *published) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
}

// publishStatus is called at the end of each turn.
func (r *raftActor) publishStatus() {
	now := r.node.Overview()
	if now.Role != r.role {
		r.logRole(now)
		r.role = now.Role
		r.publishSlowStatus(0) // what was known as a leader, or is now
	}
	r.makeRoom(&now)
	r.published.set(now)
}

// logRole logs a change of role: for all if it is one of leadership, else for those who look at elections.
func (r *raftActor) logRole(now node.Overview) {
	log := r.logger.Debug
	if now.Role == node.Leader || r.role == node.Leader {
		log = r.logger.Info
	}
	log("role changed", "role", now.Role.String(), "term", uint64(now.Term))
}

// publishSlowStatus is called when so many ticks have passed, or the role has changed.
func (r *raftActor) publishSlowStatus(elapsed int64) {
	now, applied := r.node.Overview(), r.machineApplied()
	r.published.mu.Lock()
	defer r.published.mu.Unlock()
	s := &r.published.slow
	s.peers, s.last, s.durable = r.node.AppendPeers(s.peers[:0]), now.LastIndex, now.Durable
	s.unreached = append(s.unreached[:0], r.unreached...)
	s.pending = r.calls.pending()
	if applied >= min(now.Commit, now.Durable) || applied != s.machineApplied {
		s.machineStalled = 0
	} else {
		s.machineStalled += elapsed
	}
	s.machineApplied = applied
}

// intercept answers what needs no turn. It runs on the goroutines of those who post, but for what was
// posted before the actor had started.
func (r *raftActor) intercept(request any, sender *actor.PID) bool {
	if r.isTurnedAway(request, sender) {
		return true
	}
	switch m := request.(type) {
	case *statusCall:
		m.answer(r.status())
	case *GetStatus:
		if sender == nil {
			return true // nobody asks
		}
		status := r.status()
		if status == nil {
			r.turnAway(sender, tagged(rejectStopped(&call{kind: queryCall}), m.Tag))
			return true
		}
		status.Tag = m.Tag
		tell(r.system, sender, status)
	default:
		return r.feed.intercept(request, sender)
	}
	return true
}

// status is how the member sees the group, or nil if it has stopped. It is safe for concurrent use, and waits
// for nobody.
func (r *raftActor) status() *Status {
	r.published.mu.Lock()
	now, slow, stopped := r.published.now, r.published.slow, r.published.stopped
	slow.peers, slow.unreached = slices.Clone(slow.peers), slices.Clone(slow.unreached)
	r.published.mu.Unlock()
	if stopped {
		return nil
	}
	tickMs, applied := r.cfg.TickInterval.Milliseconds(), r.machineApplied()
	if applied != slow.machineApplied {
		slow.machineStalled = 0 // since the last tick
	}
	s := &Status{
		Group: r.cfg.Group, Id: uint64(r.cfg.ID), Incarnation: uint64(now.Incarnation),
		Role: Status_Role(now.Role), Term: uint64(now.Term), Leader: uint64(now.Leader),
		TransferTarget: uint64(now.TransferTarget),
		FirstIndex:     uint64(now.FirstIndex), LastIndex: uint64(now.LastIndex), SnapshotIndex: uint64(now.Snapshot),
		CommitIndex: uint64(now.Commit), AppliedIndex: uint64(applied),
		Sessions: uint64(r.vitals.sessions.Load()), Subscribers: uint64(r.feed.subscribers()),
		StalledMs: r.ticks.Load() * tickMs, MachineStalledMs: slow.machineStalled * tickMs,
		UnsyncedMs: r.unsynced(&now) * tickMs, PinnedBytes: r.storage.Stats().PinnedBytes,
		Queues: r.queues(&now, &slow),
	}
	for _, m := range now.Configuration.Members {
		info := &MemberInfo{
			Id: uint64(m.ID), Voter: m.Suffrage == node.Voter, Address: m.Address, Incarnation: uint64(m.Incarnation),
		}
		if now.Role == node.Leader {
			slow.describe(info, m.ID == r.cfg.ID, tickMs)
		}
		info.Contact = r.contact(info, &now, &slow)
		s.Members = append(s.Members, info)
	}
	s.Problems = r.cfg.problems(s)
	return s
}

// unsynced is for how many ticks the oldest write has been on its way, those counted that the raft actor has not taken
// note of. It may be stuck, and not know that the write is done.
func (r *raftActor) unsynced(now *node.Overview) int64 {
	if now.UnsyncedSeq <= r.vitals.synced.Load() {
		return 0
	}
	return int64(now.UnsyncedTicks) + r.ticks.Load()
}

// machineApplied is the index up to which the machine has applied: zero before it has restored its snapshot. It is
// safe for concurrent use.
func (r *raftActor) machineApplied() Index {
	if r.vitals.restoring.Load() {
		return 0
	}
	return Index(r.feed.applied.Load())
}

// describe adds what a leader knows of a member.
func (s *slowStatus) describe(info *MemberInfo, self bool, tickMs int64) {
	match := s.durable
	if !self {
		k := slices.IndexFunc(s.peers, func(p node.PeerStatus) bool { return uint64(p.ID) == info.Id })
		if k < 0 {
			return // it has been added since the last tick
		}
		p := &s.peers[k]
		match = p.Match
		info.State = replicationStates[p.State]
		info.LastContactMs = int64(p.SilentTicks) * tickMs
		info.InflightMessages, info.InflightBytes = uint64(p.InflightMessages), uint64(p.InflightBytes)
	}
	info.MatchIndex, info.Lag = uint64(match), uint64(s.last-min(s.last, match))
}

// contact is what this member knows of its way to another one. A follower hears of its leader only, and would not follow
// one that is silent.
func (r *raftActor) contact(info *MemberInfo, now *node.Overview, slow *slowStatus) MemberInfo_Contact {
	id := ID(info.Id)
	switch {
	case id == r.cfg.ID:
		return MemberInfo_REACHABLE
	case slices.Contains(slow.unreached, id):
		return MemberInfo_UNREACHABLE
	case now.Role == node.Leader && info.State == MemberInfo_STATE_UNSPECIFIED: // it has been added since the last tick
		return MemberInfo_CONTACT_UNSPECIFIED
	case now.Role == node.Leader && info.LastContactMs >= r.cfg.ElectionTimeout.Milliseconds():
		return MemberInfo_UNREACHABLE
	case now.Role == node.Leader || id == now.Leader:
		return MemberInfo_REACHABLE
	default:
		return MemberInfo_CONTACT_UNSPECIFIED
	}
}

// noteLost takes note of a member that the transport does not reach, and noteReached of one that was heard from.
func (r *raftActor) noteLost(id ID) {
	r.noteReached(id)
	r.unreached = slices.DeleteFunc(append(r.unreached, id), func(lost ID) bool {
		_, isMember := r.node.Configuration().Member(lost)
		return !isMember
	})
}

func (r *raftActor) noteReached(id ID) {
	r.unreached = slices.DeleteFunc(r.unreached, func(lost ID) bool { return lost == id })
}

var replicationStates = map[string]MemberInfo_State{
	"probe": MemberInfo_PROBE, "replicate": MemberInfo_REPLICATE, "snapshot": MemberInfo_SNAPSHOT,
}

// queues are what waits in the member at this moment.
func (r *raftActor) queues(now *node.Overview, slow *slowStatus) *Queues {
	box := r.box.Stats()
	return &Queues{
		Requests: uint64(box.Requests.Waiting), RequestBytes: uint64(box.Requests.Bytes),
		PeerMessages: uint64(box.Peer.Waiting), PeerBytes: uint64(box.Peer.Bytes), PeerDropped: box.Peer.Refused,
		Pending: uint64(slow.pending.calls), PendingBytes: uint64(slow.pending.bytes), UncommittedBytes: uint64(now.UncommittedBytes),
		UnappliedBytes: uint64(now.UnappliedBytes), RequestsRefused: r.vitals.overloaded.Load(),
		LogRecords: uint64(r.logger.out.depth()), Events: uint64(r.events.depth()),
		NoticesDropped: r.vitals.noticesDropped.Load(),
	}
}

// statusCall is GetStatus from a goroutine. The channel has room for one answer.
type statusCall struct{ status chan *Status }

// answer gives the first answer; nil says that nobody will give one. Each client of the actor system
// says so of a dead letter.
func (s *statusCall) answer(status *Status) {
	select {
	case s.status <- status:
	default:
	}
}

// IgnoreDeadLetterLogging keeps it out of Proto.Actor's logs.
func (*statusCall) IgnoreDeadLetterLogging() {}
