package simfs

import (
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestAKillKeepsThePageCacheAndWhatIsNotDurable(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	write(t, durableFile(t, f, "a", fill("a", 1)), fill("b", 1), 0)
	create(t, f, "b")
	image := f.Kill()
	if dump(image) != dump(f) {
		t.Errorf("got %s, want %s", dump(image), dump(f))
	}
	if image.BootID() != f.BootID() {
		t.Errorf("boot id %s after %s", image.BootID(), f.BootID())
	}
	if got, want := image.Losses().Count(), uint64(3*2); got != want {
		t.Errorf("%d states after the kill, want %d", got, want)
	}
	file, err := image.OpenWritable("a")
	noError(t, err)
	noError(t, file.Sync())
	wantStates(t, image, "b", "none", "|")
}

func TestAPowerLossChangesTheBootIDAndLeavesNothingToLose(t *testing.T) {
	f := New()
	write(t, create(t, f, "a"), fill("a", 2), 0)
	image := f.PowerLoss(Everything(Garbage))
	if image.BootID() == f.BootID() {
		t.Errorf("boot id is still %s", image.BootID())
	}
	if n := image.Losses().Count(); n != 1 {
		t.Errorf("%d states after the power loss, want 1", n)
	}
}

func TestAChoicePicksEachPart(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", fill("a", 2))
	write(t, file, fill("b", 1), 0)
	write(t, file, fill("c", 3), 0)
	create(t, f, "b")
	create(t, f, "c")
	image := f.PowerLoss(Choice{
		DirOp:  func(op DirOp) bool { return op.Name == "c" },
		Length: func(_ string, lengths []int64) int64 { return lengths[0] },
		Sector: func(_ string, i int64, outcomes []Outcome) int {
			if i == 0 {
				return slices.Index(outcomes, Written)
			}
			return slices.Index(outcomes, Zeros)
		},
	})
	if got := brief(image, "a"); got != "|b0" {
		t.Errorf("a is %s, want |b0", got)
	}
	if image.Content("b") != nil || image.Content("c") == nil {
		t.Errorf("got %s", image)
	}
}

func TestTheExtremesOfAPowerLoss(t *testing.T) {
	f := New()
	durableFile(t, f, "b", fill("b", 1))
	before := dump(f)
	file := durableFile(t, f, "a", fill("a", 2))
	withA := dump(f)
	write(t, file, fill("c", 2), SectorBytes)
	noError(t, file.Truncate(1000))
	noError(t, f.Rename("a", "b"))
	create(t, f, "c")
	if got := dump(f.PowerLoss(Choice{})); got != withA {
		t.Errorf("all lost: %s, want %s", got, withA)
	}
	if got := dump(f.Losses().State(0)); got != withA || got == before {
		t.Errorf("state 0: %s, want %s", got, withA)
	}
	if got := dump(f.PowerLoss(Everything(Newest))); got != dump(f) {
		t.Errorf("nothing lost: %s, want %s", got, dump(f))
	}
}

func TestAFailedSyncMarksClean(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", fill("a", 2))
	write(t, file, fill("b", 1), 0)
	f.Inject(FailNth(Sync, 2, Fault{Err: syscall.EIO}))
	if err := file.Sync(); err == nil {
		t.Fatal("the sync did not fail")
	}
	if got := brief(f, "a"); got != "|ba" {
		t.Errorf("reads see %s", got)
	}
	noError(t, file.Sync())
	wantStates(t, f, "a", "|aa", "|ba", "|0a")

	write(t, file, fill("c", 1), SectorBytes)
	noError(t, file.Sync())
	wantStates(t, f, "a", "|ac", "|bc", "|0c")
	wantStates(t, f.Kill(), "a", "|ac", "|bc", "|0c")

	write(t, file, fill("d", 1), 0)
	noError(t, file.Sync())
	wantStates(t, f, "a", "|dc")
}

func TestAFailedSyncMarksTheLengthClean(t *testing.T) {
	f := New()
	f.SetOutcomes(Old)
	file := durableFile(t, f, "a", fill("a", 1))
	write(t, file, fill("b", 1), SectorBytes)
	f.Inject(FailNth(Sync, 2, Fault{Err: syscall.EIO}))
	_ = file.Sync() // fails, as the next line shows
	noError(t, file.Sync())
	wantStates(t, f, "a", "|a", "|a0", "|ab")
	write(t, file, fill("c", 1), 2*SectorBytes)
	noError(t, file.Sync())
	wantStates(t, f, "a", "|a0c", "|abc")
}

func TestACutBeforeAFailedSyncHasHappenedOnceTheLengthIsDurable(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "a", fill("a", 2))
	noError(t, file.Truncate(0))
	write(t, file, fill("b", 1), 0)
	f.Inject(FailNth(Sync, 2, Fault{Err: syscall.EIO}))
	_ = file.Sync() // fails, as the next line shows
	wantStates(t, f, "a", "|aa", "|", "|b", "|0")
	write(t, file, fill("c", 1), SectorBytes)
	noError(t, file.Sync())
	wantStates(t, f, "a", "|bc", "|0c")
}

func TestAFailedSyncDirMarksClean(t *testing.T) {
	f := New()
	create(t, f, "a")
	f.Inject(FailNth(SyncDir, 1, Fault{Err: syscall.EIO}))
	if err := f.SyncDir("."); err == nil {
		t.Fatal("the sync did not fail")
	}
	create(t, f, "b")
	noError(t, f.SyncDir("."))
	wantNames(t, f, "b", "a b")
	noError(t, f.Rename("a", "c"))
	noError(t, f.SyncDir("."))
	wantNames(t, f, "b c")
}

func TestALyingSyncMakesNothingDurable(t *testing.T) {
	f := New()
	f.SetOutcomes(Old)
	file := durableFile(t, f, "a", fill("a", 1))
	write(t, file, fill("b", 1), 0)
	create(t, f, "b")
	f.Inject(func(Op) *Fault { return &Fault{Lie: true} })
	noError(t, file.Sync())
	noError(t, f.SyncDir("."))
	wantNames(t, f, "a", "a", "a b", "a b")
	f.Inject(nil)
	noError(t, file.Sync())
	noError(t, f.SyncDir("."))
	wantNames(t, f, "a b")
}

func TestImagesAreIndependent(t *testing.T) {
	f := New()
	file := durableFile(t, f, "a", fill("a", 200))
	write(t, file, fill("b", 2), 0)
	original, losses := dump(f), f.Losses()
	want := make([]string, losses.Count())
	for i := range want {
		want[i] = dump(losses.State(uint64(i)))
	}
	spoil := func(f *FS) {
		file, err := f.OpenWritable("a")
		noError(t, err)
		write(t, file, fill("x", 3), 0)
		write(t, file, fill("x", 1), 150*SectorBytes)
		noError(t, file.Truncate(100*SectorBytes))
		noError(t, file.Sync())
		noError(t, f.Flip("a", 5000, 3))
		noError(t, f.Rename("a", "b"))
		create(t, f, "c")
		noError(t, f.SyncDir("."))
	}
	image := f.Kill()
	second := image.Kill()
	spoil(image)
	for i := range want {
		spoil(losses.State(uint64(i)))
	}
	if dump(f) != original || dump(second) != original {
		t.Error("a change of an image shows elsewhere")
	}
	spoil(f)
	if dump(second) != original {
		t.Error("a change of the source shows in an image")
	}
	for i := range want {
		if dump(losses.State(uint64(i))) != want[i] {
			t.Errorf("state %d has changed", i)
		}
	}
}

func TestImagesOfOneMomentGoTheirOwnWays(t *testing.T) {
	f := New()
	f.SetOutcomes(plain)
	file := durableFile(t, f, "z", fill("a", 1))
	for _, letter := range []string{"b", "c", "d"} { // as many as leave room behind them
		write(t, file, fill(letter, 1), 0)
		create(t, f, letter)
	}
	images := []*FS{f.Kill(), f.Kill()}
	for i, letter := range []string{"x", "y"} {
		file, err := images[i].OpenWritable("z")
		noError(t, err)
		write(t, file, fill(letter, 1), 0)
		create(t, images[i], letter)
	}
	for i, letter := range []string{"x", "y"} {
		if got := images[i].PowerLoss(Everything(Newest)).Content(letter); got == nil {
			t.Errorf("%s is missing", letter)
		}
		noError(t, images[i].SyncDir("."))
		wantStates(t, images[i], "z", "|a", "|b", "|c", "|d", "|"+letter, "|0")
	}
}

func TestWhatLiesBehindALostLengthIsGone(t *testing.T) {
	f := New()
	write(t, durableFile(t, f, "a", fill("a", 1)), fill("b", 1), SectorBytes)
	image := f.PowerLoss(Choice{})
	file, err := image.OpenWritable("a")
	noError(t, err)
	noError(t, file.Truncate(2*SectorBytes))
	if got := brief(image, "a"); got != "|a0" {
		t.Errorf("got %s, want |a0", got)
	}
}

func TestImagesMayBeUsedOnManyGoroutines(t *testing.T) {
	f := New()
	write(t, durableFile(t, f, "a", fill("a", 100)), fill("b", 4), 0)
	want, losses := dump(f), f.Losses()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := uint64(g); i < min(losses.Count(), 100); i += 4 {
				for _, image := range []*FS{losses.State(i), f.Kill()} {
					file, err := image.OpenWritable("a")
					if err == nil {
						_, err = file.WriteAt([]byte(fill("x", 1)), 0)
					}
					if err != nil || brief(image, "a")[1] != 'x' {
						t.Errorf("state %d: %v", i, err)
					}
				}
			}
		})
	}
	all.Wait()
	if dump(f) != want {
		t.Error("the source has changed")
	}
}

func TestAnFSMayBeUsedOnManyGoroutines(t *testing.T) {
	f := New()
	file := create(t, f, "a")
	operations := 0
	f.OnOperation(func(op Op) {
		if op.Done {
			operations++
			f.Kill()
		}
	})
	var all sync.WaitGroup
	for g := range int64(4) {
		all.Go(func() {
			for range 50 {
				_, err := file.WriteAt([]byte(fill("x", 1)), g*SectorBytes)
				if err == nil {
					_, err = file.ReadAt(make([]byte, 10), g*SectorBytes)
				}
				if err == nil {
					err = file.Sync()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if operations != 400 || brief(f, "a") != "|xxxx" {
		t.Errorf("%d operations, %s", operations, brief(f, "a"))
	}
}

func TestAnOriginTellsHowAStateCameAbout(t *testing.T) {
	f := New()
	write(t, durableFile(t, f, "wal", fill("a", 2)), fill("b", 1), SectorBytes)
	image := f.PowerLoss(Everything(Zeros))
	if got, want := image.Origin(), "power loss that leaves wal; wal: length 1024, sector 1 zeros"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	file, err := image.OpenWritable("wal")
	noError(t, err)
	write(t, file, "x", 0)
	if got := image.PowerLoss(Choice{}).Origin(); !strings.HasSuffix(got, "sector 0 old; before that: "+image.Origin()) {
		t.Errorf("got %q", got)
	}
	if got := f.Origin(); got != "" {
		t.Errorf("the first one says %q", got)
	}
}
