package persist

import (
	"math"
	"sort"

	"example.com/raftactor/node"
)

// runBytesMax is how long a run may become: reading an entry means reading the run that it is in, from its start.
const runBytesMax = 64 << 10

// A run is a number of consecutive entries of one term whose records lie one behind the other in a segment.
type run struct {
	first   node.Index
	term    node.Term
	segment *logSegment
	offset  int64 // of the first record in the segment
	bytes   int64 // up to the end of the last record, those that have been truncated since included
}

// runs say where the entries of a member lie, and what their terms are: an index of the log that grows with the
// batches, and not with the entries, where these are small. In ascending order of first; each ends where the next
// one begins.
type runs []stretch

// A stretch is a number of runs of one term in one segment, of which little needs to be said then. It has one at least.
type stretch struct {
	term    node.Term
	segment *logSegment
	// first and offset are those of the run with which it began.
	first  node.Index
	offset int64
	spans  []span
}

// A span is what a run has of its own: first and offset are counted from those of the stretch.
type span struct {
	first, offset, bytes uint32
}

// stretchSpans is how many runs a stretch may have: more would be moved for too long when it grows.
const stretchSpans = 256

// run returns the run with that number.
func (s *stretch) run(k int) run {
	p := &s.spans[k]
	return run{s.first + node.Index(p.first), s.term, s.segment, s.offset + int64(p.offset), int64(p.bytes)}
}

// firstIndex is the index of the first entry.
func (s *stretch) firstIndex() node.Index { return s.first + node.Index(s.spans[0].first) }

// behind returns the number of the first run that begins behind i.
func (s *stretch) behind(i node.Index) int {
	n := len(s.spans)
	if s.first+node.Index(s.spans[n-1].first) <= i {
		return n
	}
	return sort.Search(n, func(k int) bool { return s.first+node.Index(s.spans[k].first) > i })
}

// takes tells whether a run can be one of the stretch.
func (s *stretch) takes(r *run) bool {
	return s.segment == r.segment && s.term == r.term && len(s.spans) < stretchSpans &&
		r.first-s.first <= math.MaxUint32 && r.offset-s.offset <= math.MaxUint32
}

// append notes entries behind the last one: of one term, in records of so many bytes one behind the other.
func (r *runs) append(first node.Index, term node.Term, at place, bytes int64) {
	added := run{first: first, term: term, segment: at.segment, offset: at.offset, bytes: bytes}
	n := len(*r)
	if n == 0 || !(*r)[n-1].takes(&added) {
		*r = append(*r, stretch{term: term, segment: at.segment, first: first, offset: at.offset, spans: spansLike(*r)})
		n++
	}
	s := &(*r)[n-1]
	p := span{uint32(first - s.first), uint32(at.offset - s.offset), uint32(bytes)}
	if k := len(s.spans); k > 0 {
		last := &s.spans[k-1]
		if s.offset+int64(last.offset)+int64(last.bytes) == at.offset && int64(last.bytes)+bytes <= runBytesMax {
			last.bytes += p.bytes
			return
		}
	}
	s.spans = append(s.spans, p)
}

// spansLike makes room for as many as the last stretch has: the next one will be like it.
func spansLike(r runs) []span {
	const least = 4
	if n := len(r); n > 0 {
		return make([]span, 0, max(least, len(r[n-1].spans)))
	}
	return make([]span, 0, least)
}

// truncate drops the entries from index from on.
func (r *runs) truncate(from node.Index) {
	n := len(*r)
	for n > 0 && (*r)[n-1].firstIndex() >= from {
		n--
	}
	clear((*r)[n:])
	*r = (*r)[:n]
	if n > 0 {
		s := &(*r)[n-1]
		s.spans = s.spans[:s.behind(from-1)]
	}
}

// release drops the runs that end at or before through, where last is the index of the last entry.
func (r *runs) release(through, last node.Index) {
	if through >= last {
		*r = nil
		return
	}
	k := r.stretch(through + 1)
	if k < 0 {
		return
	}
	n := copy(*r, (*r)[k:])
	clear((*r)[n:])
	*r = (*r)[:n]
	s := &(*r)[0]
	s.spans = s.spans[:copy(s.spans, s.spans[s.behind(through+1)-1:])]
}

// stretch returns the number of the stretch that holds i, or -1 if all begin behind it. What is asked for is often near the
// end.
func (r runs) stretch(i node.Index) int {
	n := len(r)
	if n > 0 && r[n-1].firstIndex() <= i {
		return n - 1
	}
	return sort.Search(n, func(k int) bool { return r[k].firstIndex() > i }) - 1
}

// find returns the run that holds i, if one does, and the index at which the next one begins, or zero.
func (r runs) find(i node.Index) (found run, next node.Index, ok bool) {
	k := r.stretch(i)
	if k < 0 {
		return run{}, 0, false
	}
	s := &r[k]
	n := s.behind(i)
	switch {
	case n < len(s.spans):
		next = s.run(n).first
	case k+1 < len(r):
		next = r[k+1].firstIndex()
	}
	return s.run(n - 1), next, true
}

// term returns the term of entry i.
func (r runs) term(i node.Index) (node.Term, bool) {
	k := r.stretch(i)
	if k < 0 {
		return 0, false
	}
	return r[k].term, true
}

// first is the index of the first entry, of which there is one.
func (r runs) first() node.Index { return r[0].firstIndex() }

// oldest is the segment that holds the first entry, of which there is one.
func (r runs) oldest() *logSegment { return r[0].segment }
