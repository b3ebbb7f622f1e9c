package snapfile

import (
	"bytes"
	"encoding/binary"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

const golden = "testdata/version1.snap"

// encoded is the header as it stands in a file.
func (h Header) encoded() []byte { return h.append(nil) }

// resum puts the right checksum under a header.
func resum(file []byte) {
	end := binary.LittleEndian.Uint32(file[12:]) - checksumBytes
	binary.LittleEndian.PutUint32(file[end:], crc32.Checksum(file[:end], castagnoli))
}

// goldenState compresses well in a repository, and differs from chunk to chunk.
func goldenState() []byte {
	state := make([]byte, ChunkBytes+1000)
	for i := range state {
		state[i] = byte(i / 512)
	}
	return state
}

// Version 1 is read for ever, and as long as it is the newest it is what is written.
func TestVersion1IsReadForEver(t *testing.T) {
	written := fileOf(t, header(), goldenState())
	if *update {
		must(t, os.MkdirAll(filepath.Dir(golden), 0o755))
		must(t, os.WriteFile(golden, written, 0o644))
	}
	file, err := os.ReadFile(golden)
	must(t, err)
	r, err := Open(&memoryFile{file})
	must(t, err)
	if got := r.Header(); !reflect.DeepEqual(got, header()) {
		t.Errorf("header %+v, want %+v", got, header())
	}
	state := make([]byte, r.Size())
	_, err = r.ReadAt(state, 0)
	must(t, err)
	if !bytes.Equal(state, goldenState()) {
		t.Error("the state is another one")
	}
	if !bytes.Equal(file, written) {
		t.Error("what is written now differs: that needs another version")
	}
}

// FuzzOpen gives anything to the reader: as it is, and with checksums that are right.
func FuzzOpen(f *testing.F) {
	h := header()
	f.Add(fileOf(f, h, nil))
	f.Add(fileOf(f, h, []byte("state")))
	f.Add(fileOf(f, h, state(1, 300))[:200])
	f.Add(h.encoded())
	f.Add(make([]byte, 200))
	h.Meta.Configuration.Members = nil
	f.Add(fileOf(f, h, []byte("x")))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, file := range [][]byte{data, repaired(data)} {
			read(t, file)
		}
	})
}

// read wants what is sound to be the one file with that header and state.
func read(t *testing.T, file []byte) {
	t.Helper()
	var r *Reader
	var err error
	// A member of a configuration takes 5 bytes at least, and 40 in memory.
	if allocated, most := allocatedBy(func() { r, err = Open(&memoryFile{file}) }), uint64(32*len(file)+1<<20); allocated > most {
		t.Errorf("%d bytes allocate %d", len(file), allocated)
	}
	if err != nil {
		return
	}
	if r.Size() > int64(len(file)) {
		t.Fatalf("%d bytes of state in a file of %d", r.Size(), len(file))
	}
	state := make([]byte, r.Size())
	n, err := r.ReadAt(state, 0)
	if verified := r.Verify(); (verified == nil) != (err == nil) {
		t.Fatalf("reading says %v, and verifying %v", err, verified)
	}
	if err == nil && (n != len(state) || !bytes.Equal(fileOf(t, r.Header(), state), file)) {
		t.Fatal("there are two files of the same header and state")
	}
}
