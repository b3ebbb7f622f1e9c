package raft

import (
	"errors"
	"io"

	"example.com/raftactor/node"
)

// Core types that users meet.
type (
	// ID names a member within its group, from 1 up.
	ID = node.ID
	// Index is a position in the log, from 1 up.
	Index = node.Index
	// Term numbers periods of leadership.
	Term = node.Term
	// SnapshotMeta describes a snapshot.
	SnapshotMeta = node.SnapshotMeta
	// Entry is one slot of the log.
	Entry = node.Entry
	// Configuration is the set of members of a group.
	Configuration = node.Configuration
)

// Unlimited switches a limit of [Config] off where that is allowed.
const Unlimited = node.Unlimited

// ErrInUse is what a store returns for a member that is open already.
var ErrInUse = errors.New("raft: the member's storage is in use by another actor; stop that one first")

// A Store keeps the logs of the members of one actor system, and survives their actors. It is safe for
// concurrent use.
type Store interface {
	// Open hands out the storage of a member, new if there is none. A member that is open already, or
	// whose writes have not completed since it was closed, is [ErrInUse].
	Open(group string, id ID) (Storage, error)
}

// A Storage is what one member must not forget: a log and snapshots. But where said otherwise it is
// used by the raft actor only.
type Storage interface {
	// Log is what the node writes to.
	Log() node.Log
	// Sync makes durable what has been staged in the log. It returns true if that is done already.
	// Otherwise it returns at once and calls done with seq later, from any goroutine; done does not
	// block. An error is final.
	Sync(seq uint64, done func(seq uint64, err error)) bool
	// ReadEntries reads entries that the log does not have in memory: from lo on, up to but without hi,
	// one at least and no more than bytesMax unless it is one. None are no error if they have been released
	// meanwhile; an error is final. It may wait for a disk, and is called from other goroutines too.
	ReadEntries(lo, hi Index, bytesMax int) ([]Entry, error)
	// CreateSnapshot begins a new snapshot. It and what it returns are used by other goroutines.
	CreateSnapshot(meta SnapshotMeta) (SnapshotWriter, error)
	// OpenSnapshot opens a snapshot that is durable. It and what it returns are used by other
	// goroutines. The snapshot stays readable until it is closed, whatever replaces it.
	OpenSnapshot(meta SnapshotMeta) (SnapshotReader, error)
	// Close gives the storage back. What is staged and not synced may be lost.
	Close() error
}

// A SnapshotWriter takes the state of a snapshot.
type SnapshotWriter interface {
	io.Writer
	// Commit makes the snapshot durable and returns its handle. It does not replace an older one: that
	// is done by the log, when it is told to.
	Commit() (handle any, err error)
	// Abort drops what was written. It has no effect after Commit.
	Abort()
}

// A SnapshotReader reads the state of a snapshot.
type SnapshotReader interface {
	io.ReaderAt
	io.Closer
	// Size is the length of the state in bytes.
	Size() int64
}
