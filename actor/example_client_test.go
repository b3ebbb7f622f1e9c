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

// Any member answers at once from what it has applied. With the index of a proposal it sees at least that.
func ExampleClient_QueryLocal() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()
	third := raft.NewClient(system, members[2])
	defer third.Close()

	ctx := context.Background()
	written, err := client.Propose(ctx, []byte("increment"))
	if err != nil {
		log.Fatal(err)
	}
	read, err := third.QueryLocal(ctx, nil, written.Index)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("read", string(read.Data), read.Index >= written.Index)
	stop(system, members)
	// Output:
	// read 1 true
}

// A callback goes on with the next proposal.
func ExampleClient_TryProposeAsync() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()

	ctx, done := context.Background(), make(chan error)
	var next func(result raft.Result, err error)
	next = func(result raft.Result, err error) {
		if err == nil && string(result.Data) != "3" {
			err = client.TryProposeAsync(ctx, []byte("increment"), next)
			if err == nil {
				return
			}
		}
		done <- err
	}
	if err := client.TryProposeAsync(ctx, []byte("increment"), next); err != nil {
		log.Fatal(err)
	}
	fmt.Println("counted to three:", <-done)
	stop(system, members)
	// Output:
	// counted to three: <nil>
}

// A member joins, becomes a voter, and takes over.
func ExampleClient_AddMember() {
	system, store, transport := newSystem(), raft.NewMemoryStore(), raft.NewMemoryTransport()
	spawn := func(id raft.ID, founders ...raft.Member) *actor.PID {
		pid, err := raft.Spawn(system, raft.Config{
			Group: "counter", ID: id, Members: founders, Store: store, Transport: transport,
		}, &counter{})
		if err != nil {
			log.Fatal(err)
		}
		return pid
	}
	founder := spawn(1, raft.Member{ID: 1})
	joiner := spawn(2)
	client := raft.NewClient(system, founder, joiner)
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.AddMember(ctx, 2, ""); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Ready(ctx, joiner); err != nil {
		log.Fatal(err)
	}
	for {
		err := client.Promote(ctx, 2)
		if err == nil {
			break
		}
		if !errors.Is(err, raft.ErrRefused) { // it has not caught up
			log.Fatal(err)
		}
	}
	if err := client.TransferLeadership(ctx, 2); err != nil {
		log.Fatal(err)
	}
	status, err := client.Status(ctx, joiner)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Role, "of", len(status.Members))
	index, err := client.TakeSnapshot(ctx, joiner)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a snapshot of all that it had applied:", index >= raft.Index(status.AppliedIndex))
	stop(system, []*actor.PID{founder, joiner})
	// Output:
	// LEADER of 2
	// a snapshot of all that it had applied: true
}

// An error says whether the command may have been applied, and why it was not.
func ExampleRejectedError() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()

	_, err := client.Propose(context.Background(), make([]byte, 2<<20))
	fmt.Println("not applied:", errors.Is(err, raft.ErrNotApplied))
	fmt.Println("too large:", errors.Is(err, raft.ErrTooLarge))
	var rejected *raft.RejectedError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.Code, rejected.Outcome)
	}
	stop(system, members)
	// Output:
	// not applied: true
	// too large: true
	// TOO_LARGE NOT_APPLIED
}

// An actor opens a session, and numbers its commands. One that it sends twice is counted once.
func ExampleOpenSession() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()
	if _, err := client.Ready(context.Background(), members[0]); err != nil {
		log.Fatal(err)
	}

	done, replies := make(chan string), 0
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Request(members[0], &raft.OpenSession{})
		case *raft.SessionOpened:
			for range 2 {
				ctx.Request(members[0], &raft.Propose{Session: m.Session, Sequence: 1, LowestUnanswered: 1})
			}
		case *raft.Proposed:
			if replies++; replies == 2 {
				done <- string(m.Result)
			}
		case *raft.Rejected:
			done <- m.Detail
		}
	}))
	fmt.Println("counted", <-done)
	stop(system, members)
	// Output:
	// counted 1
}
