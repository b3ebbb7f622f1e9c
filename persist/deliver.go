package persist

// manyLoads is from how many on it takes as long to tell those who wait as to write the next batch.
const manyLoads = 64

// arrive tells all that the batch is durable, and does what follows from that. Many who wait are told on a goroutine of
// its own, beside the next write.
func (s *Store) arrive(at place) {
	taken := s.taken
	taken.flight.at = at
	taken.flight.landed.Store(true)
	e := s.settleWeighty()
	s.arrivals.Wait()
	s.taken = nil
	if len(taken.loads) < manyLoads || s.opts.inline {
		s.tell(taken)
	} else {
		s.arrivals.Go(func() { s.tell(taken) })
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
	for i := range s.taken.loads {
		if !s.taken.loads[i].weighty {
			continue
		}
		m := s.taken.loads[i].member
		e := m.takeDue()
		all.released = all.released || e.released
		all.replaced = append(all.replaced, e.replaced...)
		if e.deleted {
			s.forget(m)
		}
	}
	return all
}

func (s *Store) tell(x *shipment) {
	for i := range x.loads {
		if l := &x.loads[i]; l.done != nil {
			l.done(l.seq, nil)
		}
	}
	s.queue.giveBack(x)
}

// failAll tells all who wait, each once: the newest that it waits for answers for all.
func (s *Store) failAll() {
	s.arrivals.Wait()
	q := &s.queue
	q.mu.Lock()
	waiting := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	if s.taken != nil {
		waiting = append([]*shipment{s.taken}, waiting...)
		s.taken = nil
	}
	told := map[*member]bool{}
	for i := len(waiting) - 1; i >= 0; i-- {
		for _, l := range waiting[i].loads {
			if l.done != nil && !told[l.member] {
				told[l.member] = true
				l.done(l.seq, s.failure())
			}
		}
	}
}

func (s *Store) forget(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, m.state.name)
	s.live.Add(-1)
}
