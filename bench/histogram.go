package main

import (
	"math/bits"
	"time"
)

// A histogram counts durations in buckets that are 1/32 of their value wide,
// so that what it says is at most 3 % too high. It belongs to one goroutine.
type histogram struct {
	buckets [(64 - subBits) << subBits]uint64
	count   uint64
}

// subBits is how many bits of a value a bucket tells apart.
const subBits = 5

// bucketOf maps a value to its bucket: the values below 32 have one each, and
// behind them each doubling has 32.
func bucketOf(ns uint64) int {
	if ns < 1<<subBits {
		return int(ns)
	}
	shift := bits.Len64(ns) - subBits - 1
	return shift<<subBits + int(ns>>shift)
}

// upper is the largest value of a bucket.
func upper(bucket int) uint64 {
	if bucket < 2<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return (uint64(bucket)-uint64(shift)<<subBits+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(uint64(max(d, 0)))]++
	h.count++
}

// merge adds what another one has counted.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
}

// quantile is a duration that the share q of all does not exceed; zero if
// there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q*float64(h.count-1)) + 1
	for i, n := range h.buckets {
		if n >= rank {
			return time.Duration(upper(i))
		}
		rank -= n
	}
	return 0
}
