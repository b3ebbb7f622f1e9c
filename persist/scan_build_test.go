package persist

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/vfs"
)

// Boot ids: the one under which segments are built, and the one after a power loss.
const (
	running   = "11111111-2222-3333-4444-555555555555"
	restarted = "99999999-2222-3333-4444-555555555555"
)

const (
	testDir     = "store"
	testStoreID = 0x5107e
)

// A builtBatch is what was written, to compare with what is read.
type builtBatch struct {
	position format.Position
	file     string
	offset   int64
	bytes    int64 // without padding
	payload  string
	proven   bool
}

// A builder writes segment files byte by byte.
type builder struct {
	files map[string][]byte
	// file is the segment that is being written, size is that of new ones, and boot their boot id.
	file   string
	header format.SegmentHeader
	offset int64
	size   int64
	boot   string
	at     format.Position
	// last is the index of the last entry that fill has written.
	last node.Index
	// written has all batches that were ever written.
	written []builtBatch
}

func newBuilder() *builder {
	return &builder{files: map[string][]byte{}, size: 16 * format.BlockBytes, boot: running}
}

// begin makes a fresh segment that goes on from end.
func (b *builder) begin(number, predecessor uint64, end format.Position) {
	b.header = format.SegmentHeader{
		StoreID: testStoreID, Segment: number, Salt: number*0x9e3779b97f4a7c15 + 1, Predecessor: predecessor, End: end, BootID: b.boot,
		Bytes: uint64(b.size),
	}
	b.file, b.offset, b.at = segmentName(number), format.BlockBytes, end
	b.files[b.file] = formerLife(b.size, number)
	copy(b.files[b.file], b.header.Append(nil))
}

// formerLife is what a file holds that was a segment before: batches that were written elsewhere, and rubbish.
func formerLife(size int64, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	all := make([]byte, size)
	fillRandom(random, all)
	for offset := int64(format.BlockBytes); offset < size; offset += 2 * format.BlockBytes {
		payload := entry(1, node.Index(offset), 100)
		copy(all[offset+format.BatchHeaderBytes:], payload)
		h := format.BatchHeader{
			PayloadBytes: uint32(len(payload)), PayloadChecksum: format.Checksum(payload), Sequence: 1000, Segment: seed - 1, Offset: uint64(offset),
			Durable: 999, Records: 1,
		}
		h.Put(all[offset:], 1)
		h.PutFooter(all[offset+format.BlockBytes-format.BatchFooterBytes:], 1)
	}
	return all
}

// unwrite restores what a segment held from an offset on, before it was written.
func (b *builder) unwrite(data []byte, file string, from int64) {
	number, _ := parseSegmentName(file)
	copy(data[from:], formerLife(int64(len(data)), number)[from:])
}

// rotate makes a segment that follows the one that is being written.
func (b *builder) rotate() { b.begin(b.header.Segment+1, b.header.Segment, b.at) }

// write adds a batch, and returns it.
func (b *builder) write(records ...[]byte) builtBatch {
	payload := slices.Concat(records...)
	h := format.BatchHeader{
		PayloadBytes: uint32(len(payload)), PayloadChecksum: format.Checksum(payload),
		Sequence: b.at.Sequence + 1, Segment: b.header.Segment, Offset: uint64(b.offset),
		Durable: b.at.Sequence, Previous: b.at.Chain, Records: uint32(len(records)),
	}
	return b.put(h, payload)
}

// put adds a batch with a header of the test's own.
func (b *builder) put(h format.BatchHeader, payload []byte) builtBatch {
	file := b.files[b.file]
	chain := h.Put(file[b.offset:], b.header.Salt)
	copy(file[b.offset+format.BatchHeaderBytes:], payload)
	end := b.offset + format.BatchBytes(int64(len(payload)))
	h.PutFooter(file[end-format.BatchFooterBytes:], b.header.Salt)
	b.at = format.Position{Sequence: h.Sequence, Chain: chain}
	w := builtBatch{
		position: b.at, file: b.file, offset: b.offset, bytes: int64(format.BatchHeaderBytes + len(payload)), payload: string(payload),
	}
	b.written = append(b.written, w)
	b.offset = end
	return w
}

// fill writes the first batches of a segment: what it opens with, and entries.
func (b *builder) fill(batches int) {
	b.write(b.opening()...)
	for range batches - 1 {
		b.last++
		b.write(entry(1, b.last, 40))
	}
}

// opening are the first records of a segment.
func (b *builder) opening() [][]byte {
	return [][]byte{
		format.AppendCluster(nil, "c"),
		format.AppendMember(nil, 1, format.Member{Group: "g", ID: 1}),
		format.AppendHardState(nil, 1, node.HardState{Term: 3}),
		format.AppendCheckpoint(nil, 1, format.Checkpoint{Last: b.last}),
	}
}

// entry is a record with that many bytes of data, none of which is zero.
func entry(key node.Incarnation, index node.Index, bytes int) []byte {
	data := make([]byte, bytes)
	for i := range data {
		data[i] = byte(i%255) + 1
	}
	return format.AppendEntry(nil, key, &node.Entry{Index: index, Term: 3, Kind: node.EntryCommand, Data: data})
}

// clone copies the files, to spoil them.
func (b *builder) clone() map[string][]byte {
	files := maps.Clone(b.files)
	for name, data := range files {
		files[name] = slices.Clone(data)
	}
	return files
}

// A readFS is a file system that can only be read: what writes to it panics.
type readFS struct {
	vfs.FS
	files map[string][]byte
	// failing makes reads fail that touch a byte of a file.
	failing map[string]int64
	// largest is the largest read.
	largest int
}

func (r *readFS) ReadDir(dir string) ([]string, error) {
	if dir != testDir {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	return slices.Sorted(maps.Keys(r.files)), nil
}

// BootID implements [vfs.FS]: the machine has been restarted.
func (r *readFS) BootID() string { return restarted }

func (r *readFS) Open(name string) (vfs.File, error) {
	data, ok := r.files[filepath.Base(name)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &readFile{fs: r, name: filepath.Base(name), data: data}, nil
}

type readFile struct {
	vfs.File
	fs   *readFS
	name string
	data []byte
}

var errUnreadable = fmt.Errorf("the disk has failed")

func (f *readFile) Size() (int64, error) { return int64(len(f.data)), nil }
func (f *readFile) Close() error         { return nil }

func (f *readFile) ReadAt(b []byte, offset int64) (int, error) {
	f.fs.largest = max(f.fs.largest, len(b))
	if at, ok := f.fs.failing[f.name]; ok && offset <= at && at < offset+int64(len(b)) {
		return copy(b, f.data[offset:at]), errUnreadable
	}
	n := copy(b, f.data[min(offset, int64(len(f.data))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// An outcome is what reading a chain has come to.
type outcome struct {
	chain    *chain
	batches  []builtBatch
	replayed replayed
	err      error
}

// read loads the chain and replays it.
func read(files map[string][]byte, boot string) outcome {
	return readFrom(&readFS{files: files}, boot)
}

func readFrom(fsys vfs.FS, boot string) outcome {
	var o outcome
	if o.chain, o.err = loadChain(fsys, testDir); o.err != nil {
		return o
	}
	o.replayed, o.err = o.chain.replay(boot, func(b *batch) error {
		o.batches = append(o.batches, builtBatch{
			position: format.Position{Sequence: b.header.Sequence, Chain: b.chain}, file: b.segment.name, offset: b.offset,
			bytes: int64(format.BatchHeaderBytes + len(b.payload)), payload: string(b.payload), proven: b.proven,
		})
		return nil
	})
	return o
}

// expect compares the batches with those that were written, all but the newest of which are proven.
func (o *outcome) expect(t *testing.T, want []builtBatch, newestProven bool) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("refused: %v", o.err)
	}
	want = slices.Clone(want)
	for i := range want {
		want[i].proven = i < len(want)-1 || newestProven
	}
	if !slices.Equal(o.batches, want) {
		t.Fatalf("got %s\nwant %s", batchList(o.batches), batchList(want))
	}
	var r replayed
	for _, b := range want {
		r.last = b.position
		if b.proven {
			r.durable = b.position
			r.durableSegment, _ = parseSegmentName(b.file)
		}
	}
	if got := o.replayed; got.durable != r.durable || got.durableSegment != r.durableSegment || got.last != r.last {
		t.Errorf("got durable %v in %d, last %v; want %v in %d, %v",
			got.durable, got.durableSegment, got.last, r.durable, r.durableSegment, r.last)
	}
	if got := o.replayed.batches; got != int64(len(want)) {
		t.Errorf("got %d batches counted, want %d", got, len(want))
	}
}

func batchList(list []builtBatch) (s string) {
	for _, b := range list {
		s += fmt.Sprintf("%d(%s@%d proven=%t, %d bytes) ", b.position.Sequence, b.file, b.offset, b.proven, b.bytes)
	}
	return s
}

func position(sequence uint64, chain uint32) format.Position {
	return format.Position{Sequence: sequence, Chain: chain}
}
