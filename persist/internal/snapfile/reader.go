package snapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/vfs"
)

// A Reader reads a file. It is safe for concurrent use. Errors are [*Damage] for what does not match, and those
// of the file system.
type Reader struct {
	file        vfs.File
	header      Header
	headerBytes int64
	size        int64
	// last is the chunk that was read last, unless somebody uses it at the moment.
	last atomic.Pointer[chunk]
}

var _ node.SnapshotReader = (*Reader)(nil)

// chunk is a chunk in memory.
type chunk struct {
	// number is -1 for what has not been verified.
	number int64
	frame  []byte
}

func (c *chunk) state() []byte { return c.frame[checksumBytes:] }

// Open reads header and footer, and so knows that the file is complete. The chunks are verified when they are
// read. The file becomes the Reader's; after an error it is the caller's still.
func Open(file vfs.File) (*Reader, error) {
	fileBytes, err := file.Size()
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file}
	if err := r.openHeader(fileBytes); err != nil {
		return nil, err
	}
	var footer [footerBytes]byte
	if err := r.read(footer[:], fileBytes-footerBytes); err != nil {
		return nil, err
	}
	r.size, err = parseFooter(footer[:], r.header.Salt, r.headerBytes, fileBytes)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) openHeader(fileBytes int64) error {
	if fileBytes < fixedBytes+checksumBytes+footerBytes {
		return damaged(fileBytes, "the file ends here, and a snapshot is longer")
	}
	var prefix [prefixBytes]byte
	if err := r.read(prefix[:], 0); err != nil {
		return err
	}
	length, err := parsePrefix(prefix[:])
	if err != nil {
		return err
	}
	if length > fileBytes-footerBytes {
		return damaged(12, "a header of %d bytes has no room in a file of %d", length, fileBytes)
	}
	header := make([]byte, length)
	if err := r.read(header, 0); err != nil {
		return err
	}
	// The length is read again, from under the checksum now.
	if again, err := parsePrefix(header); err != nil || again != length {
		return damaged(0, "the header reads differently each time")
	}
	r.headerBytes = length
	r.header, err = parseHeader(header)
	return err
}

// read fills b from the file. Where the file ends before that, it has become shorter.
func (r *Reader) read(b []byte, at int64) error {
	n, err := r.file.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return damaged(at, "the file ends %d bytes behind here, and %d are missing", n, len(b)-n)
	default:
		return fmt.Errorf("reading %d bytes at offset %d: %w", len(b), at, err)
	}
}

// Header is the file's, with a handle of nil.
func (r *Reader) Header() Header { return r.header }

// Size is the length of the state in bytes.
func (r *Reader) Size() int64 { return r.size }

// ReadAt reads from the state, as an [io.ReaderAt] does. What it returns has been verified: of a damaged chunk
// it returns nothing.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading state at offset %d: it begins at 0", off)
	}
	done := 0
	for done < len(p) && off < r.size {
		c, err := r.chunk(off / ChunkBytes)
		if err != nil {
			return done, err
		}
		n := copy(p[done:], c.state()[off%ChunkBytes:])
		r.last.Store(c)
		done, off = done+n, off+int64(n)
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// chunk returns a chunk for the caller alone, who hands it on when it is done with it.
func (r *Reader) chunk(number int64) (*chunk, error) {
	c := r.last.Swap(nil)
	if c == nil {
		c = &chunk{number: -1, frame: make([]byte, checksumBytes+min(ChunkBytes, r.size))}
	}
	if c.number == number {
		return c, nil
	}
	c.number = -1
	at := chunkAt(r.headerBytes, number)
	c.frame = c.frame[:checksumBytes+min(ChunkBytes, r.size-number*ChunkBytes)]
	if err := r.read(c.frame, at); err != nil {
		return nil, err
	}
	if chunkChecksum(c.state(), r.header.Salt, number) != binary.LittleEndian.Uint32(c.frame) {
		return nil, damaged(at, "the checksum of chunk %d, of %d bytes of state, is wrong", number, len(c.state()))
	}
	c.number = number
	return c, nil
}

// Verify reads everything, and returns what is wrong first.
func (r *Reader) Verify() error {
	for number := range chunksOf(r.size) {
		c, err := r.chunk(number)
		if err != nil {
			return err
		}
		r.last.Store(c)
	}
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
