package raftremote

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// preamble are the first bytes on a connection of the link, in place of those of HTTP/2: both are on one port. With TLS they
// come behind its handshake.
const preamble = "RAFTLINK"

const (
	// prefixBytes stand before each frame: its length, little endian.
	prefixBytes = 4
	// pieceBytes is how much is written at once, so that a slow connection is seen to move.
	pieceBytes = 64 << 10
	// trustBytes is how much memory a length is worth before the bytes have come, on a connection on which no larger frame has
	// come yet.
	trustBytes = 64 << 10
	// lingerTime is how long the last words have to arrive.
	lingerTime = 250 * time.Millisecond
)

var errFrameTooLarge = errors.New("the frame is too large")

// A wire is a connection that carries frames. One goroutine reads, one writes.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	// frameBytesMax is the largest frame that is read. Owned by the reader.
	frameBytesMax int
	// trusted is how much memory a length is worth now. Owned by the reader.
	trusted int
}

func newWire(conn net.Conn, frameBytesMax int) *wire {
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, pieceBytes), frameBytesMax: frameBytesMax, trusted: trustBytes}
}

// read returns the next frame, in memory of its own: what is in it is kept for long, in logs.
func (w *wire) read() ([]byte, error) {
	head, err := w.in.Peek(prefixBytes)
	if err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(head))
	if length > int64(w.frameBytesMax) {
		return nil, fmt.Errorf("%w: %d bytes, where %d are the most", errFrameTooLarge, length, w.frameBytesMax)
	}
	if _, err := w.in.Discard(prefixBytes); err != nil {
		return nil, err
	}
	data := make([]byte, min(int(length), w.trusted))
	for done := 0; ; {
		n, err := io.ReadFull(w.in, data[done:])
		if err != nil {
			return nil, err
		}
		if done += n; done == int(length) {
			w.trusted = max(w.trusted, done)
			return data, nil
		}
		data = slices.Grow(data, min(done, int(length)-done))[:min(2*done, int(length))]
	}
}

// write sends an encoded frame, and frees it.
func (w *wire) write(f *encodedFrame) error {
	defer f.free()
	for b := f.bytes(); len(b) > 0; {
		n, err := w.conn.Write(b[:min(len(b), pieceBytes)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// An encodedFrame is a frame with its length before it, in a buffer of framePool.
type encodedFrame struct{ buffer *[]byte }

// encodeFrame encodes a frame for sending, once. about is roughly how long it will be.
func encodeFrame(f *frame, about int) *encodedFrame {
	b := framePool.Get(prefixBytes + about + frameBytesRest)
	*b = appendFrame((*b)[:prefixBytes], f)
	binary.LittleEndian.PutUint32(*b, uint32(len(*b)-prefixBytes))
	return &encodedFrame{b}
}

// bytes are what goes over the wire.
func (f *encodedFrame) bytes() []byte { return *f.buffer }

// free gives the buffer back to the pool.
func (f *encodedFrame) free() {
	framePool.Put(f.buffer)
	f.buffer = nil
}

// frameBytesRest is what there is room for beyond what is known of a frame, so that most buffers are large enough.
const frameBytesRest = 1 << 10

// pooledBytesMax is the largest buffer that is kept for the next frame.
const pooledBytesMax = 2 << 20

// framePool has the buffers that frames are encoded into.
var framePool buffers

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
