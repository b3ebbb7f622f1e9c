package raftremote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// serve serves a stream that another system has dialed: it is the handler of what gRPC's server knows no service for. The
// server must use rawCodec for it. It returns when the stream has ended.
func (l *links) serve(_ any, raw grpc.ServerStream) error {
	if method, _ := grpc.MethodFromServerStream(raw); method != linkMethod {
		return status.Errorf(codes.Unimplemented, "raftremote: there is no %s here", method)
	}
	s := newStream(l, raw, false)
	s.sever, s.progress = connectionBelow(raw.Context())
	greeted := make(chan error, 1)
	if !l.spawn(func() { s.serve(raw.Context(), greeted) }) {
		return status.Error(codes.Unavailable, errStopped.Error())
	}
	deadline := time.NewTimer(handshakeTimeout)
	defer deadline.Stop()
	select {
	case err := <-greeted:
		if err != nil {
			return s.status(err)
		}
	case <-deadline.C:
		l.metrics.timeouts.Add(1)
		return status.Error(codes.DeadlineExceeded, errHandshakeTimeout.Error())
	case <-l.ctx.Done():
		return status.Error(codes.Unavailable, errStopped.Error())
	}
	select {
	case <-s.done:
		return s.status(s.err)
	case <-l.ctx.Done():
		s.close(errStopped)
		return status.Error(codes.Unavailable, errStopped.Error())
	}
}

// connectionBelow is what cuts the connection of a stream that was accepted, and what that has read and written, if whoever
// serves it tells.
func connectionBelow(ctx context.Context) (sever func(), progress *meteredConn) {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil, nil
	}
	if c, ok := p.AuthInfo.(interface{ closeConnection() }); ok {
		sever = c.closeConnection
	}
	if c, ok := p.AuthInfo.(interface{ progress() *meteredConn }); ok {
		progress = c.progress()
	}
	return sever, progress
}

// status is how a stream ends for the one who has dialed.
func (s *stream) status(err error) error {
	var refused *refusedError
	if errors.As(err, &refused) {
		return status.Error(codes.FailedPrecondition, refused.refusal.reason)
	}
	if errors.Is(err, errMalformed) {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if status.Code(err) == codes.ResourceExhausted { // too large
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return status.Error(codes.Aborted, err.Error())
}

// serve passes the handshake and then reads from the stream, to its end.
func (s *stream) serve(ctx context.Context, greeted chan<- error) {
	first, err := s.welcome(ctx)
	var refused *refusedError
	if errors.As(err, &refused) {
		s.links.metrics.refuse(refused.refusal.code)
		s.links.refusedLog(ctx, s.hello, refused)
	}
	if err == nil && !s.links.spawn(s.write) {
		s.close(errStopped)
		err = errStopped
	}
	greeted <- err
	if err == nil {
		s.read(first)
	}
}

// welcome passes the handshake, as the one who was dialed. It returns the first frame behind it.
func (s *stream) welcome(ctx context.Context) (*frame, error) {
	l := s.links
	var f frame
	bytes, err := s.receive(&f)
	if err != nil {
		return nil, err
	}
	if bytes > helloBytesMax || f.hello == nil || len(f.envelopes)+len(f.answers) > 0 {
		return nil, fmt.Errorf("raftremote: waiting for a hello: %w: it says something else", errMalformed)
	}
	s.hello = f.hello
	if refused := l.judge(s.hello, identityOf(ctx)); refused != nil {
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
func (l *links) refusedLog(ctx context.Context, h *hello, refused *refusedError) {
	now := l.now()
	if last := l.refusedAt.Load(); last != 0 && now-last < int64(time.Second) || !l.refusedAt.CompareAndSwap(l.refusedAt.Load(), now) {
		return
	}
	from := ""
	if p, ok := grpcpeer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	l.logger.Warn("link refused", "from", from, "system", h.system, "address", h.address, "reason", refused.Error())
	l.outlet.post(PeerRefused{Address: h.address, Reason: refused.Error()})
}
