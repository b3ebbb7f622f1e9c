package node

// rng is SplitMix64: small, fast, and the same on every platform.
type rng struct{ state uint64 }

// newRNG mixes seed and id, so that members whose seeds are a step of the generator apart do not draw
// the same numbers.
func newRNG(seed uint64, id ID) rng {
	r := rng{state: seed}
	r.state = r.next() ^ uint64(id)
	return r
}

func (r *rng) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// between returns a number from lo to hi, both included.
func (r *rng) between(lo, hi int) int {
	return lo + int(r.next()%uint64(hi-lo+1))
}
