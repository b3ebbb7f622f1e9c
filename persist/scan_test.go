package persist

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// threeSegments is a store of three segments with three batches each.
func threeSegments() *builder {
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	b.fill(3)
	for range 2 {
		b.rotate()
		b.fill(3)
	}
	return b
}

func TestAnEmptyDirectoryHoldsNoChain(t *testing.T) {
	o := read(map[string][]byte{
		"LOCK": nil, "new-0.spare": make([]byte, 8192), "x.wal": {1}, "00000000000000aG.wal": {1}, "snapshots": nil,
		"0000000000000000.wal": {1}, "ffffffffffffffff.wal": {1}, "000000000000000A.wal": {1}, "1.wal": {1},
	}, running)
	o.expect(t, nil, false)
	if o.chain.next != 1 || o.chain.storeID != 0 || o.chain.void != nil {
		t.Errorf("got %+v", o.chain)
	}
}

func TestAllBatchesAreReadInOrder(t *testing.T) {
	b := threeSegments()
	for _, boot := range []string{running, restarted, ""} {
		o := read(b.clone(), boot)
		o.expect(t, b.written, false)
		if o.replayed.tail != nil || o.chain.void != nil || o.chain.missing != 0 || o.chain.next != 4 ||
			o.chain.storeID != testStoreID {
			t.Errorf("got tail %v, chain %+v", o.replayed.tail, o.chain)
		}
		if end := o.chain.segments[2].end; end != b.offset {
			t.Errorf("got end %d, want %d", end, b.offset)
		}
	}
}

func TestAWatermarkProvesTheBatchInFrontOfIt(t *testing.T) {
	b := threeSegments()
	b.write()
	o := read(b.clone(), restarted)
	o.expect(t, b.written, false)
	if got := o.batches[len(o.batches)-2]; !got.proven || o.replayed.durable != got.position {
		t.Errorf("got %v, durable %v", got, o.replayed.durable)
	}
	if o.batches[len(o.batches)-1].payload != "" {
		t.Error("a watermark has records")
	}
}

func TestASegmentComesIntoEffectWithItsFirstBatch(t *testing.T) {
	// The newest batch of segment 1 is in doubt, so an Open begins segment 2 in front of it, and repeats it there.
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	b.fill(2)
	known := b.at
	doubtful := entry(1, 7, 5000)
	b.write(doubtful)
	before := slices.Clone(b.written)
	b.begin(2, 1, known)
	header := b.clone()
	again := b.write(append(b.opening(), doubtful)...)
	whole := b.clone()

	t.Run("before it", func(t *testing.T) {
		for _, boot := range []string{running, restarted} {
			o := read(header, boot)
			o.expect(t, before, false)
			if !slices.Equal(o.chain.void, []string{segmentName(2)}) || o.chain.next != 3 {
				t.Errorf("got %+v", o.chain)
			}
		}
	})
	t.Run("in the middle of it", func(t *testing.T) {
		for cut := range again.bytes - 1 {
			if cut > 1000 && cut%37 != 0 {
				continue
			}
			files := maps.Clone(whole)
			files[again.file] = slices.Clone(whole[again.file])
			b.unwrite(files[again.file], again.file, again.offset+cut)
			for _, boot := range []string{running, restarted} {
				o := read(files, boot)
				o.expect(t, before, false)
				there := bytes.HasPrefix(files[again.file][again.offset:], whole[again.file][again.offset:][:format.BatchHeaderBytes])
				if tail := o.replayed.tail; tail != nil != there || there && tail.file != again.file {
					t.Fatalf("cut at %d: got tail %v", cut, tail)
				}
			}
		}
	})
	t.Run("behind it", func(t *testing.T) {
		o := read(whole, restarted)
		o.expect(t, append(slices.Clone(before[:2]), again), false)
		if o.chain.void != nil {
			t.Errorf("got void %v", o.chain.void)
		}
	})
	t.Run("several in a row", func(t *testing.T) {
		// Segment 2 is in effect, and so it is as long as none of those that would make it void is.
		files := maps.Clone(whole)
		for number := uint64(3); number <= 5; number++ {
			b.begin(number, 1, known)
			files[segmentName(number)] = b.files[segmentName(number)]
			o := read(files, restarted)
			o.expect(t, append(slices.Clone(before[:2]), again), false)
			if o.chain.next != number+1 || len(o.chain.void) != int(number)-2 {
				t.Errorf("got void %v, next %d", o.chain.void, o.chain.next)
			}
		}
		last := b.write(append(b.opening(), doubtful)...)
		o := read(files, restarted)
		o.expect(t, append(slices.Clone(before[:2]), last), false)
		if len(o.chain.void) != 3 {
			t.Errorf("got void %v", o.chain.void)
		}
	})
	t.Run("its end is proven all the same", func(t *testing.T) {
		files := maps.Clone(header)
		files[segmentName(1)] = slices.Clone(files[segmentName(1)])
		b.unwrite(files[segmentName(1)], segmentName(1), before[2].offset)
		o := read(files, restarted)
		o.expect(t, before[:2], true)
	})
	t.Run("and the tail of the predecessor is judged by its own boot", func(t *testing.T) {
		files := maps.Clone(header)
		files[segmentName(1)] = slices.Clone(files[segmentName(1)])
		files[segmentName(1)][before[2].offset+20] ^= 1
		o := read(files, restarted)
		o.expect(t, before[:2], true)
		if o.replayed.tail == nil || o.replayed.tail.file != segmentName(1) {
			t.Errorf("got %+v", o.replayed.tail)
		}
		expectDamage(t, read(files, running), segmentName(1), before[2].offset, "has not been restarted")
	})
}

func TestSegmentsThatWereRotatedBehindTheirFirstBatch(t *testing.T) {
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	b.fill(3)
	for range 3 {
		b.rotate()
		o := read(b.clone(), restarted)
		o.expect(t, b.written, true)
		b.fill(1)
		o = read(b.clone(), restarted)
		o.expect(t, b.written, false)
	}
}

func TestAStoreWhoseFirstSegmentWasCutOffIsEmpty(t *testing.T) {
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	files := b.clone()
	o := read(files, restarted)
	o.expect(t, nil, false)
	if o.chain.storeID != testStoreID || o.chain.next != 2 || len(o.chain.void) != 1 || o.chain.missing != 0 {
		t.Errorf("got %+v", o.chain)
	}
	b.fill(1)
	o = read(b.clone(), restarted)
	o.expect(t, b.written, false)
}

func TestTheCreationOfASegmentIsCutOff(t *testing.T) {
	b := threeSegments()
	want := slices.Clone(b.written)
	b.rotate()
	header := b.files[b.file][:format.BlockBytes]
	for cut := range format.SegmentHeaderBytes {
		files := b.clone()
		clear(files[b.file][cut:])
		for _, boot := range []string{running, restarted} {
			o := read(files, boot)
			o.expect(t, want, false)
			if o.chain.next != 5 || len(o.chain.void) != 1 {
				t.Fatalf("cut at %d: got %+v", cut, o.chain)
			}
		}
	}
	for i := range header[:sectorBytes] {
		files := b.clone()
		for at := range sectorBytes {
			files[b.file][at] = byte(at*7 + i)
		}
		o := read(files, restarted)
		o.expect(t, want, false)
	}
	t.Run("of another number, from a spare that was prepared twice", func(t *testing.T) {
		files := b.clone()
		files[segmentName(9)] = files[b.file]
		delete(files, b.file)
		o := read(files, restarted)
		o.expect(t, want, false)
		if o.chain.next != 10 {
			t.Errorf("got next %d", o.chain.next)
		}
	})
}

func TestASegmentWithABadHeaderThatIsNeededIsDamage(t *testing.T) {
	for number := uint64(1); number <= 3; number++ {
		for i := range format.SegmentHeaderBytes {
			files := threeSegments().clone()
			files[segmentName(number)][i] ^= 0x10
			o := read(files, restarted)
			expectDamage(t, o, segmentName(number), 0, "header")
		}
		files := threeSegments().clone()
		files[segmentName(number)] = files[segmentName(number)][:100]
		o := read(files, restarted)
		expectDamage(t, o, segmentName(number), 0, "shorter")
	}
}

func TestANewerVersionIsRefusedAndNotCalledDamage(t *testing.T) {
	files := threeSegments().clone()
	header := files[segmentName(3)][:format.SegmentHeaderBytes]
	header[8] = format.Version + 1
	sum := format.Checksum(header[:format.SegmentHeaderBytes-4])
	for i := range 4 {
		header[format.SegmentHeaderBytes-4+i] = byte(sum >> (8 * i))
	}
	o := read(files, restarted)
	if !errors.Is(o.err, ErrVersion) || !errors.Is(o.err, format.ErrVersion) || errors.Is(o.err, ErrDamaged) {
		t.Errorf("got %v", o.err)
	}
	if _, err := inspect(&readFS{files: files}, testDir); !errors.Is(err, ErrVersion) {
		t.Errorf("the inspection: got %v", err)
	}
	if !strings.Contains(o.err.Error(), segmentName(3)) || !strings.Contains(o.err.Error(), "version 2") {
		t.Errorf("got %v", o.err)
	}
}

func TestASegmentOfAnotherStoreIsDamage(t *testing.T) {
	b := threeSegments()
	b.rotate()
	b.header.StoreID++
	copy(b.files[b.file], b.header.Append(nil))
	expectDamage(t, read(b.clone(), restarted), b.file, 0, "of another store")
}

func TestTheOldestSegmentsMayBeGone(t *testing.T) {
	b := threeSegments()
	files := b.clone()
	delete(files, segmentName(1))
	o := read(files, restarted)
	o.expect(t, b.written[3:], false)
	if o.chain.missing != 1 {
		t.Errorf("got missing %d", o.chain.missing)
	}
	delete(files, segmentName(2))
	o = read(files, restarted)
	o.expect(t, b.written[6:], false)

	t.Run("one in the middle takes those in front of it with it", func(t *testing.T) {
		files := b.clone()
		delete(files, segmentName(2))
		o := read(files, restarted)
		o.expect(t, b.written[6:], false)
		if o.chain.missing != 2 || !slices.Equal(o.chain.void, []string{segmentName(1)}) {
			t.Errorf("got %+v", o.chain)
		}
	})
	t.Run("which proves the opening batch of the next", func(t *testing.T) {
		files := maps.Clone(files)
		files[segmentName(3)] = slices.Clone(files[segmentName(3)])
		clear(files[segmentName(3)][b.written[7].offset:])
		o := read(files, restarted)
		o.expect(t, b.written[6:7], true)
		files[segmentName(3)][b.written[6].offset+70] ^= 1
		expectDamage(t, read(files, restarted), segmentName(3), b.written[6].offset, "durable")
		clear(files[segmentName(3)][b.written[6].offset:])
		expectDamage(t, read(files, restarted), segmentName(3), b.written[6].offset, "durable")
	})
}

func TestWhatLiesBehindTheEndOfASegmentIsVoid(t *testing.T) {
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	b.fill(3)
	end := b.at
	b.write(entry(1, 9, 9000))
	b.begin(2, 1, end)
	b.fill(2)
	want := append(slices.Clone(b.written[:3]), b.written[4:]...)
	files := b.clone()
	o := read(files, restarted)
	o.expect(t, want, false)
	if got := o.chain.segments[0].end; got != b.written[3].offset {
		t.Errorf("got end %d, want %d", got, b.written[3].offset)
	}
	for i := b.written[3].offset; i < b.size; i += 100 {
		files[segmentName(1)][i] ^= 0xff
	}
	o = read(files, restarted)
	o.expect(t, want, false)
	files[segmentName(1)] = files[segmentName(1)][:b.written[3].offset]
	o = read(files, restarted)
	o.expect(t, want, false)
	files[segmentName(1)] = files[segmentName(1)][:b.written[2].offset]
	expectDamage(t, read(files, restarted), segmentName(1), b.written[2].offset, "durable")
}

func TestAForkIsToldByTheChain(t *testing.T) {
	// Another history with the same numbers, sequences and salts, but other records.
	other := newBuilder()
	other.begin(1, 0, position(0, 0))
	other.fill(2)
	other.write(entry(1, 3, 41))
	b := threeSegments()
	files := b.clone()
	files[segmentName(1)] = other.files[segmentName(1)]
	expectDamage(t, read(files, restarted), segmentName(1), other.offset, "not the one that the next segment goes on from")

	t.Run("in the newest segment", func(t *testing.T) {
		b := threeSegments()
		b.at.Chain++
		got := b.write(entry(1, 10, 10))
		for _, boot := range []string{running, restarted} {
			expectDamage(t, read(b.clone(), boot), got.file, got.offset, "but another one")
		}
	})
	t.Run("an end in front of the segment", func(t *testing.T) {
		b := threeSegments()
		b.begin(4, 3, b.written[1].position)
		b.fill(2)
		expectDamage(t, read(b.clone(), restarted), segmentName(3), 0, "begins behind batch 6")
	})
	t.Run("a predecessor that comes later", func(t *testing.T) {
		b := threeSegments()
		b.begin(4, 4, b.at)
		expectDamage(t, read(b.clone(), restarted), segmentName(4), 0, "not in front of it")
	})
}

func TestAReadThatFailsIsNeitherTornNorDamage(t *testing.T) {
	b := threeSegments()
	for name := range b.files {
		for _, at := range []int64{0, 10, format.BlockBytes, b.offset - 1, b.offset, b.size - 1} {
			if at == b.size-1 && name != segmentName(3) {
				continue // behind the end
			}
			o := readFrom(&readFS{files: b.files, failing: map[string]int64{name: at}}, restarted)
			var unreadable *readError
			if !errors.As(o.err, &unreadable) || !errors.Is(o.err, errUnreadable) || errors.Is(o.err, ErrDamaged) {
				t.Fatalf("%s at %d: got %v", name, at, o.err)
			}
			if !strings.HasSuffix(unreadable.file, name) || unreadable.offset != at {
				t.Errorf("got %s at %d, want %s at %d", unreadable.file, unreadable.offset, name, at)
			}
		}
	}
}

func TestAnErrorOfTheVisitorEndsTheReading(t *testing.T) {
	c, err := loadChain(&readFS{files: threeSegments().files}, testDir)
	if err != nil {
		t.Fatal(err)
	}
	visits := 0
	_, err = c.replay(restarted, func(*batch) error {
		visits++
		return fs.ErrInvalid
	})
	if visits != 1 || !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v after %d visits", err, visits)
	}
}

func TestProgressReachesTheTotal(t *testing.T) {
	c, err := loadChain(&readFS{files: threeSegments().files}, testDir)
	if err != nil {
		t.Fatal(err)
	}
	var last, total int64
	c.progress = func(bytes, of int64) {
		if bytes < last || bytes > of {
			t.Errorf("got %d after %d, of %d", bytes, last, of)
		}
		last, total = bytes, of
	}
	if _, err := c.replay(restarted, func(*batch) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if want := 3 * newBuilder().size; last != want || total != want {
		t.Errorf("got %d of %d, want %d", last, total, want)
	}
}

func TestBatchesMayBeLargerThanTheWindow(t *testing.T) {
	b := newBuilder()
	b.size = 16 << 20
	b.begin(1, 0, position(0, 0))
	b.fill(2)
	for _, bytes := range []int{windowBytes - 200, windowBytes, 5*windowBytes + 13, 100, windowBytes - format.BlockBytes} {
		b.write(entry(1, 9, bytes))
	}
	fsys := &readFS{files: b.files}
	o := readFrom(fsys, restarted)
	o.expect(t, b.written, false)
	if limit := 6*windowBytes + 2*format.BlockBytes; fsys.largest > limit {
		t.Errorf("got a read of %d bytes, want at most %d", fsys.largest, limit)
	}
}

func TestAHeaderThatAnnouncesMoreThanTheFileHasAllocatesNothing(t *testing.T) {
	b := threeSegments()
	h := format.BatchHeader{
		PayloadBytes: 1 << 31, Sequence: b.at.Sequence + 1, Segment: 3, Offset: uint64(b.offset), Durable: b.at.Sequence,
		Previous: b.at.Chain,
	}
	b.put(h, []byte("x"))
	fsys := &readFS{files: b.files}
	o := readFrom(fsys, restarted)
	o.expect(t, b.written[:9], true) // the header is that of a later batch
	if o.replayed.tail == nil || fsys.largest > windowBytes {
		t.Errorf("got tail %v, a read of %d bytes", o.replayed.tail, fsys.largest)
	}
}

func TestDamageNamesThoseWhoseRecordsAreInTheBatch(t *testing.T) {
	b := threeSegments()
	records := [][]byte{entry(7, 1, 100), entry(8, 1, 100), entry(9, 1, 100), entry(7, 2, 100)}
	got := b.write(records...)
	b.write()
	files := b.clone()
	files[got.file][got.offset+format.BatchHeaderBytes+int64(len(records[0]))+50] ^= 1 // in that of 8
	o := read(files, restarted)
	expectDamage(t, o, got.file, got.offset, "durable")
	var d *damage
	errors.As(o.err, &d)
	if want := []node.Incarnation{7, 8, 9}; !slices.Equal(d.keys, want) {
		t.Errorf("got %v, want %v", d.keys, want)
	}
	named := d.in(testDir, []MemberName{{"g", 7}})
	if !errors.Is(named, ErrDamaged) || !strings.Contains(named.Error(), "g/7") || !strings.Contains(named.Error(), "checksum") {
		t.Errorf("got %v", named)
	}
}

// expectDamage wants damage at a place, for a reason.
func expectDamage(t *testing.T, o outcome, file string, offset int64, detail string) {
	t.Helper()
	var d *damage
	if !errors.As(o.err, &d) || !errors.Is(o.err, ErrDamaged) {
		t.Fatalf("got %v (tail %v, %s), want damage", o.err, o.replayed.tail, batchList(o.batches))
	}
	if d.file != file || d.offset != offset || !strings.Contains(d.Error(), detail) {
		t.Fatalf("got %v, want %s at %d: %s", d, file, offset, detail)
	}
}
