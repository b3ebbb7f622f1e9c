package raftremote

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/raftactor/node"
)

// What is measured is compared to a floor, in turns, since the machine may be busy with something else now and then: what
// counts is the metric "ratio", the median of all turns. The floor is a stream of gRPC with the same codec, and nothing
// around it.

// inTurns measures both in each turn. Either says how long a unit takes.
func inTurns(b *testing.B, ours, floor func() time.Duration) {
	b.ReportAllocs()
	var times [2][]float64
	var ratios []float64
	b.ResetTimer()
	for range b.N {
		took := [2]float64{ours().Seconds(), floor().Seconds()}
		for i := range took {
			times[i] = append(times[i], took[i]*1e9)
		}
		ratios = append(ratios, took[0]/took[1])
	}
	median := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	b.ReportMetric(median(times[0]), "ns/unit")
	b.ReportMetric(median(times[1]), "ns/floor")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op") // the units are what counts
}

// bareStream opens a stream of gRPC to a server that passes what comes to handle.
func bareStream(b *testing.B, handle func(stream grpc.ServerStream, data []byte) error) grpc.ClientStream {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
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
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	stream, err := client.NewStream(ctx, &exchange, linkMethod)
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

// rawOf is so many bytes to be sent.
func rawOf(bytes int) *rawFrame { return &rawFrame{pooled: framePool.Get(bytes)} }

// p50 is the median time of one call of many.
func p50(do func()) time.Duration {
	const calls = 500
	took := make([]time.Duration, calls)
	for k := range took {
		start := time.Now()
		do()
		took[k] = time.Since(start)
	}
	slices.Sort(took)
	return took[calls/2]
}

// BenchmarkLinkRoundTrip is how long a heartbeat and its reply take, p50. The floor is as many bytes on a bare stream.
func BenchmarkLinkRoundTrip(b *testing.B) {
	for _, bytes := range []int{0, 1024} {
		b.Run(fmt.Sprintf("entry=%d", bytes), func(b *testing.B) {
			x, y, one, two := twoSystems(b)
			linked(b, x, y)
			round := uint64(0)
			back := make(chan struct{}, 1)
			two.delivered = func(e *node.PeerEnvelope) {
				two.tell(1, x, &node.HeartbeatReply{Header: node.Header{Term: 1}, Round: round})
			}
			one.delivered = func(*node.PeerEnvelope) { back <- struct{}{} }
			ask := func() *node.PeerEnvelope {
				round++
				if bytes > 0 {
					return &node.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{entries(1, bytes)}}
				}
				return &node.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{heartbeat(1, round)}}
			}
			before := x.metrics.bytesSent.Load()
			one.Send(2, y.cfg.address, ask())
			<-back
			wire := int(x.metrics.bytesSent.Load() - before)
			stream := bareStream(b, func(s grpc.ServerStream, data []byte) error { return s.SendMsg(rawOf(40)) })
			inTurns(b,
				func() time.Duration {
					return p50(func() {
						one.Send(2, y.cfg.address, ask())
						<-back
					})
				},
				func() time.Duration {
					return p50(func() {
						var in rawFrame
						if err := stream.SendMsg(rawOf(wire)); err != nil {
							b.Fatal(err)
						}
						if err := stream.RecvMsg(&in); err != nil {
							b.Fatal(err)
						}
					})
				})
		})
	}
}

// BenchmarkLinkThroughput is what a command of 16 bytes takes, in messages of so many. The floor is 16 bytes on a bare
// stream, as many at once.
func BenchmarkLinkThroughput(b *testing.B) {
	const commandBytes, total = 16, 1 << 20
	for _, batch := range []int{64, 1024, 8192} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			x, y, one, two := twoSystems(b)
			linked(b, x, y)
			window := make(chan struct{}, max(1<<17/batch, 2)) // what the queue takes
			two.delivered = func(e *node.PeerEnvelope) {
				for range e.Messages {
					<-window
				}
			}
			run := make([]node.Entry, batch)
			for k := range run {
				run[k] = node.Entry{Index: node.Index(k + 1), Term: 1, Kind: node.EntryCommand, Data: make([]byte, commandBytes)}
			}
			received, all := 0, make(chan struct{})
			stream := bareStream(b, func(s grpc.ServerStream, data []byte) error {
				if received += len(data); received%(total*commandBytes) == 0 {
					all <- struct{}{}
				}
				return nil
			})
			inTurns(b,
				func() time.Duration {
					start := time.Now()
					for sent := 0; sent < total; sent += batch {
						window <- struct{}{}
						one.Send(2, y.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{
							&node.AppendEntries{Header: node.Header{From: 1, To: 2, Term: 1}, PrevTerm: 1, Entries: run},
						}})
					}
					for range cap(window) { // until all have arrived
						window <- struct{}{}
					}
					for range cap(window) {
						<-window
					}
					return time.Since(start) / total
				},
				func() time.Duration {
					start := time.Now()
					if os.Getenv("NOFLOOR") != "" {
						return 1
					}
					for sent := 0; sent < total; sent += batch {
						if err := stream.SendMsg(rawOf(batch * commandBytes)); err != nil && err != io.EOF {
							b.Fatal(err)
						}
					}
					<-all
					return time.Since(start) / total
				})
		})
	}
}
