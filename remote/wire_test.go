package raftremote

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// wires are both ends of a connection over loopback.
func wires(t testing.TB, frameBytesMax int) (a, b *wire) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialed.Close()
		accepted.Close()
	})
	return newWire(dialed, frameBytesMax), newWire(accepted, frameBytesMax)
}

func TestFramesComeAsTheyWereSent(t *testing.T) {
	a, b := wires(t, 32<<20)
	var frames []*frame
	for _, bytes := range []int{0, 1, 100, pieceBytes, 1, trustBytes, 2 * trustBytes, 1 << 20, 5<<20 + 7, 20 << 20, 3, 10 << 20} {
		frames = append(frames, appendFrameOf(1, bytes))
	}
	sent := make(chan error, 1)
	go func() {
		for _, f := range frames {
			if err := a.write(encodeFrame(f, 0)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for k, f := range frames {
		data, err := b.read()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, appendFrame(nil, f)) {
			t.Errorf("frame %d has not come as it was sent", k)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestAFrameHasAMemoryOfItsOwn(t *testing.T) {
	a, b := wires(t, 1<<20)
	for k := range 2 {
		if err := a.write(encodeFrame(appendFrameOf(1, 100+k), 0)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := b.read()
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(first)
	if _, err := b.read(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, kept) {
		t.Error("the next frame has been written over it")
	}
}

func TestAFrameThatIsTooLargeIsNotRead(t *testing.T) {
	a, b := wires(t, 1000)
	if _, err := a.conn.Write(binary.LittleEndian.AppendUint32(nil, 1001)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.read(); !errors.Is(err, errFrameTooLarge) {
		t.Errorf("got %v", err)
	}
}

// Who only says how much is to come must not get that much memory for it.
func TestALengthIsNotBelievedBeforeTheBytesHaveCome(t *testing.T) {
	a, b := wires(t, 1<<30)
	if _, err := a.conn.Write(binary.LittleEndian.AppendUint32(nil, 1<<30)); err != nil {
		t.Fatal(err)
	}
	if err := a.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := b.read()
	runtime.ReadMemStats(&after)
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 512<<10 {
		t.Errorf("%d bytes were allocated for nothing", took)
	}
}

// The last words arrive although more comes in that nobody reads: a connection that is closed then is reset, and what is
// on its way is lost.
func TestTheLastWordsArrive(t *testing.T) {
	a, b := wires(t, 1<<20)
	end := endOf(t, b, undated{b.conn.(*net.TCPConn)})
	for range 100 {
		if err := a.write(encodeFrame(appendFrameOf(1, 1000), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.write(encodeFrame(&frame{refused: &refusal{code: refusedStore, reason: "why"}}, 0)); err != nil {
		t.Fatal(err)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		end.finish()
	}()
	data, err := a.read()
	if err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := decodeFrame(data, &f); err != nil || f.refused == nil || f.refused.reason != "why" {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := a.read(); err != io.EOF {
		t.Errorf("afterwards: %v", err)
	}
	a.conn.Close()
	<-finished
}

// A stream whose reader was woken up for its end is read until the peer has ended, too.
func TestTheLastWordsArriveAtWhoReadsThemLate(t *testing.T) {
	a, b := wires(t, 1<<20)
	end := endOf(t, b, b.conn)
	for range 100 {
		if err := a.write(encodeFrame(appendFrameOf(1, 1000), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.write(encodeFrame(&frame{goAway: &goAway{code: goAwayDuplicate}}, 0)); err != nil {
		t.Fatal(err)
	}
	end.close(errDuplicate)
	end.finish()
	data, err := a.read()
	if err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := decodeFrame(data, &f); err != nil || f.goAway == nil {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := a.read(); err != io.EOF {
		t.Errorf("afterwards: %v", err)
	}
}

// endOf is the stream of an end that was accepted, and is tracked.
func endOf(t *testing.T, w *wire, conn net.Conn) *stream {
	t.Helper()
	tracked, err := newConnections(0).add(conn)
	if err != nil {
		t.Fatal(err)
	}
	w.conn = tracked
	return newStream(startSystem(t, "a").links, w, tracked.meteredConn, false)
}

// An undated is a connection whose deadlines are taken away at once, as gRPC does after it has handed one over.
type undated struct{ *net.TCPConn }

func (u undated) SetDeadline(time.Time) error     { return u.TCPConn.SetDeadline(time.Time{}) }
func (u undated) SetReadDeadline(time.Time) error { return u.TCPConn.SetReadDeadline(time.Time{}) }

func (u undated) SetWriteDeadline(time.Time) error { return u.TCPConn.SetWriteDeadline(time.Time{}) }

func TestWhoDoesNotPartIsNotWaitedForLong(t *testing.T) {
	_, b := wires(t, 1<<20)
	end := endOf(t, b, undated{b.conn.(*net.TCPConn)})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		end.finish()
	}()
	select {
	case <-finished:
	case <-time.After(20 * lingerTime):
		t.Error("it is still waited for")
	}
}

func TestALastWordDoesNotHoldUpTheEndOfTheLinks(t *testing.T) {
	_, b := wires(t, 1<<20)
	end := endOf(t, b, undated{b.conn.(*net.TCPConn)})
	end.links.stop()
	start := time.Now()
	end.finish()
	if took := time.Since(start); took > lingerTime {
		t.Errorf("it has taken %v", took)
	}
}

// A connection that is slow is not stuck: that is only seen if it gets little at once.
func TestALargeFrameIsWrittenInPieces(t *testing.T) {
	end, far := net.Pipe()
	defer end.Close()
	defer far.Close()
	read := make(chan error, 1)
	go func() {
		_, err := newWire(far, 1<<20).read()
		read <- err
	}()
	sizes := &measured{Conn: end}
	if err := newWire(sizes, 1<<20).write(encodeFrame(appendFrameOf(1, 500<<10), 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil || sizes.largest > pieceBytes {
		t.Errorf("%v; the largest piece had %d bytes, want %d at most", err, sizes.largest, pieceBytes)
	}
}

// A measured is a connection that knows the most that was written at once.
type measured struct {
	net.Conn
	largest int
}

func (m *measured) Write(b []byte) (int, error) {
	m.largest = max(m.largest, len(b))
	return m.Conn.Write(b)
}
