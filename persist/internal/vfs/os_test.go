package vfs_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/raftactor/persist/internal/vfs"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, name string) vfs.File {
	t.Helper()
	file, err := vfs.OS{}.Create(name)
	noError(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

func wantMode(t *testing.T, name string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	noError(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %v, want %v", name, got, want)
	}
}

func TestWhatIsMadeIsForTheUserOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	noError(t, vfs.OS{}.MkdirAll(dir))
	wantMode(t, dir, 0o700)
	wantMode(t, filepath.Dir(dir), 0o700)
	create(t, filepath.Join(dir, "file"))
	wantMode(t, filepath.Join(dir, "file"), 0o600)
	lock, err := vfs.OS{}.Lock(filepath.Join(dir, "LOCK"))
	noError(t, err)
	defer lock.Close()
	wantMode(t, filepath.Join(dir, "LOCK"), 0o600)
}

func TestMkdirAllTakesADirectoryThatIsThere(t *testing.T) {
	dir := t.TempDir()
	noError(t, vfs.OS{}.MkdirAll(dir+"/a/b/c/"))
	noError(t, vfs.OS{}.MkdirAll(dir+"/a/b/c"))
	noError(t, vfs.OS{}.MkdirAll("."))
	noError(t, vfs.OS{}.MkdirAll("/"))
}

func TestMkdirAllOverAFileNamesIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	create(t, name)
	tests := map[string]error{name: fs.ErrExist, name + "/below": syscall.ENOTDIR}
	for dir, want := range tests {
		if err := (vfs.OS{}).MkdirAll(dir); !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want %v and the name", dir, err, want)
		}
	}
}

func TestCreateRefusesWhatIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	file := create(t, name)
	_, err := file.WriteAt([]byte("content"), 0)
	noError(t, err)
	if _, err := (vfs.OS{}).Create(name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if size, err := file.Size(); size != 7 || err != nil {
		t.Errorf("size %d, %v: the file has been touched", size, err)
	}
}

func TestOpenTakesOnlyWhatIsThere(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for what, open := range map[string]func(string) (vfs.File, error){"Open": vfs.OS{}.Open, "OpenWritable": vfs.OS{}.OpenWritable} {
		if _, err := open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want %v", what, err, fs.ErrNotExist)
		}
	}
}

func TestALockExcludesUntilItIsClosed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := vfs.OS{}.Lock(name)
	noError(t, err)
	for range 2 { // an attempt that fails must not take the lock away
		if _, err := (vfs.OS{}).Lock(name); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("second: got %v, want %v", err, vfs.ErrLocked)
		}
	}
	noError(t, lock.Close())
	again, err := vfs.OS{}.Lock(name)
	noError(t, err)
	noError(t, again.Close())
}

func TestReadDirIsInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"c", "a", "10", "9", "B"} {
		create(t, filepath.Join(dir, name))
	}
	noError(t, vfs.OS{}.MkdirAll(filepath.Join(dir, "b")))
	got, err := vfs.OS{}.ReadDir(dir)
	if want := []string{"10", "9", "B", "a", "b", "c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := (vfs.OS{}).ReadDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

func TestTruncateSetsTheSize(t *testing.T) {
	file := create(t, filepath.Join(t.TempDir(), "file"))
	_, err := file.WriteAt([]byte("content"), 0)
	noError(t, err)
	for _, size := range []int64{3, 6, 0, 5000} {
		noError(t, file.Truncate(size))
		noError(t, file.Sync())
		if got, err := file.Size(); got != size || err != nil {
			t.Errorf("size %d, %v, want %d", got, err, size)
		}
		content := make([]byte, size)
		if n, err := file.ReadAt(content, 0); int64(n) != size || err != nil && err != io.EOF {
			t.Errorf("read %d, %v", n, err)
		}
		if want := "con"; size == 6 && string(content) != want+"\x00\x00\x00" {
			t.Errorf("got %q: what is added must read as zeros", content)
		}
	}
}

func TestSyncOfAClosedFileIsAnError(t *testing.T) {
	file := create(t, filepath.Join(t.TempDir(), "file"))
	noError(t, file.Sync())
	noError(t, file.Close())
	if err := file.Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v, want %v", err, fs.ErrClosed)
	}
}

func TestSyncDirOfNoneIsAnError(t *testing.T) {
	dir := t.TempDir()
	noError(t, vfs.OS{}.SyncDir(dir))
	if err := (vfs.OS{}).SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestAFileOutlivesItsName(t *testing.T) {
	dir := t.TempDir()
	a, b := create(t, filepath.Join(dir, "a")), create(t, filepath.Join(dir, "b"))
	noError(t, vfs.OS{}.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	noError(t, vfs.OS{}.Remove(filepath.Join(dir, "b")))
	for _, file := range []vfs.File{a, b} {
		_, err := file.WriteAt([]byte("x"), 0)
		noError(t, err)
	}
	if names, err := (vfs.OS{}).ReadDir(dir); len(names) != 0 || err != nil {
		t.Errorf("%v, %v are left", names, err)
	}
}

func TestTheBootIDStays(t *testing.T) {
	id := vfs.OS{}.BootID()
	if id != (vfs.OS{}).BootID() || id != strings.TrimSpace(id) {
		t.Errorf("got %q, then another", id)
	}
}
