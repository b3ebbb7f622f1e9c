package node

// A Window is a run of consecutive entries in memory: what a [Log] keeps of its end.
//
// Entries lie in chunks of fixed size, so that appending never moves those that are there, and releasing frees
// them chunk by chunk. Slots that [Window.Slice] has returned are never written again. It is not safe for
// concurrent use.
type Window struct {
	// first is the index of the first entry.
	first Index
	// chunks hold the entries. All but the last are full; skip slots of the first are released.
	chunks [][]Entry
	skip   int
	bytes  int
}

// windowChunk is how many entries share one allocation.
const windowChunk = 1024

// Reset empties the window. The next entry is that with index first.
func (w *Window) Reset(first Index) { *w = Window{first: first} }

// Clone copies the window, sharing the entries, which are immutable.
func (w *Window) Clone() Window {
	c := *w
	c.chunks = append([][]Entry(nil), w.chunks...)
	if n := len(c.chunks); n > 0 {
		c.chunks[n-1] = cutChunk(c.chunks[n-1], len(c.chunks[n-1]))
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
	full := (len(w.chunks) - 1) * windowChunk
	return w.first + Index(full+len(w.chunks[len(w.chunks)-1])-w.skip)
}

// Bytes is what the entries count against limits in bytes.
func (w *Window) Bytes() int { return w.bytes }

// At returns the entry at i, which is held.
func (w *Window) At(i Index) *Entry {
	slot := int(i-w.first) + w.skip
	return &w.chunks[slot/windowChunk][slot%windowChunk]
}

// Slice returns entries from lo on, up to but without hi, all of which are held: as many as lie in one chunk
// and amount to bytesMax, but one at least.
func (w *Window) Slice(lo, hi Index, bytesMax int) []Entry {
	slot := int(lo-w.first) + w.skip
	chunk := w.chunks[slot/windowChunk][slot%windowChunk:]
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

// Append puts an entry behind the last one.
func (w *Window) Append(e Entry) {
	last := len(w.chunks) - 1
	if last < 0 || len(w.chunks[last]) == windowChunk {
		w.chunks = append(w.chunks, make([]Entry, 0, windowChunk))
		last++
	}
	w.chunks[last] = append(w.chunks[last], e)
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
	if from == w.first {
		w.chunks, w.skip = nil, 0
		return
	}
	slot := int(from-w.first) + w.skip
	keep := slot / windowChunk
	cut := w.chunks[keep]
	clear(w.chunks[keep:])
	w.chunks = w.chunks[:keep]
	if slot%windowChunk > 0 {
		w.chunks = append(w.chunks, cutChunk(cut, slot%windowChunk))
	}
}

// Release drops the entries up to and with through, which are held.
func (w *Window) Release(through Index) {
	if through < w.first {
		return
	}
	for i := w.first; i <= through; i++ {
		w.bytes -= w.At(i).bytes()
	}
	next := w.Next()
	w.skip += int(through + 1 - w.first)
	w.first = through + 1
	if w.first == next {
		w.chunks, w.skip = nil, 0
		return
	}
	if gone := w.skip / windowChunk; gone > 0 {
		w.chunks = append(w.chunks[:0], w.chunks[gone:]...)
		clear(w.chunks[len(w.chunks):cap(w.chunks)])
		w.skip -= gone * windowChunk
	}
}

// cutChunk copies the first n entries of a chunk into one of their own.
func cutChunk(chunk []Entry, n int) []Entry {
	return append(make([]Entry, 0, windowChunk), chunk[:n]...)
}
