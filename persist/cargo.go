package persist

import "example.com/raftactor/persist/internal/format"

// A cargo is what is written at once: room for the header of a batch, and the records. What a member stages is one, too,
// so that it can be written where it was encoded.
type cargo struct {
	// buffer is nil, or begins with the room.
	buffer []byte
	count  uint32
	// sum is the checksum of the first records, which have so many bytes.
	sum    uint32
	summed int
}

// summedAtOnce is how many bytes are checksummed at once: so much is in a cache still when it has been encoded.
const summedAtOnce = 16 << 10

// reserve makes room for so many bytes of records, and for the footer of a batch. Large buffers are whole blocks.
func (c *cargo) reserve(bytes int) {
	if c.buffer == nil {
		c.buffer = grow(nil, format.BatchHeaderBytes+bytes+format.BatchFooterBytes)[:format.BatchHeaderBytes]
		return
	}
	c.buffer = grow(c.buffer, bytes+format.BatchFooterBytes)
}

// records are those that are in the cargo.
func (c *cargo) records() []byte {
	if c.buffer == nil {
		return nil
	}
	return c.buffer[format.BatchHeaderBytes:]
}

// add puts records behind the others.
func (c *cargo) add(records []byte, count uint32) {
	c.reserve(len(records))
	c.buffer = append(c.buffer, records...)
	c.count += count
}

// sumUp goes on with the checksum when there is enough for it.
func (c *cargo) sumUp() {
	if rest := c.records()[c.summed:]; len(rest) >= summedAtOnce {
		c.sum = format.Extend(c.sum, rest)
		c.summed += len(rest)
	}
}

// checksum is that of all records.
func (c *cargo) checksum() uint32 { return format.Extend(c.sum, c.records()[c.summed:]) }
