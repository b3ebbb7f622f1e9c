package raft_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// A goroutine ranges over what is applied: what was applied before it began, and what comes then. Leaving the loop ends
// the subscription.
func ExampleClient_Applied() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()
	ctx := context.Background()
	for _, command := range []string{"one", "two", "three"} {
		if _, err := client.Propose(ctx, []byte(command)); err != nil {
			log.Fatal(err)
		}
	}

	for command, err := range client.Applied(ctx, 1) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(command.Data))
		if string(command.Data) == "three" {
			break
		}
	}
	stop(system, members)
	// Output:
	// one
	// two
	// three
}

// The log does not go back for ever. Who comes too late for a part of it is told where it can go on; what came before is
// in the machine.
func ExampleGapError() {
	system := newSystem()
	member, err := raft.Spawn(system, raft.Config{
		Group:         "counter",
		ID:            1,
		Members:       []raft.Member{{ID: 1}},
		Store:         raft.NewMemoryStore(),
		Transport:     raft.NewMemoryTransport(),
		RetainEntries: -1, // a snapshot leaves nothing of the log
	}, &counter{})
	if err != nil {
		log.Fatal(err)
	}
	client := raft.NewClient(system, member)
	defer client.Close()
	ctx := context.Background()
	propose := func(command string) {
		if _, err := client.Propose(ctx, []byte(command)); err != nil {
			log.Fatal(err)
		}
	}
	propose("one")
	if _, err := client.TakeSnapshot(ctx, member); err != nil {
		log.Fatal(err)
	}
	propose("two")

	from := raft.Index(1)
	for from != 0 {
		for command, err := range client.Applied(ctx, from) {
			var gap *raft.GapError
			if errors.As(err, &gap) {
				fmt.Println("a gap from", gap.Wanted)
				from = gap.Resume
				break
			}
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(string(command.Data))
			from = 0
			break
		}
	}
	stop(system, []*actor.PID{member})
	// Output:
	// a gap from 1
	// two
}

// A printer is an actor that follows what is applied. It takes ten commands at a time: until it grants more, nobody
// sends any, however much is applied meanwhile.
type printer struct {
	members []*actor.PID
	at      int // the one that it has asked
	// next is the first index that it has not seen.
	next uint64
	seen chan<- string
}

func (p *printer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.subscribe(ctx)
	case *raft.Applied:
		p.next = m.Index + 1
		p.seen <- string(m.Command) // as slow as it likes
		if m.Number%5 == 0 {
			ctx.Send(p.member(), &raft.GrantCredit{Subscriber: ctx.Self(), UpTo: m.Number + 10})
		}
	case *raft.SubscriptionEnded:
		if m.Reason == raft.SubscriptionEnded_SNAPSHOT {
			log.Fatalf("get the state by a query, and go on from %d", m.ResumeIndex)
		}
		p.turnToNext(ctx)
	case *actor.DeadLetterResponse, *raft.Rejected: // nobody is there, or as many subscribers as it takes
		ctx.SetReceiveTimeout(100 * time.Millisecond)
	case *actor.ReceiveTimeout:
		ctx.CancelReceiveTimeout()
		p.turnToNext(ctx)
	}
}

func (p *printer) member() *actor.PID { return p.members[p.at%len(p.members)] }

func (p *printer) subscribe(ctx actor.Context) {
	ctx.Request(p.member(), &raft.Subscribe{FromIndex: p.next, Credit: 10})
}

// turnToNext goes on at the next member, where the last one has ended.
func (p *printer) turnToNext(ctx actor.Context) {
	p.at++
	p.subscribe(ctx)
}

// An actor subscribes at one member after the other, with a credit that it renews.
func ExampleGrantCredit() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()
	ctx := context.Background()
	seen := make(chan string)
	follower := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &printer{members: members[:2], next: 1, seen: seen}
	}))

	go func() {
		for i := range 100 {
			if _, err := client.Propose(ctx, fmt.Append(nil, i)); err != nil {
				log.Fatal(err)
			}
		}
	}()
	for range 50 {
		<-seen
	}
	stop(system, members[:1]) // the actor goes on at the second member; two of three are enough
	for range 49 {
		<-seen
	}
	fmt.Println("the last is", <-seen)
	stop(system, append([]*actor.PID{follower}, members[1:]...))
	// Output: the last is 99
}
