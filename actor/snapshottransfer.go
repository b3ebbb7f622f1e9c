package raft

import (
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// How snapshots travel: in chunks, a window of which may be unanswered. What is lost is sent again from
// the last byte that arrived, and who hears nothing for long gives up.
const (
	chunkBytes   = 256 << 10
	windowChunks = 8
	resendTicks  = 10
	giveUpTicks  = 100
	// A receiver whose storage hangs is sent its window again and again, and a sender whose storage does may be sent
	// answers. No more than this waits for one.
	waitingMax = 2 * windowChunks
	// receiversMax limits the receivers that are there, those that have been stopped and hang included.
	receiversMax = 2
)

// snapshotTransfers are those of one member: at most one to each peer, and one to itself. Owned by the
// raft actor.
type snapshotTransfers struct {
	senders map[ID]*transferring
	// receiver takes the snapshot that is coming in, or is nil; received is the newest that there was.
	receiver, received *transferring
	// receivers is how many have not ended. Lowered by them.
	receivers atomic.Int64
	// offered is the chunk whose offer is being put to the node.
	offered *PeerEnvelope
	// attempts counts the sendings. It starts anywhere, so that what a receiver has of an attempt from
	// before a restart is not taken for a part of a later one.
	attempts uint64
}

// transferring is a child at work, and the attempt that it works on.
type transferring struct {
	pid      *actor.PID
	peer     ID
	transfer uint64
	// done: what was received is durable.
	done bool
	// waiting counts chunks or answers on their way to the child, and ticking tells whether a tick is. Taken back by the
	// child.
	waiting atomic.Int64
	ticking atomic.Bool
}

// pass hands the child a chunk or an answer, unless too much waits for it. What is dropped comes again.
func (t *transferring) pass(r *raftActor, message any) {
	if t.waiting.Add(1) > waitingMax {
		t.waiting.Add(-1)
		return
	}
	r.system.Root.Send(t.pid, message)
}

// tick lets the child's time pass. A child that is busy misses some: it hears nobody, so nobody is silent.
func (t *transferring) tick(r *raftActor) {
	if !t.ticking.Swap(true) {
		r.system.Root.Send(t.pid, transferTick{})
	}
}

// Between the raft actor and the children.
type (
	// transferTick lets time pass.
	transferTick struct{}
	// sendingEnded says how a sending ended.
	sendingEnded struct {
		peer     ID
		transfer uint64
		err      error
	}
	// receivingEnded says that a snapshot has arrived and is durable, or why not.
	receivingEnded struct {
		from     *transferring
		offer    *node.InstallSnapshot
		handle   any
		err      error
		received int64
	}
)

// sendSnapshot starts sending, in place of an earlier attempt.
func (r *raftActor) sendSnapshot(a *node.SendSnapshot) {
	s := &r.snapshots
	if old := s.senders[a.To]; old != nil {
		r.ctx.Stop(old.pid)
	}
	s.attempts++
	offer := node.Clone(a.Message).(*node.InstallSnapshot)
	now := &transferring{peer: a.To, transfer: s.attempts}
	child := &snapshotSender{storage: r.storage, owner: r.self, now: now, offer: offer, send: r.sendFromChild}
	if member, ok := r.node.Configuration().Member(a.To); ok {
		child.address = member.Address
	}
	now.pid = r.ctx.Spawn(r.cfg.guardedProps(r.self, func() actor.Actor { return child }))
	if s.senders == nil {
		s.senders = map[ID]*transferring{}
	}
	s.senders[a.To] = now
	r.logger.Info("sending a snapshot", "to", uint64(a.To), "index", uint64(offer.Meta.Index))
}

// sendFromChild hands an envelope to the transport. It is safe from any goroutine.
func (r *raftActor) sendFromChild(to ID, address string, e *PeerEnvelope) {
	e.Group, e.From, e.To = r.cfg.Group, r.cfg.ID, to
	if r.logger.IsTrace() {
		r.logger.traceEnvelope("sent", e)
	}
	r.link.Send(to, address, e)
}

func (r *raftActor) sendingEnded(m *sendingEnded) {
	s := r.snapshots.senders[m.peer]
	if s == nil || s.transfer != m.transfer {
		return // another attempt has taken its place
	}
	delete(r.snapshots.senders, m.peer)
	if m.err != nil {
		r.logger.Warn("sending a snapshot failed", "to", uint64(m.peer), "error", m.err)
	} else {
		r.vitals.metrics.Load().snapshotSent()
	}
	r.step(&node.SnapshotSent{Peer: m.peer, OK: m.err == nil})
}

// ack passes an answer on to the sender that it is for.
func (t *snapshotTransfers) ack(r *raftActor, e *PeerEnvelope) {
	if s := t.senders[e.From]; s != nil && s.transfer == e.Ack.Transfer {
		s.pass(r, e.Ack)
	}
}

// tick lets the children's time pass, in a fixed order.
func (t *snapshotTransfers) tick(r *raftActor) {
	for _, id := range slices.Sorted(maps.Keys(t.senders)) { // those to removed members, too
		t.senders[id].tick(r)
	}
	if t.receiver != nil {
		t.receiver.tick(r)
	}
}

// chunkArrived gives a chunk to the receiver. The first of an attempt is an offer, which the node takes
// or answers.
func (r *raftActor) chunkArrived(e *PeerEnvelope) {
	s, c := &r.snapshots, e.Chunk
	if c.Offer == nil || c.Offer.From != e.From {
		return
	}
	if !s.receives(e) && c.Offset == 0 {
		if s.receivers.Load() >= receiversMax {
			return // the storage hangs; if that is over, it comes again
		}
		s.offered = e
		r.receive.Message = node.Clone(c.Offer)
		r.step(&r.receive)
		s.offered = nil
	}
	if r.failure != nil {
		return
	}
	if s.receives(e) {
		s.receiver.pass(r, c)
		return
	}
	if c.Offset > 0 && !s.received.is(e) {
		return // it has overtaken the start, which will come, or come again
	}
	// Nobody wants it: at its start because it is not needed, later because it is here, or was given up.
	done := c.Offset == 0 || s.received.done
	r.send(&PeerEnvelope{To: e.From, Ack: &SnapshotAck{Transfer: c.Transfer, Done: done, Failed: !done}})
}

// receives tells whether the chunk is of the attempt that is coming in.
func (t *snapshotTransfers) receives(e *PeerEnvelope) bool {
	return t.receiver.is(e)
}

// is tells whether the chunk is of this attempt.
func (t *transferring) is(e *PeerEnvelope) bool {
	return t != nil && t.peer == e.From && t.transfer == e.Chunk.Transfer
}

// acceptSnapshot starts receiving, in place of an earlier attempt.
func (r *raftActor) acceptSnapshot(a *node.AcceptSnapshot) {
	s := &r.snapshots
	if s.offered == nil {
		return // an offer without its state: it will come again
	}
	if s.receiver != nil {
		r.ctx.Stop(s.receiver.pid)
	}
	now := &transferring{peer: s.offered.From, transfer: s.offered.Chunk.Transfer}
	child := &snapshotReceiver{
		storage: r.storage, owner: r.self, now: now, receivers: &s.receivers,
		offer: node.Clone(a.Message).(*node.InstallSnapshot), send: r.sendFromChild,
	}
	s.receivers.Add(1)
	now.pid = r.ctx.Spawn(r.cfg.guardedProps(r.self, func() actor.Actor { return child }))
	s.receiver, s.received = now, now
	r.logger.Info("receiving a snapshot", "from", uint64(now.peer), "index", uint64(a.Message.Meta.Index))
}

// receivingEnded installs what has arrived, and only then says so to the sender.
func (r *raftActor) receivingEnded(m *receivingEnded) {
	if isStorageError(m.err) {
		r.fail(m.err)
		return
	}
	m.from.done = m.err == nil
	if r.snapshots.receiver == m.from {
		r.snapshots.receiver = nil
	}
	if m.err != nil {
		r.logger.Warn("receiving a snapshot failed", "from", uint64(m.from.peer), "error", m.err)
	} else {
		r.vitals.metrics.Load().snapshotInstalled()
		r.step(&node.SnapshotReceived{Message: m.offer, Handle: m.handle})
		r.keepsSnapshot(m.handle)
	}
	if r.failure == nil {
		r.send(&PeerEnvelope{To: m.from.peer, Ack: &SnapshotAck{
			Transfer: m.from.transfer, Received: m.received, Done: m.err == nil, Failed: m.err != nil,
		}})
	}
}

// snapshotSender streams one snapshot to one member.
type snapshotSender struct {
	storage Storage
	owner   *actor.PID
	now     *transferring
	address string
	offer   *node.InstallSnapshot
	send    func(ID, string, *PeerEnvelope)

	state SnapshotReader
	// sent, acked and summed are offsets: of the next byte to send, of the first not received, and of
	// the end of what is in sum.
	sent, acked, summed int64
	sum                 uint32
	// complete: the last chunk has been sent, and nothing has been lost since.
	complete bool
	// silent counts ticks since progress.
	silent int
	ended  bool
}

func (s *snapshotSender) Receive(ctx actor.Context) {
	if s.ended {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		state, err := s.storage.OpenSnapshot(s.offer.Meta)
		if err != nil {
			s.end(ctx, fmt.Errorf("raft: opening the snapshot at %d: %w", s.offer.Meta.Index, err))
			return
		}
		s.state = state
		s.sendWindow(ctx)
	case *SnapshotAck:
		s.now.waiting.Add(-1)
		s.ack(ctx, m)
	case transferTick:
		s.now.ticking.Store(false)
		s.tick(ctx)
	case *actor.Stopping:
		s.close()
	}
}

func (s *snapshotSender) ack(ctx actor.Context, m *SnapshotAck) {
	switch {
	case m.Done:
		s.end(ctx, nil)
	case m.Failed:
		s.end(ctx, errTransferGone)
	case m.Received > s.acked && m.Received <= s.state.Size():
		s.acked, s.silent = m.Received, 0
		s.sent = max(s.sent, s.acked)
		s.sendWindow(ctx)
	}
}

func (s *snapshotSender) tick(ctx actor.Context) {
	s.silent++
	switch {
	case s.silent >= giveUpTicks:
		s.end(ctx, fmt.Errorf("raft: sending the snapshot at %d: nothing was heard for %d ticks: %w",
			s.offer.Meta.Index, s.silent, errTransferGone))
	case s.silent%resendTicks == 0:
		s.sent, s.complete = s.acked, false
		s.sendWindow(ctx)
	}
}

// sendWindow sends what the window allows. A state without a byte is one chunk, too.
func (s *snapshotSender) sendWindow(ctx actor.Context) {
	size := s.state.Size()
	for !s.complete && s.sent-s.acked < windowChunks*chunkBytes {
		data := make([]byte, min(chunkBytes, size-s.sent))
		if _, err := s.state.ReadAt(data, s.sent); err != nil && err != io.EOF {
			s.end(ctx, fmt.Errorf("raft: reading the snapshot at %d: %w", s.offer.Meta.Index, err))
			return
		}
		if s.sent == s.summed {
			s.sum = crc32.Update(s.sum, castagnoli, data)
			s.summed += int64(len(data))
		}
		chunk := &SnapshotChunk{Offer: s.offer, Transfer: s.now.transfer, Offset: s.sent, Size: size, Data: data}
		s.sent += int64(len(data))
		if isLast(chunk) {
			chunk.Sum, s.complete = s.sum, true
		}
		s.send(s.now.peer, s.address, &PeerEnvelope{Chunk: chunk})
	}
}

func (s *snapshotSender) end(ctx actor.Context, err error) {
	s.ended = true
	s.close()
	ctx.Send(s.owner, &sendingEnded{peer: s.now.peer, transfer: s.now.transfer, err: err})
	ctx.Stop(ctx.Self())
}

func (s *snapshotSender) close() {
	if s.state != nil {
		s.state.Close()
		s.state = nil
	}
}

// snapshotReceiver takes one snapshot in, in order.
type snapshotReceiver struct {
	storage   Storage
	owner     *actor.PID
	now       *transferring
	receivers *atomic.Int64 // the raft actor's
	offer     *node.InstallSnapshot
	send      func(ID, string, *PeerEnvelope)

	writer   SnapshotWriter
	received int64
	sum      uint32
	silent   int
	ended    bool
}

func (s *snapshotReceiver) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Stopped); ok {
		s.receivers.Add(-1)
	}
	if s.ended {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		writer, err := s.storage.CreateSnapshot(s.offer.Meta)
		if err != nil {
			s.end(ctx, nil, &storageError{fmt.Errorf("raft: creating the snapshot at %d: %w", s.offer.Meta.Index, err)})
			return
		}
		s.writer = writer
	case *SnapshotChunk:
		s.now.waiting.Add(-1)
		s.silent = 0
		s.take(ctx, m)
	case transferTick:
		s.now.ticking.Store(false)
		if s.silent++; s.silent >= giveUpTicks {
			s.end(ctx, nil, fmt.Errorf("raft: receiving the snapshot at %d: nothing came for %d ticks: %w",
				s.offer.Meta.Index, s.silent, errTransferGone))
		}
	case *actor.Stopping:
		if s.writer != nil {
			s.writer.Abort()
		}
	}
}

// take writes a chunk if it is the next, and says how far it has come in any case.
func (s *snapshotReceiver) take(ctx actor.Context, c *SnapshotChunk) {
	if c.Offset != s.received || c.Offset+int64(len(c.Data)) > c.Size {
		s.acknowledge()
		return
	}
	if _, err := s.writer.Write(c.Data); err != nil {
		s.end(ctx, nil, &storageError{fmt.Errorf("raft: writing the snapshot at %d: %w", s.offer.Meta.Index, err)})
		return
	}
	s.sum = crc32.Update(s.sum, castagnoli, c.Data)
	s.received += int64(len(c.Data))
	if !isLast(c) {
		s.acknowledge()
		return
	}
	if s.sum != c.Sum {
		s.end(ctx, nil, fmt.Errorf("raft: the snapshot at %d arrived damaged: checksum %08x, want %08x",
			s.offer.Meta.Index, s.sum, c.Sum))
		return
	}
	handle, err := s.writer.Commit()
	if err != nil {
		err = &storageError{fmt.Errorf("raft: making the snapshot at %d durable: %w", s.offer.Meta.Index, err)}
	}
	s.end(ctx, handle, err)
}

func (s *snapshotReceiver) acknowledge() {
	s.send(s.now.peer, "", &PeerEnvelope{Ack: &SnapshotAck{Transfer: s.now.transfer, Received: s.received}})
}

func (s *snapshotReceiver) end(ctx actor.Context, handle any, err error) {
	s.ended = true
	if s.writer != nil {
		s.writer.Abort()
	}
	ctx.Send(s.owner, &receivingEnded{from: s.now, offer: s.offer, handle: handle, err: err, received: s.received})
	ctx.Stop(ctx.Self())
}
