package node

import (
	"errors"
	"io"
)

// ErrInUse is what a store returns for a member that is open already.
var ErrInUse = errors.New("raft: the member's storage is in use by another actor; stop that one first")

// A Storage is what one member must not forget, for the driver of its node: a log and snapshots. The core
// itself uses the log only. But where said otherwise it is used by the goroutine that steps the node.
type Storage interface {
	// Log is what the node writes to.
	Log() Log
	// Sync makes durable what has been staged in the log. It returns true if that is done already.
	// Otherwise it returns at once, without waiting for a disk, and calls done, from any goroutine and maybe before it
	// has returned, with seq or with that of a later Sync: one call may answer for several. done does not block. An
	// error is final.
	Sync(seq uint64, done func(seq uint64, err error)) bool
	// ReadEntries reads entries that the log does not have in memory: from lo on, up to but without hi,
	// one at least and no more than bytesMax unless it is one. None are no error if they have been released or
	// truncated meanwhile; an error is final. It may wait for a disk, and is called from other goroutines too.
	ReadEntries(lo, hi Index, bytesMax int) ([]Entry, error)
	// CreateSnapshot begins a new snapshot. It and what it returns are used by other goroutines.
	CreateSnapshot(meta SnapshotMeta) (SnapshotWriter, error)
	// OpenSnapshot opens a snapshot that is durable. It and what it returns are used by other
	// goroutines. The snapshot stays readable until it is closed, whatever replaces it.
	OpenSnapshot(meta SnapshotMeta) (SnapshotReader, error)
	// DropSnapshot gives back a snapshot that is durable and that the log has not been told of, and will not be. It
	// does not wait for a disk. What is neither dropped nor told of when the storage is closed, as by a crash, is
	// dropped by the store, at the latest when that is opened again.
	DropSnapshot(handle any)
	// OnReleaseWanted says whom to call, from any goroutine, when entries of this member that are long
	// durable keep files that nobody else needs: those up to and with through should be released
	// ([ReleaseEntries]). It is asked again while they still do, at every occasion; of wishes that come close together
	// the highest may be all that is heard of. want does not block.
	OnReleaseWanted(want func(through Index))
	// OnFailure says whom to call, from any goroutine, when nothing more can become durable: also a member that has
	// nothing on its way is to know. It may be called before OnFailure has returned, and beside the callbacks of syncs.
	// failed does not block.
	OnFailure(failed func(err error))
	// Stats says what the storage takes. It is safe to call from any goroutine, also when the storage is closed, and
	// does not wait for a disk.
	Stats() StorageStats
	// Close gives the storage back. What is staged and not synced may be lost. It does not wait for what is on its way
	// to the disk: the member can be opened again when that has arrived there.
	Close() error
}

// StorageStats is what the storage of one member takes.
type StorageStats struct {
	// PinnedBytes is the size of the files that the member's entries keep, but for the one that is being written.
	PinnedBytes int64
}

// A SnapshotWriter takes the state of a snapshot.
type SnapshotWriter interface {
	io.Writer
	// Commit makes the snapshot durable and returns its handle, which can be compared with ==. It does not replace an
	// older one: that is done by the log, when it is told to.
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
