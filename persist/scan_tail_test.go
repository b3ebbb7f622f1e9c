package persist

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"example.com/raftactor/persist/internal/format"
)

// withNewest is a store whose newest batch spans several blocks.
func withNewest() (*builder, builtBatch) {
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	b.fill(3)
	b.rotate()
	b.fill(2)
	b.last += 4
	return b, b.write(entry(1, b.last-3, 300), entry(1, b.last-2, 6000), entry(1, b.last-1, 3000), entry(1, b.last, 11))
}

// expectTorn wants the newest batch to be dropped as torn. What is in front of it is proven if its header can be read.
func expectTorn(t *testing.T, b *builder, o outcome, newest builtBatch, killed bool) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("refused: %v", o.err)
	}
	before := len(b.written) - 1
	o.expect(t, b.written[:before], o.replayed.durable == b.written[before-1].position)
	tail := o.replayed.tail
	if tail == nil {
		t.Fatal("got no tail")
	}
	want := droppedTail{
		file: newest.file, offset: newest.offset, bytes: tail.bytes, sequence: newest.position.Sequence, killed: killed,
	}
	if *tail != want || tail.bytes != min(format.BatchBytes(newest.bytes-format.BatchHeaderBytes), b.size-newest.offset) {
		t.Fatalf("got tail %+v, want %+v", *tail, want)
	}
}

func TestAPrefixThatAKillLeavesIsDropped(t *testing.T) {
	b, newest := withNewest()
	whole := b.files[newest.file]
	for cut := range format.RoundUp(newest.bytes) {
		near := cut <= 700 || cut >= newest.bytes-700 || cut%sectorBytes <= 1
		if !near && cut%7 != 0 || faultStride > 1 && cut%11 != 0 {
			continue // at every byte near the ends and the sectors', and at every seventh elsewhere
		}
		files := map[string][]byte{segmentName(1): b.files[segmentName(1)], newest.file: slices.Clone(whole)}
		b.unwrite(files[newest.file], newest.file, newest.offset+cut)
		for boot, killed := range map[string]bool{running: true, restarted: false, "": false} {
			o := read(files, boot)
			header := whole[newest.offset:][:format.BatchHeaderBytes]
			if bytes.HasPrefix(files[newest.file][newest.offset:], header) && cut < newest.bytes {
				expectTorn(t, b, o, newest, killed)
				continue
			}
			there := 5 // nothing tells that there was one more
			if cut >= newest.bytes {
				there = 6
			}
			o.expect(t, b.written[:there], false)
			if o.replayed.tail != nil {
				t.Fatalf("cut at %d: got tail %+v where the log ends", cut, o.replayed.tail)
			}
		}
	}
}

func TestAPowerLossTearsTheNewestBatch(t *testing.T) {
	b, newest := withNewest()
	random := rand.New(rand.NewPCG(1, 2))
	sectors := int(format.RoundUp(newest.bytes) / sectorBytes)
	spoil := map[string]func(sector []byte){
		"zero":    func(s []byte) { clear(s) },
		"garbage": func(s []byte) { fillRandom(random, s) },
		"a copy of the header": func(s []byte) {
			copy(s, b.files[newest.file][newest.offset:newest.offset+sectorBytes])
		},
		"a copy of the header in front": func(s []byte) {
			copy(s, b.files[newest.file][newest.offset-format.BlockBytes:newest.offset])
		},
	}
	used := int((newest.bytes + sectorBytes - 1) / sectorBytes)
	for name, spoil := range spoil {
		for i := range sectors {
			files := b.clone()
			at := newest.offset + int64(i)*sectorBytes
			spoil(files[newest.file][at : at+sectorBytes])
			o := read(files, restarted)
			if i >= used || name == "a copy of the header" && i == 0 {
				continue // padding: see TestPaddingIsNotLookedAt
			}
			expectTorn(t, b, o, newest, false)
		}
	}
	for range 500 {
		files := b.clone()
		spoiled := 0
		for i := range used {
			s := files[newest.file][newest.offset+int64(i)*sectorBytes:][:sectorBytes]
			switch random.IntN(4) {
			case 0:
				clear(s)
				spoiled++
			case 1:
				fillRandom(random, s)
				spoiled++
			}
		}
		if spoiled > 0 {
			expectTorn(t, b, read(files, restarted), newest, false)
			expectTorn(t, b, read(files, ""), newest, false)
		}
	}
}

func fillRandom(random *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

// After a failed sync the page cache may forget what was written, and the file holds what is on the disk: what it held in an
// earlier life.
func TestSectorsThatAreLostUnderTheSameBootAreTorn(t *testing.T) {
	b, newest := withNewest()
	used := int(newest.bytes / sectorBytes) // the last one is not whole
	random := rand.New(rand.NewPCG(3, 4))
	lose := func(files map[string][]byte, i int) {
		at := newest.offset + int64(i)*sectorBytes
		old := slices.Clone(b.files[newest.file])
		b.unwrite(old, newest.file, 0)
		copy(files[newest.file][at:], old[at:at+sectorBytes])
	}
	for i := range used {
		files := b.clone()
		lose(files, i)
		expectTorn(t, b, read(files, running), newest, true)
		clear(files[newest.file][newest.offset+int64(i)*sectorBytes:][:sectorBytes])
		expectTorn(t, b, read(files, running), newest, true)
	}
	for range 200 {
		files := b.clone()
		lost := 0
		for i := range used {
			if random.IntN(2) == 0 {
				lose(files, i)
				lost++
			}
		}
		if lost > 0 {
			expectTorn(t, b, read(files, running), newest, true)
		}
	}
}

// A record that is bad in the sector of the header has not been lost with the sector, and one of which a single bit is wrong neither.
func TestGarbageUnderTheSameBootIsDamage(t *testing.T) {
	b, newest := withNewest()
	record := int64(format.RecordHeaderBytes + format.EntryHeaderBytes + 300)
	var torn int
	for at := newest.offset; at < newest.offset+newest.bytes; at += 13 {
		for _, bit := range []byte{1, 0x80} {
			files := b.clone()
			files[newest.file][at] ^= bit
			expectTorn(t, b, read(files, restarted), newest, false)
			o := read(files, running)
			inRecord := at - newest.offset - format.BatchHeaderBytes
			if o.err == nil && inRecord >= record {
				expectTorn(t, b, o, newest, true)
				torn++
				continue
			}
			expectDamage(t, o, newest.file, newest.offset, "has not been restarted")
		}
	}
	if torn == 0 {
		t.Error("the long records are to be taken for torn")
	}
}

// Short records fill a sector many times, so a flip in one is not taken for a sector that was lost, unless the record lies in two.
func TestAFlipAmongShortRecordsIsDamage(t *testing.T) {
	b := newBuilder()
	b.begin(1, 0, position(0, 0))
	b.fill(2)
	var records [][]byte
	for range 100 {
		b.last++
		records = append(records, entry(1, b.last, 16))
	}
	newest := b.write(records...)
	length := int64(len(records[0]))
	for at := range newest.bytes {
		files := b.clone()
		files[newest.file][newest.offset+at] ^= 1
		o := read(files, running)
		begins := at - (at-format.BatchHeaderBytes)%length
		if at < format.BatchHeaderBytes || begins/sectorBytes == (begins+length-1)/sectorBytes {
			expectDamage(t, o, newest.file, newest.offset, "has not been restarted")
		} else {
			expectTorn(t, b, o, newest, true)
		}
	}
}

// What a segment held in an earlier life means nothing.
func TestWhatIsNotWrittenYetIsNotLookedAt(t *testing.T) {
	b, newest := withNewest()
	for at := b.offset; at < b.size; at += 501 {
		files := b.clone()
		files[newest.file][at] ^= 1
		for _, boot := range []string{running, restarted} {
			o := read(files, boot)
			o.expect(t, b.written, false)
			if o.replayed.tail != nil {
				t.Fatalf("at %d: got %+v", at, o.replayed.tail)
			}
		}
	}
}

func TestAFlipAnywhereElseIsDamage(t *testing.T) {
	b, newest := withNewest()
	for _, w := range b.written[:len(b.written)-1] {
		for at := range w.bytes {
			for _, boot := range []string{running, restarted} {
				files := b.clone()
				files[w.file][w.offset+at] ^= 1 << (at % 8)
				expectDamage(t, read(files, boot), w.file, w.offset, "durable")
			}
		}
		files := b.clone()
		clear(files[w.file][w.offset:][:sectorBytes])
		expectDamage(t, read(files, restarted), w.file, w.offset, "durable")
	}
	t.Run("in the newest batch, once a watermark covers it", func(t *testing.T) {
		b.write()
		for at := int64(0); at < newest.bytes; at += 7 {
			files := b.clone()
			files[newest.file][newest.offset+at] ^= 4
			expectDamage(t, read(files, restarted), newest.file, newest.offset, "durable")
		}
	})
	t.Run("in the newest batch, once a segment has been begun behind it", func(t *testing.T) {
		b, newest := withNewest()
		b.rotate()
		for _, write := range []func(){func() {}, func() { b.fill(1) }, func() { b.write() }} {
			write()
			files := b.clone()
			files[newest.file][newest.offset+100] ^= 4
			expectDamage(t, read(files, restarted), newest.file, newest.offset, "durable")
		}
	})
}

// What is in the padding is never read, so it does not matter.
func TestPaddingIsNotLookedAt(t *testing.T) {
	b, _ := withNewest()
	for _, w := range b.written {
		for at := w.bytes; at < format.RoundUp(w.bytes); at += 101 {
			files := b.clone()
			files[w.file][w.offset+at] ^= 0xff
			for _, boot := range []string{running, restarted} {
				o := read(files, boot)
				o.expect(t, b.written, false)
				if o.replayed.tail != nil {
					t.Fatalf("got tail %+v", o.replayed.tail)
				}
			}
		}
	}
	t.Run("of a header", func(t *testing.T) {
		files := b.clone()
		files[segmentName(2)][format.SegmentHeaderBytes+3] = 1
		o := read(files, restarted)
		o.expect(t, b.written, false)
	})
}

// A command may hold anything: copies of batches, of this store too. None of it must be taken for one.
func TestBytesOfUsersAreNotTakenForBatches(t *testing.T) {
	b, newest := withNewest()
	copied := slices.Clone(b.files[newest.file][newest.offset:][:format.RoundUp(newest.bytes)])
	forged := make([]byte, format.BlockBytes)
	var commands []byte
	commands = append(commands, copied...)
	for i := range 4 {
		h := format.BatchHeader{
			Sequence: 100, Segment: 2, Durable: 99,
			Offset: uint64(b.offset) + uint64(i)*format.BlockBytes + uint64(len(copied)),
		}
		h.Put(forged, 0x1234) // a user does not know the salt
		commands = append(commands, forged...)
	}
	// So that the copies come to lie where blocks begin.
	align := format.BlockBytes - format.BatchHeaderBytes
	payload := slices.Concat(entry(1, 30, align-format.RecordHeaderBytes-format.EntryHeaderBytes), commands)
	h := format.BatchHeader{
		PayloadBytes: uint32(len(payload)), Sequence: b.at.Sequence + 1, Segment: 2, Offset: uint64(b.offset),
		Durable: b.at.Sequence, Previous: b.at.Chain, Records: 1,
	}
	torn := b.put(h, payload) // its payload checksum is wrong, as if it were torn
	expectTorn(t, b, read(b.clone(), restarted), torn, false)
	files := b.clone()
	clear(files[torn.file][torn.offset:][:sectorBytes])
	expectTorn(t, b, read(files, restarted), torn, false)
}

func TestARecordThatWasDamagedBeforeItWasWrittenIsDamage(t *testing.T) {
	b, _ := withNewest()
	bad := entry(1, 30, 100)
	bad[50] ^= 1
	w := b.write(entry(1, 29, 100), bad)
	for _, boot := range []string{running, restarted} {
		expectDamage(t, read(b.clone(), boot), w.file, w.offset, "record 2")
	}
	b, _ = withNewest()
	payload := slices.Concat(entry(1, 30, 10), entry(1, 31, 10))
	w = b.put(format.BatchHeader{
		PayloadBytes: uint32(len(payload)), PayloadChecksum: format.Checksum(payload), Sequence: b.at.Sequence + 1,
		Segment: 2, Offset: uint64(b.offset), Durable: b.at.Sequence, Previous: b.at.Chain, Records: 3,
	}, payload)
	expectDamage(t, read(b.clone(), restarted), w.file, w.offset, "should be 3 records, and is 2")
}

func TestEveryFieldOfABatchHeaderIsChecked(t *testing.T) {
	spoil := map[string]func(h *format.BatchHeader){
		"sequence": func(h *format.BatchHeader) { h.Sequence++ },
		"durable":  func(h *format.BatchHeader) { h.Durable = h.Sequence },
		"previous": func(h *format.BatchHeader) { h.Previous++ },
		"records":  func(h *format.BatchHeader) { h.Records++ },
	}
	for name, spoil := range spoil {
		b, _ := withNewest()
		payload := entry(1, 30, 10)
		h := format.BatchHeader{
			PayloadBytes: uint32(len(payload)), PayloadChecksum: format.Checksum(payload), Sequence: b.at.Sequence + 1,
			Segment: 2, Offset: uint64(b.offset), Durable: b.at.Sequence, Previous: b.at.Chain, Records: 1,
		}
		spoil(&h)
		w := b.put(h, payload)
		for _, boot := range []string{running, restarted} {
			if o := read(b.clone(), boot); o.err == nil {
				t.Errorf("%s: a wrong one is not noticed", name)
			} else {
				expectDamage(t, o, w.file, w.offset, "")
			}
		}
	}
	// A batch that was written for another place is none here: it is of an earlier life.
	for name, spoil := range map[string]func(h *format.BatchHeader){
		"segment": func(h *format.BatchHeader) { h.Segment++ },
		"offset":  func(h *format.BatchHeader) { h.Offset += format.BlockBytes },
	} {
		b, _ := withNewest()
		payload := entry(1, 30, 10)
		h := format.BatchHeader{
			PayloadBytes: uint32(len(payload)), PayloadChecksum: format.Checksum(payload), Sequence: b.at.Sequence + 1,
			Segment: 2, Offset: uint64(b.offset), Durable: b.at.Sequence, Previous: b.at.Chain, Records: 1,
		}
		spoil(&h)
		b.put(h, payload)
		for _, boot := range []string{running, restarted} {
			o := read(b.clone(), boot)
			o.expect(t, b.written[:6], false)
			if o.replayed.tail != nil {
				t.Errorf("%s: got %+v", name, o.replayed.tail)
			}
		}
	}
}
