package raft_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raft "example.com/raftactor/actor"
)

// account is a machine over protobuf messages: a command is an amount, and its result the balance.
type account struct{ balance int64 }

var errOverdrawn = errors.New("there is not that much")

func (a *account) Apply(_ raft.Position, amount *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
	if a.balance+amount.Value < 0 {
		return nil, errOverdrawn // the result of this command, and nothing else
	}
	a.balance += amount.Value
	return wrapperspb.Int64(a.balance), nil
}

func (a *account) Query(*emptypb.Empty) (*wrapperspb.Int64Value, error) {
	return wrapperspb.Int64(a.balance), nil
}

func (a *account) Snapshot() (raft.View, error) { return view(a.balance), nil }

func (a *account) Restore(state io.Reader) error {
	return binary.Read(state, binary.BigEndian, &a.balance)
}

// A machine over protobuf messages, and its client.
func ExampleTyped() {
	system := newSystem()
	pid, err := raft.Spawn(system, raft.Config{
		Group:     "account",
		ID:        1,
		Members:   []raft.Member{{ID: 1}},
		Store:     raft.NewMemoryStore(),
		Transport: raft.NewMemoryTransport(),
	}, raft.Typed(&account{}))
	if err != nil {
		log.Fatal(err)
	}
	client := raft.NewClient(system, pid)
	defer client.Close()
	accounts := raft.NewTypedClient(client, (*account)(nil))

	ctx := context.Background()
	for _, amount := range []int64{100, -30, -100} {
		balance, err := accounts.Propose(ctx, wrapperspb.Int64(amount))
		var refused *raft.CommandError
		switch {
		case errors.As(err, &refused):
			fmt.Println("refused:", refused)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("balance", balance.Value)
		}
	}
	balance, err := accounts.Query(ctx, &emptypb.Empty{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("read", balance.Value)
	stop(system, []*actor.PID{pid})
	// Output:
	// balance 100
	// balance 70
	// refused: there is not that much
	// read 70
}
