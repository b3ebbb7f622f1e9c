package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// A rewrite is the opening batch of a segment, written where another one, or nothing, was in an earlier life of the file.
type rewrite struct {
	*builder
	newest builtBatch
	// before and after are the file before the batch is written, and when it is whole.
	before, after []byte
}

// overwrite writes the newest batch of a segment over a former one, which may be none.
func overwrite(former, records [][]byte) *rewrite {
	old, b := newBuilder(), newBuilder()
	old.size, b.size = 64*format.BlockBytes, 64*format.BlockBytes
	old.begin(1, 0, position(0, 0))
	clear(old.files[old.file][format.BlockBytes:])
	if former != nil {
		old.write(former...)
	}
	b.begin(7, 0, position(0, 0))
	b.fill(2)
	b.rotate()
	copy(b.files[b.file][b.offset:], old.files[old.file][b.offset:])
	r := &rewrite{builder: b, before: slices.Clone(b.files[b.file])}
	r.newest = b.write(records...)
	r.after = b.files[b.file]
	return r
}

// lose reads what is left when a failed sync has lost sectors of the batch, and the page cache has what was there before.
func (r *rewrite) lose(lost func(sector int) bool) outcome {
	files := r.clone()
	for i := range r.sectors() {
		if at := r.newest.offset + int64(i)*sectorBytes; lost(i) {
			copy(files[r.newest.file][at:], r.before[at:at+sectorBytes])
		}
	}
	return read(files, running)
}

func (r *rewrite) sectors() int {
	return int(format.BatchBytes(int64(len(r.newest.payload))) / sectorBytes)
}

// expect wants the batch to be whole, or torn, or not to have been there. It is refused by no means.
func (r *rewrite) expect(t *testing.T, o outcome, what string) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("%s: refused: %v", what, o.err)
	}
	if o.replayed.tail == nil && len(o.batches) == len(r.written) {
		o.expect(t, r.written, false)
		return
	}
	if o.replayed.tail != nil {
		expectTorn(t, r.builder, o, r.newest, true)
		return
	}
	o.expect(t, r.written[:len(r.written)-1], true)
}

// members are what a segment opens with.
func members(n int) (records [][]byte) {
	for i := range n {
		key := node.Incarnation(i + 1)
		records = append(records, format.AppendMember(nil, key, format.Member{Group: "g", ID: node.ID(i + 1)}),
			format.AppendHardState(nil, key, node.HardState{Term: 3, Vote: 1}), format.AppendCheckpoint(nil, key, format.Checkpoint{}))
	}
	return records
}

// Segments may open with the same again and again. Then the records in the sector of a header that is lost are what they should
// be, though they are those of an earlier life.
func TestAHeaderThatIsLostIsTornThoughItsRecordsWereThereBefore(t *testing.T) {
	for _, n := range []int{1, 40} {
		r := overwrite(members(n), members(n))
		o := r.lose(func(i int) bool { return i == 0 })
		if o.err != nil {
			t.Fatalf("%d members: refused: %v", n, o.err)
		}
		expectTorn(t, r.builder, o, r.newest, true)
		r.expect(t, r.lose(func(i int) bool { return i < 8 }), "a page")
	}
}

// The end of a record may be the same in an earlier life: many end with zeros. So a record that is sound does not tell that the
// sector is there which it reaches into.
func TestASectorThatIsLostIsTornThoughARecordReachesIntoIt(t *testing.T) {
	for first := range 60 {
		records := [][]byte{entry(1, 1, 200+first)}
		for i := range 40 {
			records = append(records, format.AppendHardState(nil, 1, node.HardState{Term: node.Term(i + 1), Vote: 1}))
		}
		for name, former := range map[string][][]byte{"nothing": nil, "a shorter batch": records[:9]} {
			r := overwrite(former, records)
			for lost := range r.sectors() {
				o := r.lose(func(i int) bool { return i == lost })
				r.expect(t, o, fmt.Sprintf("a first record of %d bytes, %s, sector %d lost", first, name, lost))
			}
		}
	}
}

func TestNothingThatAFailedSyncLosesIsDamage(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	drawn := func() []byte {
		small := func() uint64 { return random.Uint64N(3) }
		switch random.IntN(5) {
		case 0:
			return format.AppendHardState(nil, 1, node.HardState{Term: node.Term(small()), Commit: node.Index(small())})
		case 1:
			return format.AppendMet(nil, 1, node.Acquaintance{ID: node.ID(small()), Incarnation: node.Incarnation(small())})
		case 2:
			e := node.Entry{Index: node.Index(small()), Kind: node.EntryCommand, Data: make([]byte, random.IntN(1500))}
			return format.AppendEntry(nil, 1, &e)
		case 3:
			e := node.Entry{Index: node.Index(small()), Kind: node.EntryCommand, Data: slices.Concat(members(random.IntN(9))...)}
			return format.AppendEntry(nil, 1, &e)
		default:
			return entry(1, node.Index(small()), random.IntN(300))
		}
	}
	for round := range 400 / min(faultStride, 40) {
		var former, records [][]byte
		for range random.IntN(60) {
			former = append(former, drawn())
		}
		records = slices.Clone(former[:len(former)/(1+random.IntN(3))])
		for range 1 + random.IntN(30) {
			records = append(records, drawn())
		}
		r := overwrite(former, records)
		for i := range r.sectors() {
			r.expect(t, r.lose(func(s int) bool { return s == i }), fmt.Sprintf("round %d, sector %d", round, i))
			r.expect(t, r.lose(func(s int) bool { return s/8 == i/8 }), fmt.Sprintf("round %d, page %d", round, i/8))
			r.expect(t, r.lose(func(s int) bool { return s >= i }), fmt.Sprintf("round %d, from sector %d on", round, i))
			r.expect(t, r.lose(func(int) bool { return random.IntN(2) == 0 }), fmt.Sprintf("round %d, at random", round))
		}
	}
}

// A batch that is bad was durable if another one has been written behind it, though only the footer of that is left.
func TestAFooterTellsThatTheBatchInFrontWasDurable(t *testing.T) {
	b, newest := withNewest()
	next := b.write(entry(1, b.last+1, 10))
	for _, boot := range []string{running, restarted} {
		files := b.clone()
		files[newest.file][newest.offset+newest.bytes-5] ^= 1
		b.unwrite(files[next.file][:next.offset+sectorBytes], next.file, next.offset)
		expectDamage(t, read(files, boot), newest.file, newest.offset, "it was durable")
	}
}

// A footer is one where its batch ends, and nowhere else.
func TestAFooterInAnotherPlaceIsNone(t *testing.T) {
	b, newest := withNewest()
	end := newest.offset + format.BatchBytes(int64(len(newest.payload)))
	footer := b.files[newest.file][end-format.BatchFooterBytes : end]
	for at := newest.offset + format.BlockBytes; at <= b.size; at += format.BlockBytes {
		if at == end {
			continue
		}
		files := b.clone()
		b.unwrite(files[newest.file], newest.file, newest.offset)
		copy(files[newest.file][at-format.BatchFooterBytes:], footer)
		o := read(files, restarted)
		o.expect(t, b.written[:len(b.written)-1], false)
		if o.replayed.tail != nil {
			t.Errorf("at %d: got %+v", at, o.replayed.tail)
		}
	}
}

// Commands of an earlier life may hold what looks like a footer. Who wrote it did not know the salt.
func TestAForgedFooterIsNone(t *testing.T) {
	b, newest := withNewest()
	front := b.written[len(b.written)-2].position
	for _, offset := range []int64{newest.offset, newest.offset + format.BlockBytes} {
		h := format.BatchHeader{
			Sequence: front.Sequence + 1, Segment: 2, Offset: uint64(offset), Durable: front.Sequence, Previous: front.Chain,
		}
		if offset > newest.offset {
			h.Sequence, h.Durable = front.Sequence+2, front.Sequence+1
		}
		files := b.clone()
		b.unwrite(files[newest.file], newest.file, newest.offset)
		h.PutFooter(files[newest.file][offset+format.BlockBytes-format.BatchFooterBytes:], 0x1234)
		o := read(files, restarted)
		o.expect(t, b.written[:len(b.written)-1], false)
		if o.replayed.tail != nil {
			t.Errorf("at %d: got %+v", offset, o.replayed.tail)
		}
	}
}

// The sector of the header is there if the header is, so what is bad in it has not been lost.
func TestWhatIsBadInTheSectorOfTheHeaderIsDamage(t *testing.T) {
	first := entry(1, 1, 200)
	left := sectorBytes - format.BatchHeaderBytes - len(first) - format.RecordHeaderBytes - format.EntryHeaderBytes
	r := overwrite(nil, [][]byte{first, entry(1, 2, left), entry(1, 3, 6000)}) // the second one ends with the sector
	for at := format.BatchHeaderBytes; at < sectorBytes; at++ {
		if in := (at - format.BatchHeaderBytes) % len(first); at < sectorBytes-left && 3 <= in && in < 8 {
			continue // the length
		}
		files := r.clone()
		files[r.newest.file][r.newest.offset+int64(at)] ^= 0x55
		expectDamage(t, read(files, running), r.newest.file, r.newest.offset, "has not been restarted")
	}
}

// A watermark has nothing to lose: one with a bad header is no reason to refuse.
func TestABadHeaderOfAWatermarkIsTorn(t *testing.T) {
	b, _ := withNewest()
	watermark := b.write()
	for at := range int64(format.BatchHeaderBytes) {
		files := b.clone()
		files[watermark.file][watermark.offset+at] ^= 2
		expectTorn(t, b, read(files, running), watermark, true)
	}
}

// A segment that has the header of another one has not just been begun: what a spare was is not there any more, and has a
// lower number.
func TestTheHeaderOfAnotherSegmentIsDamage(t *testing.T) {
	b := threeSegments()
	for name, spoil := range map[string]func(files map[string][]byte){
		"of one that is there": func(files map[string][]byte) { files[segmentName(3)] = files[segmentName(2)] },
		"of a later one": func(files map[string][]byte) {
			files[segmentName(2)] = files[segmentName(3)]
			delete(files, segmentName(3))
		},
	} {
		files := b.clone()
		spoil(files)
		for _, boot := range []string{running, restarted} {
			if o := read(files, boot); o.err == nil {
				t.Errorf("%s: not noticed", name)
			} else {
				var d *damage
				if !errors.As(o.err, &d) || d.offset != 0 {
					t.Errorf("%s: got %v", name, o.err)
				}
			}
		}
	}
}
