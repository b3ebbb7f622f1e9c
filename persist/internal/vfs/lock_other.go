//go:build !unix

package vfs

import (
	"errors"
	"os"
)

// lock refuses: two stores on one directory would destroy it.
func lock(f *os.File) error {
	return &os.PathError{Op: "lock", Path: f.Name(), Err: errors.ErrUnsupported}
}
