package persist

import (
	"errors"
	"runtime"
	"slices"
	"testing"
)

// FuzzScan changes bytes of a store: nothing is read that was never written, and what is read is in order. A mutation
// is two bytes of place and one to put there, in a file of its own.
func FuzzScan(f *testing.F) {
	b, _ := withNewest()
	b.rotate()
	b.fill(3)
	b.write(entry(1, b.last+1, 9000))
	written := map[builtBatch]bool{}
	for _, w := range b.written {
		written[w] = true
	}
	f.Add([]byte(nil), false)
	f.Add([]byte{0, 0, 0, 1}, true)
	f.Add([]byte{1, 0x10, 0x05, 0xff}, false)
	f.Add([]byte{2, 0x40, 0x00, 0x00, 2, 0x40, 0x01, 0x00}, true)
	for _, w := range b.written {
		number, _ := parseSegmentName(w.file)
		f.Add([]byte{byte(number - 1), byte(w.offset >> 8), byte(w.offset), 0x55}, true)
		f.Add([]byte{byte(number - 1), byte(w.offset >> 8), byte(w.offset) + 70, 0x55}, false)
	}
	f.Fuzz(func(t *testing.T, mutations []byte, rebooted bool) {
		files := b.clone()
		for ; len(mutations) >= 4; mutations = mutations[4:] {
			data := files[segmentName(uint64(mutations[0]%3)+1)]
			data[(int(mutations[1])<<8+int(mutations[2]))%len(data)] = mutations[3]
		}
		boot := running
		if rebooted {
			boot = restarted
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o := read(files, boot)
		runtime.ReadMemStats(&after)
		// Each opening of a segment has a window, no larger than the file.
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(20*b.size+256<<10); got > limit {
			t.Errorf("%d bytes allocated, want at most %d", got, limit)
		}
		for i, got := range o.batches {
			if i > 0 && got.position.Sequence != o.batches[i-1].position.Sequence+1 {
				t.Errorf("got %s", batchList(o.batches))
			}
			if got.proven = false; !written[got] {
				t.Errorf("batch %d was never written", got.position.Sequence)
			}
		}
		if o.err != nil && !errors.Is(o.err, ErrDamaged) && !errors.Is(o.err, ErrVersion) {
			t.Errorf("got %v", o.err)
		}
		i, err := inspect(&readFS{files: files}, testDir)
		if err != nil && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrNoStore) {
			t.Errorf("inspecting: %v", err)
		}
		if err == nil && rebooted && i.Sound() != (o.err == nil) {
			t.Errorf("the inspection finds %v, and reading %v", i.problems(), o.err)
		}
	})
}

func TestTheScanFuzzTargetKnowsWhatIsWritten(t *testing.T) {
	b, _ := withNewest()
	o := read(b.clone(), restarted)
	got := slices.Clone(o.batches)
	for i := range got {
		got[i].proven = false
	}
	if !slices.Equal(got, b.written) {
		t.Errorf("got %s", batchList(got))
	}
}
