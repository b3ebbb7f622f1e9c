package vfs

import (
	"os"
	"runtime"
	"syscall"
)

// datasync syncs the content and what is needed to find it, and spares the times of the file.
func datasync(f *os.File) error {
	defer runtime.KeepAlive(f)
	for {
		switch err := syscall.Fdatasync(int(f.Fd())); err {
		case nil:
			return nil
		case syscall.EINTR:
		default:
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}
