package persist

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/raftactor/persist/internal/vfs"
)

var errDisk = errors.New("the disk is gone")

// failingFS fails one of the calls that write. It records all of them.
type failingFS struct {
	vfs.OS
	calls  []string
	failAt int // counted from 1; 0: none
}

func (f *failingFS) call(name string) error {
	f.calls = append(f.calls, name)
	if len(f.calls) == f.failAt {
		return errDisk
	}
	return nil
}

func (f *failingFS) MkdirAll(dir string) error {
	return errors.Join(f.call("mkdir"), f.OS.MkdirAll(dir))
}

func (f *failingFS) Create(name string) (vfs.File, error) {
	if err := f.call("create"); err != nil {
		return nil, err
	}
	file, err := f.OS.Create(name)
	return failingFile{file, f}, err
}

func (f *failingFS) Rename(old, new string) error {
	if err := f.call("rename"); err != nil {
		return err
	}
	return f.OS.Rename(old, new)
}

func (f *failingFS) SyncDir(dir string) error {
	return errors.Join(f.call("syncdir"), f.OS.SyncDir(dir))
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.call("write"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f failingFile) Sync() error { return errors.Join(f.fs.call("sync"), f.File.Sync()) }

func (f failingFile) Close() error { return errors.Join(f.fs.call("close"), f.File.Close()) }

// writeSnapshot writes one, and aborts it as users do in any case.
func writeSnapshot(d *snapshotDir, size int) (handle any, err error) {
	w, err := d.create(snapshotOwner1, snapshotMeta(4))
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	_, writeErr := w.Write(someState(size))
	handle, err = w.Commit()
	if writeErr != nil && err == nil {
		return nil, errors.New("Commit succeeds after a write has failed")
	}
	return handle, err
}

func TestASnapshotIsNamedWhenItIsDurable(t *testing.T) {
	disk := &failingFS{}
	d := newSnapshotDir(disk, filepath.Join(t.TempDir(), "snapshots"), 99, nil)
	_, err := writeSnapshot(d, 70_000)
	mustDo(t, err)
	want := "mkdir create write write write write sync close rename syncdir"
	if got := strings.Join(disk.calls, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestALongSnapshotIsSyncedOnTheWay(t *testing.T) {
	disk := &failingFS{}
	d := newSnapshotDir(disk, filepath.Join(t.TempDir(), "snapshots"), 99, nil)
	d.syncBytes = 256 << 10
	_, err := writeSnapshot(d, 10*256<<10)
	mustDo(t, err)
	unsynced := 0
	for _, call := range disk.calls {
		switch call {
		case "write":
			unsynced++
		case "sync":
			unsynced = 0
		}
		if most := 2*256/64 + 1; unsynced > most {
			t.Fatalf("%d writes wait to be synced", unsynced)
		}
	}
}

// Whatever fails: the store is told, nobody gets a handle, and what is left is swept up.
func TestEveryFailureIsToldAndLeavesNoSnapshot(t *testing.T) {
	failed := 0
	for failAt := 1; ; failAt++ {
		disk := &failingFS{failAt: failAt}
		var told []error
		d := newSnapshotDir(disk, filepath.Join(t.TempDir(), "snapshots"), 99, func(err error) { told = append(told, err) })
		d.syncBytes = 256 << 10
		handle, err := writeSnapshot(d, 2*256<<10)
		if len(disk.calls) < failAt {
			mustDo(t, err)
			break
		}
		failed++
		what := disk.calls[failAt-1]
		if !errors.Is(err, errDisk) || handle != nil {
			t.Errorf("%s fails: %v, %v", what, handle, err)
		}
		if len(told) != 1 || !errors.Is(told[0], errDisk) {
			t.Errorf("%s fails: the store is told %v", what, told)
		}
		names, err := d.list()
		mustDo(t, err)
		left := slices.DeleteFunc(names, func(name string) bool { return what == "syncdir" && strings.HasSuffix(name, snapshotEnding) })
		if len(left) > 0 {
			t.Errorf("%s fails, and leaves %v", what, left)
		}
		mustDo(t, d.sweep(nil))
		if names, err := d.list(); err != nil || len(names) > 0 {
			t.Errorf("%s fails, and what is left is not swept up: %v, %v", what, names, err)
		}
	}
	if failed < 15 {
		t.Errorf("only %d failures", failed)
	}
}
