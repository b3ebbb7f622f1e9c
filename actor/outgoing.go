package raft

import (
	"reflect"
	"slices"
	"time"

	"example.com/raftactor/node"
)

// outgoing gathers the turn's messages, one envelope for each peer. Owned by the raft actor.
type outgoing struct{ envelopes []*PeerEnvelope }

// add puts a message, which must not be the node's own any more, into its receiver's envelope.
func (o *outgoing) add(m node.Message) {
	e := o.envelope(m.Head().From, m.Head().To)
	e.Messages = append(e.Messages, m)
}

// forward puts a request into the leader's envelope.
func (o *outgoing) forward(from, leader ID, f *forward) {
	e := o.envelope(from, leader)
	e.Forwards = append(e.Forwards, f)
}

func (o *outgoing) envelope(from, to ID) *PeerEnvelope {
	for _, e := range o.envelopes {
		if e.To == to {
			return e
		}
	}
	e := &struct {
		PeerEnvelope
		room [2]node.Message // for the first messages
	}{PeerEnvelope: PeerEnvelope{From: from, To: to}}
	e.Messages = e.room[:0]
	o.envelopes = append(o.envelopes, &e.PeerEnvelope)
	return &e.PeerEnvelope
}

// flush sends what was gathered.
func (o *outgoing) flush(r *raftActor) {
	for i, e := range o.envelopes {
		r.send(e)
		o.envelopes[i] = nil
	}
	o.envelopes = o.envelopes[:0]
}

// send hands an envelope to the transport.
func (r *raftActor) send(e *PeerEnvelope) {
	e.Group, e.From = r.cfg.Group, r.cfg.ID
	member, _ := r.node.Configuration().Member(e.To)
	if r.logger.IsTrace() {
		r.logger.traceEnvelope("sent", e)
	}
	r.link.Send(e.To, member.Address, e)
}

// barrier knows what is durable, and holds messages back that must wait for it. Owned by the raft actor.
type barrier struct {
	// wanted is the newest sync that the node has asked for, issued the newest that the storage has, and
	// completed the newest that is done.
	wanted, issued, completed uint64
	// flying are the syncs that are under way, in ascending order. There are syncsMax of them at most: those that
	// come after wait, and become one.
	flying []flyingSync
	held   []heldMessage
	// done reports to the raft actor, from any goroutine. One report may be for several syncs.
	done   func(seq uint64, err error)
	vitals *vitals
}

// flyingSync is a sync that the storage was asked for at a moment of [now]: zero where nobody wants to know.
type flyingSync struct {
	seq   uint64
	asked time.Duration
}

const syncsMax = 256

type heldMessage struct {
	seq     uint64
	message node.Message
}

// hold keeps a message back until seq is durable. While a disk hangs others ask the same again and again: what says the
// same as an older one takes its place.
func (b *barrier) hold(seq uint64, m node.Message) {
	for k := len(b.held) - 1; k >= 0 && b.held[k].seq == seq; k-- {
		if replaces(m, b.held[k].message) {
			b.held[k].message = m
			return
		}
	}
	b.held = append(b.held, heldMessage{seq, m})
}

// replaces tells whether a message makes an older one useless that rests on the same writes, and has it say what that
// one says.
func replaces(m, older node.Message) bool {
	if *m.Head() != *older.Head() {
		return false
	}
	switch m := m.(type) {
	case *node.AppendEntriesReply:
		older, ok := older.(*node.AppendEntriesReply)
		if !ok || !m.Success || !older.Success {
			return false
		}
		m.Match, m.Commit = max(m.Match, older.Match), max(m.Commit, older.Commit)
		return true
	case *node.HeartbeatReply:
		older, ok := older.(*node.HeartbeatReply)
		if ok {
			m.Round, m.Commit = max(m.Round, older.Round), max(m.Commit, older.Commit)
		}
		return ok
	default:
		return reflect.DeepEqual(m, older)
	}
}

// begin asks the storage for the sync that the turn wants, if any, and tells whether it is done already.
func (b *barrier) begin(storage Storage) bool {
	if b.wanted <= b.issued || len(b.flying) >= syncsMax {
		return false
	}
	b.issued = b.wanted
	b.flying = append(b.flying, flyingSync{b.issued, b.vitals.moment()})
	return storage.Sync(b.issued, b.done)
}

// complete releases what waited for seq, or for less: everything up to seq was done at a moment of [now]. What waits
// stands in ascending order of what it waits for.
func (b *barrier) complete(seq uint64, at time.Duration, out *outgoing) {
	b.completed = max(b.completed, seq)
	landed := 0
	for landed < len(b.flying) && b.flying[landed].seq <= b.completed {
		b.vitals.metrics.Load().synced(b.flying[landed].asked, at)
		landed++
	}
	b.flying = slices.Delete(b.flying, 0, landed)
	released := 0
	for released < len(b.held) && b.held[released].seq <= b.completed {
		out.add(b.held[released].message)
		released++
	}
	n := copy(b.held, b.held[released:])
	clear(b.held[n:])
	b.held = b.held[:n]
}
