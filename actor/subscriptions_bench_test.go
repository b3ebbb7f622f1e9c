package raft

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// A sink is a subscriber that costs next to nothing. It grants in halves of its credit.
type sink struct {
	member, pid *actor.PID
	system      *actor.ActorSystem
	got         *atomic.Int64
	granted     uint64
}

func (s *sink) SendUserMessage(_ *actor.PID, message any) {
	m, ok := message.(*Applied)
	if !ok {
		return
	}
	s.got.Add(1)
	if s.granted-m.Number < creditDefault/2 {
		s.granted = m.Number + creditDefault
		s.system.Root.Send(s.member, &GrantCredit{Subscriber: s.pid, UpTo: s.granted})
	}
}
func (*sink) SendSystemMessage(*actor.PID, any) {}
func (*sink) Stop(*actor.PID)                   {}

// BenchmarkSubscribers is what subscribers cost those who propose, one command at a time, at a group of three on this
// machine: with each command that many Applied are delivered. Those who are stalled have used their credit up.
func BenchmarkSubscribers(b *testing.B) {
	for _, c := range []struct{ live, stalled int }{{0, 0}, {1, 0}, {1000, 0}, {5000, 0}, {1, 5000}} {
		b.Run(fmt.Sprintf("live=%d/stalled=%d", c.live, c.stalled), func(b *testing.B) {
			system, leader := benchGroup(b)
			client := NewClient(system, leader)
			defer client.Close()
			propose := func() {
				if _, err := client.Propose(b.Context(), make([]byte, 16)); err != nil {
					b.Fatal(err)
				}
			}
			propose() // waits for the first election
			var got atomic.Int64
			for i := range c.live + c.stalled {
				s := &sink{member: leader, system: system, got: &got, granted: creditDefault}
				s.pid, _ = system.ProcessRegistry.Add(s, fmt.Sprint("sink", i))
				if i >= c.live {
					s.granted = 1 << 60 // it never grants
				}
				system.Root.Send(leader, &Subscribe{Subscriber: s.pid, Credit: creditDefault})
			}
			for range creditDefault { // which is all that those who are stalled get
				propose()
			}
			wait := func(want int64) {
				for got.Load() < want {
					propose() // gives way
				}
			}
			wait(int64(creditDefault * (c.live + c.stalled)))
			before := got.Load()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				propose()
			}
			b.StopTimer()
			if delivered := got.Load() - before; c.live > 0 && delivered > 0 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(delivered), "ns/applied")
			}
		})
	}
}
