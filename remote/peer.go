package raftremote

import (
	"sync"
	"sync/atomic"

	"example.com/raftactor/node"
)

// A peer is another actor system, by the address under which it is known.
type peer struct {
	links   *links
	address string
	// control is the link, bulk the connection for chunks of snapshots.
	control, bulk line
	// placed counts the members that configurations of members here place there.
	placed atomic.Int32

	mu sync.Mutex
	// system is what it called itself last. reported is the last event. Guarded by mu.
	system   string
	reported reachability
	// refused is why the last handshake failed, so that it is told once. Guarded by mu.
	refused string
}

type reachability int

const (
	neverReached reachability = iota
	reachable
	unreachable
)

func newPeer(l *links, address string) *peer {
	p := &peer{links: l, address: address}
	p.control.init(p, false)
	p.bulk.init(p, true)
	return p
}

// node.Link's Leave: the peer forgets what a member has sent.
func (p *peer) forget(m *member) {
	p.control.forget(m)
	p.bulk.forget(m)
}

// close ends both connections for good.
func (p *peer) close() {
	p.control.close()
	p.bulk.close()
}

// met notes that the peer is reached, by which name.
func (p *peer) met(system string) {
	p.mu.Lock()
	before := p.reported
	p.system, p.reported, p.refused = system, reachable, ""
	p.mu.Unlock()
	if before != reachable {
		p.links.logger.Info("peer is reachable", "system", system, "address", p.address)
		p.links.outlet.post(PeerReachable{System: system, Address: p.address})
	}
}

// missed notes that the peer is not reached any more, or was not at the first attempt.
func (p *peer) missed(reason error) {
	p.mu.Lock()
	before, system := p.reported, p.system
	p.reported = unreachable
	p.mu.Unlock()
	if before != unreachable {
		p.links.logger.Warn("peer is unreachable", "system", system, "address", p.address, "error", reason)
		p.links.outlet.post(PeerUnreachable{System: system, Address: p.address})
	}
	if before == reachable {
		p.links.outlet.post(&node.AddressUnreachable{Address: p.address})
	}
}

// refusedBy notes why a handshake has failed, and tells it if that is news.
func (p *peer) refusedBy(reason string) {
	p.mu.Lock()
	before := p.refused
	p.refused = reason
	p.mu.Unlock()
	if before != reason {
		p.links.logger.Error("link refused", "address", p.address, "reason", reason)
		p.links.outlet.post(PeerRefused{Address: p.address, Reason: reason})
	}
}

// answer gives a member here the answer to a request that it forwarded there.
func (l *line) answer(a *wireAnswer) {
	l.mu.Lock()
	f := l.open.take(a.number)
	l.mu.Unlock()
	if f == nil {
		l.peer.links.metrics.drops.add(dropUnasked, 1)
		return
	}
	if len(a.data) == 0 {
		f.Drop() // it was given to nobody there
		return
	}
	if err := f.Answer(a.data); err != nil {
		l.peer.links.metrics.drops.add(dropMalformed, 1)
		l.peer.links.logger.Debug("an answer was dropped", "address", l.peer.address, "error", err)
	}
}

// replyTo is what answers a request that came there from this peer, if it is still the same connection. No data: it was
// given to nobody.
func (l *line) replyTo(epoch, number uint64) func([]byte) {
	return func(data []byte) {
		l.mu.Lock()
		if l.epoch != epoch || l.stream == nil {
			l.mu.Unlock()
			return
		}
		l.queue.putAnswer(wireAnswer{number, data})
		s := l.stream
		l.mu.Unlock()
		s.poke()
	}
}

var _ node.Link = (*member)(nil)
