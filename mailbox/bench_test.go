package mailbox_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

// BenchmarkSend measures the whole way of a local message: N sends, until the actor has received
// them all. It compares Proto.Actor's default mailbox with this package's, in one run.
func BenchmarkSend(b *testing.B) {
	kinds := []struct {
		name     string
		producer actor.MailboxProducer
	}{
		{"default", actor.Unbounded()},
		{"lanes", mailbox.New(mailbox.Options{
			Classify:    func(any) (mailbox.Lane, int) { return mailbox.Request, 100 },
			RequestsMax: mailbox.Unlimited, RequestBytesMax: mailbox.Unlimited,
		})},
	}
	for _, way := range []string{"post", "root"} {
		for _, producers := range []int{1, 2, 8} {
			for _, kind := range kinds {
				name := fmt.Sprintf("%s/producers=%d/%s", way, producers, kind.name)
				b.Run(name, func(b *testing.B) {
					benchmarkSend(b, kind.producer, way == "root", producers)
				})
			}
		}
	}
}

func benchmarkSend(b *testing.B, producer actor.MailboxProducer, root bool, producers int) {
	system := quietSystem()
	var made actor.Mailbox
	counter := &countingActor{done: make(chan struct{}, 1)}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return counter },
		withMailbox(producer, &made)))
	defer func() { _ = system.Root.StopFuture(pid).Wait() }()
	send := made.PostUserMessage
	if root {
		send = func(message any) { system.Root.Send(pid, message) }
	}
	message := any(&struct{ n int }{})
	each := b.N/producers + 1
	counter.want = each * producers

	b.ReportAllocs()
	b.ResetTimer()
	var senders sync.WaitGroup
	for range producers {
		senders.Go(func() {
			for range each {
				send(message)
			}
		})
	}
	<-counter.done
	senders.Wait()
}

type countingActor struct {
	got, want int
	done      chan struct{}
}

func (c *countingActor) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *mailbox.Batch:
		c.got += message.Len()
	case *struct{ n int }:
		c.got++
	default:
		return
	}
	if c.got == c.want {
		c.done <- struct{}{}
	}
}
