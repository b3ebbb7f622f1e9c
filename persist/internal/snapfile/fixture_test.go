package snapfile

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	"example.com/raftactor/node"
)

// memoryFile is a file in memory.
type memoryFile struct{ data []byte }

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(f.data) {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *memoryFile) Size() (int64, error) { return int64(len(f.data)), nil }

func (f *memoryFile) Truncate(size int64) error {
	f.data = append(f.data[:0:0], f.data[:size]...)
	return nil
}

func (*memoryFile) Sync() error  { return nil }
func (*memoryFile) Close() error { return nil }

// header is one that has everything.
func header() Header {
	return Header{
		StoreID: 0x5701e, Salt: 0x5a17, Key: 0xabcdef, Group: "orders.eu-1", Member: 3,
		Meta: node.SnapshotMeta{
			Index: 1000, Term: 7, ConfigurationIndex: 900,
			Configuration: node.NewConfiguration(
				node.Member{ID: 1, Suffrage: node.Voter, Incarnation: 11, Address: "host-1:7000"},
				node.Member{ID: 3, Suffrage: node.Voter, Incarnation: 0xabcdef, Address: "host-3:7000"},
				node.Member{ID: 4, Suffrage: node.Learner, Address: "host-4:7000"},
			),
		},
	}
}

// state is the same bytes for the same seed, on every machine.
func state(seed uint64, size int) []byte {
	source := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(source.Uint32())
	}
	return b
}

// fileOf is a complete file.
func fileOf(t testing.TB, h Header, state []byte) []byte {
	t.Helper()
	file := &memoryFile{}
	w, err := NewWriter(file, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(state); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return file.data
}

// repaired is a copy whose header has the right checksum, and the length that it has room for, so that what is
// below the checksum is reached.
func repaired(file []byte) []byte {
	if len(file) < prefixBytes+checksumBytes {
		return file
	}
	file = append([]byte(nil), file...)
	copy(file, headerMagic)
	binary.LittleEndian.PutUint32(file[8:], Version)
	length := min(int(binary.LittleEndian.Uint32(file[12:])), len(file)-footerBytes)
	if length < prefixBytes+checksumBytes {
		return file
	}
	binary.LittleEndian.PutUint32(file[12:], uint32(length))
	end := length - checksumBytes
	binary.LittleEndian.PutUint32(file[end:], crc32.Checksum(file[:end], castagnoli))
	if length >= fixedBytes {
		footer := file[len(file)-footerBytes:]
		salt := binary.LittleEndian.Uint64(file[24:])
		binary.LittleEndian.PutUint32(footer[footerBytes-checksumBytes:],
			footerChecksum(footer[:footerBytes-checksumBytes], salt))
	}
	return file
}
