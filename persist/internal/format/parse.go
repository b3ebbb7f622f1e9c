package format

import (
	"encoding/binary"
	"errors"
	"fmt"

	"example.com/raftactor/node"
)

// RecordBytes is what the record at the start of b says about its length, header and all, if b has that much
// of it.
func RecordBytes(b []byte) (int64, bool) {
	if len(b) < RecordHeaderBytes {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint32(b[4:])) + RecordHeaderBytes, true
}

// RecordKey is the key of the record at the start of b, which has a header. Nothing is verified.
func RecordKey(b []byte) node.Incarnation {
	return node.Incarnation(binary.LittleEndian.Uint64(b[12:]))
}

// RecordKind is the kind of the record at the start of b, which has a header. Nothing is verified.
func RecordKind(b []byte) Kind { return Kind(b[8]) }

// Next verifies and parses the record at the start of b, and returns what follows it.
func Next(b []byte) (Record, []byte, error) {
	length, ok := RecordBytes(b)
	if ok && length <= int64(len(b)) && Checksum(b[4:length]) != binary.LittleEndian.Uint32(b) {
		return Record{}, nil, ErrChecksum
	}
	return Split(b)
}

// Split is [Next] for what is known to be as it was written: it does not look at the checksum.
func Split(b []byte) (Record, []byte, error) {
	length, ok := RecordBytes(b)
	if !ok {
		return Record{}, nil, fmt.Errorf("%w: %d bytes are no header", ErrRecord, len(b))
	}
	if length > int64(len(b)) {
		return Record{}, nil, fmt.Errorf("%w: its length is %d, and %d bytes are left", ErrRecord, length, len(b))
	}
	if b[9] != 0 || b[10] != 0 || b[11] != 0 {
		return Record{}, nil, fmt.Errorf("%w: reserved bytes are set", ErrRecord)
	}
	return Record{
		Kind: Kind(b[8]), Key: node.Incarnation(binary.LittleEndian.Uint64(b[12:])), Body: b[RecordHeaderBytes:length],
	}, b[length:], nil
}

// Member returns the body of a [KindMember].
func (r Record) Member() (Member, error) {
	d := decoder{b: r.Body}
	m := Member{ID: node.ID(d.uint())}
	m.Group = string(d.rest())
	return m, d.err(r.Kind)
}

// Entry returns the body of a [KindEntry]. The data is part of the body.
func (r Record) Entry() (node.Entry, error) {
	if len(r.Body) < EntryHeaderBytes {
		return node.Entry{}, fmt.Errorf("%w: %v: it is too short", ErrRecord, r.Kind)
	}
	return node.Entry{
		Index: node.Index(binary.LittleEndian.Uint64(r.Body)),
		Term:  node.Term(binary.LittleEndian.Uint64(r.Body[8:])),
		Kind:  node.EntryKind(r.Body[16]),
		Data:  r.Body[EntryHeaderBytes:],
	}, nil
}

// Truncate returns the body of a [KindTruncate].
func (r Record) Truncate() (node.Index, error) {
	d := decoder{b: r.Body}
	from := node.Index(d.uint())
	return from, d.end(r.Kind)
}

// HardState returns the body of a [KindHardState].
func (r Record) HardState() (node.HardState, error) {
	d := decoder{b: r.Body}
	s := node.HardState{
		Term: node.Term(d.uint()), Vote: node.ID(d.uint()),
		VoteIncarnation: node.Incarnation(d.uint()), Commit: node.Index(d.uint()),
	}
	return s, d.end(r.Kind)
}

// Met returns the body of a [KindMet].
func (r Record) Met() (node.Acquaintance, error) {
	d := decoder{b: r.Body}
	a := node.Acquaintance{ID: node.ID(d.uint()), Incarnation: node.Incarnation(d.uint())}
	return a, d.end(r.Kind)
}

// Founding returns the body of a [KindFounding].
func (r Record) Founding() (node.Configuration, error) {
	c, err := configuration(r.Body)
	if err != nil {
		return node.Configuration{}, fmt.Errorf("%w: %v: %w", ErrRecord, r.Kind, err)
	}
	return c, nil
}

// Compaction returns the body of a [KindCompact].
func (r Record) Compaction() (Compaction, error) {
	d := decoder{b: r.Body}
	c := Compaction{Through: node.Index(d.uint()), ThroughTerm: node.Term(d.uint())}
	c.Snapshot = d.snapshot()
	return c, d.end(r.Kind)
}

// Install returns the body of a [KindInstall].
func (r Record) Install() (node.SnapshotMeta, error) {
	d := decoder{b: r.Body}
	meta := d.snapshot()
	return meta, d.end(r.Kind)
}

// Cluster returns the body of a [KindCluster].
func (r Record) Cluster() string { return string(r.Body) }

// Checkpoint returns the body of a [KindCheckpoint].
func (r Record) Checkpoint() (Checkpoint, error) {
	d := decoder{b: r.Body}
	c := Checkpoint{Through: node.Index(d.uint()), ThroughTerm: node.Term(d.uint()), Last: node.Index(d.uint())}
	c.Snapshot = d.snapshot()
	return c, d.end(r.Kind)
}

// Check tells whether the body is what the kind has.
func (r Record) Check() error {
	var err error
	switch r.Kind {
	case KindMember:
		_, err = r.Member()
	case KindEntry:
		_, err = r.Entry()
	case KindTruncate:
		_, err = r.Truncate()
	case KindHardState:
		_, err = r.HardState()
	case KindMet:
		_, err = r.Met()
	case KindFounding:
		_, err = r.Founding()
	case KindCompact:
		_, err = r.Compaction()
	case KindInstall:
		_, err = r.Install()
	case KindDelete:
		err = (&decoder{b: r.Body}).end(r.Kind)
	case KindCluster:
	case KindCheckpoint:
		_, err = r.Checkpoint()
	default:
		err = fmt.Errorf("%w: %v is not known", ErrRecord, r.Kind)
	}
	return err
}

// configuration reads what appendConfiguration wrote.
func configuration(b []byte) (node.Configuration, error) {
	if len(b) == 0 {
		return node.Configuration{}, nil
	}
	return node.DecodeConfiguration(b)
}

// decoder reads from b, and once that is too short reads zeros.
type decoder struct {
	b      []byte
	failed error
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b = nil
		if d.failed == nil {
			d.failed = errors.New("it is too short")
		}
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) uint() uint64 {
	b := d.bytes(8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (d *decoder) rest() []byte {
	b := d.b
	d.b = nil
	return b
}

func (d *decoder) snapshot() node.SnapshotMeta {
	meta := node.SnapshotMeta{Index: node.Index(d.uint())}
	if meta.Index == 0 {
		return node.SnapshotMeta{}
	}
	meta.Term, meta.ConfigurationIndex = node.Term(d.uint()), node.Index(d.uint())
	if length := d.bytes(4); length != nil {
		meta.Handle = string(d.bytes(uint64(binary.LittleEndian.Uint32(length))))
	}
	var err error
	meta.Configuration, err = configuration(d.rest())
	if err != nil && d.failed == nil {
		d.failed = err
	}
	return meta
}

func (d *decoder) err(kind Kind) error {
	if d.failed != nil {
		return fmt.Errorf("%w: %v: %w", ErrRecord, kind, d.failed)
	}
	return nil
}

// end is err, for a body that must have been read to its end.
func (d *decoder) end(kind Kind) error {
	if d.failed == nil && len(d.b) > 0 {
		d.failed = fmt.Errorf("%d bytes are left over", len(d.b))
	}
	return d.err(kind)
}
