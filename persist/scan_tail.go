package persist

import (
	"fmt"

	"example.com/raftactor/persist/internal/format"
)

// sectorBytes is what a disk writes as a whole, and the least that is lost when a write is.
const sectorBytes = 512

// A droppedTail is the newest batch, if it was torn: a crash has cut it off before it was durable.
type droppedTail struct {
	file   string
	offset int64
	// bytes is how much there is, up to the last byte of the segment that is not zero.
	bytes int64
	// sequence is that of the batch.
	sequence uint64
	// killed is whether the machine has been running since: a kill, or a failed write, has cut the batch off.
	// Otherwise the machine has lost power, or that cannot be told.
	killed bool
}

// judge tells a torn tail from damage, for a fault in the newest segment that nothing in another segment
// vouches for. Both are nil if the log ends there and nothing is behind it.
func (c *cursor) judge(f *fault, bootID string) (*droppedTail, *damage, error) {
	if f.certain {
		return nil, c.damage(f, ""), nil
	}
	at, later, end, err := c.lookAhead()
	switch {
	case err != nil:
		return nil, nil, err
	case later != nil:
		return nil, c.damage(f, fmt.Sprintf("; it was durable, since batch %d was written after it, at offset %d",
			later.Sequence, at)), nil
	case end == c.offset:
		return nil, nil, nil
	}
	tail := &droppedTail{file: c.segment.name, offset: c.offset, bytes: end - c.offset, sequence: c.at.Sequence + 1}
	if bootID == "" || bootID != c.segment.header.BootID {
		return tail, nil, nil
	}
	tail.killed = true
	cut, err := c.cutOff(f, end)
	if err != nil {
		return nil, nil, err
	}
	if !cut {
		return nil, c.damage(f, "; it was not cut off, and the machine has not been restarted since"), nil
	}
	return tail, nil, nil
}

// lookAhead looks for a header of a batch that was written when the one that should be here was durable. If
// there is none, it returns the offset behind the last byte that is not zero.
func (c *cursor) lookAhead() (at int64, later *format.BatchHeader, end int64, err error) {
	end, err = c.window.contentEnd(c.offset, func(offset int64, block []byte) bool {
		if offset == c.offset {
			return false
		}
		h, _, err := c.header(block, offset)
		if err == nil && h.Durable > c.at.Sequence {
			at, later = offset, &h
		}
		return later != nil
	})
	return at, later, end, err
}

// cutOff reports whether a kill, or a write or sync that has failed, leaves this: a batch some of which is
// zeros, because it has not arrived, and nothing behind it.
func (c *cursor) cutOff(f *fault, end int64) (bool, error) {
	if f.header == nil {
		sector, err := c.window.bytes(c.offset, sectorBytes)
		return isZero(sector) || end < c.offset+format.BatchHeaderBytes, err
	}
	length := int64(format.BatchHeaderBytes) + int64(f.header.PayloadBytes)
	if end > c.offset+length {
		return false, nil
	}
	b, err := c.window.bytes(c.offset, length)
	if err != nil {
		return false, err
	}
	if int64(len(b)) < length {
		return true, nil
	}
	for at := 0; at+sectorBytes <= len(b); at += sectorBytes {
		if isZero(b[at : at+sectorBytes]) {
			return true, nil
		}
	}
	content := int(end - c.offset)
	return content < len(b) && reachesInto(b[format.BatchHeaderBytes:], content-format.BatchHeaderBytes), nil
}

// reachesInto reports whether the first record that is bad reaches into what follows the content: the zeros.
func reachesInto(payload []byte, content int) bool {
	at := 0
	for at < len(payload) {
		_, rest, err := format.Next(payload[at:])
		if err != nil {
			break
		}
		at = len(payload) - len(rest)
	}
	bytes, ok := format.RecordBytes(payload[at:])
	return !ok || int64(at)+bytes > int64(content)
}
