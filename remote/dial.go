package raftremote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	dialTimeout = time.Second
	// Where nobody answers, most attempts are short: who comes back is noticed by the next one.
	dialTimeoutShort = 50 * time.Millisecond
	longAttempts     = 8
	dialPauseMin     = 10 * time.Millisecond
	dialPauseMax     = 50 * time.Millisecond
	// What was refused will be refused again. Who claims a name that another still has gets it when that is known to be gone.
	refusedPause = time.Second
	claimedPause = 100 * time.Millisecond
)

// dialAgainAndAgain dials until there is a stream, and then reads from it.
func (l *line) dialAgainAndAgain() {
	pause := dialPauseMin
	for attempt := 0; ; attempt++ {
		timeout := dialTimeout
		if attempt%longAttempts != 0 {
			timeout = dialTimeoutShort
		}
		s, err := l.dial(timeout)
		if err == nil {
			l.run(s)
			return
		}
		wait := pause + rand.N(pause/2)
		pause = min(2*pause, dialPauseMax)
		var refused *refusedError
		if errors.As(err, &refused) {
			wait = refusedPause
			if refused.refusal.code == refusedSystem {
				wait = claimedPause
			}
			l.peer.links.metrics.refuse(refused.refusal.code)
			l.peer.refusedBy(err.Error())
		}
		if !l.failed(err) {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.peer.links.ctx.Done():
			timer.Stop()
		}
	}
}

// run reads from a stream that this system has dialed, to its end.
func (l *line) run(s *stream) {
	l.mu.Lock()
	l.dialing = false
	l.mu.Unlock()
	l.peer.links.cfg.observe()
	if !l.bulk {
		l.peer.met(s.hello.system)
	}
	if !l.peer.links.spawn(s.write) {
		s.close(errStopped)
	}
	s.read(nil)
}

// dial makes a connection and passes the handshake.
func (l *line) dial(timeout time.Duration) (s *stream, err error) {
	links := l.peer.links
	links.metrics.dials.Add(1)
	ctx, cancel := context.WithTimeout(links.ctx, timeout)
	conn, err := links.cfg.dial(ctx, l.peer.address)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("raftremote: dialing %s: %w", l.peer.address, err)
	}
	if l.isUp() { // the peer was quicker
		conn.Close()
		return nil, errDuplicate
	}
	tune(conn)
	below := newMeteredConn(conn)
	ctx, cancel = context.WithTimeout(links.ctx, handshakeTimeout)
	defer cancel()
	unhurried := context.AfterFunc(ctx, func() { below.Close() })
	s, err = l.greet(ctx, below)
	if !unhurried() && err == nil {
		err = errHandshakeTimeout
		s.close(err)
	}
	if err != nil {
		below.Close()
		return nil, err
	}
	return s, nil
}

var errHandshakeTimeout = fmt.Errorf("raftremote: the handshake has taken longer than %v", handshakeTimeout)

// greet passes the handshake, as the one who has dialed.
func (l *line) greet(ctx context.Context, below *meteredConn) (*stream, error) {
	links := l.peer.links
	conn, auth, err := links.cfg.creds.ClientHandshake(ctx, l.peer.address, below)
	if err == nil {
		_, err = conn.Write([]byte(preamble))
	}
	if err != nil {
		return nil, fmt.Errorf("raftremote: dialing %s: %w", l.peer.address, err)
	}
	s := newStream(links, newWire(conn, links.cfg.frameBytesMax()), below, true)
	if _, err := s.transmit(&frame{hello: links.hello(l.peer.address, l.bulk)}, 0); err != nil {
		return nil, fmt.Errorf("raftremote: saying hello to %s: %w", l.peer.address, err)
	}
	var f frame
	if _, err := s.receive(&f); err != nil {
		return nil, fmt.Errorf("raftremote: waiting for the hello of %s: %w", l.peer.address, err)
	}
	switch {
	case f.refused != nil:
		return nil, &refusedError{*f.refused, false}
	case f.hello == nil:
		return nil, fmt.Errorf("raftremote: waiting for the hello of %s: %w: it says something else", l.peer.address, errMalformed)
	case f.goAway != nil && f.goAway.code == goAwayDuplicate:
		return nil, errDuplicate
	case f.goAway != nil:
		return nil, errGoAway
	}
	s.hello, s.established = f.hello, links.now()
	refused := links.judge(s.hello, identityBehind(auth))
	if refused == nil && s.hello.address != l.peer.address {
		refused = refuse(refusedAddress, "%s was dialed as %q, and is to be called %q, as it calls itself: see the addresses of the members",
			s.hello.system, l.peer.address, s.hello.address)
	}
	if refused == nil && (s.hello.version < linkVersionMin || s.hello.version > linkVersionMax) {
		refused = refuse(refusedVersion, "%s answers in version %d of the protocol, which was not offered", s.hello.system, s.hello.version)
	}
	if refused != nil {
		err = &refusedError{*refused, true}
	} else {
		err = links.accepts(s)
	}
	if err != nil {
		s.part(err)
		return nil, err
	}
	return s, nil
}

// part tells the peer why there will be no link, and gives it the time to hear it: until it ends the stream.
func (s *stream) part(reason error) {
	var refused *refusedError
	last := &frame{}
	switch {
	case errors.As(reason, &refused):
		last.refused = &refused.refusal
	case errors.Is(reason, errDuplicate):
		last.goAway = &goAway{code: goAwayDuplicate, reason: reason.Error()}
	default:
		last.goAway = &goAway{code: goAwayStopping, reason: reason.Error()}
	}
	if _, err := s.transmit(last, 0); err == nil {
		var f frame
		for err == nil {
			_, err = s.receive(&f)
		}
	}
}
