package raftremote

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A stream is a connection to a peer that has passed the handshake. One goroutine reads from it, another writes to it.
type stream struct {
	links *links
	line  *line
	wire  *wire
	// dialed: by this system. hello is what the peer has said of itself.
	dialed bool
	hello  *hello
	// began is when the stream did, established when the handshake was over.
	began, established int64
	// epoch is the line's while this is its stream.
	epoch uint64
	// lastRequest is the number of the last request that was sent before another stream took the place of this one. It is
	// guarded by the lock of the line.
	lastRequest uint64
	// below is the connection below TLS, which knows what it has read and written. Closing it ends everything at once.
	below *meteredConn

	// wake has the writer look for work, done ends both.
	wake chan struct{}
	done chan struct{}
	once sync.Once
	err  error // set before done ends

	// heard is when the last frame came, used when the last came or went that had anything in it, sending since when the
	// writer has been waiting for the connection to take a frame. Zero: it is not.
	heard, used, sending atomic.Int64
	// pong is the number of the ping that is to be answered, or zero.
	pong atomic.Uint64
	// parting is the last word, if another stream has taken the place of this one at retiredAt.
	parting   atomic.Uint32
	retiredAt atomic.Int64
	// saidGoodbye and heardGoodbye: the last word has been sent, and that of the peer has come.
	saidGoodbye, heardGoodbye atomic.Bool

	lateness lateness // owned by the reader
	// transfer is how long the last frame was on its way in, if it is large: so long it is not late. Owned by the reader.
	transfer int64
	writing  writing // owned by the writer
	pinged   atomic.Int64
}

func newStream(l *links, w *wire, below *meteredConn, dialed bool) *stream {
	s := &stream{
		links: l, wire: w, below: below, dialed: dialed, began: l.now(),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.heard.Store(s.began)
	s.used.Store(s.began)
	return s
}

// poke wakes the writer.
func (s *stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close ends the stream. Only the first reason counts. A connection that this system has accepted is not cut where its last
// words may be on their way still: its reader is woken up, and who serves it sees to that.
func (s *stream) close(reason error) {
	s.once.Do(func() {
		s.err = reason
		close(s.done)
		if s.dialed || !errors.Is(reason, errDuplicate) {
			s.below.Close()
		} else {
			s.cutSoon()
			_ = s.wire.conn.SetReadDeadline(time.Unix(1, 0))
		}
		if s.line != nil {
			s.line.ended(s, reason)
		}
	})
}

// cutSoon ends the connection when its last words have had the time to arrive, whatever is still read or written. That is not
// left to a deadline: gRPC has accepted the connection, and takes its own deadline away after it has handed it over.
func (s *stream) cutSoon() *time.Timer {
	return time.AfterFunc(lingerTime, func() { s.below.Close() })
}

// finish ends a connection that this system has accepted when its last words have arrived: the other end then closes it. Nobody
// reads or writes any more.
func (s *stream) finish() {
	conn := s.wire.conn
	defer conn.Close()
	defer s.cutSoon().Stop()
	stopped := context.AfterFunc(s.links.ctx, func() { s.below.Close() })
	defer stopped()
	if conn.SetReadDeadline(time.Time{}) != nil { // it was closed
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, s.wire.in)
	}
}

// retire has the writer say the last word. The stream is read until the peer has done the same.
func (s *stream) retire() {
	s.retiredAt.Store(s.links.now())
	s.parting.Store(uint32(goAwayDuplicate))
	s.poke()
}

// partWhenBothHave ends the stream when both sides have said their last word. The accepting side does, since what it has
// sent before arrives all the same.
func (s *stream) partWhenBothHave() {
	if !s.dialed && s.saidGoodbye.Load() && s.heardGoodbye.Load() {
		s.close(errDuplicate)
	}
}

// A crossing is what two streams between the same two systems are to each other.
type crossing int

const (
	// newerStays, olderStays: both have dialed at once. The one stays that the system with the smaller name has dialed, so
	// both come to the same answer.
	newerStays crossing = iota
	olderStays
	// olderLost: who dials has no stream, so one that the same side has dialed before is lost, and so is one that had stood
	// for longer than two dials can cross.
	olderLost
)

// meets tells what becomes of this stream, which is new, and of the one that there is.
func (s *stream) meets(before *stream) crossing {
	longest := int64(crossingMin) + 4*(before.established-before.began)
	switch {
	case s.dialed == before.dialed, s.hello.life != before.hello.life, !s.dialed && s.began-before.established > longest:
		return olderLost
	case s.dialed == (s.links.cfg.system < s.hello.system):
		return newerStays
	default:
		return olderStays
	}
}

// crossingMin is within what time two dials may cross, however short the way is.
const crossingMin = 50 * time.Millisecond

// heardAt is when the peer was heard from last.
func (s *stream) heardAt() int64 {
	return max(s.heard.Load(), s.below.readAt.Load())
}

// isStuck tells whether the connection has taken nothing for so long.
func (s *stream) isStuck(now, timeout int64) bool {
	since := s.sending.Load()
	if since == 0 {
		return false
	}
	return now-max(since, s.below.wroteAt.Load()) > timeout
}

// lateness tells how much later a frame came than it could have. The clocks of both systems run apart slowly, so what
// counts as the earliest is that of the last minutes.
type lateness struct {
	// earliest is the least difference between the clocks in this window and in the one before. The window ends at until.
	earliest, before int64
	until            int64
	started          bool
}

const latenessWindow = int64(time.Minute)

// of is the lateness of a frame that was sent and has arrived, in nanoseconds of either clock.
func (l *lateness) of(sent, arrived int64) int64 {
	apart := arrived - sent
	switch {
	case !l.started:
		*l = lateness{earliest: apart, before: apart, until: arrived + latenessWindow, started: true}
	case arrived > l.until:
		l.before, l.earliest, l.until = l.earliest, apart, arrived+latenessWindow
	default:
		l.earliest = min(l.earliest, apart)
	}
	return apart - min(l.earliest, l.before)
}
