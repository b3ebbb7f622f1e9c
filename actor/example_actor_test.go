package raft_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// spawnOne starts a group of one member, and waits until it can be asked.
func spawnOne(system *actor.ActorSystem) *actor.PID {
	pid, err := raft.Spawn(system, raft.Config{
		Group:     "counter",
		ID:        1,
		Members:   []raft.Member{{ID: 1}},
		Store:     raft.NewMemoryStore(),
		Transport: raft.NewMemoryTransport(),
	}, &counter{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := raft.Ready(context.Background(), system, pid); err != nil {
		log.Fatal(err)
	}
	return pid
}

// An actor proposes with a future, and goes on when the answer is there: what it does then is a turn of its own, and
// until then it takes other messages.
func ExamplePropose_reenterAfter() {
	system := newSystem()
	member := spawnOne(system)
	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); !ok {
			return
		}
		future := ctx.RequestFuture(member, &raft.Propose{Command: []byte("increment")}, 10*time.Second)
		ctx.ReenterAfter(future, func(reply any, err error) {
			switch m := reply.(type) {
			case *raft.Proposed:
				fmt.Println("counted", string(m.Result))
			case *raft.Rejected: // m.Outcome says whether it is safe to ask again
				fmt.Println(m.Err())
			default: // no answer within the time; it may be applied or not
				fmt.Println(err)
			}
			close(done)
		})
	}))
	<-done
	stop(system, []*actor.PID{member})
	// Output: counted 1
}

// An actor with several requests under way tells the answers apart by their tags.
func ExamplePropose_tag() {
	system := newSystem()
	member := spawnOne(system)
	done := make(chan struct{})
	names := map[uint64]string{1: "apples", 2: "pears", 3: "plums"}
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			for tag := uint64(1); tag <= 3; tag++ {
				ctx.Request(member, &raft.Propose{Command: []byte(names[tag]), Tag: tag})
			}
		case *raft.Proposed:
			fmt.Println(names[m.Tag], "came as number", string(m.Result))
			if delete(names, m.Tag); len(names) == 0 {
				close(done)
			}
		case *raft.Rejected:
			fmt.Println(names[m.Tag], "failed:", m.Err())
			close(done)
		}
	}))
	<-done
	stop(system, []*actor.PID{member})
	// Output:
	// apples came as number 1
	// pears came as number 2
	// plums came as number 3
}
