package raftremote_test

import (
	"context"
	"crypto/tls"
	"flag"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raftremote "example.com/raftactor/remote"
)

var (
	stormCount = flag.Int("storm", 600, "how many hostile frames and connections there are, in all")
	stormSeed  = flag.Uint64("stormseed", 0, "what they are drawn from; 0: the time")
)

// A storm is hostile frames and connections at random, by many clients at once.
type storm struct {
	address  string
	material *raftremote.TLS
	frames   []hostileFrame
}

func TestAStormOfHostileFramesAndConnectionsDoesNoHarm(t *testing.T) {
	t.Parallel()
	seed := *stormSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	names := make([]string, 0, len(hostileFrames))
	for name := range hostileFrames {
		names = append(names, name)
	}
	slices.Sort(names)
	for kind, v := range victims(t) {
		s := &storm{address: v.address, material: v.material}
		for _, name := range names {
			s.frames = append(s.frames, hostileFrames[name])
		}
		s.rage(*stormCount/2, seed)
		now := v.await("the storm is over", func(s childState) bool { return s.Connections == 0 })
		v.unharmed(t)
		grown := int64(now.HeapBytes) - int64(v.before.HeapBytes)
		if t.Logf("%s: memory has grown by %d MB", kind, grown>>20); grown > 96<<20 {
			t.Errorf("%s: memory has grown by %d MB", kind, grown>>20)
		}
		if got := v.do(command{Do: "ask", Address: v.address, Name: "echo", Text: "x"}); got.Text != "echo x" {
			t.Errorf("%s: afterwards it answers %+v", kind, got)
		}
		if t.Failed() {
			t.Fatalf("to do it again: go test -run StormOf -storm %d -stormseed %d ./remote", *stormCount, seed)
		}
	}
}

// rage does so much by some clients.
func (s *storm) rage(count int, seed uint64) {
	const clients = 8
	var all sync.WaitGroup
	for i := range uint64(clients) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, i))
			for range count / clients {
				s.one(random)
			}
		})
	}
	all.Wait()
}

// one makes a connection and does something hostile with it.
func (s *storm) one(random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	switch random.IntN(6) {
	case 0, 1, 2:
		s.stream(ctx, random)
		return
	case 3, 4:
		s.link(ctx, random)
		return
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	_ = conn.SetDeadline(end)
	var secure net.Conn = conn
	if s.material != nil && random.IntN(2) == 0 {
		secure = tls.Client(conn, &tls.Config{
			Certificates: []tls.Certificate{s.material.Certificate}, RootCAs: s.material.Authorities, ServerName: "127.0.0.1",
			NextProtos: []string{"h2"},
		})
	}
	garbage := make([]byte, random.IntN(4096))
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	if random.IntN(2) == 0 {
		first := []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "RAFTLINK", "RAFT"}[random.IntN(3)]
		garbage = append([]byte(first), garbage...)
	}
	_, _ = secure.Write(garbage)
	if random.IntN(2) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// stream sends frames by gRPC: of the table, torn ones, and random ones.
func (s *storm) stream(ctx context.Context, random *rand.Rand) {
	client, err := grpc.NewClient("passthrough:///"+s.address, grpc.WithTransportCredentials(clientCredentials(s.material)),
		grpc.WithNoProxy(), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{}), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		return
	}
	defer client.Close()
	stream, err := client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, methodReceive)
	if err != nil {
		return
	}
	if random.IntN(4) > 0 {
		_ = stream.SendMsg(helloFrame(hostileAddress))
	}
	for range 1 + random.IntN(4) {
		if stream.SendMsg(s.frame(random)) != nil {
			return
		}
	}
	if random.IntN(2) == 0 {
		_ = stream.CloseSend()
		var reply []byte
		for stream.RecvMsg(&reply) == nil {
		}
	}
}

func (s *storm) frame(random *rand.Rand) []byte {
	f := s.frames[random.IntN(len(s.frames))].frame(s.address)
	if len(f) > 64<<10 && random.IntN(8) > 0 {
		f = encoded(wrapperspb.Bytes(f[:random.IntN(1024)]))
	}
	switch f = slices.Clone(f); random.IntN(3) {
	case 0:
		return f
	case 1:
		return f[:random.IntN(len(f)+1)]
	default:
		for range 1 + random.IntN(4) {
			if len(f) > 0 {
				f[random.IntN(len(f))] = byte(random.Uint32())
			}
		}
		return f
	}
}
