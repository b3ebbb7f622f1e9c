package raft

import "sync"

// A network is a Transport whose traffic a test controls. What is sent waits in a queue until the test
// delivers it; a network that is immediate delivers at once.
type network struct {
	immediate bool
	// fault, if set, says what arrives in place of an envelope: nothing, itself, or several.
	fault func(*PeerEnvelope) []*PeerEnvelope

	mu    sync.Mutex
	links map[memberKey]*testLink // guarded by mu
	cut   map[[2]ID]bool          // guarded by mu; from, to
	queue []*PeerEnvelope         // guarded by mu
}

func newNetwork() *network {
	return &network{links: map[memberKey]*testLink{}, cut: map[[2]ID]bool{}}
}

type testLink struct {
	network *network
	key     memberKey
	inbox   Inbox
	// configuration is what the member has told last. Guarded by network.mu.
	configuration Configuration
}

func (w *network) Join(group string, id ID, inbox Inbox) (Link, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	link := &testLink{network: w, key: memberKey{group, id}, inbox: inbox}
	w.links[link.key] = link
	return link, nil
}

func (l *testLink) Configure(c Configuration) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	l.configuration = c
}

// configured is what a member has told the transport last.
func (w *network) configured(id ID) Configuration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.links[memberKey{"g", id}].configuration
}

func (l *testLink) Send(to ID, _ string, e *PeerEnvelope) {
	if l.network.immediate {
		l.network.arrive(e)
		return
	}
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	l.network.queue = append(l.network.queue, e)
}

func (l *testLink) Leave() {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.links[l.key] == l {
		delete(l.network.links, l.key)
	}
}

// arrive hands an envelope to its receiver, or what the faults make of it.
func (w *network) arrive(e *PeerEnvelope) {
	envelopes := []*PeerEnvelope{e}
	if w.fault != nil {
		envelopes = w.fault(e)
	}
	for _, e := range envelopes {
		w.mu.Lock()
		link := w.links[memberKey{e.Group, e.To}]
		if w.cut[[2]ID{e.From, e.To}] {
			link = nil
		}
		w.mu.Unlock()
		if link != nil {
			link.inbox.Deliver(e)
		}
	}
}

// lose tells the sender that an envelope is likely to have been lost.
func (w *network) lose(e *PeerEnvelope) {
	w.mu.Lock()
	link := w.links[memberKey{e.Group, e.From}]
	w.mu.Unlock()
	if link != nil {
		link.inbox.Unreachable(e.To)
	}
}

// deliver delivers what waits, in order, and tells whether there was anything.
func (w *network) deliver() bool {
	waiting := w.take()
	for _, e := range waiting {
		w.arrive(e)
	}
	return len(waiting) > 0
}

func (w *network) take() []*PeerEnvelope {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.queue
	w.queue = nil
	return waiting
}

// isolate cuts a member off from all others, in both directions.
func (w *network) isolate(id ID, others ...ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, other := range others {
		w.cut[[2]ID{id, other}], w.cut[[2]ID{other, id}] = true, true
	}
}

func (w *network) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
}

// cutWay cuts one direction.
func (w *network) cutWay(from, to ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]ID{from, to}] = true
}
