package node

// A Transport carries what members send each other. It is safe for concurrent use.
type Transport interface {
	// Join makes a member reachable. What the transport has for it, it gives to inbox.
	Join(group string, id ID, inbox Inbox) (Link, error)
}

// An Inbox is where a member hears from its transport. Its methods may be called from any goroutine, and
// do not block.
type Inbox interface {
	// Deliver takes an envelope, and keeps it.
	Deliver(envelope *PeerEnvelope)
	// Unreachable says that what was sent to a member last is likely to be lost.
	Unreachable(id ID)
	// NewForward makes a [Forward] again of a request that came from another process, encoded by
	// [Forward.AppendRequest], for an envelope that is delivered here. reply is called once, with the reply in encoded form,
	// on any goroutine, and does not block. What is no request that followers forward is an error.
	NewForward(request []byte, reply func(reply []byte)) (Forward, error)
}

// A Link is one member's way to the others. Its methods may be called from any goroutine.
type Link interface {
	// Send delivers an envelope to a member, or loses it. It does not block. The envelope and its
	// messages are the transport's from then on; the data of entries is shared, and immutable. address
	// is that of the configuration, and is empty where that names none, as on a joiner and in the answers
	// to a snapshot's sender: those go the way that the peer came.
	Send(to ID, address string, envelope *PeerEnvelope)
	// Configure tells the transport the newest configuration that the member has in its log: at the start, and whenever
	// that changes. Where it places a member, nobody else speaks for that member.
	Configure(configuration Configuration)
	// Leave ends reachability. Nothing is delivered after it has returned.
	Leave()
}

// An AddressChecker is a [Transport] that cannot do with every address.
type AddressChecker interface {
	// CheckAddress says why members cannot be reached under that address, and what one looks like. It is safe for concurrent
	// use, does not block, and does not try whether anybody is there.
	CheckAddress(address string) error
}

// AddressUnreachable is published on the event stream of an actor system, as *AddressUnreachable, by whoever connects it to
// others, when an actor system cannot be reached any more: what was sent there and has not been answered may have been lost,
// and what is on its way here, too. It may be reached again at any time, which is not said. Handlers do not block.
type AddressUnreachable struct{ Address string }

// PeerEnvelope is what one member sends another at once: all messages and forwarded requests of a turn, or a part of a
// snapshot.
type PeerEnvelope struct {
	Group    string
	From, To ID
	Messages []Message
	// Forwards are requests that the leader is to do.
	Forwards []Forward
	// Chunk is a part of a snapshot, or nil, and Ack answers one.
	Chunk *SnapshotChunk
	Ack   *SnapshotAck
}

// IgnoreDeadLetterLogging keeps entries out of Proto.Actor's logs.
func (*PeerEnvelope) IgnoreDeadLetterLogging() {}

// A Forward is a request that a follower passes on to its leader, in a [PeerEnvelope]. It may be lost like everything
// there; it is delivered once at most, whatever else happens to its envelope. Whoever loses it knowingly says so with
// Drop; the one who asked is told in any case, at the latest when its time is up.
//
// Within a process the leader answers the one who asked directly. A transport to another process sends what AppendRequest
// gives, has [Inbox.NewForward] make a Forward of it there, and gives Answer the reply that comes back.
type Forward interface {
	// AppendRequest appends the request to b, in encoded form.
	AppendRequest(b []byte) ([]byte, error)
	// Bytes is roughly what the request stands for in memory.
	Bytes() int
	// Answer gives the one who asked its reply, as the leader's side encoded it, if it has none yet. What is no reply is an
	// error.
	Answer(reply []byte) error
	// Drop says that the request will never reach the leader. If it has done so already, that stands. So it is only for
	// what has certainly not been sent, or was given to no member by the system that it was sent to.
	Drop()
}

// SnapshotChunk is a part of a snapshot on its way to a member.
type SnapshotChunk struct {
	// Offer is the message that the snapshot comes with. The handle in it means nothing to the receiver.
	Offer *InstallSnapshot
	// Transfer tells the attempts of a sender apart.
	Transfer uint64
	// Data belongs at Offset, in a state of Size bytes.
	Offset, Size int64
	Data         []byte
	// Sum is, in the last chunk, the CRC-32C of the whole state.
	Sum uint32
}

// IgnoreDeadLetterLogging keeps the state out of Proto.Actor's logs.
func (*SnapshotChunk) IgnoreDeadLetterLogging() {}

// SnapshotAck answers chunks.
type SnapshotAck struct {
	Transfer uint64
	// Received is how many bytes from the start have arrived.
	Received int64
	// Done: the snapshot is durable at the receiver, or is not wanted.
	Done bool
	// Failed: the receiver has given up.
	Failed bool
}

// IgnoreDeadLetterLogging keeps it out of Proto.Actor's logs.
func (*SnapshotAck) IgnoreDeadLetterLogging() {}
