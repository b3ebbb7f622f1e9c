package persist

import (
	"math/bits"
	"slices"
	"sync"
)

// Buffers that are large are shared by all members, in sizes that are powers of two: a burst of one member does not
// hold memory for ever, and the next one need not have it made again.
const (
	ownBitsMin     = 8        // what a member's buffer begins with
	ownBytesMax    = 4 << 10  // what a member keeps for itself, and what is copied when it is handed over
	sharedBytesMax = 16 << 20 // what is kept of each size
	sharedBitsMin  = 13
	sharedBitsMax  = 26
)

var shared [sharedBitsMax + 1]freeList

// A freeList keeps buffers of one size. Unlike a sync.Pool it outlives a collection: new memory costs more than all
// else that is done with it.
type freeList struct {
	mu   sync.Mutex
	free [][]byte // guarded by mu
}

func (l *freeList) get() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.free) - 1
	if last < 0 {
		return nil
	}
	b := l.free[last]
	l.free[last] = nil
	l.free = l.free[:last]
	return b
}

func (l *freeList) put(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == 0 || len(l.free)*cap(b) < sharedBytesMax {
		l.free = append(l.free, b)
	}
}

// grow returns b with room for n more bytes.
func grow(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	class := max(bits.Len(uint(need-1)), ownBitsMin)
	if class > sharedBitsMax {
		return slices.Grow(b, n)
	}
	var larger []byte
	if class >= sharedBitsMin {
		larger = shared[class].get()
	}
	if larger == nil {
		larger = make([]byte, 0, 1<<class)
	}
	larger = append(larger[:0], b...)
	giveBack(b)
	return larger
}

// giveBack returns what of b may be kept: nothing if it is large, and shared from now on.
func giveBack(b []byte) []byte {
	class := bits.Len(uint(max(cap(b), 1) - 1))
	switch {
	case cap(b) <= ownBytesMax:
		return b[:0]
	case class >= sharedBitsMin && class <= sharedBitsMax && cap(b) == 1<<class:
		shared[class].put(b)
	}
	return nil
}

// keepBytes returns what a member keeps of bytes of its own: no room for many when there are none.
func keepBytes(b []byte) []byte {
	if len(b) == 0 && cap(b) > ownBytesMax {
		return nil
	}
	return b
}
