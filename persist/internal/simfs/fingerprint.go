package simfs

import "hash/maphash"

// Fingerprint is a hash of all that reads see: names, lengths and content. File systems with the same content have the same
// one, for the same seed.
func (f *FS) Fingerprint(seed maphash.Seed) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := uint64(len(f.names))
	for _, e := range f.names {
		file := f.file(e.id)
		sum = mix(sum^maphash.String(seed, e.name)) + mix(uint64(file.size))
		for i, c := range file.chunks {
			if c != nil {
				sum += c.fingerprint(seed, sum, i)
			}
		}
	}
	return sum
}

// fingerprint is a hash of the sectors that are not zero, and of where they are: behind what has the hash before.
func (c *chunk) fingerprint(seed maphash.Seed, before uint64, n int) (sum uint64) {
	for i, s := range c.sectors {
		if s.orNil() != nil {
			sum += mix(maphash.Bytes(seed, s[:]) ^ mix(before+uint64(n*chunkSectors+i)))
		}
	}
	return sum
}
