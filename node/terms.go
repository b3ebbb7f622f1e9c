package node

import "sort"

// termTable knows the term of every entry of the log by the runs of equal terms, of which there are
// as many as there were leaders. So nothing ever walks the log to find a term.
type termTable struct {
	// base is the index in front of the first entry, and baseTerm its term.
	base     Index
	baseTerm Term
	// runs are in ascending order of first, and of term. Invariant: runs[0].first == base+1.
	runs []termRun
	last Index
}

type termRun struct {
	first Index
	term  Term
}

// loadTerms builds the table from a log, by bisection: terms never decrease along it.
func loadTerms(log Log) (termTable, error) {
	first, last := log.FirstIndex(), log.LastIndex()
	baseTerm, err := log.Term(first - 1)
	if err != nil {
		return termTable{}, err
	}
	t := termTable{base: first - 1, baseTerm: baseTerm, last: first - 1}
	for i := first; i <= last; {
		term, err := log.Term(i)
		if err != nil {
			return termTable{}, err
		}
		var failed error
		length := sort.Search(int(last-i)+1, func(k int) bool {
			other, err := log.Term(i + Index(k))
			if err != nil {
				failed = err
			}
			return other > term
		})
		if failed != nil {
			return termTable{}, failed
		}
		t.runs = append(t.runs, termRun{first: i, term: term})
		i += Index(length)
		t.last = i - 1
	}
	return t, nil
}

// term returns the term of entry i. ok is false outside base..last.
func (t *termTable) term(i Index) (term Term, ok bool) {
	switch {
	case i < t.base || i > t.last:
		return 0, false
	case i == t.base:
		return t.baseTerm, true
	}
	return t.runs[t.runAt(i)].term, true
}

// lastTerm is the term of the last entry.
func (t *termTable) lastTerm() Term {
	if len(t.runs) == 0 {
		return t.baseTerm
	}
	return t.runs[len(t.runs)-1].term
}

// runAt returns the position of the run that holds i, for base < i <= last. What is asked for is
// nearly always near the end.
func (t *termTable) runAt(i Index) int {
	n := len(t.runs)
	if t.runs[n-1].first <= i {
		return n - 1
	}
	return sort.Search(n, func(k int) bool { return t.runs[k].first > i }) - 1
}

// highestNotAbove returns the highest index at or below i whose term is not above term, and its
// term. Below base nothing is known, and base is the answer.
func (t *termTable) highestNotAbove(i Index, term Term) (Index, Term) {
	i = min(i, t.last)
	if i <= t.base {
		return t.base, t.baseTerm
	}
	for k := t.runAt(i); k >= 0; k-- {
		if t.runs[k].term <= term {
			return i, t.runs[k].term
		}
		i = t.runs[k].first - 1
	}
	return t.base, t.baseTerm
}

// append notes count entries of one term behind the last.
func (t *termTable) append(term Term, count int) {
	if n := len(t.runs); n == 0 || t.runs[n-1].term != term {
		t.runs = append(t.runs, termRun{first: t.last + 1, term: term})
	}
	t.last += Index(count)
}

// truncate drops the entries from index from on.
func (t *termTable) truncate(from Index) {
	n := len(t.runs)
	for n > 0 && t.runs[n-1].first >= from {
		n--
	}
	t.runs = t.runs[:n]
	t.last = from - 1
}

// compact drops the entries up to and with through.
func (t *termTable) compact(through Index) {
	if through <= t.base {
		return
	}
	if through >= t.last {
		t.reset(through, t.lastTerm())
		return
	}
	k := t.runAt(through)
	t.baseTerm = t.runs[k].term
	if k+1 < len(t.runs) && t.runs[k+1].first == through+1 {
		k++
	}
	t.runs = append(t.runs[:0], t.runs[k:]...)
	t.runs[0].first = through + 1
	t.base = through
}

// reset empties the table behind index.
func (t *termTable) reset(index Index, term Term) {
	t.base, t.baseTerm, t.last = index, term, index
	t.runs = t.runs[:0]
}
