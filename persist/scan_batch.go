package persist

import (
	"fmt"
	"slices"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// A batch is one batch of the chain, whole and verified.
type batch struct {
	segment *segment
	offset  int64
	header  format.BatchHeader
	// chain is the checksum of the header.
	chain uint32
	// payload is valid until the visitor returns.
	payload []byte
	// proven is whether later writes vouch for its durability.
	proven bool
}

// A fault is what is wrong with the batch that should be at some place.
type fault struct {
	detail string
	err    error
	// header is nil if that is what is wrong, and chain is its checksum.
	header *format.BatchHeader
	chain  uint32
	// certain is whether no crash leaves such a thing: it is damage wherever it is found.
	certain bool
}

// A cursor reads the batches of one segment in order.
type cursor struct {
	segment *segment
	window  *window
	// offset is that of the next batch, and at the position in front of it.
	offset int64
	at     format.Position
}

func newCursor(s *segment, w *window) *cursor {
	return &cursor{segment: s, window: w, offset: format.BlockBytes, at: s.header.End}
}

// header parses what is at an offset as the header of a batch that belongs there.
func (c *cursor) header(b []byte, offset int64) (format.BatchHeader, uint32, error) {
	h, sum, err := format.ParseBatchHeader(b, c.segment.header.Salt)
	if err == nil && (h.Segment != c.segment.number || h.Offset != uint64(offset)) {
		err = fmt.Errorf("it belongs to offset %d of segment %d", h.Offset, h.Segment)
	}
	return h, sum, err
}

// footer parses what is at the end of a block as the footer of a batch that ends there.
func (c *cursor) footer(block []byte, offset int64) (format.BatchHeader, bool) {
	if len(block) < format.BlockBytes {
		return format.BatchHeader{}, false
	}
	h, err := format.ParseBatchFooter(block[format.BlockBytes-format.BatchFooterBytes:], c.segment.header.Salt)
	end := uint64(offset) + format.BlockBytes
	return h, err == nil && h.Segment == c.segment.number && h.Offset+uint64(format.BatchBytes(int64(h.PayloadBytes))) == end
}

// next reads the next batch and moves behind it. It does not move if that is faulty. The batch is valid until
// the next call.
func (c *cursor) next(b *batch) (*fault, error) {
	head, err := c.window.bytes(c.offset, format.BatchHeaderBytes)
	if err != nil {
		return nil, err
	}
	h, sum, err := c.header(head, c.offset)
	if err != nil {
		return &fault{detail: fmt.Sprintf("the header of batch %d is not valid", c.at.Sequence+1), err: err}, nil
	}
	if h.Sequence != c.at.Sequence+1 || h.Previous != c.at.Chain || h.Durable >= h.Sequence {
		return c.misplaced(h, sum), nil
	}
	// The header behind it tells whether it is durable, and must not push it out of the window.
	length := format.BatchHeaderBytes + int64(h.PayloadBytes)
	whole := format.BatchBytes(int64(h.PayloadBytes))
	var all []byte
	if length <= c.window.size-c.offset {
		if all, err = c.window.bytes(c.offset, whole+format.BatchHeaderBytes); err != nil {
			return nil, err
		}
	}
	if length > int64(len(all)) {
		detail := fmt.Sprintf("batch %d is longer than the file: %d bytes", h.Sequence, length)
		return unreadable(h, sum, detail, nil), nil
	}
	payload := all[format.BatchHeaderBytes:length]
	if format.Checksum(payload) != h.PayloadChecksum {
		detail := fmt.Sprintf("the records of batch %d are not what was written", h.Sequence)
		return unreadable(h, sum, detail, format.ErrChecksum), nil
	}
	if err := checkRecords(payload, h.Records); err != nil {
		f := unreadable(h, sum, fmt.Sprintf("batch %d holds what is no record", h.Sequence), err)
		f.certain = true
		return f, nil
	}
	*b = batch{segment: c.segment, offset: c.offset, header: h, chain: sum, payload: payload}
	if int64(len(all)) > whole {
		behind, _, err := c.header(all[whole:], c.offset+whole)
		b.proven = err == nil && behind.Durable >= h.Sequence
	}
	c.offset += whole
	c.at = format.Position{Sequence: h.Sequence, Chain: sum}
	return nil, nil
}

// unreadable is the fault of a batch behind a valid header.
func unreadable(h format.BatchHeader, chain uint32, detail string, err error) *fault {
	return &fault{detail: detail, err: err, header: &h, chain: chain}
}

// misplaced is the fault of a header that is valid where it is, and does not go on from the one in front of it.
func (c *cursor) misplaced(h format.BatchHeader, sum uint32) *fault {
	f := &fault{header: &h, chain: sum, certain: true}
	switch {
	case h.Sequence != c.at.Sequence+1:
		f.detail = fmt.Sprintf("batch %d follows batch %d", h.Sequence, c.at.Sequence)
	case h.Previous != c.at.Chain:
		f.detail = fmt.Sprintf("batch %d does not follow the batch %d that is in front of it, but another one",
			h.Sequence, c.at.Sequence)
	default:
		f.detail = fmt.Sprintf("batch %d claims that batch %d is durable", h.Sequence, h.Durable)
	}
	return f
}

// checkRecords verifies that the payload is that many records. It costs less than what reads them.
func checkRecords(payload []byte, count uint32) error {
	var n uint32
	for len(payload) > 0 {
		_, rest, err := format.Next(payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", n+1, err)
		}
		payload = rest
		n++
	}
	if n != count {
		return fmt.Errorf("it should be %d records, and is %d", count, n)
	}
	return nil
}

// readable returns the keys that the records of a faulty batch have, also those that are damaged themselves:
// then the key may be one that nobody has. It is nil if there may be records that cannot be found.
func (c *cursor) readable(f *fault) []node.Incarnation {
	length := int64(windowBytes) // a guess
	if f.header != nil {
		length = int64(format.BatchHeaderBytes) + int64(f.header.PayloadBytes)
	}
	b, err := c.window.bytes(c.offset, length)
	if err != nil || len(b) < format.BatchHeaderBytes {
		return nil
	}
	var keys []node.Incarnation
	for b = b[format.BatchHeaderBytes:]; len(b) > 0; {
		bytes, ok := format.RecordBytes(b)
		if f.header == nil && (!ok || isZero(b[:format.RecordHeaderBytes])) {
			break // the padding
		}
		if !ok || bytes > int64(len(b)) {
			return nil
		}
		if key := format.RecordKey(b); key != 0 && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
		b = b[bytes:]
	}
	return keys
}

// damage makes the fault known as damage.
func (c *cursor) damage(f *fault, because string) *damage {
	detail := f.detail
	if f.err != nil {
		detail += ": " + f.err.Error()
	}
	return &damage{file: c.segment.name, offset: c.offset, detail: detail + because, keys: c.readable(f)}
}
