package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// windowBytes is how much is read at once.
const windowBytes = 1 << 20

// A window reads a file from front to back in large pieces. It takes as much memory as the largest piece that
// was asked for, or ahead.
type window struct {
	file vfs.File
	name string
	size int64
	// ahead is how much is read at once: windowBytes, or less of a file of which no more is needed.
	ahead int64
	// buf is what the file holds from start on.
	buf   []byte
	start int64
	// moved is told how far the file has been read. It may be nil.
	moved func(offset int64)
	read  int64
}

// windowBuffers has memory for windows, since there are many, one after the other.
var windowBuffers sync.Pool

func newWindow(file vfs.File, name string, size int64) *window {
	w := &window{file: file, name: name, size: min(size, math.MaxInt64-format.BlockBytes), ahead: windowBytes}
	if buf, ok := windowBuffers.Get().(*[]byte); ok {
		w.buf = (*buf)[:0]
	}
	return w
}

// close closes the file. What the window has returned is not valid any more.
func (w *window) close() {
	w.file.Close()
	windowBuffers.Put(&w.buf)
}

// bytes returns what is at an offset: n bytes, or less at the end of the file. It is valid until the next call.
func (w *window) bytes(offset, n int64) ([]byte, error) {
	n = min(n, w.size-offset)
	if n <= 0 {
		return nil, nil
	}
	if offset < w.start || offset+n > w.start+int64(len(w.buf)) {
		if err := w.fill(offset, n); err != nil {
			return nil, err
		}
		n = min(n, w.size-offset)
	}
	at := offset - w.start
	return w.buf[at : at+n : at+n], nil
}

// fill moves the window to an offset, and keeps what it has of there.
func (w *window) fill(offset, n int64) error {
	want := min(max(n, w.ahead), w.size-offset)
	var kept []byte
	if end := w.start + int64(len(w.buf)); offset >= w.start && offset < end {
		kept = w.buf[offset-w.start:]
	}
	if int64(cap(w.buf)) < want {
		w.buf = make([]byte, want)
	}
	w.buf = w.buf[:want]
	have := copy(w.buf, kept)
	w.start = offset
	read, err := w.file.ReadAt(w.buf[have:], offset+int64(have))
	w.read += int64(read)
	w.buf = w.buf[:have+read]
	switch {
	case int64(len(w.buf)) == want:
	case errors.Is(err, io.EOF): // it has become shorter
		w.size = offset + int64(len(w.buf))
	default:
		if err == nil {
			err = io.ErrNoProgress
		}
		return &readError{w.name, offset + int64(len(w.buf)), err}
	}
	if w.moved != nil {
		w.moved(offset + want)
	}
	return nil
}

// A readError says where a file could not be read. It says nothing of what is there.
type readError struct {
	file   string // with its directory
	offset int64
	err    error
}

func (e *readError) Error() string {
	return fmt.Sprintf("persist: %s cannot be read at offset %d: %v", e.file, e.offset, e.err)
}

func (e *readError) Unwrap() error { return e.err }

// blocks shows all blocks from an offset on, until visit returns true.
func (w *window) blocks(from int64, visit func(offset int64, block []byte) bool) error {
	for offset := from; offset < w.size; offset += windowBytes {
		piece, err := w.bytes(offset, windowBytes)
		if err != nil {
			return err
		}
		for at := 0; at < len(piece); at += format.BlockBytes {
			if visit(offset+int64(at), piece[at:min(at+format.BlockBytes, len(piece))]) {
				return nil
			}
		}
	}
	return nil
}

// isZero reports whether all bytes of what is at most a block are zero.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }
