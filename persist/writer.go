package persist

import (
	"fmt"
	"math"
	"slices"
	"time"

	"example.com/raftactor/persist/internal/format"
)

func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the writer: one goroutine, one batch at a time. What is handed over during a sync goes into the next batch, so
// that batches grow with the time that a sync takes.
func (s *Store) run() {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		select {
		case <-s.wake:
		case <-idle.C:
			s.vouch()
			s.pressAll()
			continue
		}
		for s.commit() {
			idle.Reset(idleTime)
		}
		if s.isClosing() || s.failure() != nil {
			s.end()
			return
		}
	}
}

func (s *Store) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// end writes what is left, and vouches for it. What comes later fails.
func (s *Store) end() {
	for s.commit() {
	}
	s.vouchAtEnd()
	closed := ErrClosed
	s.queue.mu.Lock() // from here on nobody can enqueue
	s.failed.CompareAndSwap(nil, &closed)
	s.queue.mu.Unlock()
	s.failAll()
	for _, m := range s.all() { // who waits for nothing, too
		m.tell(s.failure())
	}
	close(s.done)
}

// commit writes one batch of what has been handed over, and tells who waits for it. It is false if there was nothing,
// or if it failed.
func (s *Store) commit() bool {
	if s.failure() != nil || !s.take() {
		return false
	}
	if err := s.writeTaken(); err != nil {
		s.fail(err)
		s.failAll()
		return false
	}
	return true
}

// take takes the next batch of what members have handed over.
func (s *Store) take() bool {
	s.taken = s.queue.take()
	return s.taken != nil
}

// writeTaken writes the batch, in a new segment if there is no room for it.
func (s *Store) writeTaken() error {
	if s.taken.bytes > math.MaxUint32 {
		return fmt.Errorf("persist: what one member writes at once has %d bytes: at most 4 GiB", s.taken.bytes)
	}
	w := s.wal
	w.put(s.taken.cargo())
	if w.count == 0 { // all that was asked for is durable by now
		s.arrive(place{w.newest(), w.offset})
		return nil
	}
	if !w.fits() {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	at, err := w.write()
	if err != nil {
		return err
	}
	s.vouched = false
	s.prepareNext()
	s.arrive(at)
	return nil
}

// rotate goes on with the batch in a new segment.
func (s *Store) rotate() error {
	w := s.wal
	batch := w.cargo
	opening := s.opening()
	room := format.BatchBytes(int64(len(opening.records))) + w.bytes()
	if err := w.begin(w.newest().number, w.position, room); err != nil {
		return err
	}
	w.cargo = cargo{}
	w.add(opening.records, opening.count)
	if _, err := w.write(); err != nil {
		return err
	}
	w.put(batch)
	s.prepared = false
	s.noteSegments()
	s.releaseSegments()
	s.pressAll()
	return nil
}

// opening is what a segment opens with: what must be known of each member when the segments in front of it are gone. All
// of it is durable: a member that is being created is not among them.
func (s *Store) opening() parcel {
	var p parcel
	if cluster := s.clusterID(); cluster != "" {
		p.addCluster(cluster)
	}
	for _, m := range s.all() {
		m.mu.Lock()
		m.settle()
		if m.state.known {
			p.addCheckpoint(&m.state)
		}
		m.mu.Unlock()
	}
	return p
}

// all returns the members, in order.
func (s *Store) all() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	members := make([]*member, 0, len(s.members))
	for _, m := range s.members {
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b *member) int { return a.state.name.compare(b.state.name) })
	return members
}

// vouch writes a batch without records, whose header says that the one before it is durable. So there is no doubt about
// the end of the log when it is read back.
func (s *Store) vouch() {
	if s.vouched || s.failure() != nil {
		return
	}
	s.wal.put(cargo{})
	if !s.wal.fits() {
		return // the header of the next segment will do
	}
	if _, err := s.wal.write(); err != nil {
		s.fail(err)
		return
	}
	s.vouched = true
}

// vouchAtEnd vouches for the newest batch in a new segment if there is no room in this one. Nothing comes that would.
func (s *Store) vouchAtEnd() {
	s.vouch()
	if !s.vouched && s.failure() == nil {
		s.wal.put(cargo{})
		s.fail(s.rotate())
	}
}

// prepareNext has the next segment prepared as soon as this one is written to, so that there is time to do it bit by bit.
func (s *Store) prepareNext() {
	if s.prepared {
		return
	}
	s.prepared = true
	s.prepareSpare()
}

func (s *Store) prepareSpare() {
	s.chores.do(func() {
		if err := s.spares.prepare(steadily); err != nil {
			s.fail(fmt.Errorf("persist: preparing the next segment: %w", err))
		}
	})
}

// releaseSegments lets go of the segments at the start that hold no entry which a member needs.
func (s *Store) releaseSegments() {
	oldest := s.wal.newest().number
	for _, m := range s.all() {
		m.mu.Lock()
		m.settle()
		if entries := m.state.entries; len(entries) > 0 {
			oldest = min(oldest, entries.oldest().number)
		}
		m.mu.Unlock()
	}
	gone := s.wal.release(oldest)
	if len(gone) == 0 {
		return
	}
	s.noteSegments()
	s.chores.do(func() {
		for _, g := range gone {
			err := g.release()
			if err == nil {
				err = s.spares.recycle(g.name, g.size)
			}
			if err != nil {
				s.fail(fmt.Errorf("persist: releasing the segment %s: %w", g.name, err))
			}
		}
	})
}

// noteSegments shows others which segments there are.
func (s *Store) noteSegments() {
	segments := s.wal.segments
	s.newest.Store(segments[len(segments)-1])
	s.cutoff = segments[max(0, len(segments)-s.opts.SegmentsMax)].number
}

// pressAll asks members whose entries keep old segments for a release.
func (s *Store) pressAll() {
	for _, m := range s.all() {
		if want, through := m.pressing(s.cutoff); want != nil {
			want(through)
		}
	}
}
