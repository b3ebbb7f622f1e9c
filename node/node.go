package node

import (
	"errors"
	"fmt"
	"slices"
)

// Node is the protocol state of one member. It is not safe for concurrent use: one goroutine owns
// it, and its log.
type Node struct {
	cfg         Config
	id          ID
	incarnation Incarnation
	log         Log
	rng         rng
	// err is final: a failure of the log or a broken invariant.
	err error
	out outbox

	// hard is what the log holds, or is about to.
	hard   HardState
	role   Role
	leader ID
	// ruler is who has led the present term, as far as that is known, whether it is heard from or not.
	ruler ID
	// announced is what the last LeaderChanged said.
	announced LeaderChanged
	// clock counts all ticks.
	clock uint64

	terms  termTable
	disk   barrier
	commit Index
	// applied is the highest index handed over to the machine, or covered by the snapshot that it restores.
	applied Index
	machine machine
	// replaying: a ReadEntries that feeds Apply is under way.
	replaying bool
	// accepted are the commands accepted here whose outcome is not known yet.
	accepted []acceptedRun

	members   membership
	identity  identity
	election  election
	snapshots snapshots
	reads     followerReads
	transfer  transfer
	// lead is not nil while this member leads.
	lead *leadership

	counters Counters
	// disownings are those told of, at most one of each sender, the oldest first.
	disownings []disowning
	checkpoint checkpoint
	// scratch is room to build entries in.
	scratch []Entry
}

// New makes a node that goes on from what the log holds, all of which must be durable. If the log
// is empty and cfg.Bootstrap is not, its first entry is staged, and the first Step asks for its
// sync. An error means that cfg cannot work, that cfg.Bootstrap contradicts the log (a [*FoundingError]), or that
// the log cannot be read or contradicts itself.
func New(cfg Config, log Log) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	n := &Node{
		cfg: cfg, id: cfg.ID, incarnation: log.Incarnation(), log: log,
		rng: newRNG(cfg.Seed, cfg.ID), hard: log.HardState(),
	}
	if n.incarnation == 0 {
		return nil, errors.New("node: the log has incarnation 0: its storage was not initialised")
	}
	var err error
	if n.terms, err = loadTerms(log); err != nil {
		return nil, fmt.Errorf("node: reading the terms of the log: %w", err)
	}
	snapshot := log.Snapshot()
	if snapshot.Index < n.terms.base || snapshot.Index > n.terms.last {
		return nil, fmt.Errorf("node: the log holds %d to %d, which does not join its snapshot at %d",
			n.terms.base+1, n.terms.last, snapshot.Index)
	}
	if n.hard.Term < n.terms.lastTerm() {
		return nil, fmt.Errorf("node: the log ends in term %d, the hard state in term %d: they are not of one store",
			n.terms.lastTerm(), n.hard.Term)
	}
	if err := n.checkFounding(); err != nil {
		return nil, err
	}
	if err := n.members.load(log); err != nil {
		return nil, err
	}
	n.identity.load(log)
	n.disk.durable = n.terms.last
	n.applied = snapshot.Index
	n.machine.bytesMax = cfg.UnappliedBytesMax
	n.commit = max(snapshot.Index, min(n.hard.Commit, n.terms.last))
	n.snapshots = snapshots{
		index: snapshot.Index, attempted: snapshot.Index,
		restoring: snapshot.Index, due: snapshot.Index > 0,
	}
	n.reads.batch = n.rng.next() >> 1
	n.resetElectionTimer()
	if n.terms.last == 0 && len(cfg.Bootstrap.Members) > 0 {
		n.bootstrap()
	}
	return n, n.err
}

// checkFounding refuses a member that is started as another founding member than it was, or as one though it
// joined. Addresses may have changed since.
func (n *Node) checkFounding() error {
	given, stored := n.cfg.Bootstrap, n.log.Founding()
	if len(given.Members) == 0 || (n.terms.last == 0 && len(stored.Members) == 0) {
		return nil
	}
	same := slices.EqualFunc(given.Members, stored.Members, func(a, b Member) bool {
		return a.ID == b.ID && a.Suffrage == b.Suffrage
	})
	if !same {
		return &FoundingError{ID: n.id, Given: given, Stored: stored}
	}
	return nil
}

// bootstrap stages the founding configuration. It is the same on every founding member, so it is
// committed from the start.
func (n *Node) bootstrap() {
	n.hard.Term = max(n.hard.Term, 1) // a joiner may have voted already
	n.commit = 1
	// In this order: a crash may leave what is first without the rest.
	n.persistHardState()
	n.persistFounding(n.cfg.Bootstrap)
	n.appendEntries([]Entry{{Index: 1, Term: 1, Kind: EntryConfiguration, Data: n.cfg.Bootstrap.Encode()}})
	n.disk.close(n.terms.last, n.clock)
	n.out.reset()
}

// Step is the only way in: it takes an event and returns what is to be done about it. What it
// returns is valid until the next Step.
//
// An error is final: the log has failed, or the node has found its own state broken, in which case
// this Step panics with an [*InvariantError] and later ones return it. Nothing leaves a node that
// has failed.
func (n *Node) Step(event Event) ([]Action, error) {
	if n.err != nil {
		return nil, n.err
	}
	n.out.reset()
	n.restoreAtStart()
	n.handle(event)
	n.advanceApplied()
	n.announceCommitted()
	n.releaseWanted()
	n.takeSnapshotIfDue()
	n.announceDisk()
	n.announceLeader()
	n.disk.close(n.terms.last, n.clock)
	if n.err != nil {
		return nil, n.err
	}
	n.checkCheap()
	if checked {
		n.checkFully()
	}
	return n.out.actions(n.needsBarrier(), n.disk.seq), nil
}

// needsBarrier tells whether this step must name a sync: it staged something, or it promises
// something while earlier writes are on their way.
func (n *Node) needsBarrier() bool {
	if n.disk.asked < n.disk.seq {
		n.disk.asked = n.disk.seq
		return true
	}
	return len(n.out.late) > 0 && n.disk.unsynced()
}

func (n *Node) handle(event Event) {
	switch e := event.(type) {
	case *Tick:
		n.tick(e.Elapsed)
	case *Receive:
		n.receive(e.Message)
	case *Propose:
		n.propose(e.Commands)
	case *Synced:
		n.synced(e.Seq)
	case *MachineApplied:
		n.machineApplied(e.Index)
	case *EntriesRead:
		n.entriesRead(e)
	case *RequestSnapshot:
		n.requestSnapshot()
	case *Snapshotted:
		n.snapshotted(e.Meta)
	case *SnapshotFailed:
		n.snapshotFailed(e.Index)
	case *ReleaseEntries:
		n.releaseEntries(e.Through)
	case *SnapshotReceived:
		n.snapshotReceived(e.Message, e.Handle)
	case *SnapshotSent:
		n.snapshotSent(e.Peer, e.OK)
	case *Restored:
		n.restored(e.Index)
	case *AddMember:
		n.addMember(e)
	case *Promote:
		n.promote(e.ID)
	case *Demote:
		n.demote(e.ID)
	case *RemoveMember:
		n.removeMember(e.ID)
	case *TransferLeadership:
		n.transferLeadership(e.Target)
	case *ReadIndex:
		n.readIndex(e.ID)
	case *Unreachable:
		n.unreachable(e.Peer)
	case *Campaign:
		n.campaignNow()
	default:
		panic(fmt.Sprintf("node: Step: %T is no event", event))
	}
}

// receive checks a message and gives it to whom it concerns. This is the one place where the role
// decides.
func (n *Node) receive(m Message) {
	if !n.admit(m) {
		return
	}
	switch m := m.(type) {
	case *PreVote:
		n.handlePreVote(m)
	case *PreVoteReply:
		n.handlePreVoteReply(m)
	case *RequestVote:
		n.handleRequestVote(m)
	case *RequestVoteReply:
		n.handleRequestVoteReply(m)
	case *AppendEntries:
		n.handleAppendEntries(m)
	case *AppendEntriesReply:
		n.handleAppendEntriesReply(m)
	case *Heartbeat:
		n.handleHeartbeat(m)
	case *HeartbeatReply:
		n.handleHeartbeatReply(m)
	case *InstallSnapshot:
		n.handleInstallSnapshot(m)
	case *InstallSnapshotReply:
		n.handleInstallSnapshotReply(m)
	case *TimeoutNow:
		n.handleTimeoutNow(m)
	case *ReadIndexRequest:
		n.handleReadIndexRequest(m)
	case *ReadIndexReply:
		n.handleReadIndexReply(m)
	case *Refusal:
		n.handleRefusal(m)
	}
}

// fail makes a failure of the log final.
func (n *Node) fail(doing string, err error) {
	if n.err == nil {
		n.err = fmt.Errorf("node: member %d, term %d: %s: %w", n.id, n.hard.Term, doing, err)
	}
}

// header addresses a request.
func (n *Node) header(to ID) Header {
	return Header{From: n.id, To: to, FromIncarnation: n.incarnation, Term: n.hard.Term}
}

// replyTo addresses the reply to a message.
func (n *Node) replyTo(m Message) Header {
	h := n.header(m.Head().From)
	h.ToIncarnation = m.Head().FromIncarnation
	return h
}

// becomeFollower follows leader, who may be None, in term. A new term takes the vote back.
func (n *Node) becomeFollower(term Term, leader ID) {
	if term < n.hard.Term {
		n.broken("the term goes back to %d", term)
	}
	changed := leader != n.leader || term != n.hard.Term
	lead := n.lead
	n.role, n.leader, n.lead = Follower, leader, nil
	n.election.granted = n.election.granted[:0]
	if term > n.hard.Term {
		n.hard.Term, n.hard.Vote, n.hard.VoteIncarnation = term, None, 0
		n.ruler = None
		n.persistHardState()
	}
	if leader != None {
		n.ruler = leader
	}
	if lead != nil {
		lead.reads.failAll(n)
	}
	if changed {
		n.failReads()
	}
}

// announceLeader tells the driver when its view of the leader is out of date.
func (n *Node) announceLeader() {
	now := LeaderChanged{Leader: n.leader, Term: n.hard.Term}
	if now == n.announced || (now.Leader == None && n.announced.Leader == None) {
		return
	}
	n.announced = now
	n.out.add(n.out.leaders.put(now))
	n.settleTransfer()
}
