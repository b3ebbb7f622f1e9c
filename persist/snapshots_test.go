package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/snapfile"
	"example.com/raftactor/persist/internal/vfs"
)

var snapshotOwner1 = snapshotOwner{Key: 0xabc, Group: "a-1", ID: 7}

func snapshotMeta(index node.Index) node.SnapshotMeta {
	return node.SnapshotMeta{
		Index: index, Term: 3, ConfigurationIndex: 2, Configuration: node.Voters(5, 7, 9),
	}
}

// snapshotFixture is a directory of snapshots that a test may look into. Whatever fails in it fails the test.
type snapshotFixture struct {
	*snapshotDir
	t *testing.T
}

func newSnapshotFixture(t *testing.T) snapshotFixture {
	dir := filepath.Join(t.TempDir(), "store", "snapshots")
	return snapshotFixture{t: t, snapshotDir: newSnapshotDir(vfs.OS{}, dir, 99, func(err error) { t.Error(err) })}
}

// commit writes a snapshot, and returns its meta with the handle.
func (f snapshotFixture) commit(owner snapshotOwner, index node.Index, state []byte) node.SnapshotMeta {
	f.t.Helper()
	meta := snapshotMeta(index)
	w, err := f.create(owner, meta)
	mustDo(f.t, err)
	_, err = w.Write(state)
	mustDo(f.t, err)
	meta.Handle, err = w.Commit()
	mustDo(f.t, err)
	return meta
}

// holds wants the snapshot to be open to readers, with that state.
func (f snapshotFixture) holds(owner snapshotOwner, meta node.SnapshotMeta, state []byte) {
	f.t.Helper()
	mustDo(f.t, f.check(owner, meta))
	mustDo(f.t, f.verify(meta.Handle.(string)))
	r, err := f.open(owner, meta)
	mustDo(f.t, err)
	defer r.Close()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, state) {
		f.t.Errorf("%d bytes, %v, want %d", len(got), err, len(state))
	}
}

// names are those of the files in the directory.
func (f snapshotFixture) names() []string {
	f.t.Helper()
	names, err := f.list()
	mustDo(f.t, err)
	return names
}

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func someState(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

func TestASnapshotIsReadAgain(t *testing.T) {
	f := newSnapshotFixture(t)
	for index, size := range []int{0, 1, 200_000} {
		meta := f.commit(snapshotOwner1, node.Index(index+1), someState(size))
		f.holds(snapshotOwner1, meta, someState(size))
	}
	for _, name := range f.names() {
		if owner, ok := parseSnapshotName(name); !ok || owner != snapshotOwner1 {
			t.Errorf("file %s", name)
		}
		info, err := os.Stat(filepath.Join(f.dir, name))
		mustDo(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: permissions %v", name, info.Mode())
		}
	}
}

func TestNothingIsASnapshotBeforeItIsCommitted(t *testing.T) {
	f := newSnapshotFixture(t)
	w, err := f.create(snapshotOwner1, snapshotMeta(4))
	mustDo(t, err)
	_, err = w.Write(someState(100_000))
	mustDo(t, err)
	if names := f.names(); len(names) != 1 || !strings.HasSuffix(names[0], temporaryEnding) {
		t.Errorf("while it is written: %v", names)
	}
	handle, err := w.Commit()
	mustDo(t, err)
	w.Abort()
	again, err := w.Commit()
	if err != nil || again != handle || !slices.Equal(f.names(), []string{handle.(string)}) {
		t.Errorf("committed again: %v, %v, want %v in %v", again, err, handle, f.names())
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("written to after Commit")
	}
}

func TestAnAbortedSnapshotIsGone(t *testing.T) {
	f := newSnapshotFixture(t)
	w, err := f.create(snapshotOwner1, snapshotMeta(4))
	mustDo(t, err)
	_, err = w.Write(someState(100_000))
	mustDo(t, err)
	w.Abort()
	w.Abort()
	if names := f.names(); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
	if _, err := w.Commit(); err == nil {
		t.Error("committed after Abort")
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("written to after Abort")
	}
}

func TestManyWritersDoNotCollide(t *testing.T) {
	f := newSnapshotFixture(t)
	owners := []snapshotOwner{
		snapshotOwner1, {Key: 0xabc, Group: "a-1", ID: 8}, {Key: 0xabd, Group: "a-1", ID: 7}, {Key: 0xabc, Group: "a", ID: 7},
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			owner := owners[i%len(owners)]
			w, err := f.create(owner, snapshotMeta(4))
			if err != nil {
				t.Error(err)
				return
			}
			state := bytes.Repeat([]byte{byte(i)}, 70_000+i)
			if _, err := w.Write(state); err != nil {
				t.Error(err)
			}
			meta := snapshotMeta(4)
			if meta.Handle, err = w.Commit(); err != nil {
				t.Error(err)
				return
			}
			r, err := f.open(owner, meta)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
			if err != nil || !bytes.Equal(got, state) {
				t.Errorf("writer %d: another state, or %v", i, err)
			}
		})
	}
	wg.Wait()
	if names := f.names(); len(names) != 16 {
		t.Errorf("%d files", len(names))
	}
}

func TestAReaderOutlivesTheFile(t *testing.T) {
	f := newSnapshotFixture(t)
	state := someState(300_000)
	meta := f.commit(snapshotOwner1, 4, state)
	r, err := f.open(snapshotOwner1, meta)
	mustDo(t, err)
	defer r.Close()
	mustDo(t, f.remove(meta.Handle.(string)))
	mustDo(t, f.remove(meta.Handle.(string)))
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, state) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := f.open(snapshotOwner1, meta); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("opened when it was gone: %v", err)
	}
	wantDamage(t, "a snapshot that a record refers to is gone", f.check(snapshotOwner1, meta), meta.Handle.(string))
}

// wantDamage wants err to tell of damage in the file, to the member's user.
func wantDamage(t *testing.T, what string, err error, name string) {
	t.Helper()
	var damage *DamageError
	if !errors.As(err, &damage) {
		t.Errorf("%s: %v", what, err)
		return
	}
	if damage.File != filepath.Join("snapshots", name) || filepath.Base(damage.Dir) != "store" || damage.Detail == "" ||
		!slices.Equal(damage.Members, []MemberName{{"a-1", 7}}) {
		t.Errorf("%s: %+v", what, damage)
	}
}

func TestTheSnapshotOfSomethingElseIsDamage(t *testing.T) {
	f := newSnapshotFixture(t)
	meta := f.commit(snapshotOwner1, 4, nil)
	name := meta.Handle.(string)
	for what, change := range map[string]func(*snapshotOwner, *node.SnapshotMeta){
		"another life":          func(o *snapshotOwner, _ *node.SnapshotMeta) { o.Key++ },
		"another index":         func(_ *snapshotOwner, m *node.SnapshotMeta) { m.Index++ },
		"another term":          func(_ *snapshotOwner, m *node.SnapshotMeta) { m.Term++ },
		"another configuration": func(_ *snapshotOwner, m *node.SnapshotMeta) { m.Configuration = node.Voters(7) },
		"another index of it":   func(_ *snapshotOwner, m *node.SnapshotMeta) { m.ConfigurationIndex-- },
	} {
		owner, other := snapshotOwner1, meta
		change(&owner, &other)
		_, err := f.open(owner, other)
		wantDamage(t, what, err, name)
		wantDamage(t, what, f.check(owner, other), name)
	}
	elsewhere := newSnapshotDir(vfs.OS{}, f.dir, 98, nil)
	wantDamage(t, "another store", elsewhere.check(snapshotOwner1, meta), name)
}

func TestHandlesAreNoPaths(t *testing.T) {
	f := newSnapshotFixture(t)
	mustDo(t, f.init())
	mustDo(t, os.WriteFile(filepath.Join(f.dir, "..", "x.snap"), nil, 0o600))
	for _, handle := range []any{nil, 5, "", "x", "x.tmp", ".", "../x.snap", "a/../../x.snap", `..\x.snap`, "/x.snap"} {
		meta := snapshotMeta(4)
		meta.Handle = handle
		if _, err := f.open(snapshotOwner1, meta); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %v: %v", handle, err)
		}
		if name, ok := handle.(string); ok {
			if f.remove(name) == nil || f.verify(name) == nil {
				t.Errorf("%v is removed or verified", handle)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(f.dir, "..", "x.snap")); err != nil {
		t.Error(err)
	}
}

func TestNamesAreReadBack(t *testing.T) {
	for _, owner := range []snapshotOwner{
		snapshotOwner1, {1, "-", 1}, {1, "a-1-0000000000000001-4-0000000000000009", 2}, {1<<64 - 1, strings.Repeat("x", 128), 1<<64 - 1},
	} {
		name := owner.name(1<<62, 1<<63) + snapshotEnding
		if got, ok := parseSnapshotName(name); !ok || got != owner || len(name) > 255 {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{
		"", ".snap", "a.snap", "a-1-1-1-1.snap", "-1-0000000000000001-4-0000000000000009.snap",
		"a-01-0000000000000001-4-0000000000000009.snap", "a-1-0000000000000001-4-0000000000000009.tmp",
		"a-1-000000000000000A-4-0000000000000009.snap", "a-1-0000000000000001-x-0000000000000009.snap",
		"a-x-0000000000000001-4-0000000000000009.snap",
	} {
		if owner, ok := parseSnapshotName(name); ok {
			t.Errorf("%q is of %v", name, owner)
		}
	}
}

func TestSweepingLeavesWhatIsKept(t *testing.T) {
	f := newSnapshotFixture(t)
	mustDo(t, f.sweep(nil)) // there is no directory yet
	kept, gone := f.commit(snapshotOwner1, 4, someState(10)), f.commit(snapshotOwner1, 5, nil)
	w, err := f.create(snapshotOwner1, snapshotMeta(6))
	mustDo(t, err)
	defer w.Abort()
	mustDo(t, os.WriteFile(filepath.Join(f.dir, "notes.txt"), nil, 0o600))
	mustDo(t, f.sweep(map[string]bool{kept.Handle.(string): true, "never-was.snap": true}))
	want := []string{kept.Handle.(string), "notes.txt"}
	if got := f.names(); !slices.Equal(got, want) {
		t.Errorf("left %v, want %v, and not %v", got, want, gone.Handle)
	}
	f.holds(snapshotOwner1, kept, someState(10))
}

// Who goes back to an older version is not told that the store is damaged.
func TestASnapshotOfANewerVersionIsNoDamage(t *testing.T) {
	f := newSnapshotFixture(t)
	meta := f.commit(snapshotOwner1, 4, someState(10))
	path := filepath.Join(f.dir, meta.Handle.(string))
	file, err := os.ReadFile(path)
	mustDo(t, err)
	binary.LittleEndian.PutUint32(file[8:], snapfile.Version+1)
	end := binary.LittleEndian.Uint32(file[12:]) - 4
	binary.LittleEndian.PutUint32(file[end:], format.Checksum(file[:end]))
	mustDo(t, os.WriteFile(path, file, 0o600))
	_, opened := f.open(snapshotOwner1, meta)
	for _, err := range []error{opened, f.check(snapshotOwner1, meta)} {
		if !errors.Is(err, ErrVersion) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	}
}

// However a file is damaged, no wrong byte is served, and the error says which file it is.
func TestADamagedSnapshotIsNeverServed(t *testing.T) {
	f := newSnapshotFixture(t)
	state := someState(snapfile.ChunkBytes + 500)
	meta := f.commit(snapshotOwner1, 4, state)
	name := meta.Handle.(string)
	path := filepath.Join(f.dir, name)
	sound, err := os.ReadFile(path)
	mustDo(t, err)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	mustDo(t, err)
	defer file.Close()
	for at := 0; at < len(sound); at += 97 {
		_, err := file.WriteAt([]byte{sound[at] ^ 0x40}, int64(at))
		mustDo(t, err)
		what := fmt.Sprintf("byte %d flipped", at)
		wantDamage(t, what, serve(t, f, meta, state), name)
		wantDamage(t, what, f.verify(name), name)
		_, err = file.WriteAt(sound[at:at+1], int64(at))
		mustDo(t, err)
	}
	for length := len(sound) - 1; length >= 0; length -= 501 {
		mustDo(t, file.Truncate(int64(length)))
		wantDamage(t, fmt.Sprintf("cut at %d", length), f.check(snapshotOwner1, meta), name)
	}
}

// serve reads the snapshot in pieces, wants no wrong byte, and returns the error.
func serve(t *testing.T, f snapshotFixture, meta node.SnapshotMeta, want []byte) error {
	t.Helper()
	r, err := f.open(snapshotOwner1, meta)
	if err != nil {
		return err
	}
	defer r.Close()
	p := make([]byte, 10_000)
	var failed error
	for off := 0; off < len(want); off += len(p) {
		n, err := r.ReadAt(p, int64(off))
		if !bytes.Equal(p[:n], want[off:min(off+n, len(want))]) {
			t.Fatalf("wrong bytes at %d", off)
		}
		if err != nil && err != io.EOF {
			failed = err
		}
	}
	return failed
}

func TestSnapshotsThatCannotBeAreRefused(t *testing.T) {
	d := newSnapshotDir(vfs.OS{}, filepath.Join(t.TempDir(), "snapshots"), 99, func(err error) {
		t.Errorf("a wrong call is no failure of the disk: %v", err)
	})
	for what, owner := range map[string]snapshotOwner{
		"a group that is a path": {1, "../x", 1}, "no group": {1, "", 1}, "nobody": {1, "a", 0}, "no life": {0, "a", 1},
	} {
		if _, err := d.create(owner, snapshotMeta(1)); err == nil {
			t.Errorf("%s: created", what)
		}
	}
	if _, err := d.create(snapshotOwner1, snapshotMeta(0)); err == nil {
		t.Error("at index 0: created")
	}
}

func TestStreamingASnapshotTakesLittleMemory(t *testing.T) {
	f := newSnapshotFixture(t)
	piece := someState(1 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	meta := snapshotMeta(4)
	w, err := f.create(snapshotOwner1, meta)
	mustDo(t, err)
	for range 64 {
		_, err := w.Write(piece)
		mustDo(t, err)
	}
	meta.Handle, err = w.Commit()
	mustDo(t, err)
	r, err := f.open(snapshotOwner1, meta)
	mustDo(t, err)
	defer r.Close()
	got := make([]byte, len(piece))
	for i := range int64(64) {
		_, err := r.ReadAt(got, i<<20)
		mustDo(t, err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 3<<20 {
		t.Errorf("writing and reading 64 MiB allocates %d bytes", allocated)
	}
	if !bytes.Equal(got, piece) {
		t.Error("another state")
	}
}

func BenchmarkSnapshotWrite(b *testing.B) {
	d := newSnapshotDir(vfs.OS{}, filepath.Join(b.TempDir(), "snapshots"), 99, nil)
	const total = 256 << 20
	piece := make([]byte, 256<<10)
	for i := range piece {
		piece[i] = byte(rand.Uint32())
	}
	b.SetBytes(total)
	for b.Loop() {
		w, err := d.create(snapshotOwner1, snapshotMeta(4))
		mustDo(b, err)
		for range total / len(piece) {
			_, err := w.Write(piece)
			mustDo(b, err)
		}
		handle, err := w.Commit()
		mustDo(b, err)
		mustDo(b, d.remove(handle.(string)))
	}
}

func BenchmarkSnapshotRead(b *testing.B) {
	d := newSnapshotDir(vfs.OS{}, filepath.Join(b.TempDir(), "snapshots"), 99, nil)
	const total = 64 << 20
	meta := snapshotMeta(4)
	w, err := d.create(snapshotOwner1, meta)
	mustDo(b, err)
	_, err = w.Write(make([]byte, total))
	mustDo(b, err)
	meta.Handle, err = w.Commit()
	mustDo(b, err)
	r, err := d.open(snapshotOwner1, meta)
	mustDo(b, err)
	defer r.Close()
	piece := make([]byte, 256<<10)
	b.SetBytes(total)
	for b.Loop() {
		for off := int64(0); off < total; off += int64(len(piece)) {
			_, err := r.ReadAt(piece, off)
			mustDo(b, err)
		}
	}
}
