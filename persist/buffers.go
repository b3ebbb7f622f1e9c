package persist

import (
	"math/bits"
	"slices"
	"sync"
)

// Buffers that are large are shared by all members, in sizes that are powers of two: a burst of one member does not
// hold memory for ever, and the next one need not allocate it again.
const (
	ownBytesMax   = 64 << 10 // what a member keeps for itself
	sharedBitsMin = 17
	sharedBitsMax = 27
)

var sharedBuffers [sharedBitsMax + 1]sync.Pool

// grow returns b with room for n more bytes.
func grow(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	class := max(bits.Len(uint(need-1)), sharedBitsMin)
	if need <= ownBytesMax || class > sharedBitsMax {
		return slices.Grow(b, n)
	}
	larger, _ := sharedBuffers[class].Get().(*[]byte)
	if larger == nil {
		made := make([]byte, 0, 1<<class)
		larger = &made
	}
	grown := append((*larger)[:0], b...)
	giveBack(b)
	return grown
}

// giveBack returns what of b may be kept: nothing if it is large, and shared from now on.
func giveBack(b []byte) []byte {
	if cap(b) <= ownBytesMax {
		return b[:0]
	}
	if class := bits.Len(uint(cap(b) - 1)); class <= sharedBitsMax && cap(b) == 1<<class {
		shared := b
		sharedBuffers[class].Put(&shared)
	}
	return nil
}
