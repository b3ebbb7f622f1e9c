package persist

import (
	"fmt"
	"slices"

	"example.com/raftactor/persist/internal/format"
)

// sectorBytes is what a disk writes as a whole, and the least that is lost when a write is.
const sectorBytes = 512

// A droppedTail is the newest batch, if it was torn: a crash has cut it off before it was durable.
type droppedTail struct {
	file   string
	offset int64
	// bytes is how long the batch was, as far as the file reaches.
	bytes int64
	// sequence is that of the batch.
	sequence uint64
	// killed is whether the machine has been running since: a kill, or a failed write, has cut the batch off.
	// Otherwise the machine has lost power, or that cannot be told.
	killed bool
}

// judge tells a torn tail from damage, for a fault in the newest segment that nothing in another segment
// vouches for. Both are nil if the log ends there: what is there then is from an earlier life of the file.
func (c *cursor) judge(f *fault, bootID string) (*droppedTail, *damage, error) {
	if f.certain {
		return nil, c.damage(f, ""), nil
	}
	seen, err := c.lookAhead()
	if err != nil {
		return nil, nil, err
	}
	if later := seen.later; later != nil {
		return nil, c.damage(f, fmt.Sprintf("; it was durable, since batch %d was written after it, at offset %d",
			later.Sequence, later.Offset)), nil
	}
	written := f.header
	if written == nil {
		written = seen.footer
	}
	if written == nil {
		return nil, nil, nil
	}
	tail := &droppedTail{
		file: c.segment.name, offset: c.offset, sequence: written.Sequence,
		bytes: min(format.BatchBytes(int64(written.PayloadBytes)), c.window.size-c.offset),
	}
	if bootID == "" || bootID != c.segment.header.BootID {
		return tail, nil, nil
	}
	tail.killed = true
	var cut bool
	if f.header == nil {
		cut, err = c.lostHeader(written)
	} else if cut = seen.footer == nil; !cut {
		cut, err = c.lostSector(written)
	}
	if err != nil {
		return nil, nil, err
	}
	if !cut {
		return nil, c.damage(f, "; it was not cut off, and the machine has not been restarted since"), nil
	}
	return tail, nil, nil
}

// sighting is what there is of this life of the segment behind a faulty batch.
type sighting struct {
	// later is a batch that was written when the one that should be here was durable, or nil.
	later *format.BatchHeader
	// footer is that of the batch which should be here, or nil.
	footer *format.BatchHeader
}

// lookAhead looks for a header or footer that knows of the batch which should be here.
func (c *cursor) lookAhead() (seen sighting, err error) {
	err = c.window.blocks(c.offset, func(offset int64, block []byte) bool {
		if offset > c.offset {
			if h, _, err := c.header(block, offset); err == nil && h.Durable > c.at.Sequence {
				seen.later = &h
				return true
			}
		}
		h, ok := c.footer(block, offset)
		switch {
		case !ok:
		case h.Offset == uint64(c.offset) && h.Sequence == c.at.Sequence+1 && h.Previous == c.at.Chain:
			seen.footer = &h
		case h.Offset > uint64(c.offset) && h.Durable > c.at.Sequence:
			seen.later = &h
		}
		return seen.later != nil
	})
	return seen, err
}

// lostHeader reports whether it is the sector of the header that has not arrived, and not just the header that is bad: then the
// records in that sector are bad as well, or are the same as in an earlier life. Its header was another one in any case.
func (c *cursor) lostHeader(footer *format.BatchHeader) (bool, error) {
	length := int64(footer.PayloadBytes)
	b, err := c.window.bytes(c.offset, format.BatchHeaderBytes+length)
	if err != nil || int64(len(b)) < format.BatchHeaderBytes+length {
		return true, err
	}
	segment, sequence := format.BatchClaim(b)
	other := segment != footer.Segment && sequence != footer.Sequence
	return other || length == 0 || format.Checksum(b[format.BatchHeaderBytes:]) != footer.PayloadChecksum, nil
}

// lostSector reports whether a write or sync that has failed leaves this between a valid header and a valid footer: sectors of
// the batch are what they were in an earlier life of the file. That records are sound in such a sector tells nothing, since
// those of an earlier life are, and the end of one may be the same in both. But the sector of the header is there. And
// what is sound but for one bit is not from another life.
func (c *cursor) lostSector(header *format.BatchHeader) (bool, error) {
	length := format.BatchHeaderBytes + int64(header.PayloadBytes)
	b, err := c.window.bytes(c.offset, length)
	if err != nil || int64(len(b)) < length {
		return true, err
	}
	at := int64(format.BatchHeaderBytes)
	for at < length {
		_, rest, err := format.Next(b[at:])
		if err != nil {
			break
		}
		at = length - int64(len(rest))
	}
	if at == length {
		return true, nil // all of it is sound, and not all of it is what was written
	}
	sector := b[at:min(length, (at/sectorBytes+1)*sectorBytes)]
	bytes, ok := format.RecordBytes(sector)
	withHeader := ok && at+bytes <= sectorBytes
	return !withHeader && !flipped(sector), nil
}

// flipped reports whether the record that b begins with lacks nothing but that one bit be turned over.
func flipped(b []byte) bool {
	b = slices.Clone(b)
	for i := range b {
		for bit := byte(1); bit != 0; bit <<= 1 {
			b[i] ^= bit
			if _, _, err := format.Next(b); err == nil {
				return true
			}
			b[i] ^= bit
		}
	}
	return false
}
