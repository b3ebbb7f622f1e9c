package node

import "sort"

// A Window is a run of consecutive entries in memory: what a [Log] keeps of its end.
//
// Entries lie in chunks, so that appending never moves those that are there, and releasing frees them chunk by chunk.
// Slots that [Window.Slice] has returned are never written again. It is not safe for concurrent use.
type Window struct {
	// first is the index of the first entry.
	first  Index
	chunks []windowChunk
	bytes  int
}

// A windowChunk holds entries in one allocation: one at least.
type windowChunk struct {
	// first is the index of the first entry. In the first chunk, what is in front of the window is cut off.
	first   Index
	entries []Entry
}

// How many entries share one allocation: an eighth of those that there are, so that many small windows do not fill the
// caches with room for entries that are far ahead.
const (
	windowChunkMin   = 64
	windowChunkMax   = 1024
	windowChunkShare = 8
)

// Reset empties the window. The next entry is that with index first.
func (w *Window) Reset(first Index) { *w = Window{first: first} }

// Clone copies the window, sharing the entries, which are immutable.
func (w *Window) Clone() Window {
	c := *w
	c.chunks = append([]windowChunk(nil), w.chunks...)
	if n := len(c.chunks); n > 0 {
		c.chunks[n-1] = c.chunks[n-1].cut(len(c.chunks[n-1].entries))
	}
	return c
}

// First is the index of the first entry, or of the one that comes next if there is none.
func (w *Window) First() Index { return w.first }

// Next is the index of the entry that comes next.
func (w *Window) Next() Index {
	if len(w.chunks) == 0 {
		return w.first
	}
	last := &w.chunks[len(w.chunks)-1]
	return last.first + Index(len(last.entries))
}

// Bytes is what the entries count against limits in bytes.
func (w *Window) Bytes() int { return w.bytes }

// chunk returns the number of the chunk that holds the entry at i. What is asked for is often near the end.
func (w *Window) chunk(i Index) int {
	last := len(w.chunks) - 1
	if w.chunks[last].first <= i {
		return last
	}
	return sort.Search(last, func(k int) bool { return w.chunks[k].first > i }) - 1
}

// At returns the entry at i, which is held.
func (w *Window) At(i Index) *Entry {
	c := &w.chunks[w.chunk(i)]
	return &c.entries[i-c.first]
}

// Slice returns entries from lo on, up to but without hi, all of which are held: as many as lie in one chunk
// and amount to bytesMax, but one at least.
func (w *Window) Slice(lo, hi Index, bytesMax int) []Entry {
	c := &w.chunks[w.chunk(lo)]
	chunk := c.entries[lo-c.first:]
	if want := int(hi - lo); want < len(chunk) {
		chunk = chunk[:want]
	}
	count, bytes := 1, chunk[0].bytes()
	for count < len(chunk) {
		if bytes += chunk[count].bytes(); bytes > bytesMax {
			break
		}
		count++
	}
	return chunk[:count:count]
}

// Append puts an entry behind the last one, and makes room for so many more that they come together, if there is none.
func (w *Window) Append(e Entry, more int) {
	last := len(w.chunks) - 1
	if last < 0 || len(w.chunks[last].entries) == cap(w.chunks[last].entries) {
		next := w.Next()
		room := max(int(next-w.first)/windowChunkShare, 1+more, windowChunkMin)
		w.chunks = append(w.chunks, windowChunk{next, make([]Entry, 0, min(room, windowChunkMax))})
		last++
	}
	c := &w.chunks[last]
	c.entries = append(c.entries, e)
	w.bytes += e.bytes()
}

// Truncate drops the entries from index from on, which is not below First. The chunk that is cut is copied, so
// that slots which a message in flight refers to are not written again.
func (w *Window) Truncate(from Index) {
	if from >= w.Next() {
		return
	}
	for i := from; i < w.Next(); i++ {
		w.bytes -= w.At(i).bytes()
	}
	keep := w.chunk(from)
	if cut := w.chunks[keep]; cut.first < from {
		w.chunks[keep] = cut.cut(int(from - cut.first))
		keep++
	}
	clear(w.chunks[keep:])
	w.chunks = w.chunks[:keep]
}

// Release drops the entries up to and with through, which are held.
func (w *Window) Release(through Index) { w.Shrink(through, -1) }

// Shrink drops the oldest entries, none behind through, until the others have no more than bytesMax.
func (w *Window) Shrink(through Index, bytesMax int) {
	gone := 0
	for gone < len(w.chunks) && w.first <= through && w.bytes > bytesMax {
		c, n := &w.chunks[gone], 0
		for n < len(c.entries) && w.first <= through && w.bytes > bytesMax {
			w.bytes -= c.entries[n].bytes()
			w.first++
			n++
		}
		c.first, c.entries = w.first, c.entries[n:]
		if len(c.entries) == 0 {
			gone++
		}
	}
	n := copy(w.chunks, w.chunks[gone:])
	clear(w.chunks[n:])
	w.chunks = w.chunks[:n]
}

// cut copies the first n entries of a chunk into one of their own, with room for as many as this one has room for.
func (c windowChunk) cut(n int) windowChunk {
	return windowChunk{c.first, append(make([]Entry, 0, cap(c.entries)), c.entries[:n]...)}
}
