package vfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/raftactor/persist/internal/simfs"
	"example.com/raftactor/persist/internal/vfs"
)

// An actor does what it is told on one file system, and says what it sees.
type actor struct {
	fs    vfs.FS
	dir   string
	files []vfs.File
	locks []io.Closer
}

// class is what two file systems must agree on in an error.
func class(err error) string {
	for _, known := range []error{
		fs.ErrNotExist, fs.ErrExist, fs.ErrClosed, vfs.ErrLocked, io.EOF, syscall.ENOTDIR, syscall.EISDIR, syscall.EINVAL, syscall.EBADF,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "an error"
	}
	return "ok"
}

// act carries out one operation. What it does follows from rng alone.
func (a *actor) act(rng *rand.Rand) (what, seen string) {
	names := []string{"a", "b", "c", "sub/a", "sub/b", "none/a", "a/b"}
	name, to := names[rng.IntN(len(names))], names[rng.IntN(len(names))]
	path := filepath.Join(a.dir, name)
	offset, length := rng.Int64N(3000), 1+rng.IntN(2000)
	kind, pick := rng.IntN(16), rng.IntN(1<<30)
	what = fmt.Sprintf("%d %s %s %d %d", kind, name, to, offset, length)
	opened := func(file vfs.File, err error) string {
		if err == nil {
			a.files = append(a.files, file)
		}
		return class(err)
	}
	switch kind {
	case 0, 1:
		return what, opened(a.fs.Create(path))
	case 2:
		return what, opened(a.fs.OpenWritable(path))
	case 3:
		return what, opened(a.fs.Open(path))
	case 4:
		return what, class(a.fs.Rename(path, filepath.Join(a.dir, to)))
	case 5:
		return what, class(a.fs.Remove(path))
	case 6:
		list, err := a.fs.ReadDir(filepath.Dir(path))
		return what, fmt.Sprint(list, class(err))
	case 7:
		if name == "a/b" {
			return what, "the system syncs a file as well"
		}
		return what, class(a.fs.SyncDir(filepath.Dir(path)))
	case 8:
		return what, a.lock(path, pick)
	}
	if len(a.files) == 0 {
		return what, "nothing is open"
	}
	return what, onFile(a.files[pick%len(a.files)], kind, offset, length)
}

func (a *actor) lock(path string, pick int) string {
	if pick%2 == 0 && len(a.locks) > 0 {
		return class(a.locks[pick/2%len(a.locks)].Close())
	}
	lock, err := a.fs.Lock(path)
	if err == nil {
		a.locks = append(a.locks, lock)
	}
	return class(err)
}

func onFile(file vfs.File, kind int, offset int64, length int) string {
	switch kind {
	case 9, 10, 11:
		n, err := file.WriteAt([]byte(strings.Repeat(string(rune('a'+length%26)), length)), offset)
		return fmt.Sprint(n, class(err))
	case 12, 13:
		p := make([]byte, length)
		n, err := file.ReadAt(p, offset-10)
		if offset < 10 {
			return fmt.Sprint(n, err != nil)
		}
		return fmt.Sprintf("%q %s", p[:n], class(err))
	case 14:
		size, sizeErr := file.Size()
		return fmt.Sprint(class(file.Truncate(offset)), size, class(sizeErr))
	default:
		if length%3 == 0 {
			return class(file.Close())
		}
		return class(file.Sync())
	}
}

func TestTheSimulationAndTheSystemAgree(t *testing.T) {
	for seed := range uint64(30) {
		real := &actor{fs: vfs.OS{}, dir: t.TempDir()}
		simulated := &actor{fs: simfs.New(), dir: "/store"}
		for _, a := range []*actor{real, simulated} {
			noError(t, a.fs.MkdirAll(filepath.Join(a.dir, "sub")))
		}
		one, two := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 1))
		for step := range 150 {
			what, want := real.act(one)
			if _, got := simulated.act(two); got != want {
				t.Fatalf("seed %d, step %d: %s\nsimulated: %s\nsystem:    %s", seed, step, what, got, want)
			}
		}
		compareContent(t, seed, real.dir, simulated)
		for _, file := range real.files {
			file.Close() // some are closed already
		}
		for _, lock := range real.locks {
			lock.Close() // some are closed already
		}
	}
}

// compareContent compares all files in the end.
func compareContent(t *testing.T, seed uint64, dir string, simulated *actor) {
	t.Helper()
	files := simulated.fs.(*simfs.FS).Files()
	for _, file := range files {
		name := strings.TrimPrefix(file.Name, simulated.dir)
		want, err := os.ReadFile(dir + name)
		noError(t, err)
		if got := simulated.fs.(*simfs.FS).Content(file.Name); string(got) != string(want) {
			t.Errorf("seed %d: %s differs in the end", seed, name)
		}
	}
}
