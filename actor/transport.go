package raft

import (
	"fmt"
	"hash/crc32"
	"sync"

	"example.com/raftactor/node"
)

// The transport, its interfaces and what they carry, are declared in the core, so that who implements them need not import
// this package.
type (
	// Transport carries what members send each other.
	Transport = node.Transport
	// Inbox is where a member hears from its transport.
	Inbox = node.Inbox
	// Link is one member's way to the others.
	Link = node.Link
	// PeerEnvelope is what one member sends another at once.
	PeerEnvelope = node.PeerEnvelope
	// Forward is a request that a follower passes on to its leader.
	Forward = node.Forward
	// SnapshotChunk is a part of a snapshot on its way to a member.
	SnapshotChunk = node.SnapshotChunk
	// SnapshotAck answers chunks.
	SnapshotAck = node.SnapshotAck
	// AddressChecker is a transport that cannot do with every address.
	AddressChecker = node.AddressChecker
	// AddressUnreachable is published when another actor system cannot be reached any more.
	AddressUnreachable = node.AddressUnreachable
)

// isLast tells whether the state ends with a chunk.
func isLast(c *SnapshotChunk) bool { return c.Offset+int64(len(c.Data)) >= c.Size }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelopeBytes is roughly what an envelope stands for in memory.
func envelopeBytes(e *PeerEnvelope) int {
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

// Configure implements [Link]. Members are found by their names.
func (l *memoryLink) Configure(Configuration) {}

// Leave implements [Link].
func (l *memoryLink) Leave() {
	l.transport.mu.Lock()
	defer l.transport.mu.Unlock()
	if l.transport.members[l.key] == l {
		delete(l.transport.members, l.key)
	}
}
