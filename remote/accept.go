package raftremote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// serve serves a connection that another system has dialed, and says at the end why it was ended. It does not wait.
func (l *links) serve(w *wire, info *connectionInfo, ended func(error)) {
	if !l.spawn(func() { l.host(w, info, ended) }) {
		w.conn.Close()
		ended(errStopped)
	}
}

func (l *links) host(w *wire, info *connectionInfo, ended func(error)) {
	s := newStream(l, w, info.metered(), false)
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	unhurried := context.AfterFunc(ctx, func() { s.below.Close() })
	first, err := s.welcome(info)
	if !unhurried() {
		err = errStopped
		if l.ctx.Err() == nil {
			l.metrics.timeouts.Add(1)
			err = errHandshakeTimeout
		}
		s.close(err)
	}
	var refused *refusedError
	if errors.As(err, &refused) {
		l.metrics.refuse(refused.refusal.code)
		l.refusedLog(info, s.hello, refused)
	}
	if err == nil {
		var writer sync.WaitGroup
		writer.Go(s.write)
		s.read(first)
		writer.Wait()
		err = s.err
	}
	ended(err)
	s.finish()
}

// welcome passes the handshake, as the one who was dialed. It returns the first frame behind it.
func (s *stream) welcome(info *connectionInfo) (*frame, error) {
	l := s.links
	var f frame
	if _, err := s.receive(&f); err != nil {
		return nil, err
	}
	if f.hello == nil || len(f.envelopes)+len(f.answers) > 0 {
		return nil, fmt.Errorf("raftremote: waiting for a hello: %w: it says something else", errMalformed)
	}
	s.hello, s.wire.frameBytesMax = f.hello, l.cfg.frameBytesMax()
	if refused := l.judge(s.hello, info.identity); refused != nil {
		return nil, s.turnAway(refused)
	}
	l.mu.RLock()
	refused := l.claimed(s.hello)
	l.mu.RUnlock()
	if refused != nil {
		return nil, s.turnAway(refused)
	}
	answer := l.hello(s.hello.address, s.hello.bulk)
	answer.version = min(linkVersionMax, s.hello.versionMax)
	if _, err := s.transmit(&frame{hello: answer}, 0); err != nil {
		return nil, err
	}
	var first frame
	if _, err := s.receive(&first); err != nil {
		return nil, err
	}
	switch {
	case first.refused != nil:
		return nil, &refusedError{*first.refused, false}
	case first.goAway != nil:
		return nil, fmt.Errorf("%w: %s", errGoAway, first.goAway.reason)
	}
	s.established = l.now()
	if err := l.accepts(s); err != nil {
		last := &frame{goAway: &goAway{code: goAwayDuplicate, reason: err.Error()}}
		var refused *refusedError
		if errors.As(err, &refused) {
			last = &frame{refused: &refused.refusal}
		}
		s.transmit(last, 0)
		return nil, err
	}
	if !s.line.bulk {
		s.line.peer.met(s.hello.system)
	}
	return &first, nil
}

// turnAway refuses a hello.
func (s *stream) turnAway(r *refusal) error {
	s.transmit(&frame{refused: r}, 0)
	return &refusedError{*r, true}
}

// refusedLog tells that a link was refused, once a second at most: anybody may try.
func (l *links) refusedLog(info *connectionInfo, h *hello, refused *refusedError) {
	now := l.now()
	if last := l.refusedAt.Load(); last != 0 && now-last < int64(time.Second) || !l.refusedAt.CompareAndSwap(l.refusedAt.Load(), now) {
		return
	}
	l.logger.Warn("link refused", "from", info.conn.RemoteAddr().String(), "system", h.system, "address", h.address, "reason", refused.Error())
	l.outlet.post(PeerRefused{Address: h.address, Reason: refused.Error()})
}
