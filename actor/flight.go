package raft

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A flight is the ops of a client that are under way, numbered from 1 up in the order in which they were let in. There
// is room for so many; who wants more waits, and is let in in turn.
//
// The numbers are the sequences of commands in a session, and go on when another session takes its place. A session
// knows the lowest number that is under way, and keeps no results below it. Without sessions an op that takes long is
// given a new number, so that it holds up nobody.
type flight struct {
	// max is how many may be under way. Constant, as is sessions: that its ops are commands in a session.
	max      int
	sessions bool
	// bytesMax is how many bytes of commands and questions may be under way, but for one op. Constant.
	bytesMax int

	// count is how many are under way, bytes what they carry, and waiters how many wait. All grow with mu held only;
	// leaving needs it only if somebody waits.
	count, bytes, waiters atomic.Int64

	mu sync.Mutex
	// Guarded by mu.

	// ring has the ops from lowest on, up to but without next, by number; one that has left may still be there, or nil.
	// Its length is a power of two.
	ring         []*op
	lowest, next uint64
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

func newFlight(inFlightMax, bytesMax int, sessions bool) flight {
	return flight{max: inFlightMax, bytesMax: bytesMax, sessions: sessions, ring: make([]*op, 16), lowest: 1, next: 1}
}

// enter lets an op in, when there is room. Without wait it is [ErrOverloaded] that there is none.
func (f *flight) enter(o *op, command []byte, wait bool) error {
	o.bytes = len(command) + len(o.payload)
	f.lockAmongMany()
	switch {
	case f.closed:
		f.mu.Unlock()
		return ErrClosed
	case len(f.waiting) == 0 && f.hasRoom(o):
		f.admit(o, command)
		f.mu.Unlock()
		return nil
	case !wait:
		f.mu.Unlock()
		return errNoRoom
	}
	w := &waiter{op: o, command: command, let: make(chan struct{})}
	f.waiting = append(f.waiting, w)
	f.waiters.Add(1)
	f.admitWaiting() // those who have left since may not have seen that somebody waits
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
	f.waiters.Add(-1)
	f.admitWaiting() // there may be room for those behind it
	return err
}

// lockAmongMany locks mu, and gives way a few times before it waits: a mutex that many wait for is handed from one to
// the next, at the price of a switch of goroutines each.
func (f *flight) lockAmongMany() {
	for range 4 {
		if f.mu.TryLock() {
			return
		}
		runtime.Gosched()
	}
	f.mu.Lock()
}

// hasRoom is called with mu held.
func (f *flight) hasRoom(o *op) bool {
	f.advance()
	count := f.count.Load()
	if count >= int64(f.max) || (count > 0 && f.bytes.Load()+int64(o.bytes) > int64(f.bytesMax)) {
		return false
	}
	for !f.sessions && f.next-f.lowest == sessionWindow { // some have left: max is less
		f.renumber(*f.at(f.lowest))
		f.lowest++
		f.advance()
	}
	return f.next-f.lowest < sessionWindow
}

// renumber moves the lowest op to the end. It is called with mu held.
func (f *flight) renumber(o *op) {
	o.number = f.next
	f.next++
	*f.at(o.number) = o
}

// advance moves lowest behind the ops that have left. It is called with mu held.
func (f *flight) advance() {
	for f.lowest < f.next && f.hasLeft(f.lowest) {
		f.lowest++
	}
}

// hasLeft tells whether an op has left, and lets go of it. It is called with mu held.
func (f *flight) hasLeft(number uint64) bool {
	slot := f.at(number)
	if *slot != nil && (*slot).left.Load() {
		*slot = nil
	}
	return *slot == nil
}

// admit is called with mu held.
func (f *flight) admit(o *op, command []byte) {
	if f.next-f.lowest == uint64(len(f.ring)) {
		f.grow()
	}
	o.number = f.next
	f.next++
	f.count.Add(1)
	f.bytes.Add(int64(o.bytes))
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

// leave makes room of an op that has ended, and does not wait for a session.
func (f *flight) leave(o *op) {
	o.left.Store(true)
	f.bytes.Add(-int64(o.bytes))
	f.count.Add(-1)
	if f.waiters.Load() > 0 {
		f.mu.Lock()
		f.admitWaiting()
		f.mu.Unlock()
	}
}

// admitWaiting is called with mu held.
func (f *flight) admitWaiting() {
	for len(f.waiting) > 0 && f.hasRoom(f.waiting[0].op) {
		w := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		f.waiters.Add(-1)
		f.admit(w.op, w.command)
		close(w.let)
	}
}

// all appends the ops that are under way, in the order of their numbers.
func (f *flight) all(ops []*op) []*op {
	f.lockAmongMany()
	defer f.mu.Unlock()
	f.advance()
	for n := f.lowest; n < f.next; n++ {
		if !f.hasLeft(n) {
			ops = append(ops, *f.at(n))
		}
	}
	return ops
}

func (f *flight) isEmpty() bool { return f.count.Load() == 0 }

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
	f.waiters.Store(0)
}
