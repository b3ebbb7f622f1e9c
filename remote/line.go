package raftremote

import (
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/raftactor/node"
)

// A line is one of the two connections to a peer, with all that waits for it. It is in one of these states:
//
//	idle    nobody needs it
//	dialing it is being made; what is sent waits
//	up      there is a stream
//	down    it could not be made, or the peer has fallen silent: what is sent is lost at once, and is made again and again
//
// Both sides may dial. If both do at once, the stream stays that the system with the smaller name has dialed.
type line struct {
	peer *peer
	bulk bool

	mu    sync.Mutex
	queue queue        // guarded by mu
	open  openForwards // guarded by mu
	// stream is the one that is written to. retired are those that another took the place of, and that are read to
	// their end. Guarded by mu.
	stream  *stream
	retired []*stream
	// down: see above. dialing: a goroutine is at it. closed: for good. Guarded by mu.
	down, dialing, closed bool
	// left: the peer has ended the stream for another one, which is not there yet. Guarded by mu.
	left bool
	// epoch grows with each stream that is lost, life is the peer's. Guarded by mu.
	epoch, life uint64
	// dialingSince is when there was no stream any more. Guarded by mu.
	dialingSince int64
	// wantedUntil is the moment until which somebody needs it who has sent something. Guarded by mu.
	wantedUntil int64
	// lingered ends a moment in which what is not urgent waits, and lingering tells whether there is one now. Guarded by mu.
	lingered  *time.Timer
	lingering bool
}

const (
	// Who has sent something may do so again.
	controlWantedFor = 10 * time.Second
	bulkWantedFor    = 5 * time.Second
	// A stream that nobody needs here is closed by the one who has dialed it.
	idleFor = 30 * time.Second
	// Requests are forgotten that have not been answered for so long: nobody waits for them.
	forwardsFor = time.Minute
)

func (l *line) init(p *peer, bulk bool) {
	l.peer, l.bulk = p, bulk
	l.queue = queue{bytesMax: p.links.cfg.queueBytesMax, drops: &p.links.metrics.drops}
	l.open.bytesMax = 4 * p.links.cfg.queueBytesMax
}

// send takes an envelope, or loses it: it does not wait. False: the line has been closed, the envelope is untouched.
func (l *line) send(m *member, to node.ID, e *node.PeerEnvelope) bool {
	now := l.peer.links.now()
	wanted := controlWantedFor
	if l.bulk {
		wanted = bulkWantedFor
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.wantedUntil = now + int64(wanted)
	if l.down && l.stream == nil {
		l.queue.refuse(m, to, e, now)
	} else {
		l.queue.put(m, to, e, now)
	}
	s, dial := l.stream, l.mustDial()
	urgent := isUrgent(e)
	if !urgent {
		l.linger()
	}
	lost := l.queue.takeLost()
	l.mu.Unlock()
	lost.settle()
	if s != nil && urgent {
		s.poke()
	}
	if dial {
		l.startDialing()
	}
	return true
}

// isUp tells whether there is a stream.
func (l *line) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream != nil
}

// isWanted tells whether somebody here needs it. It is called with mu held.
func (l *line) isWanted(now int64) bool {
	return now < l.wantedUntil || !l.bulk && l.peer.placed.Load() > 0
}

// isIdle tells whether nothing would be missed. It is called with mu held.
func (l *line) isIdle(now int64) bool {
	return l.stream == nil && !l.dialing && len(l.retired) == 0 && !l.isWanted(now) && l.queue.isEmpty()
}

// ensure has the line made, if there is none.
func (l *line) ensure() {
	l.mu.Lock()
	dial := l.mustDial()
	l.mu.Unlock()
	if dial {
		l.startDialing()
	}
}

// mustDial tells whether the caller must start to dial, once it has given mu back.
func (l *line) mustDial() bool {
	if l.stream != nil || l.dialing || l.closed {
		return false
	}
	l.dialing, l.dialingSince = true, l.peer.links.now()
	return true
}

func (l *line) startDialing() {
	if !l.peer.links.spawn(l.dialAgainAndAgain) {
		l.close()
	}
}

// losing does something under the lock, and then tells the members what was lost by it.
func (l *line) losing(do func()) {
	l.mu.Lock()
	do()
	lost := l.queue.takeLost()
	l.mu.Unlock()
	lost.settle()
}

// forget forgets what a member has sent.
func (l *line) forget(m *member) {
	l.losing(func() { l.queue.forget(m, forever) })
}

// close ends the line for good. What waits is lost, and nobody is told.
func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	if l.lingered != nil {
		l.lingered.Stop()
	}
	streams := slices.Clone(l.retired)
	if l.stream != nil {
		streams = append(streams, l.stream)
	}
	l.mu.Unlock()
	for _, s := range streams {
		s.close(errStopped)
	}
}

// Why streams end.
var (
	errStopped   = errors.New("raftremote: the links have stopped")
	errSilent    = errors.New("raftremote: nothing was heard for longer than PeerTimeout")
	errStuck     = errors.New("raftremote: the peer has taken nothing for longer than PeerTimeout")
	errIdle      = errors.New("raftremote: nobody needs the link")
	errDuplicate = errors.New("raftremote: there is another link between the two, which stays")
	errGoAway    = errors.New("raftremote: the peer ends the link")
)

// install makes a stream the one that is written to, or if another one stays, has it read to its end; errDuplicate: that is
// needless, since the peer has not got to know it. It is called with the lock of the
// links held, which sees that one name is one system.
func (l *line) install(s *stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errStopped
	}
	if before := l.stream; before != nil {
		switch how := s.meets(before); {
		case how == olderLost:
			l.retire(before)
			l.lose()
		case how == newerStays:
			l.retire(before)
		case s.dialed:
			return errDuplicate
		default: // the peer may have sent something on it already
			s.epoch = l.epoch
			s.retire()
			l.retired = append(l.retired, s)
			return nil
		}
	}
	if l.life != s.hello.life { // what was meant for an earlier life
		if l.life != 0 {
			l.queue.drop()
		}
		l.life = s.hello.life
		l.open.clear()
		l.epoch++
	}
	if l.left && s.dialed { // what the peer meant is gone, too
		l.lose()
	}
	l.stream, l.down, l.left = s, false, false
	l.queue.hopeAgain()
	s.epoch = l.epoch
	return nil
}

// retire has a stream ended that another takes the place of. It is called with mu held.
func (l *line) retire(s *stream) {
	s.lastRequest = l.open.last
	s.retire()
	l.retired = append(l.retired, s)
	l.stream = nil
}

// leftFor takes note that the peer has another stream in place of one, which will be installed here any moment.
func (l *line) leftFor(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == s {
		l.retire(s)
		l.left = true
	}
}

// lose forgets what is on its way, and has the members told. It is called with mu held.
func (l *line) lose() {
	l.left = false
	l.epoch++
	l.open.clear()
	if !l.closed {
		l.queue.tellAll()
	}
}

// ended takes note that a stream has ended.
func (l *line) ended(s *stream, reason error) {
	defer l.peer.links.cfg.observe()
	lost, dial := false, false
	now := l.peer.links.now()
	silent := errors.Is(reason, errSilent) || errors.Is(reason, errStuck)
	l.losing(func() {
		for k, r := range l.retired {
			if r == s {
				l.retired = slices.Delete(l.retired, k, k+1)
				switch {
				case l.left && l.stream == nil:
					l.lose()
				case !s.heardGoodbye.Load() && !l.closed: // it was lost before, and so may be what was sent on it
					l.open.forgetUpTo(s.lastRequest)
					l.queue.tellAll()
				}
				dial = l.isWanted(now) && l.mustDial()
				return
			}
		}
		if l.stream != s {
			return
		}
		lost = true
		l.stream = nil
		l.lose()
		if silent || l.closed || !l.isWanted(now) {
			l.down = silent
			l.queue.drop()
		}
		dial = l.isWanted(now) && l.mustDial()
	})
	if !lost {
		if dial {
			l.startDialing()
		}
		return
	}
	l.peer.links.metrics.lost.Add(1)
	l.peer.links.logger.Debug("link lost", "address", l.peer.address, "bulk", l.bulk, "error", reason)
	if !l.bulk && (silent || !dial) && !errors.Is(reason, errIdle) && !errors.Is(reason, errStopped) {
		l.peer.missed(reason)
	}
	if dial {
		l.startDialing()
	}
}

// failed takes note that the line could not be made, and tells whether to try again.
func (l *line) failed(reason error) (again bool) {
	defer l.peer.links.cfg.observe()
	now := l.peer.links.now()
	missed := false
	l.losing(func() {
		if l.stream != nil || l.closed || !l.isWanted(now) {
			l.dialing = false
			if l.stream == nil {
				l.queue.drop()
			}
			return
		}
		again = true
		if errors.Is(reason, errDuplicate) {
			return
		}
		if missed = !l.down; missed {
			l.down = true
			l.queue.drop()
		}
	})
	if missed && !l.bulk {
		l.peer.missed(reason)
	}
	return again
}

// watch looks after the line. judge: a silence counts.
func (l *line) watch(now int64, judge bool) {
	timeout := int64(l.peer.links.cfg.peerTimeout)
	missed := false
	l.losing(func() {
		if missed = l.stream == nil && l.dialing && !l.down && now-l.dialingSince > timeout; missed {
			l.down = true
			l.queue.drop()
		}
		l.open.forgetBefore(now - int64(forwardsFor))
		l.queue.forget(nil, now-int64(forwardsFor))
	})
	if missed && !l.bulk {
		l.peer.missed(errSilent)
	}
	l.mu.Lock()
	s, retired := l.stream, slices.Clone(l.retired)
	idle := s != nil && s.dialed && !l.isWanted(now) && now-s.used.Load() > int64(idleFor)
	dial := l.isWanted(now) && len(l.retired) == 0 && l.mustDial()
	l.mu.Unlock()
	if dial {
		l.startDialing()
	}
	for _, r := range retired {
		if now-r.retiredAt.Load() > timeout/2 { // it has had the time for its last words
			r.close(errDuplicate)
		}
	}
	switch {
	case s == nil || !judge:
	case now-s.heardAt() > timeout:
		s.close(errSilent)
	case s.isStuck(now, timeout):
		s.close(errStuck)
	case idle:
		s.close(errIdle)
	}
}
