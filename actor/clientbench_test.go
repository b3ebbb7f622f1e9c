package raft

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

// BenchmarkClientPropose is what goroutines pay that propose one command after the other.
func BenchmarkClientPropose(b *testing.B) {
	for _, goroutines := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			c := benchClient(b)
			command := make([]byte, 16)
			propose := func(count int) {
				var all sync.WaitGroup
				for g := range goroutines {
					all.Go(func() {
						for range (count + goroutines - 1 - g) / goroutines {
							if _, err := c.Propose(context.Background(), command); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
			}
			propose(4 * goroutines)
			b.ReportAllocs()
			b.ResetTimer()
			propose(b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "proposals/s")
		})
	}
}

// BenchmarkProposeAsync keeps 1,024 proposals under way from one goroutine.
func BenchmarkProposeAsync(b *testing.B) {
	c := benchClient(b)
	const inFlight = 1024
	room := make(chan struct{}, inFlight)
	command := make([]byte, 16)
	done := func(_ Result, err error) {
		if err != nil {
			b.Error(err)
		}
		<-room
	}
	propose := func(count int) {
		for range count {
			room <- struct{}{}
			if err := c.ProposeAsync(context.Background(), command, done); err != nil {
				b.Fatal(err)
			}
		}
		for range inFlight {
			room <- struct{}{}
		}
		for range inFlight {
			<-room
		}
	}
	propose(4 * inFlight)
	b.ReportAllocs()
	b.ResetTimer()
	propose(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "proposals/s")
}

func benchClient(b *testing.B) *Client {
	system, leader := benchGroup(b)
	c := NewClient(system, leader)
	b.Cleanup(c.Close)
	if _, err := c.Propose(b.Context(), nil); err != nil { // waits for the first election
		b.Fatal(err)
	}
	return c
}

// BenchmarkHandOver is what it costs to hand a request over to an actor that answers at once, and to get the answer:
// by a client, and by Proto.Actor's RequestFuture.
func BenchmarkHandOver(b *testing.B) {
	b.Run("client", func(b *testing.B) {
		system := quietSystem()
		c := newClient(system, ClientConfig{Members: []*actor.PID{spawnAnswerer(system)}})
		defer c.Close()
		ctx, command := context.Background(), make([]byte, 16)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Propose(ctx, command); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("future", func(b *testing.B) {
		system := quietSystem()
		pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*Propose); ok {
				ctx.Respond(&Proposed{Index: 1, Term: 1, Result: m.Command})
			}
		}))
		command := make([]byte, 16)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := system.Root.RequestFuture(pid, &Propose{Command: command}, 5*time.Second).Result(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// spawnAnswerer spawns an actor that answers calls at once.
func spawnAnswerer(system *actor.ActorSystem) *actor.PID {
	return system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if batch, ok := ctx.Message().(*mailbox.Batch); ok {
			for _, m := range batch.Requests {
				c := m.(*call)
				c.answer(system, reply{index: 1, term: 1})
			}
		}
	}, actor.WithMailbox(mailbox.New(mailbox.Options{}))))
}
