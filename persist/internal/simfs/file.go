package simfs

import (
	"bytes"
	"io"
	"slices"
)

// A file is the content of one file, whatever its name. Only the image that owns it may change it.
type file struct {
	owner uint64
	id    uint64
	// size and chunks are the volatile content: what reads see. A nil chunk is one of zeros.
	// Invariant: whatever lies behind size is zero.
	size   int64
	chunks []*chunk
	// unsynced are the sectors that are not durable as they are, by index. All others are.
	unsynced []unsyncedSector
	// lengths are the durable length and all those since, the last of which is size. Nil if size is durable.
	lengths []int64
	// lengthClean says that a sync has failed since the last change of the length.
	lengthClean bool
}

// own is a copy of the file that owner may change.
func (f *file) own(owner uint64) *file {
	c := *f
	c.owner = owner
	c.chunks = slices.Clone(f.chunks)
	c.lengths = slices.Clone(f.lengths)
	c.unsynced = slices.Clone(f.unsynced)
	for i := range c.unsynced {
		// Whoever appends to what is shared gets a copy.
		c.unsynced[i].changes = slices.Clip(c.unsynced[i].changes)
	}
	return &c
}

// sector is a sector of the volatile content.
func (f *file) sector(i int64) *sector {
	n := i / chunkSectors
	if n >= int64(len(f.chunks)) || f.chunks[n] == nil {
		return nil
	}
	return f.chunks[n].sectors[i%chunkSectors]
}

// setSector puts a sector into the volatile content.
func (f *file) setSector(i int64, s *sector) {
	n := int(i / chunkSectors)
	if n >= len(f.chunks) {
		if s == nil {
			return
		}
		f.chunks = append(f.chunks, make([]*chunk, n+1-len(f.chunks))...)
	}
	c := f.chunks[n]
	switch {
	case c == nil && s == nil:
		return
	case c == nil:
		c = &chunk{owner: f.owner}
	case c.owner != f.owner:
		c = &chunk{owner: f.owner, sectors: c.sectors}
	}
	f.chunks[n] = c
	c.sectors[i%chunkSectors] = s
}

// readAt is what io.ReaderAt asks for, of the volatile content.
func (f *file) readAt(p []byte, offset int64) (n int, err error) {
	if left := f.size - offset; len(p) > 0 && int64(len(p)) > left {
		p, err = p[:max(left, 0)], io.EOF
	}
	for n < len(p) {
		at := offset + int64(n)
		n += copy(p[n:], f.sector(at / SectorBytes).bytes()[at%SectorBytes:])
	}
	return n, err
}

// writeAt writes to the page cache.
func (f *file) writeAt(p []byte, offset int64) {
	if len(p) == 0 {
		return
	}
	end := offset + int64(len(p))
	if end > f.size {
		f.setLength(end)
	}
	first, last := offset/SectorBytes, (end-1)/SectorBytes
	changes := make([]change, last-first+1)
	f.unsynced = slices.Grow(f.unsynced, len(changes))
	for i := first; i <= last; i++ {
		c := change{written: true, keep: SectorBytes}
		from := max(offset-i*SectorBytes, 0)
		whole := from == 0 && len(p) >= SectorBytes
		if whole && bytes.Equal(p[:SectorBytes], zeroSector[:]) {
			p = p[SectorBytes:]
		} else {
			s := new(sector)
			if !whole {
				copy(s[:], f.sector(i).bytes())
			}
			p = p[copy(s[from:], p):]
			c.data = s.orNil()
		}
		f.change(i, c, changes[i-first:i-first:i-first+1])
	}
}

// truncate sets the length. It is a change of metadata: it tears nothing.
func (f *file) truncate(size int64) {
	if size == f.size {
		return
	}
	before := f.size
	f.setLength(size)
	if size > before {
		return
	}
	for i := size / SectorBytes; i*SectorBytes < before; i++ {
		s := f.sector(i)
		if _, unsynced := f.find(i); s == nil && !unsynced {
			continue
		}
		keep := int(max(size-i*SectorBytes, 0))
		f.change(i, change{data: s.cut(keep), keep: keep, length: len(f.lengths) - 1}, nil)
	}
	f.chunks = f.chunks[:min(int64(len(f.chunks)), chunksOf(size))]
}

// chunksOf is how many chunks hold a file of this size.
func chunksOf(size int64) int64 {
	const bytes = chunkSectors * SectorBytes
	return (size + bytes - 1) / bytes
}

func (f *file) setLength(size int64) {
	if f.lengths == nil {
		f.lengths = append(f.lengths, f.size)
	}
	f.lengths = append(f.lengths, size)
	f.lengthClean = false
	f.size = size
}

// sync makes durable what counts as dirty, and leaves what a failed sync has marked as clean.
func (f *file) sync() {
	if !f.dirty() {
		return
	}
	f.lengths, f.lengthClean = nil, false
	f.unsynced = slices.DeleteFunc(f.unsynced, func(u unsyncedSector) bool { return !u.clean })
	for i := range f.unsynced {
		f.unsynced[i].settle()
	}
	if len(f.unsynced) == 0 {
		f.unsynced = nil
	}
}

// dirty reports whether a sync has anything to do.
func (f *file) dirty() bool {
	if f.lengths != nil && !f.lengthClean {
		return true
	}
	return slices.ContainsFunc(f.unsynced, func(u unsyncedSector) bool { return !u.clean })
}

// failSync marks all as clean and makes nothing durable.
func (f *file) failSync() {
	for i := range f.unsynced {
		f.unsynced[i].clean = true
	}
	f.lengthClean = true
}
