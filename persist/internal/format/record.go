package format

import (
	"encoding/binary"
	"errors"
	"fmt"

	"example.com/raftactor/node"
)

// Kind says what a record is.
type Kind uint8

// The kinds of records.
const (
	// KindMember makes the member known that the key stands for. It is the first record of each key.
	KindMember Kind = iota + 1
	// KindEntry appends an entry.
	KindEntry
	// KindTruncate removes the entries from an index on.
	KindTruncate
	// KindHardState replaces the hard state.
	KindHardState
	// KindMet notes, or forgets, the life of a peer.
	KindMet
	// KindFounding is the founding configuration.
	KindFounding
	// KindCompact makes a snapshot the newest, and releases entries behind it.
	KindCompact
	// KindInstall makes a snapshot the newest, and drops all entries.
	KindInstall
	// KindDelete ends the member: its key never comes again.
	KindDelete
	// KindCluster is the cluster that the store belongs to. Its key is zero.
	KindCluster
	// KindCheckpoint says, at the start of a segment, how far a member's log reaches.
	KindCheckpoint
)

var kindNames = [...]string{
	KindMember: "member", KindEntry: "entry", KindTruncate: "truncate", KindHardState: "hard-state", KindMet: "met",
	KindFounding: "founding", KindCompact: "compact", KindInstall: "install", KindDelete: "delete",
	KindCluster: "cluster", KindCheckpoint: "checkpoint",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// RecordHeaderBytes stand in front of a record's body, and EntryHeaderBytes in front of the data in the body of an
// entry.
const (
	RecordHeaderBytes = 20
	EntryHeaderBytes  = 17
)

// ErrRecord is what is returned for a record whose checksum is right, and whose body is not what its kind has.
var ErrRecord = errors.New("the record is not what its kind has")

// A Record is one record of a batch.
type Record struct {
	Kind Kind
	// Key is the incarnation of the member that the record is about, or zero.
	Key node.Incarnation
	// Body is part of what was parsed.
	Body []byte
}

// Member is the body of a [KindMember].
type Member struct {
	Group string
	ID    node.ID
}

// Checkpoint is the body of a [KindCheckpoint].
type Checkpoint struct {
	// Through and ThroughTerm are index and term of the last entry that was released.
	Through     node.Index
	ThroughTerm node.Term
	// Last is the index of the last entry.
	Last     node.Index
	Snapshot node.SnapshotMeta
}

// Compaction is the body of a [KindCompact].
type Compaction struct {
	// Through and ThroughTerm are index and term of the last entry that is released.
	Through     node.Index
	ThroughTerm node.Term
	Snapshot    node.SnapshotMeta
}

// begin appends the header of a record, whose checksum and length [finish] fills in.
func begin(b []byte, kind Kind, key node.Incarnation) []byte {
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, byte(kind), 0, 0, 0)
	return binary.LittleEndian.AppendUint64(b, uint64(key))
}

func finish(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start+4:], uint32(len(b)-start-RecordHeaderBytes))
	binary.LittleEndian.PutUint32(b[start:], Checksum(b[start+4:]))
	return b
}

// AppendMember writes a record.
func AppendMember(b []byte, key node.Incarnation, m Member) []byte {
	start := len(b)
	b = begin(b, KindMember, key)
	b = appendUints(b, uint64(m.ID))
	return finish(append(b, m.Group...), start)
}

// AppendEntry writes a record.
func AppendEntry(b []byte, key node.Incarnation, e *node.Entry) []byte {
	start := len(b)
	b = begin(b, KindEntry, key)
	b = appendUints(b, uint64(e.Index), uint64(e.Term))
	b = append(b, byte(e.Kind))
	return finish(append(b, e.Data...), start)
}

// AppendTruncate writes a record.
func AppendTruncate(b []byte, key node.Incarnation, from node.Index) []byte {
	start := len(b)
	return finish(appendUints(begin(b, KindTruncate, key), uint64(from)), start)
}

// AppendHardState writes a record.
func AppendHardState(b []byte, key node.Incarnation, s node.HardState) []byte {
	start := len(b)
	b = begin(b, KindHardState, key)
	return finish(appendUints(b, uint64(s.Term), uint64(s.Vote), uint64(s.VoteIncarnation), uint64(s.Commit)), start)
}

// AppendMet writes a record.
func AppendMet(b []byte, key node.Incarnation, a node.Acquaintance) []byte {
	start := len(b)
	return finish(appendUints(begin(b, KindMet, key), uint64(a.ID), uint64(a.Incarnation)), start)
}

// AppendFounding writes a record.
func AppendFounding(b []byte, key node.Incarnation, c node.Configuration) []byte {
	start := len(b)
	return finish(appendConfiguration(begin(b, KindFounding, key), c), start)
}

// AppendCompact writes a record. The handle of the snapshot is a string.
func AppendCompact(b []byte, key node.Incarnation, c Compaction) []byte {
	start := len(b)
	b = appendUints(begin(b, KindCompact, key), uint64(c.Through), uint64(c.ThroughTerm))
	return finish(appendSnapshot(b, c.Snapshot), start)
}

// AppendInstall writes a record. The handle of the snapshot is a string.
func AppendInstall(b []byte, key node.Incarnation, meta node.SnapshotMeta) []byte {
	start := len(b)
	return finish(appendSnapshot(begin(b, KindInstall, key), meta), start)
}

// AppendDelete writes a record.
func AppendDelete(b []byte, key node.Incarnation) []byte {
	return finish(begin(b, KindDelete, key), len(b))
}

// AppendCluster writes a record.
func AppendCluster(b []byte, cluster string) []byte {
	start := len(b)
	return finish(append(begin(b, KindCluster, 0), cluster...), start)
}

// AppendCheckpoint writes a record. The handle of the snapshot is a string.
func AppendCheckpoint(b []byte, key node.Incarnation, c Checkpoint) []byte {
	start := len(b)
	b = appendUints(begin(b, KindCheckpoint, key), uint64(c.Through), uint64(c.ThroughTerm), uint64(c.Last))
	return finish(appendSnapshot(b, c.Snapshot), start)
}

func appendUints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// appendSnapshot writes nothing but a zero index for no snapshot.
func appendSnapshot(b []byte, meta node.SnapshotMeta) []byte {
	b = appendUints(b, uint64(meta.Index))
	if meta.Index == 0 {
		return b
	}
	handle, _ := meta.Handle.(string)
	b = appendUints(b, uint64(meta.Term), uint64(meta.ConfigurationIndex))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(handle)))
	b = append(b, handle...)
	return appendConfiguration(b, meta.Configuration)
}

// appendConfiguration writes nothing for one without members, which is none that could be decoded.
func appendConfiguration(b []byte, c node.Configuration) []byte {
	if len(c.Members) == 0 {
		return b
	}
	return append(b, c.Encode()...)
}
