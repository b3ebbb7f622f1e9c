package raftremote

import (
	"errors"
	"fmt"
	"time"

	"example.com/raftactor/node"
)

// receive reads the next frame. What it holds is the receiver's.
func (s *stream) receive(f *frame) (bytes int, err error) {
	data, err := s.wire.read()
	if err != nil {
		return 0, err
	}
	s.transfer = 0
	if took := s.below.took(); len(data) > frameBytesSlow {
		s.transfer = took
	}
	if err := decodeFrame(data, f); err != nil {
		s.links.metrics.malformed.Add(1)
		return 0, err
	}
	return len(data), nil
}

// read delivers what the peer sends, until the stream ends. first is a frame that has been read already, or nil.
func (s *stream) read(first *frame) {
	var f frame
	if first != nil {
		f = *first
		s.handle(&f)
	}
	for {
		bytes, err := s.receive(&f)
		if err != nil {
			s.close(fmt.Errorf("raftremote: reading from %s: %w", s.line.peer.address, err))
			return
		}
		s.links.metrics.received(bytes)
		s.handle(&f)
		select {
		case <-s.done:
			return
		default:
		}
	}
}

// handle does what a frame says.
func (s *stream) handle(f *frame) {
	now := s.links.now()
	s.heard.Store(now)
	late := s.lateness.of(int64(f.sent)*int64(time.Millisecond), now)-s.transfer > int64(s.links.cfg.peerTimeout)
	if f.ping != 0 {
		s.pong.Store(f.ping)
		s.poke()
	}
	if f.pong != 0 && !s.line.bulk {
		s.links.metrics.roundTrip(now - s.pinged.Load())
	}
	if f.unknown > 0 {
		s.links.metrics.drops.add(dropUnknown, f.unknown)
	}
	for k := range f.answers {
		s.line.answer(&f.answers[k])
	}
	if len(f.envelopes) > 0 {
		s.used.Store(now)
	}
	for k := range f.envelopes {
		w := &f.envelopes[k]
		switch {
		case s.line.bulk != (w.envelope.Chunk != nil || s.line.bulk && w.envelope.Ack != nil):
			s.links.metrics.drops.add(dropMisplaced, 1)
			s.turnDown(w.requests)
		case late && !s.line.bulk:
			s.links.metrics.drops.add(dropLate, len(w.envelope.Messages)+len(w.requests))
			s.turnDown(w.requests)
		default:
			s.deliver(w)
		}
	}
	switch {
	case f.goAway != nil && f.goAway.code == goAwayDuplicate:
		s.line.leftFor(s)
		s.heardGoodbye.Store(true)
		s.partWhenBothHave()
	case f.goAway != nil:
		s.close(fmt.Errorf("%w: %s: %s", errGoAway, f.goAway.code, f.goAway.reason))
	case f.refused != nil:
		s.close(fmt.Errorf("%w: refused: %s", errGoAway, f.refused.reason))
	}
	s.links.cfg.observe()
}

// deliver gives an envelope to the member that it is for. It does not wait for anybody.
func (s *stream) deliver(w *wireEnvelope) {
	e := w.envelope
	m := s.links.member(e.Group, e.To)
	switch {
	case m == nil:
		s.links.metrics.drops.add(dropNobody, 1)
		s.turnDown(w.requests)
		return
	case m.isPlacedElsewhere(e.From, s.line.peer.address):
		s.links.metrics.drops.add(dropMisplaced, 1)
		s.turnDown(w.requests)
		return
	}
	for k := range w.requests {
		if err := s.forward(m, e, &w.requests[k]); err != nil {
			s.links.metrics.drops.add(dropMalformed, 1)
			s.links.logger.Debug("a forwarded request was dropped", "address", s.line.peer.address, "error", err)
			s.turnDown(w.requests[k : k+1])
		}
	}
	m.came(e.From, s.line.peer, e.Chunk)
	if !m.deliver(e) {
		drop(e)
	}
}

// turnDown tells the peer that requests were given to no member, and never will be: a request is in one frame, which comes
// once. So this is for what certainly has no effect.
func (s *stream) turnDown(requests []wireRequest) {
	for k := range requests {
		s.line.replyTo(s.epoch, requests[k].number)(nil)
	}
}

var errGone = errors.New("raftremote: the member has left")

// forward makes a forward again of a request.
func (s *stream) forward(m *member, e *node.PeerEnvelope, r *wireRequest) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.gone {
		return errGone
	}
	f, err := m.inbox.NewForward(r.data, s.line.replyTo(s.epoch, r.number))
	if err == nil {
		e.Forwards = append(e.Forwards, f)
	}
	return err
}
