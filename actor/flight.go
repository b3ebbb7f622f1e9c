package raft

import (
	"slices"
	"sync"
)

// A flight is the ops of a client that are under way, numbered from 1 up in the order in which they were let in. There
// is room for so many; who wants more waits, and is let in in turn.
//
// The numbers are the sequences of commands in a session, and go on when another session takes its place. A session
// knows the lowest number that is under way, and keeps no results below it.
type flight struct {
	// max is how many may be under way. Constant, as is sessions: that its ops are commands in a session.
	max      int
	sessions bool

	mu sync.Mutex
	// Guarded by mu.

	// ring has the ops from lowest on, up to but without next, by number; nil if one has left. Its length is a power
	// of two.
	ring         []*op
	lowest, next uint64
	count        int
	waiting      []*waiter
	closed       bool
	// session is the one that is open, or zero. wanted: the courier has been asked to open one.
	session uint64
	wanted  bool
	// parked is how many ops wait for a session.
	parked int
}

// A waiter waits for room.
type waiter struct {
	op      *op
	command []byte
	// let is closed when op has been let in, or when the flight is closed: then err says so.
	let chan struct{}
	err error
}

func newFlight(inFlightMax int, sessions bool) flight {
	return flight{max: inFlightMax, sessions: sessions, ring: make([]*op, 16), lowest: 1, next: 1}
}

// enter lets an op in, when there is room. Without wait it is [ErrOverloaded] that there is none.
func (f *flight) enter(o *op, command []byte, wait bool) error {
	f.mu.Lock()
	switch {
	case f.closed:
		f.mu.Unlock()
		return ErrClosed
	case f.hasRoom() && len(f.waiting) == 0:
		f.admit(o, command)
		f.mu.Unlock()
		return nil
	case !wait:
		f.mu.Unlock()
		return errNoRoom
	}
	w := &waiter{op: o, command: command, let: make(chan struct{})}
	f.waiting = append(f.waiting, w)
	f.mu.Unlock()
	select {
	case <-w.let:
		return w.err
	case <-o.ctx.Done():
		return f.quit(w, o.ctx.Err())
	}
}

// quit ends waiting, unless it has just ended.
func (f *flight) quit(w *waiter, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := slices.Index(f.waiting, w)
	if k < 0 {
		return w.err
	}
	f.waiting = slices.Delete(f.waiting, k, k+1)
	return err
}

// hasRoom is called with mu held.
func (f *flight) hasRoom() bool { return f.count < f.max && f.next-f.lowest < sessionWindow }

// admit is called with mu held.
func (f *flight) admit(o *op, command []byte) {
	if f.next-f.lowest == uint64(len(f.ring)) {
		f.grow()
	}
	o.number = f.next
	f.next++
	f.count++
	*f.at(o.number) = o
	o.direct = !f.sessions || f.session != 0
	if o.direct {
		o.place = f.place(o)
		return
	}
	o.payload = frameCommand(command) // the caller's may change
	f.park(o)
	o.wantsSession = !f.wanted
	f.wanted = true
}

// at is the slot of a number. It is called with mu held.
func (f *flight) at(number uint64) **op { return &f.ring[number&uint64(len(f.ring)-1)] }

// grow is called with mu held.
func (f *flight) grow() {
	old := f.ring
	f.ring = make([]*op, 2*len(old))
	for n := f.lowest; n < f.next; n++ {
		*f.at(n) = old[n&uint64(len(old)-1)]
	}
}

// leave makes room of an op that has ended.
func (f *flight) leave(o *op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.at(o.number) = nil
	f.count--
	if o.parked {
		o.parked = false
		f.parked--
	}
	for f.lowest < f.next && *f.at(f.lowest) == nil {
		f.lowest++
	}
	for len(f.waiting) > 0 && f.hasRoom() {
		w := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		f.admit(w.op, w.command)
		close(w.let)
	}
}

// all appends the ops that are under way, in the order of their numbers.
func (f *flight) all(ops []*op) []*op {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		return ops
	}
	for n := f.lowest; n < f.next; n++ {
		if o := *f.at(n); o != nil {
			ops = append(ops, o)
		}
	}
	return ops
}

func (f *flight) isEmpty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count == 0
}

// close lets nobody in any more.
func (f *flight) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, w := range f.waiting {
		w.err = ErrClosed
		close(w.let)
	}
	f.waiting = nil
}
