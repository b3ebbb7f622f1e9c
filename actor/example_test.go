package raft_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// counter is a machine that counts its commands.
type counter struct{ value uint64 }

func (c *counter) Apply(raft.Command) ([]byte, error) {
	c.value++
	return c.Query(nil)
}

func (c *counter) Query([]byte) ([]byte, error) {
	return strconv.AppendUint(nil, c.value, 10), nil
}

func (c *counter) Snapshot() (raft.View, error) { return view(c.value), nil }

func (c *counter) Restore(state io.Reader) error {
	return binary.Read(state, binary.BigEndian, &c.value)
}

// view is the state of a counter at one moment.
type view uint64

func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
	return int64(n), err
}

func (view) Release() {}

// newSystem makes an actor system that logs nothing.
func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// spawnThree starts a group of three members in one actor system.
func spawnThree(system *actor.ActorSystem) (members []*actor.PID) {
	store, transport := raft.NewMemoryStore(), raft.NewMemoryTransport()
	for id := raft.ID(1); id <= 3; id++ {
		pid, err := raft.Spawn(system, raft.Config{
			Group:     "counter",
			ID:        id,
			Members:   []raft.Member{{ID: 1}, {ID: 2}, {ID: 3}},
			Store:     store,
			Transport: transport,
		}, &counter{})
		if err != nil {
			log.Fatal(err)
		}
		members = append(members, pid)
	}
	return members
}

func stop(system *actor.ActorSystem, members []*actor.PID) {
	for _, pid := range members {
		if err := system.Root.StopFuture(pid).Wait(); err != nil {
			log.Fatal(err)
		}
	}
}

// A group of one member, and a proposal as actors make it: a message whose reply comes to its sender.
func ExampleSpawn() {
	system := newSystem()
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
	fmt.Println(pid.Id)

	done := make(chan string)
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Request(pid, &raft.Propose{Command: []byte("increment")})
		case *raft.Rejected: // no leader yet
			ctx.Request(pid, &raft.Propose{Command: []byte("increment")})
		case *raft.Proposed:
			done <- string(m.Result)
		}
	}))
	fmt.Println("counted", <-done)
	stop(system, []*actor.PID{pid})
	// Output:
	// raft/counter/1
	// counted 1
}

// A client finds the leader, and follows it when it changes.
func ExampleClient() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()

	ctx := context.Background()
	for range 3 {
		result, err := client.Propose(ctx, []byte("increment"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("counted", string(result.Data))
	}
	answer, err := client.Query(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("read", string(answer.Data))
	stop(system, members)
	// Output:
	// counted 1
	// counted 2
	// counted 3
	// read 3
}

// A subscriber gets the applied commands in order: those before it subscribed, and those after.
func ExampleSubscribe() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()
	for _, command := range []string{"one", "two", "three"} {
		if _, err := client.Propose(context.Background(), []byte(command)); err != nil {
			log.Fatal(err)
		}
	}

	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Request(members[0], &raft.Subscribe{FromIndex: 1})
		case *raft.Applied:
			fmt.Println(string(m.Command))
			if string(m.Command) == "three" {
				close(done)
			}
		}
	}))
	<-done
	stop(system, members)
	// Output:
	// one
	// two
	// three
}

// Whoever spawns members with props of their own gives them the name under which the others look for
// them.
func ExampleProps() {
	system := newSystem()
	props, err := raft.Props(raft.Config{
		Group:     "counter",
		ID:        1,
		Members:   []raft.Member{{ID: 1}},
		Store:     raft.NewMemoryStore(),
		Transport: raft.NewMemoryTransport(),
	}, &counter{})
	if err != nil {
		log.Fatal(err)
	}
	pid, err := system.Root.SpawnNamed(props, raft.Name("counter", 1))
	if err != nil {
		log.Fatal(err)
	}
	client := raft.NewClient(system, pid)
	defer client.Close()
	status, err := client.Status(context.Background(), pid)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Group, status.Id)
	stop(system, []*actor.PID{pid})
	// Output: counter 1
}

// Validate names every fault at once.
func ExampleConfig_Validate() {
	err := raft.Config{
		Group:     "counter",
		Members:   []raft.Member{{ID: 1}},
		Transport: raft.NewMemoryTransport(),
	}.Validate()
	fmt.Println(err)
	// Output:
	// raft: config: Store is nil: without one the member would forget its vote; NewMemoryStore() makes one in memory
	// node: config: ID is 0: give the member an id from 1 up
	// node: config: Bootstrap does not name member 0 itself; leave it empty to join an existing group
}

// Many proposals are under way at once, without a goroutine each.
func ExampleClient_ProposeAsync() {
	system := newSystem()
	members := spawnThree(system)
	client := raft.NewClient(system, members...)
	defer client.Close()

	ctx := context.Background()
	var last string // callbacks come one at a time
	var all sync.WaitGroup
	for range 1000 {
		all.Add(1)
		err := client.ProposeAsync(ctx, []byte("increment"), func(result raft.Result, err error) {
			defer all.Done()
			if err != nil {
				log.Print(err)
				return
			}
			last = string(result.Data)
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	all.Wait()
	fmt.Println("counted", last)
	stop(system, members)
	// Output: counted 1000
}

// A session is not needed where a command may be applied twice, or never again.
func ExampleNewClientWithConfig() {
	system := newSystem()
	member := spawnOne(system)
	client, err := raft.NewClientWithConfig(system, raft.ClientConfig{
		Members: []*actor.PID{member}, NoSession: true, InFlightMax: 16,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch result, err := client.Propose(ctx, []byte("increment")); {
	case errors.Is(err, raft.ErrUnknown):
		fmt.Println("it may have been counted, and is not proposed again")
	case err != nil:
		fmt.Println("it has not been counted:", err)
	default:
		fmt.Println("counted", string(result.Data))
	}
	stop(system, []*actor.PID{member})
	// Output: counted 1
}

// A member is asked to do work when it has caught up.
func ExampleReady() {
	system := newSystem()
	members := spawnThree(system)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, member := range members {
		if _, err := raft.Ready(ctx, system, member); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("ready")
	stop(system, members)
	// Output: ready
}
