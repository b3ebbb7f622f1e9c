package raftremote

import (
	"testing"

	"example.com/raftactor/node"
)

// appendFrameOf is a frame of one AppendEntries.
func appendFrameOf(entries, bytes int) *frame {
	m := &node.AppendEntries{
		Header:    node.Header{From: 1, To: 2, Term: 7, FromIncarnation: 1 << 60, ToIncarnation: 1 << 61},
		PrevIndex: 1 << 30, PrevTerm: 7, Commit: 1<<30 - 5,
	}
	for i := range entries {
		m.Entries = append(m.Entries, node.Entry{
			Index: m.PrevIndex + node.Index(i) + 1, Term: 7, Kind: node.EntryCommand, Data: make([]byte, bytes),
		})
	}
	e := &node.PeerEnvelope{Group: "orders", From: 1, To: 2, Messages: []node.Message{m}}
	return &frame{sent: 1000, envelopes: []wireEnvelope{{envelope: e}}}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	for name, f := range map[string]*frame{
		"entries": appendFrameOf(1000, 16),
		"votes and replies": {envelopes: []wireEnvelope{{
			envelope: goldenFrames()[7].frame.envelopes[0].envelope, requests: []wireRequest{{1, make([]byte, 100)}},
		}}, answers: []wireAnswer{{1, make([]byte, 100)}}},
		"hello": {hello: &hello{cluster: "c", system: "s", store: 1, life: 1, address: "here:1", dialed: "there:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := appendFrame(nil, f)
			if got := testing.AllocsPerRun(100, func() { b = appendFrame(b[:0], f) }); got != 0 {
				t.Errorf("got %v allocations, want none", got)
			}
		})
	}
}

// decodeAllocations are those of a frame with one AppendEntries: the envelope, the slices of envelopes, messages and entries,
// the name of the group, and the message.
const decodeAllocations = 6

func TestDecodingAllocatesNothingPerEntry(t *testing.T) {
	for _, entries := range []int{1, 1000} {
		data := appendFrame(nil, appendFrameOf(entries, 16))
		var f frame
		got := testing.AllocsPerRun(100, func() {
			if err := decodeFrame(data, &f); err != nil {
				t.Fatal(err)
			}
		})
		if got != decodeAllocations {
			t.Errorf("%d entries: got %v allocations, want %d", entries, got, decodeAllocations)
		}
	}
}

func TestEntriesAliasTheFrame(t *testing.T) {
	data := appendFrame(nil, appendFrameOf(1, 16))
	var f frame
	if err := decodeFrame(data, &f); err != nil {
		t.Fatal(err)
	}
	entry := f.envelopes[0].envelope.Messages[0].(*node.AppendEntries).Entries[0].Data
	data[len(data)-1] = 'x'
	if entry[len(entry)-1] != 'x' {
		t.Error("the entry is a copy")
	}
	if cap(entry) != len(entry) {
		t.Error("appending to the entry would write over what comes after it")
	}
}

func TestThePoolGivesBuffersOfTheLengthAskedFor(t *testing.T) {
	for range 100 { // which of them are new is up to the pool
		for _, length := range []int{1, 5000, 100, pooledBytesMax + 1, 0} {
			b := framePool.Get(length)
			if len(*b) != length {
				t.Fatalf("got %d bytes, want %d", len(*b), length)
			}
			framePool.Put(b)
		}
	}
}

func BenchmarkEncodeFrame(b *testing.B) {
	f := appendFrameOf(64, 16)
	buf := appendFrame(nil, f)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendFrame(buf[:0], f)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/entry")
	b.ReportMetric(float64(len(buf))/64, "bytes/entry")
}

func BenchmarkDecodeFrame(b *testing.B) {
	data := appendFrame(nil, appendFrameOf(64, 16))
	var f frame
	b.ReportAllocs()
	for b.Loop() {
		if err := decodeFrame(data, &f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/entry")
}
