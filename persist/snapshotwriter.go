package persist

import (
	"errors"
	"fmt"
	"path/filepath"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/snapfile"
	"example.com/raftactor/persist/internal/vfs"
)

// snapshotSyncBytes is how much of a snapshot may wait to be written back. Without a bound the machine would take
// more and more into memory, and then hold back all who write, the log too, until it is on the disk.
const snapshotSyncBytes = 8 << 20

var errSnapshotEnded = errors.New("persist: the snapshot has been committed or aborted")

// snapshotWriter writes a snapshot to a temporary file, which gets its name when it is durable. It is used by one
// goroutine at a time.
type snapshotWriter struct {
	dir *snapshotDir
	// name is the file's, without an ending.
	name  string
	file  vfs.File
	state *snapfile.Writer
	// synced is how much had been written when it was last synced.
	synced int64
	// err is the first error, and final.
	err error
	// ended: the file has been closed.
	ended bool
	// committed: it is durable under its final name.
	committed bool
}

// create begins a snapshot. Any number can be written at once, of one member and index too.
func (d *snapshotDir) create(owner snapshotOwner, meta node.SnapshotMeta) (node.SnapshotWriter, error) {
	h := snapfile.Header{
		StoreID: d.storeID, Salt: d.random(), Key: owner.Key, Group: owner.Group, Member: owner.ID, Meta: meta,
	}
	if err := h.Validate(); err != nil {
		return nil, fmt.Errorf("persist: creating a snapshot: %w", err)
	}
	if err := d.init(); err != nil {
		return nil, err
	}
	w := &snapshotWriter{dir: d, name: owner.name(meta.Index, d.random())}
	var err error
	if w.file, err = d.fs.Create(w.path(temporaryEnding)); err != nil {
		return nil, w.fail("creating the snapshot", err)
	}
	if w.state, err = snapfile.NewWriter(w.file, h); err != nil {
		w.Abort()
		return nil, w.fail("writing the snapshot", err)
	}
	return w, nil
}

func (w *snapshotWriter) path(ending string) string { return filepath.Join(w.dir.dir, w.name+ending) }

// fail notes an error, which is final.
func (w *snapshotWriter) fail(doing string, err error) error {
	w.err = w.dir.fail(doing, w.name+temporaryEnding, err)
	return w.err
}

// Write implements [node.SnapshotWriter].
func (w *snapshotWriter) Write(p []byte) (int, error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.ended:
		return 0, errSnapshotEnded
	}
	done := 0
	for done < len(p) {
		n, err := w.state.Write(p[done:min(int64(len(p)), int64(done)+w.dir.syncBytes)])
		done += n
		if err != nil {
			return done, w.fail("writing the snapshot", err)
		}
		if w.state.Written()-w.synced >= w.dir.syncBytes {
			if err := w.file.Sync(); err != nil {
				return done, w.fail("syncing the snapshot", err)
			}
			w.synced = w.state.Written()
		}
	}
	return done, nil
}

// Commit implements [node.SnapshotWriter]. Again it says what it said the first time.
func (w *snapshotWriter) Commit() (any, error) {
	switch {
	case w.committed:
		return w.name + snapshotEnding, nil
	case w.err != nil:
		w.Abort()
		return nil, w.err
	case w.ended:
		return nil, errSnapshotEnded
	}
	err := w.commit()
	if err != nil {
		w.Abort()
		return nil, err
	}
	w.committed = true
	return w.name + snapshotEnding, nil
}

func (w *snapshotWriter) commit() error {
	if err := w.state.Finish(); err != nil {
		return w.fail("writing the snapshot", err)
	}
	if err := w.file.Sync(); err != nil {
		return w.fail("syncing the snapshot", err)
	}
	w.ended = true
	if err := w.file.Close(); err != nil {
		return w.fail("closing the snapshot", err)
	}
	// From here on a crash leaves it under one of its names, and Open sweeps it up if no record tells of it.
	if err := w.dir.fs.Rename(w.path(temporaryEnding), w.path(snapshotEnding)); err != nil {
		return w.fail("renaming the snapshot", err)
	}
	if err := w.dir.fs.SyncDir(w.dir.dir); err != nil {
		return w.fail("syncing the directory of the snapshot", err)
	}
	return nil
}

// Abort implements [node.SnapshotWriter]. What cannot be removed is swept up when the store is opened.
func (w *snapshotWriter) Abort() {
	if w.committed {
		return
	}
	if !w.ended {
		w.ended = true
		w.file.Close()
	}
	_ = w.dir.unlink(w.name + temporaryEnding)
}
