package snapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"example.com/raftactor/node"
)

// Version of the format.
const Version = 1

// ChunkBytes is how much state a chunk holds, but for the last one, which holds the rest.
const ChunkBytes = 64 << 10

const (
	headerMagic = "raftsnp\n"
	footerMagic = "raftend\n"

	// prefixBytes are the same in every version: the magic number, the version, and the header's length.
	prefixBytes = 16
	// fixedBytes of a header stand in front of the group's name and the configuration.
	fixedBytes    = 80
	checksumBytes = 4
	footerBytes   = 32

	// headerBytesMax is more than the largest configuration needs.
	headerBytesMax = 4 << 20
	groupBytesMax  = 128
)

// ErrVersion means that a newer version has written the file.
var ErrVersion = errors.New("written by a newer version")

// Damage says what in a file is not what was written.
type Damage struct {
	// Offset is where in the file that was found, in bytes.
	Offset int64
	// Detail says what is wrong there.
	Detail string
}

func (d *Damage) Error() string { return fmt.Sprintf("damaged at offset %d: %s", d.Offset, d.Detail) }

func damaged(offset int64, format string, args ...any) error {
	return &Damage{Offset: offset, Detail: fmt.Sprintf(format, args...)}
}

// A Header opens a file.
type Header struct {
	StoreID uint64
	// Salt is drawn at random for each file.
	Salt uint64
	// Key, Group and Member say whose snapshot it is.
	Key    node.Incarnation
	Group  string
	Member node.ID
	// Meta says what the snapshot covers. Its handle is not stored.
	Meta node.SnapshotMeta
}

// Validate reports what a header of a snapshot cannot have, and [NewWriter] refuses.
func (h *Header) Validate() error {
	switch {
	case h.Key == 0 || h.Member == node.None || h.Meta.Index == 0:
		return fmt.Errorf("a snapshot at index %d of member %d in its life %d: none of them is 0",
			h.Meta.Index, h.Member, h.Key)
	case !IsGroup(h.Group):
		return fmt.Errorf("%q is no name of a group", h.Group)
	case len(h.Meta.Configuration.Members) == 0: // stored as nothing
		return nil
	}
	return h.Meta.Configuration.Validate()
}

// IsGroup tells whether a group can have the name: 1 to 128 letters, digits, dots, hyphens and underscores.
func IsGroup(name string) bool {
	for _, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= groupBytesMax
}

// append writes the header.
func (h *Header) append(b []byte) []byte {
	start := len(b)
	var configuration []byte
	if len(h.Meta.Configuration.Members) > 0 {
		configuration = h.Meta.Configuration.Encode()
	}
	b = append(b, headerMagic...)
	b = binary.LittleEndian.AppendUint32(b, Version)
	b = binary.LittleEndian.AppendUint32(b, uint32(fixedBytes+len(h.Group)+len(configuration)+checksumBytes))
	for _, number := range [...]uint64{
		h.StoreID, h.Salt, uint64(h.Key), uint64(h.Member),
		uint64(h.Meta.Index), uint64(h.Meta.Term), uint64(h.Meta.ConfigurationIndex),
	} {
		b = binary.LittleEndian.AppendUint64(b, number)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Group)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(configuration)))
	b = append(b, h.Group...)
	b = append(b, configuration...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parsePrefix returns the length of a header from its first bytes. It may be wrong: the checksum tells.
func parsePrefix(b []byte) (length int64, err error) {
	if string(b[:8]) != headerMagic {
		return 0, damaged(0, "the magic number is wrong: it does not begin as a snapshot does")
	}
	length = int64(binary.LittleEndian.Uint32(b[12:]))
	if length < prefixBytes+checksumBytes || length > headerBytesMax {
		return 0, damaged(12, "a header of %d bytes cannot be", length)
	}
	return length, nil
}

// parseHeader reads what [Header.append] wrote: all of b, which begins with a prefix that gives its length.
func parseHeader(b []byte) (Header, error) {
	end := len(b) - checksumBytes
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return Header{}, damaged(0, "the checksum of the header, of %d bytes, is wrong", len(b))
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != Version {
		return Header{}, fmt.Errorf("%w: version %d, and this one knows %d", ErrVersion, v, Version)
	}
	if end < fixedBytes {
		return Header{}, damaged(12, "a header of %d bytes is too short", len(b))
	}
	group, configuration := binary.LittleEndian.Uint32(b[72:]), binary.LittleEndian.Uint32(b[76:])
	if uint64(group)+uint64(configuration) != uint64(end-fixedBytes) {
		return Header{}, damaged(72, "the parts of the header, of %d and %d bytes, do not fill it", group, configuration)
	}
	number := func(offset int) uint64 { return binary.LittleEndian.Uint64(b[offset:]) }
	h := Header{
		StoreID: number(16), Salt: number(24), Key: node.Incarnation(number(32)), Member: node.ID(number(40)),
		Group: string(b[fixedBytes : fixedBytes+group]),
		Meta: node.SnapshotMeta{
			Index: node.Index(number(48)), Term: node.Term(number(56)), ConfigurationIndex: node.Index(number(64)),
		},
	}
	if configuration > 0 {
		var err error
		h.Meta.Configuration, err = node.DecodeConfiguration(b[fixedBytes+group : end])
		if err != nil {
			return Header{}, damaged(fixedBytes+int64(group), "the configuration: %v", err)
		}
	}
	if err := h.Validate(); err != nil {
		return Header{}, damaged(16, "the header: %v", err)
	}
	return h, nil
}

// appendFooter writes the footer.
func appendFooter(b []byte, salt uint64, size int64) []byte {
	start := len(b)
	b = append(b, footerMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	b = binary.LittleEndian.AppendUint64(b, uint64(chunksOf(size)))
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, footerChecksum(b[start:], salt))
}

// parseFooter reads the length of the state from the last bytes of a file, which lies between a header and a
// footer of these lengths.
func parseFooter(b []byte, salt uint64, headerBytes, fileBytes int64) (size int64, err error) {
	at, end := fileBytes-footerBytes, footerBytes-checksumBytes
	switch {
	case string(b[:8]) != footerMagic:
		return 0, damaged(at, "the footer's magic number is wrong: the file is cut off, or its end is damaged")
	case footerChecksum(b[:end], salt) != binary.LittleEndian.Uint32(b[end:]):
		return 0, damaged(at, "the checksum of the footer is wrong")
	}
	length, chunks := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	if length > uint64(fileBytes) || chunks != uint64(chunksOf(int64(length))) ||
		fileBytesOf(headerBytes, int64(length)) != fileBytes || [4]byte(b[24:]) != [4]byte{} {
		return 0, damaged(at, "the footer tells of %d bytes of state in %d chunks, and the file has %d bytes, "+
			"with a header of %d", length, chunks, fileBytes, headerBytes)
	}
	return int64(length), nil
}

// chunksOf is how many chunks hold a state of that size.
func chunksOf(size int64) int64 { return size/ChunkBytes + min(1, size%ChunkBytes) }

// chunkAt is where a chunk begins behind a header of that length.
func chunkAt(headerBytes, number int64) int64 {
	return headerBytes + number*(checksumBytes+ChunkBytes)
}

// fileBytesOf is the length of a file.
func fileBytesOf(headerBytes, size int64) int64 {
	return headerBytes + size + chunksOf(size)*checksumBytes + footerBytes
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunkChecksum is that of the state in a chunk, behind the salt and the chunk's number.
func chunkChecksum(state []byte, salt uint64, number int64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], salt)
	binary.LittleEndian.PutUint64(place[8:], uint64(number))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, state)
}

// footerChecksum is that of a footer, behind the salt.
func footerChecksum(b []byte, salt uint64) uint32 {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], salt)
	return crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, b)
}
