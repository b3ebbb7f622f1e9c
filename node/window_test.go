package node

import (
	"math/rand/v2"
	"testing"
)

// size is what the entries of a window count against limits, added up.
func (w *Window) size() (bytes int) {
	for i := w.First(); i < w.Next(); i++ {
		bytes += w.At(i).bytes()
	}
	return bytes
}

func TestWindowCountsItsBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var w Window
	w.Reset(7)
	for step := range 200 {
		switch n := Index(random.IntN(700)); random.IntN(3) {
		case 0:
			w.Truncate(max(w.First(), w.Next()-min(n, w.Next())))
		case 1:
			w.Release(min(w.First()+n, w.Next()) - 1)
		default:
			for range 2 * n {
				w.Append(Entry{Index: w.Next(), Data: make([]byte, random.IntN(10))}, 0)
			}
		}
		if got, want := w.Bytes(), w.size(); got != want {
			t.Fatalf("step %d: %d to %d are said to have %d bytes, want %d", step, w.First(), w.Next(), got, want)
		}
	}
}

func TestCopiesOfAWindowDoNotShareWhatIsAppended(t *testing.T) {
	var w Window
	w.Reset(1)
	w.Append(Entry{Index: 1, Term: 1}, 0)
	c := w.Clone()
	w.Append(Entry{Index: 2, Term: 2}, 0)
	c.Append(Entry{Index: 2, Term: 3}, 0)
	if w.At(2).Term != 2 || c.At(2).Term != 3 {
		t.Errorf("got the terms %d and %d at index 2, want 2 and 3", w.At(2).Term, c.At(2).Term)
	}
}
