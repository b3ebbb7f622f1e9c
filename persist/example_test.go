package persist_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist"
)

type counter struct{ value uint64 }

func (c *counter) Apply(raft.Command) ([]byte, error) { c.value++; return c.Query(nil) }
func (c *counter) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.value), nil
}
func (c *counter) Snapshot() (raft.View, error) { return counter{c.value}, nil }
func (c *counter) Restore(r io.Reader) error { return binary.Read(r, binary.BigEndian, &c.value) }

func (c counter) WriteTo(w io.Writer) (int64, error) {
	return 8, binary.Write(w, binary.BigEndian, c.value)
}
func (c counter) Release() {}

// A group of one member counts to two, in two lives of its process.
func Example() {
	dir, err := os.MkdirTemp("", "counter-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		if err := count(dir); err != nil {
			panic(err)
		}
	}
	// Output:
	// 1
	// 2
}

func count(dir string) error {
	store, err := persist.Open(dir, persist.Options{Logger: hclog.NewNullLogger()})
	if err != nil {
		return err
	}
	defer store.Close()
	system := actor.NewActorSystem()
	defer system.Shutdown()
	pid, err := raft.Spawn(system, raft.Config{
		Group: "counter", ID: 1, Members: []raft.Member{{ID: 1}},
		Store: store, Transport: raft.NewMemoryTransport(), Logger: hclog.NewNullLogger(),
	}, &counter{})
	if err != nil {
		return err
	}
	client := raft.NewClient(system, pid)
	defer client.Close()
	result, err := client.Propose(context.Background(), nil)
	if err != nil {
		return err
	}
	fmt.Println(binary.BigEndian.Uint64(result.Data))
	return system.Root.StopFuture(pid).Wait()
}
