package raftremote

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/raftactor/node"
)

// appendFrame appends a frame to b, in the form of link.proto. It allocates nothing if there is room in b, but for the
// configuration of a snapshot.
func appendFrame(b []byte, f *frame) []byte {
	if f.hello != nil {
		b = appendHello(b, f.hello)
	}
	if f.refused != nil {
		b = appendReason(b, frameRefused, uint64(f.refused.code), f.refused.reason)
	}
	if f.goAway != nil {
		b = appendReason(b, frameGoAway, uint64(f.goAway.code), f.goAway.reason)
	}
	b = appendUint(b, frameSent, f.sent)
	b = appendUint(b, framePing, f.ping)
	b = appendUint(b, framePong, f.pong)
	for i := range f.envelopes {
		b = appendEnvelope(b, &f.envelopes[i])
	}
	for i := range f.answers {
		b = appendNumbered(b, frameAnswers, f.answers[i].number, f.answers[i].data)
	}
	return b
}

func appendHello(b []byte, h *hello) []byte {
	b, start := begin(b, frameHello)
	b = appendUint(b, helloVersionMin, uint64(h.versionMin))
	b = appendUint(b, helloVersionMax, uint64(h.versionMax))
	b = appendUint(b, helloVersion, uint64(h.version))
	b = appendString(b, helloCluster, h.cluster)
	b = appendString(b, helloSystem, h.system)
	b = appendFixed(b, helloStore, h.store)
	b = appendString(b, helloAddress, h.address)
	b = appendString(b, helloDialed, h.dialed)
	b = appendFixed(b, helloLife, h.life)
	b = appendBool(b, helloBulk, h.bulk)
	b = appendUint(b, helloFrameBytesMax, uint64(h.frameBytesMax))
	return end(b, start)
}

// appendReason appends a refusal or a goAway. The reason is for people: what does not fit is cut off.
func appendReason(b []byte, number protowire.Number, code uint64, reason string) []byte {
	if !utf8.ValidString(reason) {
		reason = strings.ToValidUTF8(reason, "?")
	}
	if len(reason) > reasonBytesMax {
		reason = strings.ToValidUTF8(reason[:reasonBytesMax], "")
	}
	b, start := begin(b, number)
	b = appendUint(b, reasonCode, code)
	b = appendString(b, reasonText, reason)
	return end(b, start)
}

func appendEnvelope(b []byte, w *wireEnvelope) []byte {
	e := w.envelope
	b, start := begin(b, frameEnvelopes)
	b = appendString(b, envelopeGroup, e.Group)
	b = appendUint(b, envelopeFrom, uint64(e.From))
	b = appendUint(b, envelopeTo, uint64(e.To))
	for _, m := range e.Messages {
		b = appendMessage(b, envelopeMessages, m)
	}
	for i := range w.requests {
		b = appendNumbered(b, envelopeRequests, w.requests[i].number, w.requests[i].data)
	}
	if e.Chunk != nil {
		b = appendChunk(b, e.Chunk)
	}
	if e.Ack != nil {
		b = appendAck(b, e.Ack)
	}
	return end(b, start)
}

// appendNumbered appends a request or an answer.
func appendNumbered(b []byte, field protowire.Number, number uint64, data []byte) []byte {
	b, start := begin(b, field)
	b = appendUint(b, numberedNumber, number)
	b = appendBytes(b, numberedData, data)
	return end(b, start)
}

func appendChunk(b []byte, c *node.SnapshotChunk) []byte {
	b, start := begin(b, envelopeChunk)
	b = appendMessage(b, chunkOffer, c.Offer)
	b = appendUint(b, chunkTransfer, c.Transfer)
	b = appendUint(b, chunkOffset, uint64(c.Offset))
	b = appendUint(b, chunkSize, uint64(c.Size))
	b = appendBytes(b, chunkData, c.Data)
	if c.Sum != 0 {
		b = protowire.AppendTag(b, chunkSum, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, c.Sum)
	}
	return end(b, start)
}

func appendAck(b []byte, a *node.SnapshotAck) []byte {
	b, start := begin(b, envelopeAck)
	b = appendUint(b, ackTransfer, a.Transfer)
	b = appendUint(b, ackReceived, uint64(a.Received))
	b = appendBool(b, ackDone, a.Done)
	b = appendBool(b, ackFailed, a.Failed)
	return end(b, start)
}
