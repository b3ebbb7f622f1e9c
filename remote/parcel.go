package raftremote

import "example.com/raftactor/node"

// A parcel is what a writer takes out of a queue at once, to be one frame. It is used again and again. Owned by the writer;
// the lock of the queue is held while it is filled.
type parcel struct {
	frame frame
	// wire is roughly how large the frame is.
	wire int
	// forwards are the requests, which are encoded when the lock has been given back.
	forwards []outgoingForward
	// spare are envelopes to be used again.
	spare []*node.PeerEnvelope
	// itemMax is the largest item that the peer takes.
	itemMax int
	// open are the requests that are on their way.
	open *openForwards
}

// An outgoingForward is a request, and the envelope of the frame to which it belongs.
type outgoingForward struct {
	slot    int
	number  uint64
	forward node.Forward
}

// reset makes it empty, and lets go of what was in it.
func (p *parcel) reset() {
	for k := range p.frame.envelopes {
		e := p.frame.envelopes[k].envelope
		clear(e.Messages)
		*e = node.PeerEnvelope{Messages: e.Messages[:0]}
		p.spare = append(p.spare, e)
		clear(p.frame.envelopes[k].requests)
		p.frame.envelopes[k].envelope, p.frame.envelopes[k].requests = nil, p.frame.envelopes[k].requests[:0]
	}
	clear(p.frame.answers)
	p.frame = frame{envelopes: p.frame.envelopes[:0], answers: p.frame.answers[:0]}
	clear(p.forwards)
	p.forwards = p.forwards[:0]
	p.wire = 0
}

// add puts an item into the envelope of its flow.
func (p *parcel) add(f *flow, i *item) {
	p.wire += i.wire
	if f.slot == 0 || p.isTaken(f.slot, i) {
		f.slot = p.begin(f)
	}
	w := &p.frame.envelopes[f.slot-1]
	switch {
	case i.message != nil:
		w.envelope.Messages = append(w.envelope.Messages, i.message)
	case i.forward != nil:
		p.forwards = append(p.forwards, outgoingForward{f.slot, p.open.add(i.forward, i.at), i.forward})
	case i.chunk != nil:
		w.envelope.Chunk = i.chunk
	case i.ack != nil:
		w.envelope.Ack = i.ack
	}
}

// isTaken tells whether an envelope has no place for an item: there is one chunk in it at most, and one answer.
func (p *parcel) isTaken(slot int, i *item) bool {
	e := p.frame.envelopes[slot-1].envelope
	return i.chunk != nil && e.Chunk != nil || i.ack != nil && e.Ack != nil
}

// begin begins an envelope for a flow.
func (p *parcel) begin(f *flow) int {
	var e *node.PeerEnvelope
	if n := len(p.spare); n > 0 {
		e, p.spare = p.spare[n-1], p.spare[:n-1]
	} else {
		e = &node.PeerEnvelope{}
	}
	p.wire += itemWire + len(f.key.group)
	e.Group, e.From, e.To = f.key.group, f.key.from, f.key.to
	n := len(p.frame.envelopes)
	if n < cap(p.frame.envelopes) {
		p.frame.envelopes = p.frame.envelopes[:n+1] // its requests are used again
		p.frame.envelopes[n].envelope = e
	} else {
		p.frame.envelopes = append(p.frame.envelopes, wireEnvelope{envelope: e})
	}
	return n + 1
}

// encodeForwards puts the requests into their envelopes.
func (p *parcel) encodeForwards(forget func(number uint64)) {
	for _, o := range p.forwards {
		data, err := o.forward.AppendRequest(nil)
		if err != nil {
			forget(o.number)
			o.forward.Drop()
			continue
		}
		w := &p.frame.envelopes[o.slot-1]
		w.requests = append(w.requests, wireRequest{o.number, data})
	}
}
