package raftremote

import "time"

const (
	// A frame takes what waits, up to so much. On a connection that is slow it takes less, so that what matters does not
	// wait for long.
	frameBytesFull = 1 << 20
	frameBytesSlow = 64 << 10
	// frameRest is what a frame has beside the largest item in it, at most.
	frameRest        = 64 << 10
	chunkFrameBytes  = 256 << 10
	pingsPerTimeout  = 5
	slowPerTimeout   = 8
	quickPerTimeout  = 64
	millisecondNanos = int64(time.Millisecond)
)

// writing is what the writer of a stream has.
type writing struct {
	parcel parcel
	// limit is how much a frame takes now.
	limit int
	pings uint64
}

// write sends what waits for the peer, until the stream ends.
func (s *stream) write() {
	w := &s.writing
	w.limit = frameBytesFull
	if s.line.bulk {
		w.limit = chunkFrameBytes
	}
	w.parcel.open, w.parcel.itemMax = &s.line.open, int(s.hello.frameBytesMax)-frameRest
	ticker := time.NewTicker(s.links.cfg.peerTimeout / pingsPerTimeout)
	defer ticker.Stop()
	s.ping() // says that the peer's answer to the hello is fine
	for {
		for s.fill() {
			if err := s.send(); err != nil {
				s.close(err)
				return
			}
			if s.saidGoodbye.Load() {
				s.partWhenBothHave()
				return
			}
		}
		select {
		case <-s.wake:
		case <-ticker.C:
			s.ping()
		case <-s.done:
			return
		}
	}
}

// ping asks for a pong, which tells how long both take, and says that this system lives.
func (s *stream) ping() {
	s.writing.pings++
	s.writing.parcel.frame.ping = s.writing.pings
	s.pinged.Store(s.links.now())
}

// fill takes what waits into the parcel, and tells whether that is anything.
func (s *stream) fill() bool {
	w, l := &s.writing, s.line
	f := &w.parcel.frame
	f.pong = s.pong.Swap(0)
	if code := goAwayCode(s.parting.Load()); code != 0 {
		f.goAway = &goAway{code: code, reason: errDuplicate.Error()}
		return true
	}
	now := s.links.now()
	oldest := now - int64(s.links.cfg.peerTimeout)
	waits := false
	l.mu.Lock()
	if l.stream == s && !l.queue.isEmpty() {
		l.queue.take(&w.parcel, w.limit, oldest)
		waits = !l.queue.isEmpty()
	}
	lost := l.queue.takeLost()
	l.mu.Unlock()
	lost.settle()
	if waits {
		s.poke()
	}
	if w.parcel.wire > 0 {
		s.used.Store(now)
	}
	return w.parcel.wire > 0 || f.ping != 0 || f.pong != 0
}

// forgetForward forgets a request that cannot be encoded.
func (l *line) forgetForward(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open.take(number)
}

// send encodes the parcel and hands it to the connection. It waits as long as that takes nothing.
func (s *stream) send() error {
	w := &s.writing
	w.parcel.encodeForwards(s.line.forgetForward)
	f := &w.parcel.frame
	last := f.goAway != nil
	now := s.links.now()
	f.sent = uint64((now - s.began) / millisecondNanos)
	bytes, err := s.transmit(f, w.parcel.wire)
	took := s.links.now() - now
	w.parcel.reset()
	if err != nil {
		return err
	}
	s.links.metrics.sent(bytes)
	if last {
		s.saidGoodbye.Store(true)
	}
	if !s.line.bulk {
		w.adapt(took, int64(s.links.cfg.peerTimeout))
	}
	return nil
}

// adapt makes frames smaller while the connection takes them slowly.
func (w *writing) adapt(took, timeout int64) {
	switch {
	case took > timeout/slowPerTimeout:
		w.limit = max(frameBytesSlow, w.limit/2)
	case took < timeout/quickPerTimeout:
		w.limit = min(frameBytesFull, w.limit*2)
	}
}

// transmit encodes a frame, of about so many bytes, and hands it to the connection.
func (s *stream) transmit(f *frame, about int) (bytes int, err error) {
	encoded := encodeFrame(f, about)
	bytes = len(encoded.bytes())
	s.sending.Store(s.links.now())
	err = s.wire.write(encoded)
	s.sending.Store(0)
	return bytes, err
}
