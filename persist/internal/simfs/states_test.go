package simfs

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// torn is a file system with many states: a file with unsynced sectors.
func torn(t testing.TB, sectors int) *FS {
	f := New()
	write(t, durableFile(t, f, "a", fill("a", sectors)), fill("b", sectors), 0)
	return f
}

func TestStatesAreAllThatThereAreUpToTheLimit(t *testing.T) {
	l := torn(t, 4).Losses()
	if want := uint64(5 * 5 * 5 * 5); l.Count() != want || !l.Exact() {
		t.Fatalf("%d states, exact %v, want %d", l.Count(), l.Exact(), want)
	}
	for _, limit := range []int{0, 1, 2, 100, 624, 625, 1000} {
		seen := map[string]bool{}
		n := 0
		for image := range l.States(limit, rand.New(rand.NewPCG(1, 2))) {
			n++
			seen[dump(image)] = true
		}
		if want := min(limit, 625); n != want || len(seen) != want {
			t.Errorf("limit %d: %d states, %d of them distinct", limit, n, len(seen))
		}
	}
}

func TestSamplesContainTheExtremesAndRepeatWithTheSeed(t *testing.T) {
	f := torn(t, 40)
	l := f.Losses()
	if l.Count() != math.MaxUint64 {
		t.Fatalf("%d states, want too many to count", l.Count())
	}
	sample := func() (all []string) {
		for image := range l.States(500, rand.New(rand.NewPCG(1, 2))) {
			all = append(all, dump(image))
		}
		return all
	}
	first := sample()
	if !slices.Equal(first, sample()) {
		t.Error("another sample from the same seed")
	}
	for _, choice := range []Choice{{}, Everything(Newest)} {
		if !slices.Contains(first, dump(f.PowerLoss(choice))) {
			t.Error("an extreme is missing")
		}
	}
	slices.Sort(first)
	if n := len(slices.Compact(first)); n != 500 {
		t.Errorf("%d distinct states, want 500", n)
	}
}

func TestSamplesHaveEachOutcomeAtEachSector(t *testing.T) {
	f := torn(t, 20)
	f.SetOutcomes(plain)
	l, rng := f.Losses(), rand.New(rand.NewPCG(1, 2))
	var seen [20]map[byte]bool
	for range 200 {
		for i, outcome := range []byte(brief(l.Sample(rng), "a")[1:]) {
			if seen[i] == nil {
				seen[i] = map[byte]bool{}
			}
			seen[i][outcome] = true
		}
	}
	for i := range seen {
		if len(seen[i]) != 3 {
			t.Errorf("sector %d: %v", i, seen[i])
		}
	}
}

func TestGoingThroughStatesMayStopEarly(t *testing.T) {
	l := torn(t, 4).Losses()
	for _, limit := range []int{1000, 600, 10} {
		n := 0
		for range l.States(limit, rand.New(rand.NewPCG(1, 2))) {
			if n++; n == 5 {
				break
			}
		}
		if n != 5 {
			t.Errorf("limit %d: %d states", limit, n)
		}
	}
}

func TestLossesStayWhenTheFileSystemGoesOn(t *testing.T) {
	f := torn(t, 1)
	l := f.Losses()
	want := dump(l.State(1))
	file, err := f.OpenWritable("a")
	noError(t, err)
	noError(t, file.Sync())
	if n := f.Losses().Count(); n != 1 {
		t.Errorf("%d states after the sync", n)
	}
	if got := dump(l.State(1)); l.Count() != 5 || got != want {
		t.Errorf("%d states, state 1 is %s, want %s", l.Count(), got, want)
	}
}
