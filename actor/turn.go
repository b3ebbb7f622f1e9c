package raft

import (
	"runtime"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
)

// What the actor tells itself, and its children tell it. All of it goes by the control lane.
type (
	// tickPassed says that ticks have passed since the last turn that knew of any.
	tickPassed struct{}
	// syncDone says that what was staged up to seq is durable, or never will be.
	syncDone struct {
		seq uint64
		err error
		at  time.Duration // a moment of now, or zero
	}
	// releaseWanted says that the storage wants entries released: how far, it has noted.
	releaseWanted struct{}
	// childFailed says that the machine, or the storage under a child, cannot go on.
	childFailed struct{ err error }
	// machineApplied says how far the machine is, once for all that it was given at a time.
	machineApplied struct{ index Index }
	// machineRestored says that the machine has taken over a snapshot.
	machineRestored struct{ index Index }
	// snapshotEnded says that a snapshot of the machine is durable, or why not.
	snapshotEnded struct {
		meta  SnapshotMeta
		asked *call
		err   error
	}
	// entriesFetched answers a ReadEntries.
	entriesFetched struct {
		event node.EntriesRead
		err   error
	}
	// peerUnreachable says that the transport does not reach a member.
	peerUnreachable struct{ id ID }
)

// memberInbox queues what the transport has for this member.
type memberInbox struct {
	box  *mailbox.Mailbox
	lost *lostPeers
}

// lostPeers are the members that cannot be reached, and of whom the raft actor has not been told so yet: once is enough.
type lostPeers struct {
	mu  sync.Mutex
	ids map[ID]bool // guarded by mu
}

// note tells whether it is news.
func (l *lostPeers) note(id ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.ids[id]
	if l.ids == nil {
		l.ids = map[ID]bool{}
	}
	l.ids[id] = true
	return !known
}

func (l *lostPeers) told(id ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ids, id)
}

// Deliver queues requests as requests, so that they are answered if there is no room for them.
func (i memberInbox) Deliver(e *PeerEnvelope) {
	for _, f := range e.Forwards {
		i.box.PostUserMessage(f.(*forward))
	}
	if len(e.Messages) > 0 || e.Chunk != nil || e.Ack != nil {
		i.box.PostUserMessage(e)
	}
}

// NewForward implements [Inbox].
func (i memberInbox) NewForward(request []byte, reply func([]byte)) (Forward, error) {
	return decodeForward(request, reply)
}

// Unreachable tells the raft actor, unless that is about to hear it anyway.
func (i memberInbox) Unreachable(id ID) {
	if i.lost.note(id) {
		i.box.PostUserMessage(peerUnreachable{id: id})
	}
}

// requestBytesMin is what a request counts beside its payload.
const requestBytesMin = 64

// classify says how a message is queued.
func classify(message any) (lane mailbox.Lane, bytes int) {
	switch m := message.(type) {
	case *PeerEnvelope:
		return mailbox.Peer, envelopeBytes(m)
	case tickPassed, releaseWanted, peerUnreachable, *syncDone, *childFailed, *machineApplied, *machineRestored, *snapshotEnded, *entriesFetched, *logWanted,
		*sendingEnded, *receivingEnded, removalFound:
		return mailbox.Control, 0
	case *call:
		return mailbox.Request, requestBytesMin + len(m.payload)
	case *forward:
		return mailbox.Request, m.Bytes()
	case *Propose:
		return mailbox.Request, requestBytesMin + len(m.Command)
	case *Query:
		return mailbox.Request, requestBytesMin + len(m.Payload)
	case *GrantCredit: // it never waits for long
		return mailbox.Request, requestBytesMin
	case proto.Message:
		return mailbox.Request, requestBytesMin + proto.Size(m)
	default:
		return mailbox.Request, requestBytesMin
	}
}

// turn takes what has arrived: completions, then peers, then time, then requests. What it leads to goes
// out at its end, so that a turn costs one message per peer, one for the applier, and one sync.
func (r *raftActor) turn(b *mailbox.Batch) {
	r.untaken = b.Requests
	for _, m := range b.Control {
		r.control(actor.UnwrapEnvelopeMessage(m))
	}
	for _, m := range b.Peer {
		r.fromPeer(actor.UnwrapEnvelopeMessage(m).(*PeerEnvelope))
	}
	if elapsed := r.ticks.Swap(0); elapsed > 0 {
		r.pass(elapsed)
	}
	for len(r.untaken) > 0 {
		_, request, sender := actor.UnwrapEnvelope(r.untaken[0])
		r.untaken = r.untaken[1:]
		r.request(request, sender)
	}
	r.submitProposals()
	r.submitQueries()
	r.endTurn()
}

// endTurn sends, syncs and applies what the turn has led to. What need not wait for the sync is sent before it is asked for:
// followers' disks work beside this one (§10.2.1), and a sync takes a processor away from whoever is behind it. A sync that
// is done at once leads to more.
func (r *raftActor) endTurn() {
	if !r.isOver() {
		r.outgoing.flush(r)
	}
	for !r.isOver() && r.barrier.begin(r.storage) {
		r.completeSync(r.barrier.issued, r.vitals.syncDone(r.barrier.issued))
	}
	if r.isOver() {
		return
	}
	r.outgoing.flush(r)
	r.work.flush(r)
	r.publishStatus()
	if len(r.calls.open) > busyCalls {
		runtime.Gosched() // whoever was answered may ask again, so that the next turn takes more of them at once
	}
}

// busyCalls is how many calls make a member so busy that it lets others run after a turn.
const busyCalls = 64

// step gives an event to the node and carries out what it asks for.
func (r *raftActor) step(event node.Event) {
	if r.isOver() {
		return
	}
	actions, err := r.node.Step(event)
	if err != nil {
		r.fail(err)
		return
	}
	r.perform(actions)
}

func (r *raftActor) control(message any) {
	if r.isOver() {
		return
	}
	switch m := message.(type) {
	case tickPassed: // the turn looks at the count
	case *syncDone:
		if m.err != nil {
			r.fail(m.err)
			return
		}
		r.completeSync(m.seq, m.at)
	case releaseWanted:
		r.releaseEntries()
	case *childFailed:
		r.fail(m.err)
	case *machineApplied:
		r.applied.Index = m.index
		r.step(&r.applied)
	case *machineRestored:
		r.step(&node.Restored{Index: m.index})
		r.work.add(&logServed{gone: true, first: r.storage.Log().FirstIndex()})
		r.publish(&SnapshotRestored{Group: r.cfg.Group, Member: r.cfg.ID, Index: m.index})
	case *snapshotEnded:
		r.snapshotEnded(m)
	case *entriesFetched:
		if m.err != nil {
			r.fail(m.err)
			return
		}
		r.step(&m.event)
	case peerUnreachable:
		r.lost.told(m.id)
		r.noteLost(m.id)
		r.step(&node.Unreachable{Peer: m.id})
		r.calls.lose(r.system, m.id)
	case *logWanted:
		r.serveLog(m)
	case *sendingEnded:
		r.sendingEnded(m)
	case *receivingEnded:
		r.receivingEnded(m)
	case removalFound:
		if r.node.Leader() == node.None { // else it has been added again
			r.removed(m.by)
		}
	}
}

func (r *raftActor) fromPeer(e *PeerEnvelope) {
	switch {
	case r.isOver():
	case e.Chunk != nil:
		r.chunkArrived(e)
	case e.Ack != nil:
		r.snapshots.ack(r, e)
	}
	if r.logger.IsTrace() {
		r.logger.traceEnvelope("received", e)
	}
	if len(r.unreached) > 0 {
		r.noteReached(e.From)
	}
	for _, m := range e.Messages {
		if m.Head().From != e.From {
			continue // the transport vouches for the envelope only
		}
		r.receive.Message = m
		r.step(&r.receive)
	}
}

// pass lets time pass, for the node and for those who wait.
func (r *raftActor) pass(elapsed int64) {
	r.clock += elapsed
	r.tick.Elapsed = int(elapsed)
	r.step(&r.tick)
	r.calls.expire(r.system, r.clock)
	r.queries.prune()
	if r.calls.isLittered(&r.cfg) && !r.calls.back.wanted.Swap(true) {
		r.work.add(letGo{})
	}
	r.snapshots.tick(r)
	r.inquire(elapsed)
	r.feed.pass(r.clock, r.cfg.ticks(probeInterval))
	r.publishSlowStatus(elapsed)
	r.overload.tick(r.vitals.overloaded.Load())
	if now := r.node.Overview(); now.Role == node.Leader {
		r.overload.pace.tick(elapsed, now.LastIndex, r.machineApplied())
	} else {
		r.overload.pace = pace{}
	}
}

// request takes a request, or turns it down. Proposals and queries are gathered for the end of the turn.
func (r *raftActor) request(request any, sender *actor.PID) {
	if r.isOver() {
		r.turnDown(request, sender)
		return
	}
	if r.intercept(request, sender) {
		return // what came before the first turn, when nobody could answer it yet
	}
	if _, ok := request.(*GrantCredit); ok {
		return // the subscription is over
	}
	c := r.callOf(request, sender)
	if c == nil || c.answered.Load() {
		return // nobody waits for it any more
	}
	if add, ok := c.change.(*node.AddMember); ok {
		if err := r.cfg.checkAddress(add.Address); err != nil {
			c.reject(r.system, invalid("adding member %d: its address: %v", add.ID, err))
			return
		}
	}
	if rejected := r.letIn(c); rejected != nil {
		c.reject(r.system, rejected)
		return
	}
	if c.isForLeader() && r.node.Role() != node.Leader {
		r.forward(c)
		return
	}
	r.take(c)
}

// callOf makes a call of a request, or answers it at once.
func (r *raftActor) callOf(request any, sender *actor.PID) *call {
	c, rejected := callOf(request, sender)
	if f, ok := request.(*forward); ok && rejected != nil {
		r.vitals.rejected(rejected.Code)
		f.answered(&call{}, reply{rejected: rejected})
		return nil
	}
	if rejected != nil {
		r.turnAway(sender, rejected)
		return nil
	}
	if c == nil {
		return nil
	}
	r.vitals.admit(c)
	if c.kind == proposeCall {
		if bytes := commandBytes(c.payload); bytes > r.cfg.CommandBytesMax {
			c.reject(r.system, r.rejection(&node.CommandTooLargeError{Bytes: bytes, BytesMax: r.cfg.CommandBytesMax}))
			return nil
		}
	}
	return c
}

// take does what is asked of this member itself.
func (r *raftActor) take(c *call) {
	switch c.kind {
	case proposeCall, openCall:
		if c.kind == openCall {
			c.payload = frameOpenSession(r.names.Uint64(), r.cfg.SessionsMax, r.cfg.SessionBytesMax)
		}
		r.proposals = append(r.proposals, c)
	case queryCall, readyCall:
		r.queries.add(c)
	default:
		if c.kind == transferCall && r.transfer == nil {
			r.transfer = c
		}
		r.asked, c.submitted = c, true
		r.step(c.change)
		r.asked = nil
	}
}

// turnDown answers what is asked of a member that has failed or is about to be gone. How long that takes
// is up to the machine, which may be in the middle of something.
func (r *raftActor) turnDown(request any, sender *actor.PID) {
	switch m := request.(type) {
	case *Subscribe:
		r.reply(orSender(m.Subscriber, sender), endOf(SubscriptionEnded_STOPPED, Index(m.FromIndex)))
	case *Unsubscribe:
		r.reply(orSender(m.Subscriber, sender), endOf(SubscriptionEnded_STOPPED, 0))
	case *GrantCredit: // has no reply
	case *statusCall:
		m.answer(nil)
	case *GetStatus:
		r.turnAway(sender, tagged(rejectStopped(&call{kind: queryCall}), m.Tag))
	default:
		if c := r.callOf(request, sender); c != nil {
			c.reject(r.system, rejectStopped(c))
		}
	}
}

// isOver tells whether this member does nothing any more.
func (r *raftActor) isOver() bool { return r.failure != nil || r.stopped }

// turnAway answers a request that is no call with a rejection.
func (r *raftActor) turnAway(sender *actor.PID, rejected *Rejected) {
	r.vitals.rejected(rejected.Code)
	r.reply(sender, rejected)
}

func (r *raftActor) reply(to *actor.PID, message any) { tell(r.system, to, message) }

func orSender(named, sender *actor.PID) *actor.PID {
	if named != nil {
		return named
	}
	return sender
}

// submitProposals gives the turn's proposals to the node as one batch.
func (r *raftActor) submitProposals() {
	if len(r.proposals) == 0 {
		return
	}
	for _, c := range r.proposals {
		r.propose.Commands = append(r.propose.Commands, c.payload)
		c.submitted = true
	}
	r.step(&r.propose)
	clear(r.propose.Commands)
	r.propose.Commands = r.propose.Commands[:0]
	clear(r.proposals)
	r.proposals = r.proposals[:0]
}

// submitQueries asks for one index for all linearizable queries of the turn; the others go to the
// applier as they are.
func (r *raftActor) submitQueries() {
	r.giveQueries(0, r.queries.takeLocal())
	if id, ok := r.queries.takeBatch(); ok {
		r.step(&node.ReadIndex{ID: id})
	}
}

// giveQueries hands queries to the applier, which answers them once index is applied.
func (r *raftActor) giveQueries(index Index, calls []*call) {
	if len(calls) == 0 {
		return
	}
	for _, c := range calls {
		r.calls.give(c)
	}
	r.work.add(&queriesReady{index: index, calls: calls})
}

// completeSync lets go of what waited for a sync that was done at a moment of [now].
func (r *raftActor) completeSync(seq uint64, at time.Duration) {
	r.barrier.complete(seq, at, &r.outgoing)
	r.synced.Seq = seq
	r.step(&r.synced)
}
