package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist"
)

// makeStore is the directory of a closed store with the groups a and b.
func makeStore(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := persist.Open(dir, persist.Options{Logger: hclog.NewNullLogger(), SegmentBytes: 1 << 16})
	must(t, err)
	must(t, s.Claim("home"))
	for n, group := range []string{"a", "b"} {
		m, err := s.Open(group, node.ID(n+1))
		must(t, err)
		must(t, m.Log().SetHardState(node.HardState{Term: 5, Vote: 1}))
		for i := node.Index(1); i <= 8; i++ {
			data := strings.Repeat("secret", int(i)*100)
			must(t, m.Log().Append([]node.Entry{{Index: i, Term: 5, Kind: node.EntryCommand, Data: []byte(data)}}))
			done := make(chan error, 1)
			if !m.Sync(uint64(i), func(_ uint64, err error) { done <- err }) {
				must(t, <-done)
			}
		}
		must(t, m.Close())
	}
	must(t, s.Close())
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ctl(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// spoil inverts a bit in the entries of a store, and returns the name of the file.
func spoil(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	must(t, err)
	data, err := os.ReadFile(names[0])
	must(t, err)
	at := bytes.Index(data, []byte("secretsecret"))
	data[at] ^= 1
	must(t, os.WriteFile(names[0], data, 0o600))
	return filepath.Base(names[0])
}

func TestListNamesSegmentsMembersAndCluster(t *testing.T) {
	code, out, errs := ctl("wal", "ls", makeStore(t))
	if code != exitSound || errs != "" {
		t.Fatalf("got %d, %q", code, errs)
	}
	for _, want := range []string{"cluster=\"home\"", ".wal ", "member a/1 ", "member b/2 ", "entries=1-8", "term=5", "vote=1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestDumpShowsRecordsAndNeverCommands(t *testing.T) {
	dir := makeStore(t)
	_, all, _ := ctl("wal", "dump", dir)
	if got := strings.Count(all, " entry "); got != 16 {
		t.Errorf("got %d entries in\n%s", got, all)
	}
	if strings.Contains(all, "secret") {
		t.Error("commands are shown")
	}
	if !strings.Contains(all, "bytes=4800 ") {
		t.Errorf("the length of a command is not shown in\n%s", all)
	}
	for _, args := range [][]string{
		{"wal", "dump", dir, "-group", "b"}, {"-group=b", "wal", "dump", dir}, {"wal", "--group", "b", "dump", dir},
	} {
		code, one, errs := ctl(args...)
		if code != exitSound || errs != "" || strings.Count(one, " entry ") != 8 || strings.Contains(one, " a/1 ") {
			t.Errorf("%v: got %d, %q,\n%s", args, code, errs, one)
		}
	}
	if code, out, _ := ctl("wal", "dump", dir, "-group", "none"); code != exitSound || out != "" {
		t.Errorf("got %d, %q", code, out)
	}
}

func TestVerifySaysSoundOrWhatIsDamaged(t *testing.T) {
	dir := makeStore(t)
	code, out, errs := ctl("wal", "verify", dir)
	if code != exitSound || errs != "" || !strings.HasPrefix(out, "sound: ") || !strings.Contains(out, "2 members") {
		t.Errorf("got %d, %q, %q", code, out, errs)
	}
	file := spoil(t, dir)
	code, out, errs = ctl("wal", "verify", dir)
	if code != exitDamaged || errs != "" {
		t.Errorf("got %d, %q", code, errs)
	}
	for _, want := range []string{"damaged: " + file + " offset=", "members concerned: a/1", "not sound: ", "What to do: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, verb := range []string{"ls", "dump"} {
		code, out, _ := ctl("wal", verb, dir)
		if code != exitDamaged || !strings.Contains(out, "damaged: "+file) || !strings.Contains(out, "b/2") {
			t.Errorf("%s: got %d,\n%s", verb, code, out)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"what to do is missing":       nil,
		`"log" is not known`:          {"log", "ls", dir},
		"one of ls, dump and verify":  {"wal"},
		`wal "rm" is not known`:       {"wal", "rm", dir},
		"wants the directory":         {"wal", "ls"},
		"wants one directory":         {"wal", "ls", dir, "more"},
		"has no flag -group":          {"wal", "ls", "-group", "a", dir},
		"flag provided but not defin": {"wal", "ls", "-force", dir},
		"flag needs an argument":      {"wal", "dump", dir, "-group"},
	} {
		code, out, errs := ctl(args...)
		if code != exitUsage || out != "" || !strings.Contains(errs, want) || !strings.Contains(errs, "usage:") {
			t.Errorf("%v: got %d, %q, %q; want %q", args, code, out, errs, want)
		}
	}
}

func TestHelpIsGivenWhereverItIsAskedFor(t *testing.T) {
	for _, args := range [][]string{
		{"-h"}, {"--help"}, {"wal", "-h"}, {"wal", "ls", "-h"}, {"wal", "verify", "nowhere", "-help"}, {"-h", "nonsense"},
	} {
		if code, out, errs := ctl(args...); code != exitSound || out != usage || errs != "" {
			t.Errorf("%v: got %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestWhatIsNoStoreIsSaidSo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, verb := range []string{"ls", "dump", "verify"} {
		for path, want := range map[string]string{
			dir: "holds no store", file: "is no directory", filepath.Join(dir, "none"): "no such file",
		} {
			code, out, errs := ctl("wal", verb, path)
			if code != exitDamaged || out != "" || !strings.Contains(errs, want) || !strings.Contains(errs, path) {
				t.Errorf("%s: got %d, %q, %q; want %q", verb, code, out, errs, want)
			}
		}
	}
}

func TestStoresBelowADirectoryAreNamed(t *testing.T) {
	store := makeStore(t)
	dir := filepath.Join(t.TempDir(), "all [of] them*")
	for i := range storesShown + 2 {
		must(t, os.MkdirAll(filepath.Join(dir, fmt.Sprint(i)), 0o700))
		if i == 0 {
			continue // no store
		}
		must(t, os.CopyFS(filepath.Join(dir, fmt.Sprint(i)), os.DirFS(store)))
	}
	_, _, errs := ctl("wal", "ls", dir)
	want := "in it, but in " + filepath.Join(dir, "1") + ", " + filepath.Join(dir, "2") + ", "
	if !strings.Contains(errs, want) || !strings.HasSuffix(errs, ", "+filepath.Join(dir, "5")+", others\n") {
		t.Errorf("got %q, want %q", errs, want)
	}
}

// snapshotOf is all there is to see of a directory from outside.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var data []byte
		if !d.IsDir() {
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(&b, "%s %v %v %d %x\n", path, info.Mode(), info.ModTime(), info.Size(), data)
		return err
	}))
	return b.String()
}

func TestNothingIsChanged(t *testing.T) {
	sound, damaged, empty := makeStore(t), makeStore(t), t.TempDir()
	spoil(t, damaged)
	torn := makeStore(t)
	names, err := filepath.Glob(filepath.Join(torn, "*.wal"))
	must(t, err)
	newest, err := os.OpenFile(names[len(names)-1], os.O_RDWR, 0)
	must(t, err)
	info, err := newest.Stat()
	must(t, err)
	_, err = newest.WriteAt([]byte("torn"), info.Size()-4096)
	must(t, errors.Join(err, newest.Close()))
	for name, dir := range map[string]string{"sound": sound, "damaged": damaged, "empty": empty, "torn": torn} {
		before := snapshotOf(t, dir)
		for _, args := range [][]string{
			{"wal", "ls", dir},
			{"wal", "dump", dir},
			{"wal", "dump", dir, "-group", "a"},
			{"wal", "verify", dir},
			{"wal", "verify", dir, "-h"},
			{"wal", "rm", dir},
			{"wal", "ls", filepath.Join(dir, "new")},
		} {
			ctl(args...)
			if snapshotOf(t, dir) != before {
				t.Fatalf("%s: raftctl %s has changed something", name, strings.Join(args, " "))
			}
		}
	}
}

func TestAStoreThatIsOpenIsRead(t *testing.T) {
	dir := makeStore(t)
	s, err := persist.Open(dir, persist.Options{Logger: hclog.NewNullLogger(), SegmentBytes: 1 << 16})
	must(t, err)
	code, out, errs := ctl("wal", "verify", dir)
	if code != exitSound || errs != "" || !strings.HasPrefix(out, "sound: ") {
		t.Errorf("got %d, %q, %q", code, out, errs)
	}
	must(t, s.Close())
}

// A brokenPipe takes nothing.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	dir := makeStore(t)
	for _, verb := range []string{"ls", "dump", "verify"} {
		var errs bytes.Buffer
		if code := run([]string{"wal", verb, dir}, brokenPipe{}, &errs); code != exitDamaged || !strings.Contains(errs.String(), "closed") {
			t.Errorf("%s: got %d, %q", verb, code, &errs)
		}
	}
}
