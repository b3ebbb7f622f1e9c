package snapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"example.com/raftactor/persist/internal/vfs"
)

var errFinished = errors.New("the file is complete: nothing can be added to it")

// A Writer writes a file, from the header to the footer. It is not safe for concurrent use. An error is final:
// the file is of no use then.
type Writer struct {
	file vfs.File
	salt uint64
	// at is where the chunk goes that is being filled.
	at int64
	// frame is that chunk, with its checksum in front.
	frame []byte
	// size is the length of the state in the chunks in front of it.
	size int64
	err  error
}

var _ io.Writer = (*Writer)(nil)

// NewWriter writes the header to an empty file. The file stays the caller's, who syncs and closes it.
func NewWriter(file vfs.File, h Header) (*Writer, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	header := h.append(nil)
	if _, err := file.WriteAt(header, 0); err != nil {
		return nil, err
	}
	return &Writer{
		file: file, salt: h.Salt, at: int64(len(header)),
		frame: make([]byte, checksumBytes, checksumBytes+ChunkBytes),
	}, nil
}

// Write adds to the state.
func (w *Writer) Write(p []byte) (int, error) {
	done := 0
	for w.err == nil && done < len(p) {
		n := min(len(p)-done, cap(w.frame)-len(w.frame))
		w.frame = append(w.frame, p[done:done+n]...)
		done += n
		if len(w.frame) == cap(w.frame) {
			w.flush()
		}
	}
	return done, w.err
}

// Written is how many bytes have been written to the file.
func (w *Writer) Written() int64 { return w.at }

// Finish completes the file. It is not synced.
func (w *Writer) Finish() error {
	if len(w.frame) > checksumBytes {
		w.flush()
	}
	if w.err != nil {
		return w.err
	}
	if err := w.write(appendFooter(nil, w.salt, w.size)); err != nil {
		return err
	}
	w.err = errFinished
	return nil
}

// flush writes the chunk that is being filled, and begins the next.
func (w *Writer) flush() {
	if w.err != nil {
		return
	}
	state := w.frame[checksumBytes:]
	binary.LittleEndian.PutUint32(w.frame, chunkChecksum(state, w.salt, w.size/ChunkBytes))
	if w.write(w.frame) == nil {
		w.size += int64(len(state))
		w.frame = w.frame[:checksumBytes]
	}
}

func (w *Writer) write(b []byte) error {
	n, err := w.file.WriteAt(b, w.at)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = fmt.Errorf("writing %d bytes at offset %d: %w", len(b), w.at, err)
		return w.err
	}
	w.at += int64(n)
	return nil
}
