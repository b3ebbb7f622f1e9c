package raftremote

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"example.com/raftactor/node"
	"example.com/raftactor/remote/internal/linkpb"
)

// sub is a field with a message in it.
func sub(field protowire.Number, parts ...[]byte) []byte {
	b := protowire.AppendTag(nil, field, protowire.BytesType)
	return protowire.AppendBytes(b, join(parts...))
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func number(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func words(field protowire.Number, v string) []byte { return sub(field, []byte(v)) }

// addressed is an envelope in a frame from 1 to 2.
func addressed(parts ...[]byte) []byte {
	head := join(words(envelopeGroup, "g"), number(envelopeFrom, 1), number(envelopeTo, 2))
	return sub(frameEnvelopes, head, join(parts...))
}

func said(kind protowire.Number, parts ...[]byte) []byte {
	return addressed(sub(envelopeMessages, sub(kind, parts...)))
}

// packed is the lengths of entries.
func packed(lengths ...uint32) []byte {
	var b []byte
	for _, length := range lengths {
		b = protowire.AppendFixed32(b, length)
	}
	return sub(appendLengths, b)
}

func offer() []byte {
	return sub(chunkOffer, sub(kindInstallSnapshot, sub(installMeta,
		number(metaIndex, 5), sub(metaConfiguration, node.Voters(1).Encode()))))
}

var malformedFrames = map[string][]byte{
	"field without a number":      {0x00, 0x01},
	"field number beyond all":     join(protowire.AppendVarint(nil, 1<<32), []byte{1}),
	"tag without an end":          {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	"number without an end":       {0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	"tag alone":                   {0x20},
	"fixed number cut off":        {0x21, 1, 2, 3},
	"short fixed number cut off":  {0x25, 1, 2, 3},
	"length beyond the end":       {0x3a, 0x05, 1, 2},
	"length beyond memory":        join([]byte{0x3a}, protowire.AppendVarint(nil, math.MaxUint64)),
	"length beyond a signed one":  join([]byte{0x3a}, protowire.AppendVarint(nil, 1<<63)),
	"group that begins":           {0x3b, 0x3c},
	"group that ends":             {0x3c},
	"unknown wire type 6":         {0x26, 0},
	"unknown wire type 7":         {0x27, 0},
	"sent is text":                words(frameSent, "soon"),
	"sent is fixed":               protowire.AppendFixed64(protowire.AppendTag(nil, frameSent, protowire.Fixed64Type), 1),
	"hello is a number":           number(frameHello, 1),
	"two hellos":                  join(sub(frameHello), sub(frameHello)),
	"version beyond 32 bits":      sub(frameHello, number(helloVersionMin, 1<<32)),
	"store is a varint":           sub(frameHello, number(helloStore, 1)),
	"cluster is not text":         sub(frameHello, words(helloCluster, "\xff")),
	"cluster is too long":         sub(frameHello, words(helloCluster, strings.Repeat("c", wireNameBytesMax+1))),
	"two refusals":                join(sub(frameRefused), sub(frameRefused)),
	"reason is too long":          sub(frameRefused, words(reasonText, strings.Repeat("r", reasonBytesMax+1))),
	"two goAways":                 join(sub(frameGoAway), sub(frameGoAway)),
	"answer without a number":     sub(frameAnswers, words(numberedData, "yes")),
	"answer is empty":             sub(frameAnswers),
	"envelope is empty":           sub(frameEnvelopes),
	"envelope without a group":    sub(frameEnvelopes, number(envelopeFrom, 1), number(envelopeTo, 2)),
	"envelope from nobody":        sub(frameEnvelopes, words(envelopeGroup, "groups"), number(envelopeTo, 2)),
	"envelope to nobody":          sub(frameEnvelopes, words(envelopeGroup, "groups"), number(envelopeFrom, 2)),
	"group is empty":              addressed(words(envelopeGroup, "")),
	"group is too long":           addressed(words(envelopeGroup, strings.Repeat("g", groupBytesMax+1))),
	"group with a slash":          addressed(words(envelopeGroup, "a/b")),
	"group with a letter of Rome": addressed(words(envelopeGroup, "Ⅳ")),
	"group with a dot in front":   addressed(words(envelopeGroup, ".g")),
	"group is not text":           addressed(words(envelopeGroup, "\xff")),
	"from is text":                addressed(words(envelopeFrom, "me")),
	"message is a number":         addressed(number(envelopeMessages, 1)),
	"message of two kinds":        addressed(sub(envelopeMessages, sub(kindPreVote), sub(kindHeartbeat))),
	"message of one kind twice":   addressed(sub(envelopeMessages, sub(kindPreVote), sub(kindPreVote))),
	"kind is a number":            addressed(sub(envelopeMessages, number(kindPreVote, 1))),
	"incarnation is a varint":     addressed(sub(envelopeMessages, number(messageFromIncarnation, 1))),
	"index is text":               said(kindInstallSnapshotReply, words(1, "one")),
	"prev is text":                said(kindAppendEntries, words(appendPrevIndex, "one")),
	"lengths are a number":        said(kindAppendEntries, number(appendLengths, 1)),
	"lengths stand there twice":   said(kindAppendEntries, packed(1), packed(1), words(appendData, "ab")),
	"length is cut off":           said(kindAppendEntries, words(appendLengths, "\x01\x00\x00"), words(appendData, "a")),
	"data is a number":            said(kindAppendEntries, packed(0), number(appendData, 1)),
	"data stands there twice":     said(kindAppendEntries, packed(2), words(appendData, "a"), words(appendData, "b")),
	"data without entries":        said(kindAppendEntries, words(appendData, "a")),
	"entry beyond the data":       said(kindAppendEntries, packed(1, 2), words(appendData, "ab")),
	"entry without data":          said(kindAppendEntries, packed(math.MaxUint32)),
	"data beyond the entries":     said(kindAppendEntries, packed(1), words(appendData, "ab")),
	"run is a number":             said(kindAppendEntries, packed(0), number(appendRuns, 1)),
	"run's term is text":          said(kindAppendEntries, packed(0), sub(appendRuns, words(runTerm, "one"))),
	"run's kind beyond a byte":    said(kindAppendEntries, packed(0), sub(appendRuns, number(runKind, 256))),
	"run without entries":         said(kindAppendEntries, sub(appendRuns)),
	"run behind all entries":      said(kindAppendEntries, packed(0), sub(appendRuns, number(runBegin, 1))),
	"run far behind all entries":  said(kindAppendEntries, packed(0), sub(appendRuns, number(runBegin, math.MaxUint32))),
	"run begins again":            said(kindAppendEntries, packed(0, 0), sub(appendRuns), sub(appendRuns)),
	"run goes back": said(kindAppendEntries, packed(0, 0),
		sub(appendRuns, number(runBegin, 1)), sub(appendRuns, number(runBegin, 0))),
	"run behind an entry beyond the data": said(kindAppendEntries, packed(1, 0), sub(appendRuns, number(runBegin, 1))),
	"snapshot of nothing":                 said(kindInstallSnapshot),
	"two snapshots":                       addressed(sub(envelopeChunk, offer(), offer())),
	"configuration is missing":            said(kindInstallSnapshot, sub(installMeta, number(metaIndex, 1))),
	"configuration is not one":            said(kindInstallSnapshot, sub(installMeta, words(metaConfiguration, "we"))),
	"incarnation known is varint":         said(kindIncarnationRefusal, number(refusalKnown, 1)),
	"request is empty":                    addressed(sub(envelopeRequests)),
	"request without a number":            addressed(sub(envelopeRequests, words(numberedData, "do it"))),
	"two chunks":                          addressed(sub(envelopeChunk, offer()), sub(envelopeChunk, offer())),
	"chunk without an offer":              addressed(sub(envelopeChunk, number(chunkSize, 5))),
	"chunk that offers a vote":            addressed(sub(envelopeChunk, sub(chunkOffer, sub(kindPreVote)))),
	"chunk that offers nothing":           addressed(sub(envelopeChunk, sub(chunkOffer))),
	"chunk beyond its state":              addressed(sub(envelopeChunk, offer(), number(chunkSize, 2), words(chunkData, "abc"))),
	"chunk behind its state":              addressed(sub(envelopeChunk, offer(), number(chunkOffset, 1))),
	"chunk at the end of numbers": addressed(sub(envelopeChunk, offer(), number(chunkOffset, math.MaxInt64),
		number(chunkSize, math.MaxInt64), words(chunkData, "a"))),
	"offset is negative":     addressed(sub(envelopeChunk, offer(), number(chunkOffset, 1<<63))),
	"size is negative":       addressed(sub(envelopeChunk, offer(), number(chunkSize, math.MaxUint64))),
	"sum is a varint":        addressed(sub(envelopeChunk, offer(), number(chunkSum, 1))),
	"two acks":               addressed(sub(envelopeAck), sub(envelopeAck)),
	"received is negative":   addressed(sub(envelopeAck, number(ackReceived, 1<<63))),
	"second field is cut":    join(number(frameSent, 1), []byte{0x28}),
	"malformed behind all":   join(addressed(), []byte{0x3b}),
	"unknown field, cut off": {0x82, 0x7d, 0x05, 1},
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for name, data := range malformedFrames {
		t.Run(name, func(t *testing.T) {
			var f frame
			err := decodeFrame(data, &f)
			if !errors.Is(err, errMalformed) {
				t.Fatalf("got error %v, want one that matches errMalformed", err)
			}
			if len(err.Error()) > 1<<10 {
				t.Errorf("the error takes %d bytes: a log is not for what others send", len(err.Error()))
			}
		})
	}
}

func TestWhatMalformedFramesAreMadeOfIsRight(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":    nil,
		"envelope":   addressed(),
		"group":      addressed(words(envelopeGroup, strings.Repeat("g", groupBytesMax))),
		"message":    said(kindPreVote),
		"entries":    said(kindAppendEntries, packed(1, 0, 2), words(appendData, "abc")),
		"runs":       said(kindAppendEntries, sub(appendRuns, number(runKind, 255)), packed(0, 0), sub(appendRuns, number(runBegin, 1))),
		"chunk":      addressed(sub(envelopeChunk, offer(), number(chunkSize, 3), words(chunkData, "abc"))),
		"ack":        addressed(sub(envelopeAck, number(ackReceived, math.MaxInt64))),
		"hello":      sub(frameHello, words(helloCluster, strings.Repeat("c", wireNameBytesMax))),
		"unknown":    {0x82, 0x7d, 0x01, 1},
		"last wins":  join(number(frameSent, 1), number(frameSent, 2)),
		"long flag":  addressed(sub(envelopeAck, number(ackDone, math.MaxUint64))),
		"padded one": {0x20, 0x81, 0x80, 0x80, 0x00},
	} {
		t.Run(name, func(t *testing.T) {
			var f frame
			if err := decodeFrame(data, &f); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// allocatedPerByteMax bounds what decoding allocates, in bytes per byte of the frame.
const allocatedPerByteMax = 48

func TestAFrameCostsMemoryInProportionToItsLengthWhateverIsInIt(t *testing.T) {
	const size = 1 << 20
	fill := func(unit []byte, wrap func(...[]byte) []byte) []byte {
		var body []byte
		for len(body) < size {
			body = append(body, unit...)
		}
		return wrap(body)
	}
	as := func(kind protowire.Number) func(...[]byte) []byte {
		return func(parts ...[]byte) []byte { return said(kind, parts...) }
	}
	for name, data := range map[string][]byte{
		"empty envelopes":    fill(sub(frameEnvelopes), join),
		"smallest envelopes": fill(addressed(), join),
		"unknown messages":   fill(sub(envelopeMessages), addressed),
		"empty messages":     fill(sub(envelopeMessages, sub(kindPreVote)), addressed),
		"wide messages":      fill(sub(envelopeMessages, sub(kindAppendEntriesReply)), addressed),
		"appends of nothing": fill(sub(envelopeMessages, sub(kindAppendEntries)), addressed),
		"appends of one":     fill(sub(envelopeMessages, sub(kindAppendEntries, packed(0))), addressed),
		"empty entries":      said(kindAppendEntries, packed(make([]uint32, size/entryLengthBytes)...)),
		"runs":               fill(sub(appendRuns), as(kindAppendEntries)),
		"empty requests":     fill(sub(envelopeRequests), addressed),
		"smallest requests":  fill(sub(envelopeRequests, number(1, 1)), addressed),
		"empty answers":      fill(sub(frameAnswers), join),
		"smallest answers":   fill(sub(frameAnswers, number(1, 1)), join),
		"chunks": fill(sub(frameEnvelopes, words(envelopeGroup, "g"), number(envelopeFrom, 1), number(envelopeTo, 2),
			sub(envelopeChunk, offer())), join),
		"hellos":         fill(sub(frameHello), join),
		"unknown fields": fill(number(100, 1), join),
		"configuration of many members": said(kindInstallSnapshot, sub(installMeta,
			words(metaConfiguration, "\x01\xff\xff\xff\xff\x0f"+strings.Repeat("\x01", size)))),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			var f frame
			runtime.ReadMemStats(&before)
			err := decodeFrame(data, &f)
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%.1f bytes per byte, error %v", float64(allocated)/float64(len(data)), err)
			if allocated > allocatedPerByteMax*uint64(len(data)) {
				t.Errorf("a frame of %d bytes takes %d", len(data), allocated)
			}
		})
	}
}

func FuzzDecodeFrame(f *testing.F) {
	for _, data := range malformedFrames {
		f.Add(data)
	}
	for _, g := range goldenFrames() {
		f.Add(appendFrame(nil, g.frame))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var read frame
		if err := decodeFrame(data, &read); err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("the error %v does not match errMalformed", err)
			}
			return
		}
		if err := proto.Unmarshal(data, new(linkpb.Frame)); err != nil {
			t.Fatalf("the generated code refuses it: %v", err)
		}
		for _, w := range read.envelopes {
			if e := w.envelope; e.From == node.None || e.To == node.None || !isGroup([]byte(e.Group)) {
				t.Fatalf("an envelope of the group %q goes from %d to %d", e.Group, e.From, e.To)
			}
		}
		written := appendFrame(nil, &read)
		var again frame
		if err := decodeFrame(written, &again); err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
		if want := generatedFrame(&read); !proto.Equal(generatedFrame(&again), want) {
			t.Fatalf("read, written and read again it is %v, want %v", generatedFrame(&again), want)
		}
	})
}
