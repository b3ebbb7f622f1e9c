package persist

import (
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
type runs []run

// append notes an entry behind the last one.
func (r *runs) append(i node.Index, term node.Term, at place, bytes int64) {
	if n := len(*r); n > 0 {
		last := &(*r)[n-1]
		adjacent := last.segment == at.segment && last.offset+last.bytes == at.offset
		if adjacent && last.term == term && last.bytes+bytes <= runBytesMax {
			last.bytes += bytes
			return
		}
	}
	*r = append(*r, run{first: i, term: term, segment: at.segment, offset: at.offset, bytes: bytes})
}

// truncate drops the entries from index from on.
func (r *runs) truncate(from node.Index) {
	n := len(*r)
	for n > 0 && (*r)[n-1].first >= from {
		n--
	}
	clear((*r)[n:])
	*r = (*r)[:n]
}

// release drops the runs that end at or before through, where last is the index of the last entry.
func (r *runs) release(through, last node.Index) {
	if through >= last {
		*r = nil
		return
	}
	k := r.find(through + 1)
	if k <= 0 {
		return
	}
	n := copy(*r, (*r)[k:])
	clear((*r)[n:])
	*r = (*r)[:n]
}

// find returns the position of the run that holds i, if it is held, or -1 if all begin behind it. What is
// asked for is often near the end.
func (r runs) find(i node.Index) int {
	n := len(r)
	if n > 0 && r[n-1].first <= i {
		return n - 1
	}
	return sort.Search(n, func(k int) bool { return r[k].first > i }) - 1
}

// term returns the term of entry i.
func (r runs) term(i node.Index) (node.Term, bool) {
	k := r.find(i)
	if k < 0 {
		return 0, false
	}
	return r[k].term, true
}
