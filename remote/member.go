package raftremote

import (
	"sync"
	"sync/atomic"

	"example.com/raftactor/node"
)

// A member is one that has joined here: a [node.Link].
type member struct {
	links *links
	group string
	id    node.ID
	inbox node.Inbox

	// mu is held, for reading, while inbox is called, so that nothing comes after Leave.
	mu   sync.RWMutex
	gone bool // guarded by mu

	// placed is where the newest configuration places members.
	placed atomic.Pointer[map[node.ID]string]

	waysMu sync.Mutex
	// ways are how the members came that no address is known of, and where the snapshot comes from that each sends.
	// Guarded by waysMu.
	ways map[node.ID]way
}

// A way is how another member came last.
type way struct {
	peer *peer
	// bulk: by chunks of this transfer, too.
	bulk     bool
	transfer uint64
}

// waysMax bounds the ways of a member: a configuration has no more members.
const waysMax = 1 << 10

// Send implements [node.Link].
func (m *member) Send(to node.ID, address string, e *node.PeerEnvelope) {
	if len(e.Messages) == 0 && len(e.Forwards) == 0 && e.Chunk == nil && e.Ack == nil {
		return
	}
	for { // a peer may be forgotten between the two
		line := m.line(to, address, e)
		if line == nil {
			m.sendHere(to, e)
			return
		}
		if line.send(m, to, e) {
			return
		}
		if m.links.ctx.Err() != nil {
			drop(e)
			return
		}
		m.links.forgetWay(m, to, line.peer)
	}
}

// line is the way to another member. Nil: it would be in this system.
func (m *member) line(to node.ID, address string, e *node.PeerEnvelope) *line {
	if address == m.links.cfg.address {
		return nil
	}
	if address != "" && e.Ack == nil {
		p := m.links.peer(address)
		if e.Chunk != nil {
			return &p.bulk
		}
		return &p.control
	}
	m.waysMu.Lock()
	w, ok := m.ways[to]
	m.waysMu.Unlock()
	switch {
	case ok && e.Ack != nil && w.bulk && w.transfer == e.Ack.Transfer && w.peer.bulk.isUp():
		return &w.peer.bulk
	case address != "":
		return &m.links.peer(address).control
	case !ok || m.links.hosts(m.group, to):
		return nil
	default:
		return &w.peer.control
	}
}

// sendHere delivers to a member of the same system.
func (m *member) sendHere(to node.ID, e *node.PeerEnvelope) {
	if other := m.links.member(m.group, to); other != nil && other.deliver(e) {
		return
	}
	drop(e)
	m.unreachable(to)
}

// drop loses an envelope that was never sent.
func drop(e *node.PeerEnvelope) {
	for _, f := range e.Forwards {
		f.Drop()
	}
}

// deliver gives the member an envelope, unless it has left.
func (m *member) deliver(e *node.PeerEnvelope) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.gone {
		return false
	}
	m.inbox.Deliver(e)
	return true
}

// unreachable tells the member that what it sent to another is lost, unless it has left.
func (m *member) unreachable(to node.ID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.gone {
		m.inbox.Unreachable(to)
	}
}

// isPlacedElsewhere tells whether the configuration places another member at an address that is not this one.
func (m *member) isPlacedElsewhere(from node.ID, address string) bool {
	placed := (*m.placed.Load())[from]
	return placed != "" && placed != address
}

// came notes which way an envelope came.
func (m *member) came(from node.ID, p *peer, chunk *node.SnapshotChunk) {
	m.waysMu.Lock()
	defer m.waysMu.Unlock()
	w, known := m.ways[from]
	if !known && len(m.ways) >= waysMax {
		return
	}
	if w.peer == p && chunk == nil {
		return
	}
	if m.ways == nil {
		m.ways = map[node.ID]way{}
	}
	w.peer = p
	if w.bulk = chunk != nil; w.bulk {
		w.transfer = chunk.Transfer
	}
	m.ways[from] = w
}

// forgetWay forgets that a member came by a peer that is gone.
func (l *links) forgetWay(m *member, from node.ID, gone *peer) {
	m.waysMu.Lock()
	defer m.waysMu.Unlock()
	if m.ways[from].peer == gone {
		delete(m.ways, from)
	}
}

// Configure implements [node.Link].
func (m *member) Configure(c node.Configuration) {
	placed := make(map[node.ID]string, len(c.Members))
	for _, other := range c.Members {
		placed[other.ID] = other.Address
	}
	var dial []*peer
	m.mu.RLock() // against Leave
	if !m.gone {
		dial = m.links.place(m, placed)
	}
	m.mu.RUnlock()
	for _, p := range dial {
		p.control.ensure()
	}
}

// Leave implements [node.Link].
func (m *member) Leave() {
	m.mu.Lock()
	gone := m.gone
	m.gone = true
	m.mu.Unlock()
	if gone {
		return
	}
	m.links.place(m, map[node.ID]string{})
	m.links.eachPeer(func(p *peer) { p.forget(m) }) // before another one can join in its place
	m.links.mu.Lock()
	delete(m.links.members, memberKey{m.group, m.id})
	m.links.mu.Unlock()
}

// place makes the addresses of a configuration those that are dialed, in place of the former ones. It returns who is to be
// dialed.
func (l *links) place(m *member, placed map[node.ID]string) (dial []*peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, address := range placed {
		if address != "" && address != l.cfg.address && !l.stopped {
			p := l.peerLocked(address)
			p.placed.Add(1)
			dial = append(dial, p)
		}
	}
	for _, address := range *m.placed.Load() {
		if p := l.peers[address]; p != nil && address != l.cfg.address {
			p.placed.Add(-1)
		}
	}
	m.placed.Store(&placed)
	return dial
}
