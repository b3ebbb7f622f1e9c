package persist

// A load is what a batch has of one member, and who waits for it.
type load struct {
	member  *member
	weighty bool
	seq     uint64
	done    func(uint64, error)
}

// manyLoads is from how many on it takes as long to tell those who wait as to write the next batch.
const manyLoads = 64

// arrive tells all that the batch is durable, and does what follows from that. Many who wait are told on a goroutine of
// its own, beside the next write.
func (s *Store) arrive(f *flight, at place) {
	f.at = at
	f.landed.Store(true)
	e := s.settleWeighty()
	s.arrivals.Wait()
	s.taken, s.arriving = s.arriving[:0], s.taken
	if len(s.arriving) < manyLoads || s.opts.inline {
		tell(s.arriving)
	} else {
		s.arrivals.Go(func() { tell(s.arriving) })
	}
	if len(e.replaced) > 0 {
		s.dropSnapshots(e.replaced)
	}
	if e.released {
		s.releaseSegments()
	}
}

// settleWeighty finds out what follows from the batch.
func (s *Store) settleWeighty() (all effects) {
	for i := range s.taken {
		if !s.taken[i].weighty {
			continue
		}
		m := s.taken[i].member
		e := m.takeDue()
		all.released = all.released || e.released
		all.replaced = append(all.replaced, e.replaced...)
		if e.deleted {
			s.forget(m)
		}
	}
	return all
}

func tell(loads []load) {
	for i := range loads {
		if l := &loads[i]; l.done != nil {
			l.done(l.seq, nil)
		}
	}
	clear(loads)
}

func (s *Store) forget(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, m.state.name)
	s.live.Add(-1)
}
