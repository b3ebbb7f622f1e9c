package mailbox

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// A Batch is what an actor receives in one turn: what waited in each lane, within the limits of
// Options. At least one lane is not empty.
//
// An element is a message as it was posted: bare, or in an *actor.MessageEnvelope if it has a
// sender or a header. [actor.UnwrapEnvelope], [actor.UnwrapEnvelopeMessage] and
// [actor.UnwrapEnvelopeSender] take either. For the actor's context the batch itself is the
// message, so Sender, Respond, Forward, Stash and ReenterAfter are of no use in a turn: send to
// the element's own sender.
//
// The batch and its slices belong to the mailbox and are valid until Receive returns; the messages
// in them are not touched. If Receive panics, what was in the batch is not delivered again.
type Batch struct {
	Control  []any
	Peer     []any
	Requests []any
}

// NotInfluenceReceiveTimeout marks a batch for Proto.Actor. It has an effect only on a batch all
// of whose messages are marked so: any other is delivered in an envelope, which hides the mark.
func (*Batch) NotInfluenceReceiveTimeout() {}

// Len returns the number of messages in all lanes.
func (b *Batch) Len() int { return len(b.Control) + len(b.Peer) + len(b.Requests) }

// influencesReceiveTimeout tells if any message does, as Proto.Actor would see it.
func (b *Batch) influencesReceiveTimeout() bool {
	influences := func(message any) bool {
		_, not := message.(actor.NotInfluenceReceiveTimeout)
		return !not
	}
	return slices.ContainsFunc(b.Control, influences) ||
		slices.ContainsFunc(b.Peer, influences) ||
		slices.ContainsFunc(b.Requests, influences)
}

// clone returns a batch that stays valid when b is used again.
func (b *Batch) clone() *Batch {
	return &Batch{
		Control:  slices.Clone(b.Control),
		Peer:     slices.Clone(b.Peer),
		Requests: slices.Clone(b.Requests),
	}
}
