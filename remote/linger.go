package raftremote

import (
	"time"

	"example.com/raftactor/node"
)

// lingerDefault is how long what is not urgent waits for something that goes the same way.
const lingerDefault = time.Millisecond

// isUrgent tells whether an envelope should leave at once. A heartbeat that asks for no reply passes on what is committed, as the
// next entries will: under load these follow within microseconds, and a frame of its own would wake up both ends for nothing.
func isUrgent(e *node.PeerEnvelope) bool {
	if len(e.Forwards) > 0 || e.Chunk != nil || e.Ack != nil {
		return true
	}
	for _, m := range e.Messages {
		if h, ok := m.(*node.Heartbeat); !ok || h.Round != 0 {
			return true
		}
	}
	return false
}

// linger has what waits sent in a moment, unless it has gone with something else by then. It is called with mu held.
func (l *line) linger() {
	if l.lingering || l.closed {
		return
	}
	l.lingering = true
	if linger := l.peer.links.cfg.linger; l.lingered == nil {
		l.lingered = time.AfterFunc(linger, l.endLinger)
	} else {
		l.lingered.Reset(linger)
	}
}

// endLinger runs when the moment is over.
func (l *line) endLinger() {
	l.mu.Lock()
	l.lingering = false
	s := l.stream
	waits := s != nil && !l.queue.isEmpty()
	l.mu.Unlock()
	if waits {
		s.poke()
	}
}
