package simfs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/raftactor/persist/internal/vfs"
)

// names are the distinct sets of names that a power loss may leave.
func names(f *FS) []string {
	var all []string
	for image := range f.CrashStates(1<<20, nil) {
		var names []string
		for _, file := range image.Files() {
			names = append(names, file.Name)
		}
		all = append(all, strings.Join(names, " "))
	}
	slices.Sort(all)
	return all
}

func wantNames(t *testing.T, f *FS, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := names(f); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALostCreationLosesTheFileThoughItWasSynced(t *testing.T) {
	f := New()
	file := create(t, f, "a")
	write(t, file, fill("a", 1), 0)
	noError(t, file.Sync())
	wantStates(t, f, "a", "none", "|a")
	noError(t, f.SyncDir("."))
	wantStates(t, f, "a", "|a")
}

func TestAnUnsyncedRenameMayBeLostAndIsAtomic(t *testing.T) {
	f := New()
	durableFile(t, f, "a", "a")
	durableFile(t, f, "b", "b")
	noError(t, f.Rename("a", "b"))
	wantNames(t, f, "a b", "b")
	noError(t, f.SyncDir("."))
	wantNames(t, f, "b")
	if got := string(f.Content("b")); got != "a" {
		t.Errorf("b holds %q", got)
	}
}

func TestAnUnsyncedRemovalMayBeLost(t *testing.T) {
	f := New()
	durableFile(t, f, "a", fill("a", 1))
	noError(t, f.Remove("a"))
	wantStates(t, f, "a", "|a", "none")
	noError(t, f.SyncDir("."))
	wantStates(t, f, "a", "none")
}

func TestOperationsOnOtherNamesAreLostIndependently(t *testing.T) {
	f := New()
	create(t, f, "a")
	create(t, f, "b")
	create(t, f, "c")
	wantNames(t, f, "", "a", "b", "c", "a b", "a c", "b c", "a b c")
}

func TestOperationsOnOneNameKeepTheirOrder(t *testing.T) {
	f := New()
	create(t, f, "tmp")
	noError(t, f.Rename("tmp", "a"))
	noError(t, f.Rename("a", "b"))
	wantNames(t, f, "", "tmp", "a", "b")
}

func TestARemovalAfterACreationLeavesNothingNew(t *testing.T) {
	f := New()
	create(t, f, "a")
	noError(t, f.Remove("a"))
	wantNames(t, f, "", "a")
}

func TestSyncDirConcernsOneDirectory(t *testing.T) {
	f := New()
	noError(t, f.MkdirAll("x"))
	create(t, f, "x/a")
	create(t, f, "b")
	noError(t, f.SyncDir("x"))
	wantNames(t, f, "x/a", "b x/a")
}

func TestARenameAcrossDirectoriesIsDurableWithEither(t *testing.T) {
	for _, dir := range []string{"x", "y"} {
		f := New()
		noError(t, f.MkdirAll("x"))
		noError(t, f.MkdirAll("y"))
		create(t, f, "x/a")
		noError(t, f.Rename("x/a", "y/a"))
		noError(t, f.SyncDir(dir))
		wantNames(t, f, "y/a")
	}
}

func TestManyLostOperationsAreBounded(t *testing.T) {
	f := New()
	for i := range 40 {
		create(t, f, fmt.Sprintf("%02d", i))
	}
	l := f.Losses()
	if l.Exact() || l.Count() != namespacesMax {
		t.Errorf("%d states, exact %v", l.Count(), l.Exact())
	}
	if n := len(l.State(0).Files()); n != 0 {
		t.Errorf("state 0 has %d files", n)
	}
}

func TestDirectoriesAreDurable(t *testing.T) {
	f := New()
	noError(t, f.MkdirAll("x/y/z"))
	image := f.PowerLoss(Choice{})
	got, err := image.ReadDir("x/y")
	if err != nil || !slices.Equal(got, []string{"z"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestReadDirIsSorted(t *testing.T) {
	f := New()
	noError(t, f.MkdirAll("x/m"))
	for _, name := range []string{"x/z", "x/a", "x/n", "x/m/inner", "outer"} {
		create(t, f, name)
	}
	got, err := f.ReadDir("x")
	if want := []string{"a", "m", "n", "z"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestNamesThatDoNotFitAreErrors(t *testing.T) {
	f := New()
	noError(t, f.MkdirAll("dir"))
	create(t, f, "file")
	second := func(_ any, err error) error { return err }
	tests := map[string]struct{ got, want error }{
		"create existing":         {second(f.Create("file")), fs.ErrExist},
		"create a directory":      {second(f.Create("dir")), fs.ErrExist},
		"create in none":          {second(f.Create("none/a")), fs.ErrNotExist},
		"create in a file":        {second(f.Create("file/a")), syscall.ENOTDIR},
		"open none":               {second(f.Open("none")), fs.ErrNotExist},
		"open none writable":      {second(f.OpenWritable("none")), fs.ErrNotExist},
		"open a directory":        {second(f.OpenWritable("dir")), syscall.EISDIR},
		"open in a file":          {second(f.Open("file/a")), syscall.ENOTDIR},
		"rename none":             {f.Rename("none", "b"), fs.ErrNotExist},
		"rename to none":          {f.Rename("file", "none/b"), fs.ErrNotExist},
		"rename onto a directory": {f.Rename("file", "dir"), fs.ErrExist},
		"remove none":             {f.Remove("none"), fs.ErrNotExist},
		"remove a directory":      {f.Remove("dir"), syscall.EISDIR},
		"list none":               {second(f.ReadDir("none")), fs.ErrNotExist},
		"list a file":             {second(f.ReadDir("file")), syscall.ENOTDIR},
		"sync none":               {f.SyncDir("none"), fs.ErrNotExist},
		"make a file":             {f.MkdirAll("file"), fs.ErrExist},
		"make in a file":          {f.MkdirAll("file/a"), syscall.ENOTDIR},
		"lock in none":            {second(f.Lock("none/a")), fs.ErrNotExist},
	}
	for name, test := range tests {
		var path *fs.PathError
		if !errors.Is(test.got, test.want) || !errors.As(test.got, &path) {
			t.Errorf("%s: got %v, want %v in a PathError", name, test.got, test.want)
		}
	}
}

func TestALockIsExclusiveUntilClosedOrCrashed(t *testing.T) {
	f := New()
	lock, err := f.Lock("LOCK")
	noError(t, err)
	if _, err := f.Lock("LOCK"); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("second: %v", err)
	}
	if _, err := f.Kill().Lock("LOCK"); err != nil {
		t.Errorf("after a kill: %v", err)
	}
	if _, err := f.PowerLoss(Choice{}).Lock("LOCK"); err != nil {
		t.Errorf("after a power loss: %v", err)
	}
	noError(t, lock.Close())
	if _, err := f.Lock("LOCK"); err != nil {
		t.Errorf("after Close: %v", err)
	}
}
