package mailbox

import (
	"errors"
	"fmt"
	"math"
)

// A Lane is a class of user messages. Each lane keeps the order in which it was posted to, so
// the messages of one sender stay in order within a lane; between lanes there is no order.
type Lane uint8

const (
	// Request is for what is asked of the actor. Bounded in messages and bytes: when it is full, a
	// message is refused and its sender answered at once (Options.Overloaded).
	Request Lane = iota
	// Control is for ticks and completions: few, small, and never dropped. Nothing bounds this
	// lane but what its posters have in flight.
	Control
	// Peer is for messages whose loss is repaired by their protocol. Bounded in bytes: when it is
	// full, the message that arrives is dropped and counted (Options.Dropped).
	Peer

	lanes
)

// String returns the lane's name in lower case.
func (l Lane) String() string {
	switch l {
	case Request:
		return "request"
	case Control:
		return "control"
	case Peer:
		return "peer"
	}
	return fmt.Sprintf("Lane(%d)", uint8(l))
}

// Unlimited is a limit that is never reached.
const Unlimited = math.MaxInt

// MessageBytesMin is the least that a message counts for in a bound on bytes, whatever Classify
// says, so that a bound on bytes bounds the number of messages too.
const MessageBytesMin = 64

// Defaults for the limits in Options.
const (
	DefaultPeerBytesMax     = 64 << 20
	DefaultRequestsMax      = 16 << 10
	DefaultRequestBytesMax  = 64 << 20
	DefaultBatchMessagesMax = 1 << 10
	DefaultBatchBytesMax    = 4 << 20
)

// Options configure a mailbox. Everywhere zero means the default.
//
// The functions are called on the goroutine that posts, several at a time, and must neither block
// nor call back into the actor. They are given the message without its envelope.
type Options struct {
	// Classify says which lane a message belongs to, and how many bytes it stands for. It is called
	// once per message and must be quick. Nil: everything is a Request of no size.
	Classify func(message any) (lane Lane, bytes int)

	// PeerBytesMax bounds the bytes that wait in the Peer lane.
	PeerBytesMax int
	// RequestsMax bounds the messages that wait in the Request lane.
	RequestsMax int
	// RequestBytesMax bounds the bytes that wait in the Request lane.
	RequestBytesMax int

	// BatchMessagesMax bounds the messages of each lane in one batch.
	BatchMessagesMax int
	// BatchBytesMax bounds the bytes of each lane in one batch. One message always fits.
	BatchBytesMax int

	// Overloaded is told of a request that is refused because its lane is full. What it returns is
	// sent to the request's sender, if it has one; nil sends nothing.
	Overloaded func(request any) (reply any)
	// Dropped is told of a peer message that is dropped because its lane is full.
	Dropped func(message any)
}

// Validate returns every fault of the options, joined, or nil.
func (o Options) Validate() error {
	var faults []error
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"PeerBytesMax", o.PeerBytesMax},
		{"RequestsMax", o.RequestsMax},
		{"RequestBytesMax", o.RequestBytesMax},
		{"BatchMessagesMax", o.BatchMessagesMax},
		{"BatchBytesMax", o.BatchBytesMax},
	} {
		if limit.value < 0 {
			faults = append(faults, fmt.Errorf("mailbox: %s is %d; want 0 for the default, or more",
				limit.name, limit.value))
		}
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.Classify == nil {
		o.Classify = func(any) (Lane, int) { return Request, 0 }
	}
	for _, limit := range []struct {
		value    *int
		standard int
	}{
		{&o.PeerBytesMax, DefaultPeerBytesMax},
		{&o.RequestsMax, DefaultRequestsMax},
		{&o.RequestBytesMax, DefaultRequestBytesMax},
		{&o.BatchMessagesMax, DefaultBatchMessagesMax},
		{&o.BatchBytesMax, DefaultBatchBytesMax},
	} {
		if *limit.value == 0 {
			*limit.value = limit.standard
		}
	}
	if o.Overloaded == nil {
		o.Overloaded = func(any) any { return nil }
	}
	if o.Dropped == nil {
		o.Dropped = func(any) {}
	}
	return o
}
