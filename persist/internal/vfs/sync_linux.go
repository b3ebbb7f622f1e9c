package vfs

import (
	"os"
	"syscall"
)

// datasync syncs the content and what is needed to find it, and spares the times of the file. A file that is
// closed meanwhile keeps its descriptor until that is done.
func datasync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var synced error
	err = conn.Control(func(fd uintptr) {
		for {
			if synced = syscall.Fdatasync(int(fd)); synced != syscall.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: os.ErrClosed}
	case synced != nil:
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: synced}
	}
	return nil
}
