package raft

// What a flight knows of the session that its commands are proposed in. The courier opens it, when the first op wants
// one, and another one when it is lost.

// place is an op's in the session. It is called with mu held.
func (f *flight) place(o *op) sessionPlace {
	return sessionPlace{session: f.session, sequence: o.number, lowest: f.lowest}
}

// park has an op wait for a session. It is called with mu held.
func (f *flight) park(o *op) {
	o.parked = true
	f.parked++
}

// readmit takes in an op that has lost its session. It tells whether there is another one, in which the op has its
// place now; or else the op waits for one, which is wanted from now on.
func (f *flight) readmit(o *op) (there, wanted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session == o.place.session {
		f.session = 0
	}
	if o.ended.Load() {
		return false, false // if it ends from now on, it is taken out again
	}
	if f.session != 0 {
		o.place = f.place(o)
		return true, false
	}
	f.park(o)
	wanted = !f.wanted
	f.wanted = true
	return false, wanted
}

// opened returns the ops that wait for a session, which is there now, with their places in it. When there are none left
// the session is every op's: until then later ones must not overtake them.
func (f *flight) opened(session uint64) []*op {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := f.takeParked()
	for _, o := range waiting {
		o.place = sessionPlace{session: session, sequence: o.number, lowest: f.lowest}
	}
	if len(waiting) == 0 {
		f.session, f.wanted = session, false
	}
	return waiting
}

// unpark takes out an op that has ended, if it waits for a session.
func (f *flight) unpark(o *op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.parked {
		o.parked = false
		f.parked--
	}
}

// unparkAll takes out those that wait for a session: there will be none.
func (f *flight) unparkAll() []*op {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = false
	return f.takeParked()
}

// takeParked is called with mu held. An op that has ended may be among them.
func (f *flight) takeParked() (ops []*op) {
	for n := f.lowest; f.parked > 0 && n < f.next; n++ {
		if o := *f.at(n); o != nil && o.parked {
			o.parked = false
			f.parked--
			ops = append(ops, o)
		}
	}
	return ops
}

// isSessionWanted tells whether anybody still waits for a session, the opening of which was rejected. If nobody does, it
// is not wanted from now on.
func (f *flight) isSessionWanted(rejected *Rejected) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := f.lowest; f.parked > 0 && n < f.next; n++ {
		if o := *f.at(n); o != nil && o.parked {
			o.last.Store(rejected)
		}
	}
	f.wanted = f.parked > 0
	return f.wanted
}
