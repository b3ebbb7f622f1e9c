package raftremote_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	raftremote "example.com/raftactor/remote"
)

// bytesCodec sends bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = bytesCodec{}

// A hostile is a client that sends what it likes.
type hostile struct {
	client *grpc.ClientConn
	stream grpc.ClientStream
	// gone is closed when the other end has closed the connection.
	gone chan struct{}
}

// watchedConn tells when it has ended.
type watchedConn struct {
	net.Conn
	once *sync.Once
	gone chan struct{}
}

func (c watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { close(c.gone) })
	}
	return n, err
}

const (
	methodReceive = "/remote.Remoting/Receive"
)

// attack opens a stream to a system.
func attack(t testing.TB, address string, material *raftremote.TLS, method string) *hostile {
	t.Helper()
	h, err := newHostile(address, material, method)
	check(t, err)
	t.Cleanup(func() { h.client.Close() })
	return h
}

func newHostile(address string, material *raftremote.TLS, method string) (h *hostile, err error) {
	h = &hostile{gone: make(chan struct{})}
	var once sync.Once
	h.client, err = grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(clientCredentials(material)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", address)
			return watchedConn{conn, &once, h.gone}, err
		}),
		grpc.WithNoProxy(), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{}), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		return nil, err
	}
	h.stream, err = h.client.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	return h, err
}

func clientCredentials(material *raftremote.TLS) credentials.TransportCredentials {
	if material == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{material.Certificate}, RootCAs: material.Authorities, MinVersion: tls.VersionTLS12,
	})
}

// send sends a frame. That it cannot be sent is no fault: the other end may have closed the connection.
func (h *hostile) send(frame []byte) { _ = h.stream.SendMsg(frame) }

// hear waits for an answer.
func (h *hostile) hear() error {
	late := time.AfterFunc(deadline, func() { h.client.Close() })
	defer late.Stop()
	var reply []byte
	return h.stream.RecvMsg(&reply)
}

// awaitClosed waits until the other end has closed the connection.
func (h *hostile) awaitClosed() error {
	late := time.AfterFunc(deadline, func() { h.client.Close() })
	defer late.Stop()
	var reply []byte
	for h.stream.RecvMsg(&reply) == nil {
	}
	select {
	case <-h.gone:
	case <-time.After(deadline):
		return errors.New("the connection is still there")
	}
	if !late.Stop() {
		return errors.New("the other end has not closed the connection")
	}
	return nil
}
