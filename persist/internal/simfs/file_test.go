package simfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
	"testing"
)

// plain are the outcomes that brief can tell apart.
const plain = Old | Written | Newest | Zeros

func TestASyncMakesContentAndLengthDurable(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", fill("a", 2))
	write(t, file, fill("b", 2), SectorBytes)
	noError(t, file.Sync())
	wantStates(t, f, "a", "|abb")
}

func TestAnUnsyncedSectorIsOldOrAnyVersionOrZerosOrGarbage(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", fill("a", 1))
	write(t, file, fill("b", 1), 0)
	write(t, file, fill("c", 1), 0)
	f.SetOutcomes(plain)
	wantStates(t, f, "a", "|a", "|b", "|c", "|0")
	f.SetOutcomes(AllOutcomes)
	if got := states(f, "a"); len(got) != 5 || got["|?"] != 2 {
		t.Errorf("got %v, want the four, garbage and a flipped bit", got)
	}
	f.SetOutcomes(Old)
	wantStates(t, f, "a", "|a", "|c")
}

func TestGarbageIsDeterministic(t *testing.T) {
	make := func() *FS {
		f := New()
		write(t, durableFile(t, f, "a", fill("a", 3)), fill("b", 2), 100)
		return f
	}
	a, b := make().Losses(), make().Losses()
	if a.Count() != b.Count() {
		t.Fatalf("%d and %d states", a.Count(), b.Count())
	}
	for i := range a.Count() {
		if dump(a.State(i)) != dump(b.State(i)) {
			t.Fatalf("state %d differs", i)
		}
	}
}

func TestAFlippedBitIsOneBitOfTheNewestContent(t *testing.T) {
	f := New()
	write(t, durableFile(t, f, "a", fill("a", 1)), "new", 0)
	newest, got := f.Content("a"), f.PowerLoss(Everything(Flipped)).Content("a")
	bits := 0
	for i := range got {
		for d := got[i] ^ newest[i]; d != 0; d &= d - 1 {
			bits++
		}
	}
	if bits != 1 {
		t.Errorf("%d bits differ, want 1", bits)
	}
}

func TestOutcomesOfEqualContentAreOne(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	write(t, durableFile(t, f, "a", fill("\x00", 2)), fill("\x00", 1), 0)
	wantStates(t, f, "a", "|00")
}

func TestAPartOfASectorIsWrittenAsTheWholeSector(t *testing.T) {
	f := New()
	f.SetOutcomes(Old)
	write(t, durableFile(t, f, "a", "abcdef"), "X", 2)
	if got := string(f.PowerLoss(Choice{}).Content("a")); got != "abcdef" {
		t.Errorf("lost: %s", got)
	}
	if got := string(f.PowerLoss(Everything(Newest)).Content("a")); got != "abXdef" {
		t.Errorf("kept: %s", got)
	}
}

func TestAnUnsyncedLengthIsAnyThatTheFileHasHad(t *testing.T) {
	f := New()
	f.SetOutcomes(Old)
	file := durableFile(t, f, "a", fill("a", 1))
	write(t, file, fill("b", 1), SectorBytes)
	write(t, file, fill("c", 1), 2*SectorBytes)
	wantStates(t, f, "a", "|a", "|a0", "|ab", "|a00", "|a0c", "|ab0", "|abc")
}

func TestATruncationHappensAsAWholeOrNotAtAll(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", fill("a", 3))
	noError(t, file.Truncate(SectorBytes))
	wantStates(t, f, "a", "|aaa", "|a")
}

func TestWhatIsWrittenBehindATruncationIsNotThereWithoutIt(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", fill("a", 3))
	noError(t, file.Truncate(0))
	write(t, file, fill("b", 1), SectorBytes)
	wantStates(t, f, "a", "|aaa", "|", "|0b", "|00")
}

func TestWhatIsWrittenBehindATruncationOfZerosIsNotThereWithoutIt(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", fill("a", 1)+fill("\x00", 1))
	noError(t, file.Truncate(SectorBytes))
	write(t, file, fill("b", 2), SectorBytes)
	wantStates(t, f, "a", "|a0", "|a", "|abb", "|a0b", "|ab0", "|a00")
}

func TestATruncationWithinASectorKeepsWhatMayBeInFrontOfIt(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", "aaaa")
	write(t, file, "bbbb", 0)
	noError(t, file.Truncate(2))
	noError(t, file.Truncate(4))
	got := map[string]bool{}
	for image := range f.CrashStates(100, nil) {
		got[string(image.Content("a"))] = true
	}
	want := []string{"aaaa", "bbbb", "\x00\x00\x00\x00", "aa", "bb", "\x00\x00", "aa\x00\x00", "bb\x00\x00"}
	for _, state := range want {
		if !got[state] {
			t.Errorf("%q is missing", state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

func TestWhatTruncateAddsReadsAsZeros(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", fill("a", 100))
	noError(t, file.Truncate(700))
	noError(t, file.Truncate(3*SectorBytes))
	content := f.Content("a")
	for i, b := range content {
		if want := byte('a'); i < 700 && b != want || i >= 700 && b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
}

func TestReadAtEndsWithTheFile(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", "abc")
	tests := map[string]struct {
		length int
		offset int64
		want   string
		err    error
	}{
		"within":       {2, 1, "bc", nil},
		"over the end": {5, 1, "bc", io.EOF},
		"behind":       {1, 9, "", io.EOF},
		"nothing":      {0, 9, "", nil},
		"before":       {1, -1, "", syscall.EINVAL},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := make([]byte, test.length)
			n, err := file.ReadAt(p, test.offset)
			if string(p[:n]) != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v", p[:n], err)
			}
		})
	}
}

func TestHandlesOutliveTheName(t *testing.T) {
	f := New()
	a, b := durableFile(t, f, "a", "old a"), durableFile(t, f, "b", "old b")
	noError(t, f.Rename("a", "b"))
	noError(t, f.SyncDir("."))
	write(t, a, "new", 0)
	write(t, b, "XXX", 0)
	if got := string(f.Content("b")); got != "new a" {
		t.Errorf("b holds %q", got)
	}
	noError(t, f.Remove("b"))
	noError(t, f.SyncDir("."))
	for want, file := range map[string]io.ReaderAt{"new a": a, "XXX b": b} {
		p := make([]byte, 5)
		if _, err := file.ReadAt(p, 0); err != nil || string(p) != want {
			t.Errorf("got %q, %v, want %q", p, err, want)
		}
	}
}

func TestAFileWithoutANameIsForgottenWhenItIsClosed(t *testing.T) {
	f := New()
	a := durableFile(t, f, "a", "a")
	noError(t, f.Remove("a"))
	noError(t, f.SyncDir("."))
	if n := len(f.files); n != 1 {
		t.Errorf("%d files while it is open", n)
	}
	noError(t, a.Close())
	noError(t, f.SyncDir("."))
	if n := len(f.files); n != 0 {
		t.Errorf("%d files afterwards", n)
	}
}

func TestAClosedOrReadOnlyHandleRefuses(t *testing.T) {
	f := New()
	durableFile(t, f, "a", "a")
	file, err := f.Open("a")
	noError(t, err)
	_, err = file.WriteAt([]byte("b"), 0)
	if !errors.Is(err, syscall.EBADF) {
		t.Errorf("write: %v", err)
	}
	if err := file.Truncate(0); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("truncate: %v", err)
	}
	noError(t, file.Close())
	for what, err := range map[string]error{"close": file.Close(), "sync": file.Sync(), "truncate": file.Truncate(0)} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := file.Size(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("size: %v", err)
	}
}
