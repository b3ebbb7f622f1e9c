package raftremote

import "example.com/raftactor/node"

// The fewest bytes that an envelope or something numbered takes. They bound what a count makes room for.
const (
	envelopeBytesMin = 9
	numberedBytesMin = 4
)

// decodeFrame reads a frame into f. The data of entries, chunks, requests and answers aliases data, which must not change
// any more. Nothing of what was in f is kept. What it allocates is bounded by the length of data, and does not depend on
// the number of entries. Every error matches errMalformed, and leaves f in no useful state.
func decodeFrame(data []byte, f *frame) error {
	*f = frame{}
	envelopes, answers := countFields(data, frameEnvelopes, frameAnswers)
	if envelopes > len(data)/envelopeBytesMin || answers > len(data)/numberedBytesMin {
		return malformed("frame", "%d envelopes and %d answers do not fit into %d bytes", envelopes, answers, len(data))
	}
	slab := make([]node.PeerEnvelope, envelopes)
	f.envelopes = room[wireEnvelope](envelopes)
	f.answers = room[wireAnswer](answers)
	r := fieldReader{message: "frame", data: data}
	for r.next() {
		switch r.field {
		case frameHello:
			inner := r.once(f.hello != nil)
			f.hello = new(hello)
			r.adopt(decodeHello(inner, f.hello))
		case frameRefused:
			inner := r.once(f.refused != nil)
			code, reason, err := decodeReason(inner, "refusal")
			f.refused = &refusal{refusalCode(code), reason}
			r.adopt(err)
		case frameGoAway:
			inner := r.once(f.goAway != nil)
			code, reason, err := decodeReason(inner, "goAway")
			f.goAway = &goAway{goAwayCode(code), reason}
			r.adopt(err)
		case frameSent:
			f.sent = r.uint64()
		case framePing:
			f.ping = r.uint64()
		case framePong:
			f.pong = r.uint64()
		case frameEnvelopes:
			n := len(f.envelopes)
			f.envelopes = append(f.envelopes, wireEnvelope{envelope: &slab[n]})
			r.adopt(decodeEnvelope(r.raw(), f, n))
		case frameAnswers:
			number, inner, err := decodeNumbered(r.raw(), "answer")
			f.answers = append(f.answers, wireAnswer{number, inner})
			r.adopt(err)
		}
	}
	return r.err
}

// room is an empty slice that n elements fit into. For none it is nil.
func room[T any](n int) []T {
	if n == 0 {
		return nil
	}
	return make([]T, 0, n)
}

func decodeHello(data []byte, h *hello) error {
	r := fieldReader{message: "hello", data: data}
	for r.next() {
		switch r.field {
		case helloVersionMin:
			h.versionMin = r.uint32()
		case helloVersionMax:
			h.versionMax = r.uint32()
		case helloVersion:
			h.version = r.uint32()
		case helloCluster:
			h.cluster = r.text(wireNameBytesMax)
		case helloSystem:
			h.system = r.text(wireNameBytesMax)
		case helloStore:
			h.store = r.fixed64()
		case helloAddress:
			h.address = r.text(wireNameBytesMax)
		case helloDialed:
			h.dialed = r.text(wireNameBytesMax)
		case helloLife:
			h.life = r.fixed64()
		case helloBulk:
			h.bulk = r.bool()
		case helloFrameBytesMax:
			h.frameBytesMax = r.uint32()
		}
	}
	return r.err
}

// decodeReason reads a refusal or a goAway.
func decodeReason(data []byte, message string) (code uint32, reason string, err error) {
	r := fieldReader{message: message, data: data}
	for r.next() {
		switch r.field {
		case reasonCode:
			code = r.uint32()
		case reasonText:
			reason = r.text(reasonBytesMax)
		}
	}
	return code, reason, r.err
}

// decodeNumbered reads a request or an answer.
func decodeNumbered(data []byte, message string) (number uint64, inner []byte, err error) {
	r := fieldReader{message: message, data: data}
	for r.next() {
		switch r.field {
		case numberedNumber:
			number = r.uint64()
		case numberedData:
			inner = r.raw()
		}
	}
	if r.err == nil && number == 0 {
		r.err = malformed(message, "it has no number")
	}
	return number, inner, r.err
}

// decodeEnvelope reads the n-th envelope of a frame.
func decodeEnvelope(data []byte, f *frame, n int) error {
	w := &f.envelopes[n]
	e := w.envelope
	messages, requests := countFields(data, envelopeMessages, envelopeRequests)
	if requests > len(data)/numberedBytesMin {
		return malformed("envelope", "%d requests do not fit into %d bytes", requests, len(data))
	}
	e.Messages = room[node.Message](messages)
	w.requests = room[wireRequest](requests)
	r := fieldReader{message: "envelope", data: data}
	for r.next() {
		switch r.field {
		case envelopeGroup:
			e.Group = r.group(f, n)
		case envelopeFrom:
			e.From = node.ID(r.uint64())
		case envelopeTo:
			e.To = node.ID(r.uint64())
		case envelopeMessages:
			m, err := decodeMessage(r.raw())
			r.adopt(err)
			if m != nil {
				e.Messages = append(e.Messages, m)
			} else {
				f.unknown++
			}
		case envelopeRequests:
			number, inner, err := decodeNumbered(r.raw(), "request")
			w.requests = append(w.requests, wireRequest{number, inner})
			r.adopt(err)
		case envelopeChunk:
			inner := r.once(e.Chunk != nil)
			e.Chunk = new(node.SnapshotChunk)
			r.adopt(decodeChunk(inner, e.Chunk))
		case envelopeAck:
			inner := r.once(e.Ack != nil)
			e.Ack = new(node.SnapshotAck)
			r.adopt(decodeAck(inner, e.Ack))
		}
	}
	if r.err != nil {
		return r.err
	}
	return address(e)
}

// group is the value of a field that names a group. The groups of a frame are few, so that of the envelope before is often
// the same, and is used again.
func (r *fieldReader) group(f *frame, n int) string {
	name := r.raw()
	if !isGroup(name) {
		r.fail("%.140q is no name of a group", name)
		return ""
	}
	if n > 0 && f.envelopes[n-1].envelope.Group == string(name) {
		return f.envelopes[n-1].envelope.Group
	}
	return string(name)
}

// address checks whom an envelope is for, and says so in its messages.
func address(e *node.PeerEnvelope) error {
	switch {
	case e.Group == "":
		return malformed("envelope", "it names no group")
	case e.From == node.None || e.To == node.None:
		return malformed("envelope", "it goes from member %d to member %d: no ID is 0", e.From, e.To)
	}
	for _, m := range e.Messages {
		h := m.Head()
		h.From, h.To = e.From, e.To
	}
	if e.Chunk != nil {
		e.Chunk.Offer.From, e.Chunk.Offer.To = e.From, e.To
	}
	return nil
}

func decodeChunk(data []byte, c *node.SnapshotChunk) error {
	r := fieldReader{message: "chunk", data: data}
	for r.next() {
		switch r.field {
		case chunkOffer:
			m, err := decodeMessage(r.once(c.Offer != nil))
			r.adopt(err)
			c.Offer, _ = m.(*node.InstallSnapshot)
		case chunkTransfer:
			c.Transfer = r.uint64()
		case chunkOffset:
			c.Offset = r.int64()
		case chunkSize:
			c.Size = r.int64()
		case chunkData:
			c.Data = r.raw()
		case chunkSum:
			c.Sum = r.fixed32()
		}
	}
	switch {
	case r.err != nil:
		return r.err
	case c.Offer == nil:
		return malformed("chunk", "it says not of which snapshot")
	case c.Offset > c.Size || int64(len(c.Data)) > c.Size-c.Offset:
		return malformed("chunk", "%d bytes at %d go beyond the state of %d", len(c.Data), c.Offset, c.Size)
	}
	return nil
}

func decodeAck(data []byte, a *node.SnapshotAck) error {
	r := fieldReader{message: "ack", data: data}
	for r.next() {
		switch r.field {
		case ackTransfer:
			a.Transfer = r.uint64()
		case ackReceived:
			a.Received = r.int64()
		case ackDone:
			a.Done = r.bool()
		case ackFailed:
			a.Failed = r.bool()
		}
	}
	return r.err
}
