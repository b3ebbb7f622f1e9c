package node

import (
	"testing"

	"pgregory.net/rapid"
)

// naiveTerms is a term for every index from base on.
type naiveTerms struct {
	base  Index
	terms []Term // terms[0] is that of base
}

func (n *naiveTerms) last() Index { return n.base + Index(len(n.terms)) - 1 }

func (n *naiveTerms) at(i Index) (Term, bool) {
	if i < n.base || i > n.last() {
		return 0, false
	}
	return n.terms[i-n.base], true
}

func (n *naiveTerms) highestNotAbove(i Index, term Term) (Index, Term) {
	for i = min(i, n.last()); i > n.base; i-- {
		if t, _ := n.at(i); t <= term {
			return i, t
		}
	}
	return n.base, n.terms[0]
}

func TestTermTableIsLikeATermForEveryIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := termTable{}, naiveTerms{terms: []Term{0}}
		pick := func(lo, hi Index, name string) Index {
			return Index(rapid.Uint64Range(uint64(lo), uint64(hi)).Draw(t, name))
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				term := model.terms[len(model.terms)-1] + Term(rapid.IntRange(0, 2).Draw(t, "step"))
				term = max(term, 1)
				count := rapid.IntRange(1, 5).Draw(t, "count")
				table.append(term, count)
				for range count {
					model.terms = append(model.terms, term)
				}
			},
			"truncate": func(t *rapid.T) {
				from := pick(model.base+1, model.last()+1, "from")
				table.truncate(from)
				model.terms = model.terms[:from-model.base]
			},
			"compact": func(t *rapid.T) {
				through := pick(model.base, model.last(), "through")
				table.compact(through)
				model.terms = model.terms[through-model.base:]
				model.base = through
			},
			"reset": func(t *rapid.T) {
				index := pick(1, model.last()+10, "index")
				term := Term(rapid.IntRange(1, 30).Draw(t, "term"))
				table.reset(index, term)
				model = naiveTerms{base: index, terms: []Term{term}}
			},
			"": func(t *rapid.T) {
				if table.base != model.base || table.last != model.last() {
					t.Fatalf("%d to %d, want %d to %d", table.base, table.last, model.base, model.last())
				}
				if got, want := table.lastTerm(), model.terms[len(model.terms)-1]; got != want {
					t.Fatalf("last term %d, want %d", got, want)
				}
				for i := max(model.base, 2) - 2; i <= model.last()+2; i++ {
					got, ok := table.term(i)
					if want, wantOK := model.at(i); got != want || ok != wantOK {
						t.Fatalf("term of %d is %d %v, want %d %v", i, got, ok, want, wantOK)
					}
				}
				i := pick(0, model.last()+3, "hint")
				term := Term(rapid.IntRange(0, 40).Draw(t, "hint term"))
				got, gotTerm := table.highestNotAbove(i, term)
				if want, wantTerm := model.highestNotAbove(i, term); got != want || gotTerm != wantTerm {
					t.Fatalf("highest at or below %d not above term %d: %d@%d, want %d@%d", i, term, got, gotTerm, want, wantTerm)
				}
			},
		})
	})
}

func TestTermTableIsLoadedByBisection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := NewMemoryLog(1)
		var want termTable
		term := Term(1)
		for range rapid.IntRange(0, 12).Draw(t, "runs") {
			term += Term(rapid.IntRange(1, 3).Draw(t, "step"))
			count := rapid.IntRange(1, 40).Draw(t, "count")
			for range count {
				if err := log.Append([]Entry{command(log.LastIndex()+1, term, "")}); err != nil {
					t.Fatal(err)
				}
			}
			want.append(term, count)
		}
		if last := log.LastIndex(); last > 0 && rapid.Bool().Draw(t, "compacted") {
			through := Index(rapid.Uint64Range(0, uint64(last)).Draw(t, "through"))
			if err := log.Compact(SnapshotMeta{Index: last}, through); err != nil {
				t.Fatal(err)
			}
			want.compact(through)
		}
		reads := &countingLog{Log: log}
		got, err := loadTerms(reads)
		if err != nil {
			t.Fatal(err)
		}
		if limit := 2 + 12*len(want.runs); reads.terms > limit {
			t.Fatalf("%d reads for %d runs, want at most %d", reads.terms, len(want.runs), limit)
		}
		if got.base != want.base || got.baseTerm != want.baseTerm || got.last != want.last || len(got.runs) != len(want.runs) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for k := range got.runs {
			if got.runs[k] != want.runs[k] {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
	})
}

// countingLog counts reads of terms.
type countingLog struct {
	Log
	terms int
}

func (l *countingLog) Term(i Index) (Term, error) {
	l.terms++
	return l.Log.Term(i)
}
