package simfs

import (
	"iter"
	"math"
	"math/rand/v2"
)

// CrashStates is what a power loss may leave now: see [Losses.States].
func (f *FS) CrashStates(limit int, rng *rand.Rand) iter.Seq[*FS] {
	return f.Losses().States(limit, rng)
}

// States are all states, if there are no more than limit. Otherwise they are as many different ones: the one
// that loses all, the one that loses nothing, and others drawn from rng, which is not needed as long as all
// are told.
func (l *Losses) States(limit int, rng *rand.Rand) iter.Seq[*FS] {
	if limit <= 0 {
		return func(func(*FS) bool) {}
	}
	if l.count <= uint64(limit) {
		return l.all
	}
	return func(yield func(*FS) bool) { l.sampleStates(limit, rng, yield) }
}

func (l *Losses) all(yield func(*FS) bool) {
	for i := range l.count {
		if !yield(l.State(i)) {
			return
		}
	}
}

// sampleStates yields as many distinct states as limit says. Count is larger than that.
func (l *Losses) sampleStates(limit int, rng *rand.Rand, yield func(*FS) bool) {
	const patience = 32 // draws of a state that was there before
	seen := make(map[uint64]bool, limit)
	draw := func(i int) (int, []uint16) {
		switch i {
		case 0:
			return 0, l.extreme(0, false)
		case 1:
			return l.newest, l.extreme(l.newest, true)
		}
		return l.draw(rng)
	}
	misses := 0
	for i := 0; len(seen) < limit && misses < patience; i++ {
		n, digits := draw(i)
		if key := hash(n, digits); !seen[key] {
			seen[key] = true
			misses = 0
			if !yield(l.image(n, digits)) {
				return
			}
		} else {
			misses++
		}
	}
	l.walk(limit, seen, rng, yield)
}

// walk visits all states in a scattered order, and yields those that have not been seen. Where the draws are
// exhausted, the states are few enough for that.
func (l *Losses) walk(limit int, seen map[uint64]bool, rng *rand.Rand, yield func(*FS) bool) {
	if len(seen) >= limit || l.count == math.MaxUint64 {
		return
	}
	stride := rng.Uint64N(l.count) | 1
	for gcd(stride, l.count) != 1 {
		stride += 2
	}
	stride %= l.count
	at := rng.Uint64N(l.count)
	for range l.count {
		n, digits := l.digits(at)
		if key := hash(n, digits); !seen[key] {
			seen[key] = true
			if !yield(l.image(n, digits)) || len(seen) >= limit {
				return
			}
		}
		if at += stride; at >= l.count || at < stride {
			at -= l.count
		}
	}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Sample draws a state. Crashes that leave most of what was written, or little, or what was written first,
// are likelier than they would be among all.
func (l *Losses) Sample(rng *rand.Rand) *FS {
	n, digits := l.draw(rng)
	return l.image(n, digits)
}

// extreme is the state of a space in which nothing is lost of its files, or all.
func (l *Losses) extreme(n int, newest bool) (digits []uint16) {
	for _, p := range l.spaces[n].files {
		if p.count == 1 {
			continue
		}
		length := 0
		if newest {
			length = p.newest
		}
		digits = append(digits, uint16(length))
		for _, s := range p.lengths[length].sectors {
			digits = append(digits, s.favourite(newest))
		}
	}
	return digits
}

// favourite is the number of the outcome that is old, or newest.
func (s *sectorPlan) favourite(newest bool) uint16 {
	if newest {
		for i, c := range s.outcomes {
			if c.outcome&Newest != 0 {
				return uint16(i)
			}
		}
	}
	return 0
}

func (l *Losses) draw(rng *rand.Rand) (n int, digits []uint16) {
	switch rng.IntN(4) {
	case 0:
		n = 0
	case 1:
		n = l.newest
	default:
		n = rng.IntN(len(l.spaces))
	}
	for _, p := range l.spaces[n].files {
		if p.count > 1 {
			digits = p.draw(rng, digits)
		}
	}
	return n, digits
}

// draw appends the digits of a file. There are four styles: any outcome for each sector, or most are old, or
// most are newest, or the first are newest and the rest are old. In the last three a sector now and then is
// something else.
func (p *filePlan) draw(rng *rand.Rand, digits []uint16) []uint16 {
	length := p.newest
	if rng.IntN(2) == 0 {
		length = rng.IntN(len(p.lengths))
	}
	digits = append(digits, uint16(length))
	sectors := p.lengths[length].sectors
	style, newest := rng.IntN(4), 0
	switch style {
	case 2:
		newest = len(sectors)
	case 3:
		newest = rng.IntN(len(sectors) + 1)
	}
	for i := range sectors {
		s := &sectors[i]
		digit := s.favourite(i < newest)
		if style == 0 || rng.IntN(len(sectors)+1) == 0 {
			digit = uint16(rng.IntN(len(s.outcomes)))
		}
		digits = append(digits, digit)
	}
	return digits
}

// hash is FNV-1a.
func hash(n int, digits []uint16) uint64 {
	const prime = 1099511628211
	h := (uint64(14695981039346656037) ^ uint64(n)) * prime
	for _, d := range digits {
		h = (h ^ uint64(d)) * prime
	}
	return h
}
