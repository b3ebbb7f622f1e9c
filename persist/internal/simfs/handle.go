package simfs

import (
	"io/fs"
	"syscall"
)

// A handle is an open file.
type handle struct {
	fs       *FS
	id       uint64
	name     string
	writable bool
	lock     bool
	closed   bool // guarded by fs.mu
}

// handle opens a file.
func (f *FS) handle(id uint64, name string, writable bool) *handle {
	if f.open == nil {
		f.open = map[uint64]int{}
	}
	f.open[id]++
	return &handle{fs: f, id: id, name: name, writable: writable}
}

// check says why an operation is impossible.
func (h *handle) check(op Op, writes bool) error {
	switch {
	case h.closed:
		return op.err(fs.ErrClosed)
	case op.Offset < 0 || op.Kind == Truncate && (op.Length < 0 || !h.writable):
		return op.err(syscall.EINVAL)
	case writes && !h.writable:
		return op.err(syscall.EBADF)
	}
	return nil
}

func (h *handle) op(kind Kind, offset, length int64) Op {
	return Op{Kind: kind, Name: h.name, Offset: offset, Length: length, file: h.id}
}

// ReadAt implements io.ReaderAt.
func (h *handle) ReadAt(p []byte, offset int64) (int, error) {
	op := h.op(Read, offset, int64(len(p)))
	return h.fs.do(op, func(fault *Fault) (int, error) {
		if err := h.check(op, false); err != nil {
			return 0, err
		}
		if fault != nil {
			return 0, op.failed(fault)
		}
		return h.fs.file(h.id).readAt(p, offset)
	})
}

// WriteAt implements io.WriterAt.
func (h *handle) WriteAt(p []byte, offset int64) (int, error) {
	op := h.op(Write, offset, int64(len(p)))
	op.Data = p
	return h.fs.do(op, func(fault *Fault) (int, error) {
		if err := h.check(op, true); err != nil {
			return 0, err
		}
		file := h.fs.writable(h.id)
		n, err := len(p), error(nil)
		if fault != nil {
			n, err = min(fault.Written, n), op.failed(fault)
		}
		if room := h.fs.room(file, offset); room < int64(n) {
			n, err = int(room), op.err(syscall.ENOSPC)
		}
		file.writeAt(p[:n], offset)
		return n, err
	})
}

// room is how many bytes can be written at an offset.
func (f *FS) room(file *file, offset int64) int64 {
	const unlimited = 1 << 62
	if f.limit == 0 {
		return unlimited
	}
	return max(file.size+max(f.limit-f.used(), 0)-offset, 0)
}

// Truncate implements [vfs.File].
func (h *handle) Truncate(size int64) error {
	op := h.op(Truncate, 0, size)
	_, err := h.fs.do(op, func(fault *Fault) (int, error) {
		if err := h.check(op, true); err != nil {
			return 0, err
		}
		if fault != nil {
			return 0, op.failed(fault)
		}
		file := h.fs.writable(h.id)
		if size > file.size && h.fs.room(file, 0) < size {
			return 0, op.err(syscall.ENOSPC)
		}
		file.truncate(size)
		return 0, nil
	})
	return err
}

// Sync implements [vfs.File].
func (h *handle) Sync() error {
	op := h.op(Sync, 0, 0)
	_, err := h.fs.do(op, func(fault *Fault) (int, error) {
		if err := h.check(op, false); err != nil {
			return 0, err
		}
		file := h.fs.writable(h.id)
		switch {
		case fault == nil:
			file.sync()
		case !fault.Lie:
			file.failSync()
			return 0, op.failed(fault)
		}
		return 0, nil
	})
	return err
}

// Size implements [vfs.File].
func (h *handle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return 0, &fs.PathError{Op: "size", Path: h.name, Err: fs.ErrClosed}
	}
	return h.fs.file(h.id).size, nil
}

// Close implements io.Closer.
func (h *handle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return &fs.PathError{Op: "close", Path: h.name, Err: fs.ErrClosed}
	}
	h.closed = true
	h.fs.open[h.id]--
	if h.lock {
		delete(h.fs.locked, h.id)
	}
	return nil
}
