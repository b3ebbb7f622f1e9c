package raftremote

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// A rawFrame is some bytes on their way through gRPC: in a buffer of bufferPool before they are sent, and as data afterwards.
type rawFrame struct {
	data   []byte
	pooled *[]byte
}

// bufferPool is the pool of frames, for gRPC, whose own wipes what it gives out.
var bufferPool mem.BufferPool = &framePool

// rawOf is so many bytes to be sent.
func rawOf(bytes int) *rawFrame { return &rawFrame{pooled: bufferPool.Get(bytes)} }

// rawCodec is a codec that costs next to nothing.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.NewBuffer(v.(*rawFrame).pooled, bufferPool)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*rawFrame).data = data.Materialize()
	return nil
}

// bareStream opens a stream of gRPC to a server that passes what comes to handle.
func bareStream(b *testing.B, handle func(stream grpc.ServerStream, data []byte) error) grpc.ClientStream {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(2*windowBytes),
		grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			for {
				var in rawFrame
				if err := s.RecvMsg(&in); err != nil {
					return err
				}
				if err := handle(s, in.data); err != nil {
					return err
				}
			}
		}))
	go server.Serve(listener)
	client, err := grpc.NewClient("passthrough:///"+listener.Addr().String(),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(2*windowBytes),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	stream, err := client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/a/b")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		client.Close()
		server.Stop()
	})
	return stream
}
