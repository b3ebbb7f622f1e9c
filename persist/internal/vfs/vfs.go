package vfs

import (
	"errors"
	"io"
)

// ErrLocked is what [FS.Lock] returns for a lock that somebody else holds.
var ErrLocked = errors.New("locked by another process")

// An FS is a file system. It is safe for concurrent use. Errors are those of package os, so that [errors.Is]
// tells fs.ErrNotExist and the like.
type FS interface {
	// MkdirAll makes a directory, with those above it, for the user only. What it makes is durable.
	MkdirAll(dir string) error
	// Create makes a file for reading and writing, for the user only. It is an error if it exists.
	Create(name string) (File, error)
	// OpenWritable opens a file for reading and writing.
	OpenWritable(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Rename gives a file another name, in place of a file that has it.
	Rename(old, new string) error
	// Remove takes the name off a file. Who has it open goes on using it.
	Remove(name string) error
	// ReadDir lists the names in a directory, in order.
	ReadDir(dir string) ([]string, error)
	// SyncDir makes durable what has been created, renamed and removed in a directory.
	SyncDir(dir string) error
	// Lock makes a file, if there is none, and holds a lock on it until it is closed or the process
	// ends. It does not wait: see [ErrLocked].
	Lock(name string) (io.Closer, error)
	// BootID changes whenever the machine starts. It is empty where that cannot be told.
	BootID() string
}

// A File is an open file. Reads may be concurrent.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
	// Truncate sets the length. What is added reads as zeros.
	Truncate(size int64) error
	// Sync makes the content durable, and the length, but not the name.
	Sync() error
}
