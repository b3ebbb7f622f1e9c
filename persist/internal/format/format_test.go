package format_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

func uints[T ~uint64]() *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T { return T(rapid.Uint64().Draw(t, "number")) })
}

func configurations() *rapid.Generator[node.Configuration] {
	return rapid.Custom(func(t *rapid.T) node.Configuration {
		if rapid.Bool().Draw(t, "empty") {
			return node.Configuration{}
		}
		ids := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 1<<40), 1, 7, rapid.ID).Draw(t, "ids")
		var members []node.Member
		for i, id := range ids {
			m := node.Member{ID: node.ID(id), Suffrage: node.Learner, Incarnation: uints[node.Incarnation]().Draw(t, "life")}
			if i == 0 || rapid.Bool().Draw(t, "voter") {
				m.Suffrage = node.Voter
			}
			m.Address = rapid.StringN(0, 20, 60).Draw(t, "address")
			members = append(members, m)
		}
		return node.NewConfiguration(members...)
	})
}

func snapshots() *rapid.Generator[node.SnapshotMeta] {
	return rapid.Custom(func(t *rapid.T) node.SnapshotMeta {
		meta := node.SnapshotMeta{Index: uints[node.Index]().Draw(t, "index")}
		if meta.Index == 0 || rapid.Bool().Draw(t, "none") {
			return node.SnapshotMeta{}
		}
		meta.Term, meta.ConfigurationIndex = uints[node.Term]().Draw(t, "term"), uints[node.Index]().Draw(t, "configuration index")
		meta.Configuration, meta.Handle = configurations().Draw(t, "configuration"), rapid.String().Draw(t, "handle")
		return meta
	})
}

// A sample is one record with a way to see whether it is read as it was written.
type sample struct {
	kind    format.Kind
	encoded []byte
	want    any
	decode  func(format.Record) (any, error)
}

func samples() *rapid.Generator[sample] {
	return rapid.Custom(func(t *rapid.T) sample { return drawSample(t, key.Draw(t, "key")) })
}

var key = uints[node.Incarnation]()

func decoded[T any](decode func(format.Record) (T, error)) func(format.Record) (any, error) {
	return func(r format.Record) (any, error) { return decode(r) }
}

func drawSample(t *rapid.T, key node.Incarnation) sample {
	s := sample{kind: format.Kind(rapid.IntRange(1, 11).Draw(t, "kind"))}
	index, term := uints[node.Index](), uints[node.Term]()
	switch s.kind {
	case format.KindMember:
		v := format.Member{Group: rapid.String().Draw(t, "group"), ID: uints[node.ID]().Draw(t, "id")}
		s.encoded, s.want, s.decode = format.AppendMember(nil, key, v), v, decoded(format.Record.Member)
	case format.KindEntry:
		v := node.Entry{
			Index: index.Draw(t, "index"), Term: term.Draw(t, "term"), Kind: node.EntryKind(rapid.Byte().Draw(t, "entry kind")),
			Data: append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "data")...),
		}
		s.encoded, s.want, s.decode = format.AppendEntry(nil, key, &v), v, decoded(format.Record.Entry)
	case format.KindTruncate:
		v := index.Draw(t, "from")
		s.encoded, s.want, s.decode = format.AppendTruncate(nil, key, v), v, decoded(format.Record.Truncate)
	case format.KindHardState:
		v := node.HardState{
			Term: term.Draw(t, "term"), Vote: uints[node.ID]().Draw(t, "vote"), VoteIncarnation: uints[node.Incarnation]().Draw(t, "life"),
			Commit: index.Draw(t, "commit"),
		}
		s.encoded, s.want, s.decode = format.AppendHardState(nil, key, v), v, decoded(format.Record.HardState)
	case format.KindMet:
		v := node.Acquaintance{ID: uints[node.ID]().Draw(t, "id"), Incarnation: uints[node.Incarnation]().Draw(t, "life")}
		s.encoded, s.want, s.decode = format.AppendMet(nil, key, v), v, decoded(format.Record.Met)
	case format.KindFounding:
		v := configurations().Draw(t, "founding")
		s.encoded, s.want, s.decode = format.AppendFounding(nil, key, v), v, decoded(format.Record.Founding)
	case format.KindCompact:
		v := format.Compaction{Through: index.Draw(t, "through"), ThroughTerm: term.Draw(t, "term"), Snapshot: snapshots().Draw(t, "snapshot")}
		s.encoded, s.want, s.decode = format.AppendCompact(nil, key, v), v, decoded(format.Record.Compaction)
	case format.KindInstall:
		v := snapshots().Draw(t, "snapshot")
		s.encoded, s.want, s.decode = format.AppendInstall(nil, key, v), v, decoded(format.Record.Install)
	case format.KindDelete:
		s.encoded = format.AppendDelete(nil, key)
		s.decode = func(format.Record) (any, error) { return nil, nil }
	case format.KindCluster:
		v := rapid.String().Draw(t, "cluster")
		s.encoded, s.want = format.AppendCluster(nil, v), v
		s.decode = func(r format.Record) (any, error) { return r.Cluster(), nil }
	case format.KindCheckpoint:
		v := format.Checkpoint{
			Through: index.Draw(t, "through"), ThroughTerm: term.Draw(t, "term"), Last: index.Draw(t, "last"),
			Snapshot: snapshots().Draw(t, "snapshot"),
		}
		s.encoded, s.want, s.decode = format.AppendCheckpoint(nil, key, v), v, decoded(format.Record.Checkpoint)
	}
	return s
}

func TestEveryRecordIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life := key.Draw(t, "key")
		var all []byte
		var written []sample
		for range rapid.IntRange(1, 6).Draw(t, "count") {
			s := drawSample(t, life)
			written = append(written, s)
			all = append(all, s.encoded...)
		}
		for _, want := range written {
			if bytes, ok := format.RecordBytes(all); !ok || bytes != int64(len(want.encoded)) {
				t.Fatalf("got %d bytes, want %d", bytes, len(want.encoded))
			}
			r, rest, err := format.Next(all)
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != want.kind || r.Key != life && r.Kind != format.KindCluster {
				t.Fatalf("got %v of %x, want %v of %x", r.Kind, uint64(r.Key), want.kind, uint64(life))
			}
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			if got, err := want.decode(r); err != nil || !reflect.DeepEqual(got, want.want) {
				t.Fatalf("got %#v, %v, want %#v", got, err, want.want)
			}
			all = rest
		}
		if len(all) > 0 {
			t.Fatalf("%d bytes are left", len(all))
		}
	})
}

func TestNoBitOfARecordCanBeChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := samples().Draw(t, "record")
		at := rapid.IntRange(0, len(s.encoded)-1).Draw(t, "at")
		s.encoded[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if r, _, err := format.Next(s.encoded); err == nil {
			t.Fatalf("got %v", r)
		}
	})
}

func TestARecordThatIsCutOffIsNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := samples().Draw(t, "record")
		n := rapid.IntRange(0, len(s.encoded)-1).Draw(t, "length")
		if r, _, err := format.Next(s.encoded[:n]); !errors.Is(err, format.ErrRecord) {
			t.Fatalf("got %v, %v", r, err)
		}
	})
}

func TestABodyOfAnotherLengthIsNotWhatTheKindHas(t *testing.T) {
	for _, kind := range []format.Kind{
		format.KindTruncate, format.KindHardState, format.KindMet, format.KindFounding, format.KindCompact, format.KindInstall,
		format.KindDelete, format.KindCheckpoint,
	} {
		longer := format.Record{Kind: kind, Body: make([]byte, 333)}
		if err := longer.Check(); !errors.Is(err, format.ErrRecord) {
			t.Errorf("%v: got %v for a long body", kind, err)
		}
		if kind == format.KindDelete || kind == format.KindFounding {
			continue
		}
		if err := (format.Record{Kind: kind, Body: make([]byte, 7)}).Check(); !errors.Is(err, format.ErrRecord) {
			t.Errorf("%v: got %v for a short body", kind, err)
		}
	}
	for _, kind := range []format.Kind{0, 12, 255} {
		if err := (format.Record{Kind: kind}).Check(); !errors.Is(err, format.ErrRecord) {
			t.Errorf("%v: got %v", kind, err)
		}
	}
}

func TestHeadersAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64()
		h := format.SegmentHeader{
			StoreID: n.Draw(t, "store"), Segment: n.Draw(t, "segment"), Salt: n.Draw(t, "salt"), Predecessor: n.Draw(t, "predecessor"),
			End:    format.Position{Sequence: n.Draw(t, "sequence"), Chain: rapid.Uint32().Draw(t, "chain")},
			BootID: rapid.StringMatching("[0-9a-f-]{0,40}").Draw(t, "boot"),
		}
		encoded := h.Append([]byte("in front"))[8:]
		if got, err := format.ParseSegmentHeader(encoded); err != nil || got != h {
			t.Fatalf("got %+v, %v, want %+v", got, err, h)
		}
		spoil(t, encoded)
		if got, err := format.ParseSegmentHeader(encoded); err == nil {
			t.Fatalf("got %+v", got)
		}
		b := format.BatchHeader{
			PayloadBytes: rapid.Uint32().Draw(t, "bytes"), PayloadChecksum: rapid.Uint32().Draw(t, "checksum"), Sequence: n.Draw(t, "sequence"),
			Segment: n.Draw(t, "segment"), Offset: n.Draw(t, "offset"), Durable: n.Draw(t, "durable"),
			Previous: rapid.Uint32().Draw(t, "previous"), Records: rapid.Uint32().Draw(t, "records"),
		}
		batch := make([]byte, format.BatchHeaderBytes)
		sum := b.Put(batch, h.Salt)
		if got, gotSum, err := format.ParseBatchHeader(batch, h.Salt); err != nil || got != b || gotSum != sum {
			t.Fatalf("got %+v, %v, want %+v", got, err, b)
		}
		for bit := range 64 {
			if _, _, err := format.ParseBatchHeader(batch, h.Salt^1<<bit); err == nil {
				t.Fatalf("bit %d of the salt does not matter", bit)
			}
		}
		spoil(t, batch)
		if got, _, err := format.ParseBatchHeader(batch, h.Salt); err == nil {
			t.Fatalf("got %+v", got)
		}
	})
}

func spoil(t *rapid.T, b []byte) {
	b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
}

func TestABootIDThatIsTooLongIsCut(t *testing.T) {
	h := format.SegmentHeader{BootID: string(bytes.Repeat([]byte("x"), 50))}
	got, err := format.ParseSegmentHeader(h.Append(nil))
	if err != nil || len(got.BootID) != 40 {
		t.Errorf("got %q, %v", got.BootID, err)
	}
}

func TestHeadersCostNoAllocation(t *testing.T) {
	b := make([]byte, format.BatchHeaderBytes)
	h := format.BatchHeader{Sequence: 7}
	if n := testing.AllocsPerRun(100, func() {
		h.Put(b, 99)
		if _, _, err := format.ParseBatchHeader(b, 99); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}
