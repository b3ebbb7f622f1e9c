package simfs

import (
	"bytes"
	"sync/atomic"
)

const (
	// SectorBytes is the unit that a disk writes as a whole, or tears.
	SectorBytes = 512
	// chunkSectors is how many sectors are copied when an image changes one of them.
	chunkSectors = 64
)

// A sector is never changed once it is part of a file, so images share it. A nil *sector is one of zeros.
type sector [SectorBytes]byte

// A chunk is a run of sectors. Only the image that owns it may change it.
type chunk struct {
	owner   uint64
	sectors [chunkSectors]*sector
}

var zeroSector sector

// owners numbers images. What belongs to an image is changed in place, all else is copied first.
// An image takes a new number when it shares what it has.
var owners atomic.Uint64

func newOwner() uint64 { return owners.Add(1) }

// bytes is the content. It must not be changed.
func (s *sector) bytes() []byte {
	if s == nil {
		return zeroSector[:]
	}
	return s[:]
}

// cut is the sector with zeros behind the first n bytes.
func (s *sector) cut(n int) *sector {
	switch {
	case s == nil || n <= 0:
		return nil
	case n >= SectorBytes || bytes.Equal(s[n:], zeroSector[n:]):
		return s
	case bytes.Equal(s[:n], zeroSector[:n]):
		return nil
	}
	c := new(sector)
	copy(c[:n], s[:n])
	return c
}

// orNil is the sector, or nil if it is all zeros.
func (s *sector) orNil() *sector {
	if s != nil && *s == zeroSector {
		return nil
	}
	return s
}

// flip is the sector with one bit inverted.
func (s *sector) flip(bit int) *sector {
	c := new(sector)
	copy(c[:], s.bytes())
	c[bit/8] ^= 1 << (bit % 8)
	return c.orNil()
}

func (s *sector) equal(other *sector) bool {
	return s == other || bytes.Equal(s.bytes(), other.bytes())
}

// garbage is a sector of pseudo-random bytes that follow from the seed.
func garbage(seed uint64) *sector {
	s := new(sector)
	for i := 0; i < SectorBytes; i += 8 {
		seed += 0x9e3779b97f4a7c15
		x := mix(seed)
		for j := range 8 {
			s[i+j] = byte(x >> (8 * j))
		}
	}
	return s
}

// mix is the output function of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
