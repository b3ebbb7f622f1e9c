package simfs

import (
	"io/fs"
)

// Content is a copy of what reads of a file see, or nil if there is no such file.
func (f *FS) Content(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, ok := f.names.lookup(clean(name))
	if !ok {
		return nil
	}
	file := f.file(id)
	content := make([]byte, file.size)
	_, _ = file.readAt(content, 0) // the range is that of the file
	return content
}

// Flip inverts one bit of a file, in the page cache and on the disk.
func (f *FS) Flip(name string, offset int64, bit int) error {
	return f.damage(name, offset, 1, func(at int64, s *sector) { s[at] ^= 1 << bit })
}

// Zero puts zeros into a file, in the page cache and on the disk.
func (f *FS) Zero(name string, offset, length int64) error {
	return f.damage(name, offset, length, func(at int64, s *sector) { s[at] = 0 })
}

// damage changes bytes of a file behind its back: whatever a sector may turn out to be is damaged.
func (f *FS) damage(name string, offset, length int64, spoil func(at int64, s *sector)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = clean(name)
	id, ok := f.names.lookup(name)
	if !ok {
		return &fs.PathError{Op: "damage", Path: name, Err: fs.ErrNotExist}
	}
	file := f.writable(id)
	if offset < 0 || length < 0 || offset+length > file.size {
		return &fs.PathError{Op: "damage", Path: name, Err: fs.ErrInvalid}
	}
	for at := offset; at < offset+length; {
		i := at / SectorBytes
		from, to := at%SectorBytes, min(offset+length-i*SectorBytes, SectorBytes)
		file.replace(i, func(s *sector) *sector {
			spoiled := new(sector)
			copy(spoiled[:], s.bytes())
			for b := from; b < to; b++ {
				spoil(b, spoiled)
			}
			return spoiled.orNil()
		})
		at = i*SectorBytes + to
	}
	return nil
}

// replace changes all that a sector is and may turn out to be.
func (f *file) replace(i int64, by func(*sector) *sector) {
	f.setSector(i, by(f.sector(i)))
	at, unsynced := f.find(i)
	if !unsynced {
		return
	}
	u := &f.unsynced[at]
	u.old = by(u.old)
	changes := make([]change, len(u.changes))
	for j, c := range u.changes {
		c.data = by(c.data)
		changes[j] = c
	}
	u.changes = changes
}
