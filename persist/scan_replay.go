package persist

import (
	"errors"
	"fmt"

	"example.com/raftactor/persist/internal/format"
)

// replayed is what reading a chain has found.
type replayed struct {
	// durable is the newest position that is proven to be durable, where a fresh segment goes on, and
	// durableSegment the segment that holds it: zero if nothing is proven.
	durable        format.Position
	durableSegment uint64
	// last is behind the newest valid batch: durable, or one behind it.
	last format.Position
	// tail is what was dropped as torn, or nil.
	tail    *droppedTail
	bytes   int64
	batches int64
}

// A replay is one reading of a chain.
type replay struct {
	chain  *chain
	bootID string
	result replayed
	// done are the bytes of segments that have been read, of total.
	done, total int64
}

// replay visits all batches of the log in order. bootID is the machine's present one. An error of visit ends it.
//
// A segment comes into effect with its first batch, which also repeats what is in doubt at the end of the
// predecessor. Until that is whole, the predecessor is read as the newest segment, and what came behind it is
// void. A segment whose predecessor has been removed has been in effect before.
func (c *chain) replay(bootID string, visit func(*batch) error) (replayed, error) {
	r := &replay{chain: c, bootID: bootID}
	known, err := r.settle()
	if err != nil {
		return replayed{}, err
	}
	for _, s := range c.segments {
		r.total += s.size
	}
	for i, s := range c.segments {
		w := walk{segment: s, end: known, newest: i == len(c.segments)-1, progress: true, visit: visit}
		switch {
		case w.newest:
		case c.segments[i+1].header.Predecessor != s.number: // the one between them is damaged, and that is tolerated
			w.newest, w.end = true, format.Position{}
		default:
			w.end = c.segments[i+1].header.End
		}
		w.needed = w.end.Sequence
		if i == 0 && c.missing != 0 {
			w.needed = max(w.needed, s.header.End.Sequence+1)
		}
		if err := r.walk(&w); err != nil {
			return replayed{}, err
		}
		r.done += s.size
	}
	return r.result, nil
}

// settle takes segments that have not come into effect off the end of the chain. It returns what they know to
// be durable.
func (r *replay) settle() (known format.Position, err error) {
	c := r.chain
	for len(c.segments) > 0 && (len(c.segments) > 1 || c.missing == 0) {
		newest := c.segments[len(c.segments)-1]
		err := r.walk(&walk{
			segment: newest, end: known, needed: known.Sequence, newest: true,
			visit: func(*batch) error { return errInEffect },
		})
		if errors.Is(err, errInEffect) {
			break
		}
		if err != nil {
			return known, err
		}
		// What comes before it need not be what it names as its predecessor: it would have made the segments
		// between them void, and has not.
		known = newest.header.End
		if err := c.linkNewest(); err != nil {
			return known, err
		}
	}
	r.result = replayed{tail: r.result.tail, bytes: r.result.bytes}
	return known, nil
}

// errInEffect ends a walk that has seen enough.
var errInEffect = errors.New("the segment is in effect")

// A walk is the reading of one segment.
type walk struct {
	segment *segment
	// newest is whether it is read to the end of the log. Otherwise it is read to the end that the successor
	// names.
	newest bool
	// end is a position that a later segment names, or zero.
	end format.Position
	// needed is the last batch that must be there.
	needed   uint64
	progress bool
	visit    func(*batch) error
}

func (r *replay) walk(w *walk) error {
	window, err := r.chain.open(w.segment)
	if err != nil {
		return r.chain.refuse(err)
	}
	defer window.close()
	if length := w.segment.header.Bytes; w.newest && uint64(window.size) < length {
		err := r.chain.refuse(&damage{file: w.segment.name, offset: window.size, detail: fmt.Sprintf(
			"the file is cut off: it has %d bytes, and had %d", window.size, length)})
		if err != nil {
			return err
		}
	}
	if w.progress && r.chain.progress != nil {
		window.moved = func(offset int64) { r.chain.progress(r.done+offset, r.total) }
	}
	c := newCursor(w.segment, window)
	err = r.batches(w, c)
	w.segment.end = c.offset
	r.result.bytes += window.read
	if unreadable := (*readError)(nil); errors.As(err, &unreadable) {
		return r.chain.refuse(err)
	}
	return err
}

func (r *replay) batches(w *walk, c *cursor) error {
	if err := r.compare(w, c, false); err != nil {
		return err
	}
	var b batch
	for w.newest || c.at.Sequence < w.end.Sequence {
		f, err := c.next(&b)
		if err != nil {
			return err
		}
		if f != nil {
			on, err := r.fault(w, c, f)
			if err != nil || !on {
				return err
			}
			continue
		}
		if err := r.compare(w, c, true); err != nil {
			return err
		}
		b.proven = b.proven || !w.newest || b.header.Sequence <= w.needed
		r.result.batches++
		r.result.last = c.at
		if b.proven {
			r.result.durable, r.result.durableSegment = c.at, w.segment.number
		}
		if err := w.visit(&b); err != nil {
			return err
		}
	}
	return nil
}

// compare holds what has been read against the end that a later segment names.
func (r *replay) compare(w *walk, c *cursor, begun bool) error {
	switch {
	case w.end.Sequence == c.at.Sequence && w.end.Sequence != 0 && w.end.Chain != c.at.Chain:
		return r.chain.refuse(&damage{file: w.segment.name, offset: c.offset, detail: fmt.Sprintf(
			"batch %d, which ends here, is not the one that the next segment goes on from", c.at.Sequence)})
	case !begun && w.end.Sequence != 0 && w.end.Sequence < c.at.Sequence:
		return r.chain.refuse(&damage{file: w.segment.name, detail: fmt.Sprintf(
			"the segment begins behind batch %d, and the next one goes on from batch %d", c.at.Sequence, w.end.Sequence)})
	}
	return nil
}

// fault decides what becomes of a faulty batch. It returns whether reading goes on.
func (r *replay) fault(w *walk, c *cursor, f *fault) (bool, error) {
	var found *damage
	if c.at.Sequence < w.needed {
		found = c.damage(f, "; it was durable, since later writes build on it")
	} else {
		tail, damage, err := c.judge(f, r.bootID)
		if err != nil {
			return false, err
		}
		if tail != nil {
			r.result.tail = tail
		}
		found = damage
	}
	if found == nil {
		return false, nil
	}
	if err := r.chain.refuse(found); err != nil {
		return false, err
	}
	return c.recover(f)
}

// recover moves behind a faulty batch, if there is another one.
func (c *cursor) recover(f *fault) (bool, error) {
	if f.header != nil && f.certain {
		if h := f.header; h.Sequence != c.at.Sequence+1 || h.Previous != c.at.Chain {
			c.at = format.Position{Sequence: h.Sequence - 1, Chain: h.Previous}
			return true, nil
		}
		c.offset += format.BatchBytes(int64(f.header.PayloadBytes))
		c.at = format.Position{Sequence: f.header.Sequence, Chain: f.chain}
		return true, nil
	}
	seen, err := c.lookAhead()
	if err != nil || seen.later == nil {
		return false, err
	}
	c.offset = int64(seen.later.Offset)
	c.at = format.Position{Sequence: seen.later.Sequence - 1, Chain: seen.later.Previous}
	return true, nil
}
