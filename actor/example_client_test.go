package raft_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// A read of what a member has applied itself sees a write if it is told the write's index.
func ExampleClient_QueryLocal() {
	system := newSystem()
	members := spawnThree(system)
	ctx := context.Background()
	writer := raft.NewClient(system, members...)
	defer writer.Close()
	written, err := writer.Propose(ctx, []byte("increment"))
	if err != nil {
		log.Fatal(err)
	}

	reader := raft.NewClient(system, members[2])
	defer reader.Close()
	read, err := reader.QueryLocal(ctx, nil, written.Index)
	fmt.Println(string(read.Data), err)
	stop(system, members)
	// Output: 1 <nil>
}

// A new member joins as a learner, and becomes a voter once it has caught up.
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
	ctx := context.Background()
	first := spawn(1, raft.Member{ID: 1})
	client := raft.NewClient(system, first)
	defer client.Close()

	second := spawn(2) // without founders: it waits to be added
	if err := client.AddMember(ctx, 2, ""); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Ready(ctx, second); err != nil {
		log.Fatal(err)
	}
	err := client.Promote(ctx, 2)
	for errors.Is(err, raft.ErrRefused) { // the leader has not heard yet that it has caught up
		err = client.Promote(ctx, 2)
	}
	if err != nil {
		log.Fatal(err)
	}
	status, err := client.Status(ctx, first)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range status.Members {
		fmt.Println("member", m.Id, "votes:", m.Voter)
	}
	stop(system, []*actor.PID{second, first})
	// Output:
	// member 1 votes: true
	// member 2 votes: true
}

// Leadership is handed over before a member is stopped, so that nobody waits for an election.
func ExampleClient_TransferLeadership() {
	system := newSystem()
	members := spawnThree(system)
	ctx := context.Background()
	client := raft.NewClient(system, members...)
	defer client.Close()
	for id := raft.ID(1); id <= 2; id++ { // one of them is not the leader
		for client.TransferLeadership(ctx, id) != nil {
			// The member has not answered in time: it is asked again.
		}
		fmt.Println("member", id, "leads")
	}
	stop(system, members)
	// Output:
	// member 1 leads
	// member 2 leads
}

// A member takes a snapshot of its machine now, for instance before it is stopped for a while.
func ExampleClient_TakeSnapshot() {
	system := newSystem()
	members := spawnThree(system)
	ctx := context.Background()
	client := raft.NewClient(system, members...)
	defer client.Close()
	written, err := client.Propose(ctx, []byte("increment"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Ready(ctx, members[0]); err != nil { // it has applied that, too
		log.Fatal(err)
	}
	taken, err := client.TakeSnapshot(ctx, members[0])
	fmt.Println(taken >= written.Index, err)
	stop(system, members)
	// Output: true <nil>
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

// A voter that is to go is made a learner first, so that the group goes on while it is taken away.
func ExampleClient_RemoveMember() {
	system := newSystem()
	members := spawnThree(system)
	ctx := context.Background()
	client := raft.NewClient(system, members...)
	defer client.Close()
	if err := client.Demote(ctx, 3); err != nil {
		log.Fatal(err)
	}
	if err := client.RemoveMember(ctx, 3); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Ready(ctx, members[0]); err != nil { // it knows, too
		log.Fatal(err)
	}
	status, err := client.Status(ctx, members[0])
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range status.Members {
		fmt.Println("member", m.Id, "votes:", m.Voter)
	}
	stop(system, members)
	// Output:
	// member 1 votes: true
	// member 2 votes: true
}
