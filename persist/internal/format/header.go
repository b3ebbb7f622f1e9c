package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Version of the layout.
const Version = 1

// BlockBytes is the unit in which a segment is written. Each header of a segment and each batch begins at a
// multiple of it, so that writing one never touches what is durable of another.
const BlockBytes = 4096

// Lengths of the headers, and of the footer of a batch.
const (
	SegmentHeaderBytes = 128
	BatchHeaderBytes   = 64
	BatchFooterBytes   = BatchHeaderBytes
)

const (
	segmentMagic = "raftwal\n"
	batchMagic   = 0x54414252 // "RBAT"
	footerMagic  = 0x444e4552 // "REND"
	bootIDMax    = 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is CRC-32C.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// Extend returns the checksum of what has one already and of the data behind it.
func Extend(sum uint32, data []byte) uint32 { return crc32.Update(sum, castagnoli, data) }

// Errors of the decoders.
var (
	ErrMagic    = errors.New("the magic number is wrong")
	ErrChecksum = errors.New("the checksum is wrong")
	// ErrVersion means that a newer version has written this.
	ErrVersion = errors.New("written by a newer version")
)

// A Position is a point in the log: behind the batch with the sequence number, whose header has the checksum.
type Position struct {
	Sequence uint64
	Chain    uint32
}

// A SegmentHeader opens a segment.
type SegmentHeader struct {
	StoreID uint64
	// Segment numbers the segments of a store. No number is given out twice.
	Segment uint64
	// Salt is drawn at random for each life of a segment file. It goes into the checksum of each batch, so that
	// bytes of an earlier life, or of a user, are not taken for a batch.
	Salt uint64
	// Predecessor is the segment in front of this one, or zero, and End where that ends: what it holds behind
	// End is void.
	Predecessor uint64
	End         Position
	// BootID is that of the machine when the segment was begun.
	BootID string
	// Bytes is the length that the file has as long as it is the newest one.
	Bytes uint64
}

// Append writes the header.
func (h *SegmentHeader) Append(b []byte) []byte {
	start := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, Version)
	b = binary.LittleEndian.AppendUint32(b, h.End.Chain)
	b = binary.LittleEndian.AppendUint64(b, h.StoreID)
	b = binary.LittleEndian.AppendUint64(b, h.Segment)
	b = binary.LittleEndian.AppendUint64(b, h.Salt)
	b = binary.LittleEndian.AppendUint64(b, h.Predecessor)
	b = binary.LittleEndian.AppendUint64(b, h.End.Sequence)
	var boot [bootIDMax]byte
	copy(boot[:], h.BootID)
	b = append(b, boot[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.Bytes)
	b = append(b, make([]byte, SegmentHeaderBytes-4-(len(b)-start))...)
	return binary.LittleEndian.AppendUint32(b, Checksum(b[start:]))
}

// ParseSegmentHeader reads what [SegmentHeader.Append] wrote.
func ParseSegmentHeader(b []byte) (SegmentHeader, error) {
	if len(b) < SegmentHeaderBytes || string(b[:8]) != segmentMagic {
		return SegmentHeader{}, ErrMagic
	}
	b = b[:SegmentHeaderBytes]
	if Checksum(b[:SegmentHeaderBytes-4]) != binary.LittleEndian.Uint32(b[SegmentHeaderBytes-4:]) {
		return SegmentHeader{}, ErrChecksum
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != Version {
		return SegmentHeader{}, fmt.Errorf("%w: version %d, and this one knows %d", ErrVersion, v, Version)
	}
	boot := b[56 : 56+bootIDMax]
	for len(boot) > 0 && boot[len(boot)-1] == 0 {
		boot = boot[:len(boot)-1]
	}
	return SegmentHeader{
		StoreID:     binary.LittleEndian.Uint64(b[16:]),
		Segment:     binary.LittleEndian.Uint64(b[24:]),
		Salt:        binary.LittleEndian.Uint64(b[32:]),
		Predecessor: binary.LittleEndian.Uint64(b[40:]),
		End:         Position{binary.LittleEndian.Uint64(b[48:]), binary.LittleEndian.Uint32(b[12:])},
		BootID:      string(boot),
		Bytes:       binary.LittleEndian.Uint64(b[56+bootIDMax:]),
	}, nil
}

// A BatchHeader stands in front of the records that are written at once.
type BatchHeader struct {
	// PayloadBytes is the length of the records, and PayloadChecksum theirs.
	PayloadBytes    uint32
	PayloadChecksum uint32
	// Sequence numbers the batches of a store, across segments.
	Sequence uint64
	// Segment and Offset say where the batch belongs.
	Segment uint64
	Offset  uint64
	// Durable is the highest sequence that was known to be durable before this batch was written.
	Durable uint64
	// Previous is the checksum of the header in front of this one, in another segment for the first.
	Previous uint32
	// Records is how many there are.
	Records uint32
}

// Put writes the header to the start of b, and returns its checksum.
func (h *BatchHeader) Put(b []byte, salt uint64) uint32 { return h.put(b, batchMagic, salt) }

// PutFooter writes the footer of the batch to the start of b: it says the same as the header, and takes up the last bytes
// of the batch's last block.
func (h *BatchHeader) PutFooter(b []byte, salt uint64) { h.put(b, footerMagic, salt) }

func (h *BatchHeader) put(b []byte, magic uint32, salt uint64) uint32 {
	b = b[:BatchHeaderBytes]
	binary.LittleEndian.PutUint32(b[0:], magic)
	binary.LittleEndian.PutUint32(b[8:], h.PayloadBytes)
	binary.LittleEndian.PutUint32(b[12:], h.PayloadChecksum)
	binary.LittleEndian.PutUint64(b[16:], h.Sequence)
	binary.LittleEndian.PutUint64(b[24:], h.Segment)
	binary.LittleEndian.PutUint64(b[32:], h.Offset)
	binary.LittleEndian.PutUint64(b[40:], h.Durable)
	binary.LittleEndian.PutUint32(b[48:], h.Previous)
	binary.LittleEndian.PutUint32(b[52:], h.Records)
	binary.LittleEndian.PutUint64(b[56:], 0)
	sum := batchChecksum(b, salt)
	binary.LittleEndian.PutUint32(b[4:], sum)
	return sum
}

// ParseBatchHeader reads what [BatchHeader.Put] wrote, and returns its checksum as well.
func ParseBatchHeader(b []byte, salt uint64) (BatchHeader, uint32, error) {
	return parseBatch(b, batchMagic, salt)
}

// ParseBatchFooter reads what [BatchHeader.PutFooter] wrote.
func ParseBatchFooter(b []byte, salt uint64) (BatchHeader, error) {
	h, _, err := parseBatch(b, footerMagic, salt)
	return h, err
}

// ClaimsToBe reports whether b begins like the header of a batch that belongs to a place, where the salt is not known.
func ClaimsToBe(b []byte, segment, offset uint64) bool {
	return len(b) >= BatchHeaderBytes && binary.LittleEndian.Uint32(b) == batchMagic &&
		binary.LittleEndian.Uint64(b[24:]) == segment && binary.LittleEndian.Uint64(b[32:]) == offset
}

// BatchClaim is what b says as the header of a batch. Nothing is verified.
func BatchClaim(b []byte) (segment, sequence uint64) {
	return binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[16:])
}

func parseBatch(b []byte, magic uint32, salt uint64) (BatchHeader, uint32, error) {
	if len(b) < BatchHeaderBytes || binary.LittleEndian.Uint32(b) != magic {
		return BatchHeader{}, 0, ErrMagic
	}
	b = b[:BatchHeaderBytes]
	sum := binary.LittleEndian.Uint32(b[4:])
	if batchChecksum(b, salt) != sum {
		return BatchHeader{}, 0, ErrChecksum
	}
	return BatchHeader{
		PayloadBytes:    binary.LittleEndian.Uint32(b[8:]),
		PayloadChecksum: binary.LittleEndian.Uint32(b[12:]),
		Sequence:        binary.LittleEndian.Uint64(b[16:]),
		Segment:         binary.LittleEndian.Uint64(b[24:]),
		Offset:          binary.LittleEndian.Uint64(b[32:]),
		Durable:         binary.LittleEndian.Uint64(b[40:]),
		Previous:        binary.LittleEndian.Uint32(b[48:]),
		Records:         binary.LittleEndian.Uint32(b[52:]),
	}, sum, nil
}

// batchChecksum is that of a header, less the checksum's own place, as if the salt's halves together were the
// checksum of what is in front of it.
func batchChecksum(b []byte, salt uint64) uint32 {
	sum := crc32.Update(uint32(salt)^uint32(salt>>32), castagnoli, b[:4])
	return crc32.Update(sum, castagnoli, b[8:BatchHeaderBytes])
}

// BatchBytes is what a batch with a payload of that length takes in a segment: header, payload and footer, in whole blocks.
func BatchBytes(payload int64) int64 { return RoundUp(BatchHeaderBytes + payload + BatchFooterBytes) }

// RoundUp rounds up to whole blocks.
func RoundUp(n int64) int64 { return (n + BlockBytes - 1) / BlockBytes * BlockBytes }
