package raftremote

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	"example.com/raftactor/node"
)

// What is measured is compared to floors, in turns, since the machine may be busy with something else now and then: what
// counts are the ratios, each the median of all turns. A floor is a stream of gRPC with the same codec and
// windows, and nothing around it.

// A contender is something whose units are timed. run says how many nanoseconds one takes.
type contender struct {
	name string
	run  func() float64
}

// inTurns measures each contender in each turn, and reports the ratio of the first one to each other, and what
// the first one allocates in a turn.
func inTurns(b *testing.B, contenders ...contender) {
	b.ReportAllocs()
	times := make([][]float64, len(contenders))
	ratios := make([][]float64, len(contenders))
	var allocations uint64
	var before, after runtime.MemStats
	b.ResetTimer()
	for range b.N {
		for i, c := range contenders {
			runtime.ReadMemStats(&before)
			times[i] = append(times[i], c.run())
			if runtime.ReadMemStats(&after); i == 0 {
				allocations += after.Mallocs - before.Mallocs
			}
			ratios[i] = append(ratios[i], times[0][len(times[0])-1]/times[i][len(times[i])-1])
		}
	}
	median := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	for i, c := range contenders {
		b.ReportMetric(median(times[i]), "ns/"+c.name)
		if i > 0 {
			b.ReportMetric(median(ratios[i]), "ratio/"+c.name)
		}
	}
	b.ReportMetric(float64(allocations)/float64(b.N), "allocs/op")
	b.ReportMetric(0, "ns/op") // the units are what counts
}

// perUnit is how many nanoseconds each of so many units takes.
func perUnit(units int, do func()) float64 {
	start := time.Now()
	do()
	return float64(time.Since(start).Nanoseconds()) / float64(units)
}

// p50 is how many nanoseconds one call of many takes.
func p50(do func()) float64 {
	const calls = 500
	took := make([]time.Duration, calls)
	for k := range took {
		start := time.Now()
		do()
		took[k] = time.Since(start)
	}
	slices.Sort(took)
	return float64(took[calls/2])
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
			inTurns(b, contender{"link", func() float64 {
				return p50(func() {
					one.Send(2, y.cfg.address, ask())
					<-back
				})
			}}, contender{"bare", func() float64 {
				return p50(func() {
					var in rawFrame
					if err := stream.SendMsg(rawOf(wire)); err != nil {
						b.Fatal(err)
					}
					if err := stream.RecvMsg(&in); err != nil {
						b.Fatal(err)
					}
				})
			}})
		})
	}
}

// BenchmarkLinkThroughput is what a command of 16 bytes takes, in messages of so many. There are two floors: "frames" are as
// many bytes on a bare stream, as many at once, of which nobody makes anything; on "messages" each command is a message of
// gRPC's own.
func BenchmarkLinkThroughput(b *testing.B) {
	const commandBytes, total, totalAlone = 16, 1 << 20, 1 << 16
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
			link := func() {
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
			}
			received, all := 0, make(chan struct{})
			expected := 0 // set before anything is sent
			stream := bareStream(b, func(_ grpc.ServerStream, data []byte) error {
				if received += len(data); received == expected {
					received = 0
					all <- struct{}{}
				}
				return nil
			})
			bare := func(commands, each int) {
				expected = commands * commandBytes
				for sent := 0; sent < commands; sent += each {
					if err := stream.SendMsg(rawOf(each * commandBytes)); err != nil {
						b.Fatal(err)
					}
				}
				<-all
			}
			inTurns(b,
				contender{"link", func() float64 { return perUnit(total, link) }},
				contender{"frames", func() float64 { return perUnit(total, func() { bare(total, batch) }) }},
				contender{"messages", func() float64 { return perUnit(totalAlone, func() { bare(totalAlone, 1) }) }})
		})
	}
}
