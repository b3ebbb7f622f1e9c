package raftremote

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"
)

// rawCodecName is what the codec is called in the content type of a stream.
const rawCodecName = "raftactor-link"

// A rawFrame is an encoded frame on its way through gRPC.
type rawFrame struct {
	// data is, after receiving, the frame, in memory of its own.
	data []byte
	// pooled is, before sending, the frame in a buffer of framePool, and nil once gRPC has it.
	pooled *[]byte
}

// encodeFrame encodes a frame for sending, once. bytes is about how long it will be.
func encodeFrame(f *frame, bytes int) *rawFrame {
	b := framePool.Get(bytes + frameBytesRest)
	*b = appendFrame((*b)[:0], f)
	return &rawFrame{pooled: b}
}

// bytes is how long the frame is.
func (f *rawFrame) bytes() int {
	if f.pooled != nil {
		return len(*f.pooled)
	}
	return len(f.data)
}

// rawCodec is gRPC's codec for streams of *rawFrame.
type rawCodec struct{}

// Name is part of the content type of the stream.
func (rawCodec) Name() string { return rawCodecName }

// Marshal gives the frame's buffer to gRPC, which gives it back to the pool once it is written.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*rawFrame)
	if !ok || f.pooled == nil {
		return nil, fmt.Errorf("raftremote: sending %T on a link: only frames are sent there, and each once", v)
	}
	b := f.pooled
	f.pooled = nil
	return mem.BufferSlice{mem.NewBuffer(b, framePool)}, nil
}

// Unmarshal copies the frame out of gRPC's buffers: what is in it is kept for long, in logs.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*rawFrame)
	if !ok {
		return fmt.Errorf("raftremote: receiving %T on a link: only frames are received there", v)
	}
	f.data, f.pooled = data.Materialize(), nil
	return nil
}

// frameBytesRest is what there is room for beyond what is known of a frame, so that most buffers are large enough.
const frameBytesRest = 1 << 10

// pooledBytesMax is the largest buffer that is kept for the next frame.
const pooledBytesMax = 2 << 20

// framePool has the buffers that frames are encoded into. gRPC's own pool wipes what it gives out.
var framePool mem.BufferPool = new(buffers)

// buffers is a pool of byte slices of any size.
type buffers struct{ pool sync.Pool }

// Get returns a slice of that length, whose content is arbitrary.
func (p *buffers) Get(length int) *[]byte {
	b, _ := p.pool.Get().(*[]byte)
	if b == nil || cap(*b) < length {
		made := make([]byte, length)
		return &made
	}
	*b = (*b)[:length]
	return b
}

// Put takes a slice back.
func (p *buffers) Put(b *[]byte) {
	if cap(*b) <= pooledBytesMax {
		p.pool.Put(b)
	}
}
