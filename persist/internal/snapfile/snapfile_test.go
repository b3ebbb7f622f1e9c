package snapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"

	"example.com/raftactor/node"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, size := range []int{
		0, 1, 100, ChunkBytes - 1, ChunkBytes, ChunkBytes + 1, 2*ChunkBytes - 1, 2 * ChunkBytes, 3*ChunkBytes + 17,
	} {
		want := state(1, size)
		file := fileOf(t, header(), want)
		r, err := Open(&memoryFile{file})
		must(t, err)
		if got := r.Header(); !reflect.DeepEqual(got, header()) {
			t.Errorf("size %d: header %+v, want %+v", size, got, header())
		}
		if r.Size() != int64(size) {
			t.Errorf("size %d, want %d", r.Size(), size)
		}
		must(t, iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), want))
		must(t, r.Verify())
	}
}

func TestPiecesDoNotShowInTheFile(t *testing.T) {
	want := state(1, 3*ChunkBytes+5)
	whole := fileOf(t, header(), want)
	source := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		file := &memoryFile{}
		w, err := NewWriter(file, header())
		must(t, err)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), source.IntN(1<<source.IntN(19)))
			_, err := w.Write(rest[:n])
			must(t, err)
			rest = rest[n:]
		}
		must(t, w.Finish())
		if !bytes.Equal(file.data, whole) {
			t.Fatal("the file depends on the pieces in which the state was written")
		}
	}
}

func TestReadAtAnyOffset(t *testing.T) {
	want := state(1, 2*ChunkBytes+99)
	r, err := Open(&memoryFile{fileOf(t, header(), want)})
	must(t, err)
	source := rand.New(rand.NewPCG(1, 1))
	var wg sync.WaitGroup
	for range 4 {
		seed := source.Uint64()
		wg.Go(func() {
			source := rand.New(rand.NewPCG(seed, 0))
			for range 500 {
				off, length := source.IntN(len(want)+100), source.IntN(1<<source.IntN(18))
				p := make([]byte, length)
				n, err := r.ReadAt(p, int64(off))
				expected := want[min(off, len(want)):min(off+length, len(want))]
				if !bytes.Equal(p[:n], expected) || (n < length) != (err == io.EOF) || (err != nil && err != io.EOF) {
					t.Errorf("%d bytes at %d: %d, %v, want %d", length, off, n, err, len(expected))
				}
			}
		})
	}
	wg.Wait()
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset: no error")
	}
}

// served reads everything that can be read of a file, in pieces of one chunk, and fails the test if that is not
// what was written. It returns the damage that it met.
func served(t *testing.T, file, want []byte) []error {
	t.Helper()
	r, err := Open(&memoryFile{file})
	if err != nil {
		return []error{err}
	}
	var found []error
	p := make([]byte, ChunkBytes)
	for off := int64(0); off == 0 || off < r.Size(); off += ChunkBytes {
		n, err := r.ReadAt(p, off)
		if err != nil && err != io.EOF {
			found = append(found, err)
		}
		if rest := want[off:]; !bytes.Equal(p[:n], rest[:min(n, len(rest))]) {
			t.Fatalf("wrong bytes are read at %d", off)
		}
	}
	if r.Size() != int64(len(want)) || !reflect.DeepEqual(r.Header(), header()) {
		t.Fatalf("size %d or header %+v is wrong", r.Size(), r.Header())
	}
	if err := r.Verify(); (err == nil) != (len(found) == 0) {
		t.Fatalf("verifying says %v, and reading said %v", err, found)
	}
	return found
}

// isNoticed wants the damage in file to be found once, as damage, at the place or in front of it.
func isNoticed(t *testing.T, what string, file, want []byte, at int) {
	t.Helper()
	found := served(t, file, want)
	var damage *Damage
	if len(found) != 1 || !errors.As(found[0], &damage) {
		t.Fatalf("%s: found %v", what, found)
	}
	if damage.Offset > int64(at) {
		t.Fatalf("%s: found %v, which is behind it", what, damage)
	}
}

// damageStep is how many of the flips within the state are left out, since each costs a chunk's checksum.
func damageStep() int {
	if raceEnabled {
		return 800
	}
	return 8
}

func TestAFlippedBitIsNoticed(t *testing.T) {
	want := state(1, ChunkBytes+3000)
	file := fileOf(t, header(), want)
	headerBytes := len(header().encoded())
	for at := range file {
		inState := at >= headerBytes+checksumBytes && at < len(file)-footerBytes-3000
		if inState && at%damageStep() != 0 {
			continue
		}
		bit := byte(1) << (at / 8 % 8)
		if !inState {
			bit = byte(at%255 + 1)
		}
		file[at] ^= bit
		isNoticed(t, fmt.Sprintf("byte %d changed by %x", at, bit), file, want, at)
		file[at] ^= bit
	}
	if found := served(t, file, want); len(found) > 0 {
		t.Fatalf("sound again: %v", found)
	}
}

func TestAZeroedSectorIsNoticed(t *testing.T) {
	const sector = 512
	want := state(1, ChunkBytes+3000)
	sound := fileOf(t, header(), want)
	for at := 0; at < len(sound); at += sector {
		file := bytes.Clone(sound)
		end := min(at+sector, len(file))
		clear(file[at:end])
		found := served(t, file, want)
		if len(found) == 0 {
			t.Fatalf("zeros from %d to %d are not noticed", at, end)
		}
		for _, err := range found {
			if damage := (*Damage)(nil); !errors.As(err, &damage) || damage.Offset >= int64(end) {
				t.Fatalf("zeros from %d to %d: %v", at, end, err)
			}
		}
	}
}

func TestACutIsNoticed(t *testing.T) {
	file := fileOf(t, header(), state(1, ChunkBytes+300))
	for length := range file {
		var damage *Damage
		if _, err := Open(&memoryFile{file[:length]}); !errors.As(err, &damage) {
			t.Fatalf("cut at %d: %v", length, err)
		}
	}
	var damage *Damage
	if _, err := Open(&memoryFile{append(bytes.Clone(file), 0)}); !errors.As(err, &damage) {
		t.Errorf("a byte too many: %v", err)
	}
}

// What was cut off, or has grown, while it was open.
func TestACutUnderAReaderIsNoticed(t *testing.T) {
	want := state(1, 2*ChunkBytes)
	file := &memoryFile{fileOf(t, header(), want)}
	r, err := Open(file)
	must(t, err)
	must(t, file.Truncate(ChunkBytes+1000))
	p := make([]byte, 2*ChunkBytes)
	n, err := r.ReadAt(p, 0)
	var damage *Damage
	if n != ChunkBytes || !bytes.Equal(p[:n], want[:n]) || !errors.As(err, &damage) {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestWhatIsInAnotherPlaceIsNoticed(t *testing.T) {
	const frame = checksumBytes + ChunkBytes
	want := state(1, 3*ChunkBytes)
	sound := fileOf(t, header(), want)
	first := len(header().encoded())
	other := header()
	other.Salt++
	foreign := fileOf(t, other, want)
	for name, change := range map[string]func(file []byte){
		"a chunk of another file": func(file []byte) { copy(file[first:first+frame], foreign[first:]) },
		"a chunk twice":           func(file []byte) { copy(file[first:first+frame], file[first+frame:]) },
		"the footer of another file": func(file []byte) {
			copy(file[len(file)-footerBytes:], foreign[len(foreign)-footerBytes:])
		},
		"the header of another file": func(file []byte) { copy(file[:first], foreign) },
	} {
		file := bytes.Clone(sound)
		change(file)
		found := 0
		for _, err := range openAndRead(file) {
			if damage := (*Damage)(nil); errors.As(err, &damage) {
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s: not noticed", name)
		}
	}
	swapped := bytes.Clone(sound)
	copy(swapped[first:], sound[first+frame:first+2*frame])
	copy(swapped[first+frame:], sound[first:first+frame])
	if found := served(t, swapped, want); len(found) != 2 {
		t.Errorf("chunks swapped: found %v", found)
	}
}

// openAndRead returns what is found wrong with a file.
func openAndRead(file []byte) []error {
	r, err := Open(&memoryFile{file})
	if err != nil {
		return []error{err}
	}
	return []error{r.Verify()}
}

func TestANewerVersionIsNoDamage(t *testing.T) {
	file := fileOf(t, header(), nil)
	file[8] = Version + 1
	var damage *Damage
	if _, err := Open(&memoryFile{file}); !errors.As(err, &damage) {
		t.Errorf("with a wrong checksum: %v", err)
	}
	resum(file)
	if _, err := Open(&memoryFile{file}); !errors.Is(err, ErrVersion) || errors.As(err, &damage) {
		t.Errorf("got %v", err)
	}
}

func TestHeadersThatCannotBeAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Header){
		"no incarnation":    func(h *Header) { h.Key = 0 },
		"no member":         func(h *Header) { h.Member = 0 },
		"no index":          func(h *Header) { h.Meta.Index = 0 },
		"no group":          func(h *Header) { h.Group = "" },
		"a path":            func(h *Header) { h.Group = "../a" },
		"a long name":       func(h *Header) { h.Group = string(make([]byte, groupBytesMax+1)) },
		"nobody who votes":  func(h *Header) { h.Meta.Configuration.Members = h.Meta.Configuration.Members[2:] },
		"members unordered": func(h *Header) { h.Meta.Configuration.Members[0].ID = 9 },
	} {
		h := header()
		change(&h)
		if _, err := NewWriter(&memoryFile{}, h); err == nil {
			t.Errorf("%s: written", name)
		}
		file := h.append(nil)
		file = appendFooter(file, h.Salt, 0)
		var damage *Damage
		if _, err := Open(&memoryFile{file}); !errors.As(err, &damage) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}

func TestAConfigurationWithoutMembersIsKept(t *testing.T) {
	h := header()
	h.Meta.Configuration = node.Configuration{}
	r, err := Open(&memoryFile{fileOf(t, h, nil)})
	must(t, err)
	if got := r.Header(); !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v", got)
	}
}

var errDisk = errors.New("the disk is gone")

// failingFile fails from the nth call on. Short tells how much a write that fails has written.
type failingFile struct {
	memoryFile
	calls, failAt, short int
}

func (f *failingFile) fails() bool {
	f.calls++
	return f.calls >= f.failAt
}

func (f *failingFile) ReadAt(p []byte, off int64) (int, error) {
	if f.fails() {
		return 0, errDisk
	}
	return f.memoryFile.ReadAt(p, off)
}

func (f *failingFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fails() {
		n, _ := f.memoryFile.WriteAt(p[:min(f.short, len(p))], off)
		return n, errDisk
	}
	return f.memoryFile.WriteAt(p, off)
}

func TestAFailedWriteIsFinal(t *testing.T) {
	for failAt := 1; failAt <= 5; failAt++ { // header, three chunks, footer
		file := &failingFile{failAt: failAt, short: 10}
		w, err := NewWriter(file, header())
		if failAt == 1 {
			if !errors.Is(err, errDisk) {
				t.Errorf("header: %v", err)
			}
			continue
		}
		must(t, err)
		_, writeErr := w.Write(state(1, 2*ChunkBytes+1))
		if (writeErr != nil) != (failAt <= 3) {
			t.Errorf("write %d fails: %v", failAt, writeErr)
		}
		file.failAt += 100
		if failAt <= 3 {
			if _, err := w.Write([]byte("x")); !errors.Is(err, errDisk) {
				t.Errorf("write %d fails, and the next one: %v", failAt, err)
			}
		} else {
			file.failAt = failAt
		}
		for range 2 {
			if err := w.Finish(); !errors.Is(err, errDisk) {
				t.Errorf("write %d fails, and finishing: %v", failAt, err)
			}
		}
	}
}

func TestNothingIsAddedToACompleteFile(t *testing.T) {
	w, err := NewWriter(&memoryFile{}, header())
	must(t, err)
	must(t, w.Finish())
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("written behind the footer")
	}
	if err := w.Finish(); err == nil {
		t.Error("finished twice")
	}
}

// A disk that does not answer is not damage: what is there may be sound.
func TestAFailedReadIsNotDamage(t *testing.T) {
	file := fileOf(t, header(), state(1, 100))
	for failAt := 1; failAt <= 4; failAt++ { // prefix, header, footer, chunk
		failing := &failingFile{memoryFile: memoryFile{file}, failAt: failAt}
		r, err := Open(failing)
		if failAt == 4 {
			must(t, err)
			_, err = r.ReadAt(make([]byte, 1), 0)
		}
		var damage *Damage
		if !errors.Is(err, errDisk) || errors.As(err, &damage) {
			t.Errorf("read %d fails: %v", failAt, err)
		}
	}
}

// discard is a file of which only what is at its ends is kept: header and footer.
type discard struct {
	memoryFile
	size int64
}

func (d *discard) WriteAt(p []byte, off int64) (int, error) {
	d.size = max(d.size, off+int64(len(p)))
	return len(p), nil
}

// State is as long as it likes; memory is not.
func TestStreamingTakesTheMemoryOfAChunk(t *testing.T) {
	const total, bytesMax = 64 << 20, 1 << 20
	piece := make([]byte, 100_000)
	file := &discard{}
	if allocated := allocatedBy(func() {
		w, err := NewWriter(file, header())
		must(t, err)
		for written := 0; written < total; written += len(piece) {
			_, err := w.Write(piece)
			must(t, err)
		}
		must(t, w.Finish())
	}); allocated > bytesMax {
		t.Errorf("writing %d bytes allocates %d", file.size, allocated)
	}
	read := &memoryFile{fileOf(t, header(), make([]byte, total))}
	if allocated := allocatedBy(func() {
		r, err := Open(read)
		must(t, err)
		for off := int64(0); off < r.Size(); off += int64(len(piece)) {
			if _, err := r.ReadAt(piece, off); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
	}); allocated > bytesMax {
		t.Errorf("reading %d bytes allocates %d", total, allocated)
	}
}

func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func BenchmarkWrite(b *testing.B) {
	piece := make([]byte, 256<<10)
	w, err := NewWriter(&discard{}, header())
	must(b, err)
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	piece := make([]byte, 256<<10)
	r, err := Open(&memoryFile{fileOf(b, header(), make([]byte, 16<<20))})
	must(b, err)
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for off := int64(0); b.Loop(); off = (off + int64(len(piece))) % r.Size() {
		if _, err := r.ReadAt(piece, off); err != nil {
			b.Fatal(err)
		}
	}
}
