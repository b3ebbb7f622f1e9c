package raftremote_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	raftremote "example.com/raftactor/remote"
	"example.com/raftactor/remote/internal/linkpb"
)

// A hostileLink is a connection of the link on which a test sends what it likes.
type hostileLink struct{ net.Conn }

// attackLink makes a connection of the link to a system, and says nothing more.
func attackLink(t testing.TB, address string, material *raftremote.TLS) hostileLink {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	h, err := dialLink(ctx, address, material)
	check(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

func dialLink(ctx context.Context, address string, material *raftremote.TLS) (h hostileLink, err error) {
	var d net.Dialer
	if h.Conn, err = d.DialContext(ctx, "tcp", address); err != nil {
		return h, err
	}
	if material != nil {
		secure := tls.Client(h.Conn, &tls.Config{
			Certificates: []tls.Certificate{material.Certificate}, RootCAs: material.Authorities, ServerName: "127.0.0.1",
			NextProtos: []string{"h2"},
		})
		h.Conn = secure
		err = secure.HandshakeContext(ctx)
	}
	if err == nil {
		_, err = h.Write([]byte("RAFTLINK"))
	}
	if err != nil {
		h.Close()
	}
	return h, err
}

// send sends a frame. That it cannot be sent is no fault: the other end may have closed the connection.
func (h hostileLink) send(frame []byte) {
	_, _ = h.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(frame))), frame...))
}

// receive returns the next frame.
func (h hostileLink) receive() (*linkpb.Frame, error) {
	if err := h.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(h, length[:]); err != nil {
		return nil, err
	}
	data := make([]byte, binary.LittleEndian.Uint32(length[:]))
	if _, err := io.ReadFull(h, data); err != nil {
		return nil, err
	}
	f := &linkpb.Frame{}
	return f, proto.Unmarshal(data, f)
}

// awaitClosed waits until the other end has closed the connection.
func (h hostileLink) awaitClosed() error {
	for {
		_, err := h.receive()
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return fmt.Errorf("the connection is still there: %w", err)
		}
		if err != nil {
			return nil
		}
	}
}

// linkHello is what a system says on a link first.
func linkHello(system, address, dialed string, life uint64) []byte {
	hello, err := proto.Marshal(&linkpb.Frame{Hello: &linkpb.Hello{
		VersionMin: 1, VersionMax: 1, Cluster: "c", System: system, Address: address, Dialed: dialed, Life: life, FrameBytesMax: 4 << 20,
	}})
	if err != nil {
		panic(err)
	}
	return hello
}

// link sends frames on the link: torn ones and random ones, before its handshake and after it.
func (s *storm) link(ctx context.Context, random *rand.Rand) {
	h, err := dialLink(ctx, s.address, s.material)
	if err != nil {
		return
	}
	defer h.Close()
	end, _ := ctx.Deadline()
	_ = h.SetDeadline(end)
	if random.IntN(4) > 0 {
		system := "other" // as its certificate says
		if s.material == nil {
			system = fmt.Sprint("other-", random.Uint32())
		}
		h.send(linkHello(system, fmt.Sprintf("127.0.0.1:%d", 1+random.IntN(1<<16-1)), s.address, random.Uint64()))
		if f, err := h.receive(); err != nil || f.Refused != nil {
			return
		}
	}
	for range 1 + random.IntN(4) {
		f := randomLinkFrame(random)
		switch random.IntN(4) {
		case 0:
			f = f[:random.IntN(len(f)+1)]
		case 1:
			for range 1 + random.IntN(4) {
				f[random.IntN(len(f))] = byte(random.Uint32())
			}
		case 2:
			_, _ = h.Write(f) // with no length before it
			continue
		}
		h.send(f)
	}
	if random.IntN(2) == 0 {
		_ = h.awaitClosed()
	}
}

// randomLinkFrame is one that is well-formed, for a member that is nowhere.
func randomLinkFrame(random *rand.Rand) []byte {
	f := &linkpb.Frame{SentMs: random.Uint64() >> random.IntN(64), Ping: uint64(random.IntN(3))}
	for range random.IntN(4) {
		e := &linkpb.Envelope{Group: "nobody", From: random.Uint64() | 1, To: random.Uint64() | 1}
		for range random.IntN(3) {
			e.Requests = append(e.Requests, &linkpb.Request{Number: random.Uint64() | 1, Data: make([]byte, random.IntN(1000))})
		}
		f.Envelopes = append(f.Envelopes, e)
	}
	f.Answers = append(f.Answers, &linkpb.Answer{Number: random.Uint64() | 1, Data: make([]byte, random.IntN(1000))})
	data, err := proto.Marshal(f)
	if err != nil {
		panic(err)
	}
	return data
}

// A connection that is closed while more comes in is reset, and then the reason does not arrive.
func TestARefusalArrivesWhateverElseIsSent(t *testing.T) {
	t.Parallel()
	for kind, v := range victims(t) {
		t.Run(kind, func(t *testing.T) {
			h := attackLink(t, v.address, v.material)
			hello := linkHello("other", "127.0.0.1:1", "127.0.0.1:2", 1)
			all := append(binary.LittleEndian.AppendUint32(nil, uint32(len(hello))), hello...)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = h.Write(append(all, make([]byte, 4<<20)...))
			}()
			if f, err := h.receive(); err != nil || f.Refused == nil {
				t.Errorf("the answer is %v, %v", f, err)
			}
			if _, err := h.receive(); err != io.EOF {
				t.Errorf("the end is %v", err)
			}
			h.Close()
			<-sent
		})
	}
}
