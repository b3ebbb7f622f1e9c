package raft

import (
	"fmt"
	"hash/crc32"
	"sync"

	"example.com/raftactor/node"
)

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
}

// A Link is one member's way to the others. Send and Leave may be called from any goroutine.
type Link interface {
	// Send delivers an envelope to a member, or loses it. It does not block. The envelope and its
	// messages are the transport's from then on; the data of entries is shared, and immutable. address
	// is that of the configuration, and is empty where that names none, as on a joiner and in the answers
	// to a snapshot's sender: those go the way that the peer came.
	Send(to ID, address string, envelope *PeerEnvelope)
	// Leave ends reachability. Nothing is delivered after it has returned.
	Leave()
}

// PeerEnvelope is what one member sends another at once: all messages and forwarded requests of a turn, or a part of a
// snapshot.
type PeerEnvelope struct {
	Group    string
	From, To ID
	Messages []node.Message
	// Forwards are requests that the leader is to do.
	Forwards []*Forward
	// Chunk is a part of a snapshot, or nil, and Ack answers one.
	Chunk *SnapshotChunk
	Ack   *SnapshotAck

	// room is for the first messages.
	room [2]node.Message
}

// SnapshotChunk is a part of a snapshot on its way to a member.
type SnapshotChunk struct {
	// Offer is the message that the snapshot comes with.
	Offer *node.InstallSnapshot
	// Transfer tells the attempts of a sender apart.
	Transfer uint64
	// Data belongs at Offset, in a state of Size bytes.
	Offset, Size int64
	Data         []byte
	// Sum is, in the last chunk, the CRC-32C of the whole state.
	Sum uint32
}

// last tells whether the state ends with this chunk.
func (c *SnapshotChunk) last() bool { return c.Offset+int64(len(c.Data)) >= c.Size }

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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bytes is roughly what the envelope stands for in memory.
func (e *PeerEnvelope) bytes() int {
	bytes := 128 * (1 + len(e.Messages))
	if e.Chunk != nil {
		bytes += len(e.Chunk.Data)
	}
	for _, m := range e.Messages {
		if m, ok := m.(*node.AppendEntries); ok {
			bytes += int(entriesBytes(m.Entries))
		}
	}
	return bytes
}

// entriesBytes is roughly what entries stand for in memory.
func entriesBytes(entries []Entry) (bytes int64) {
	for i := range entries {
		bytes += int64(len(entries[i].Data)) + 48
	}
	return bytes
}

// MemoryTransport is a [Transport] within one process, between members of any of its actor systems.
type MemoryTransport struct {
	mu      sync.RWMutex
	members map[memberKey]*memoryLink // guarded by mu
}

// NewMemoryTransport makes a transport that no member has joined yet.
func NewMemoryTransport() *MemoryTransport {
	return &MemoryTransport{members: map[memberKey]*memoryLink{}}
}

// Join implements [Transport].
func (t *MemoryTransport) Join(group string, id ID, inbox Inbox) (Link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := memberKey{group, id}
	if t.members[key] != nil {
		return nil, fmt.Errorf("raft: memory transport: member %d of group %q has joined already; stop its actor first", id, group)
	}
	link := &memoryLink{transport: t, key: key, inbox: inbox}
	t.members[key] = link
	return link, nil
}

type memoryLink struct {
	transport *MemoryTransport
	key       memberKey
	inbox     Inbox
}

// Send implements [Link]. It holds the lock while it delivers, so that Leave can promise that nothing
// comes after it.
func (l *memoryLink) Send(to ID, _ string, envelope *PeerEnvelope) {
	l.transport.mu.RLock()
	defer l.transport.mu.RUnlock()
	if peer := l.transport.members[memberKey{l.key.group, to}]; peer != nil {
		peer.inbox.Deliver(envelope)
		return
	}
	for _, f := range envelope.Forwards {
		f.Drop()
	}
	if l.transport.members[l.key] == l {
		l.inbox.Unreachable(to)
	}
}

// Leave implements [Link].
func (l *memoryLink) Leave() {
	l.transport.mu.Lock()
	defer l.transport.mu.Unlock()
	if l.transport.members[l.key] == l {
		delete(l.transport.members, l.key)
	}
}
