package raft

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// counter is a machine that adds: a command is a number, or empty for 1; the result is the sum so far.
type counter struct{ value uint64 }

func (c *counter) Apply(command Command) ([]byte, error) {
	add := uint64(1)
	if len(command.Data) == 8 {
		add = binary.BigEndian.Uint64(command.Data)
	}
	c.value += add
	return c.Query(nil)
}

func (c *counter) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.value), nil
}

func (c *counter) Snapshot() (View, error) { return counterView(c.value), nil }

func (c *counter) Restore(state io.Reader) error {
	return binary.Read(state, binary.BigEndian, &c.value)
}

type counterView uint64

func (v counterView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
	return int64(n), err
}

func (counterView) Release() {}

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

func TestSmoke(t *testing.T) {
	system := quietSystem()
	defer system.Shutdown()
	store, transport := NewMemoryStore(), NewMemoryTransport()
	var pids []*actor.PID
	for id := ID(1); id <= 3; id++ {
		pid, err := Spawn(system, Config{
			Group: "g", ID: id, Members: []Member{{ID: 1}, {ID: 2}, {ID: 3}}, Store: store, Transport: transport,
			SnapshotEntries: 500, RetainEntries: 10,
		}, &counter{})
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	client := NewClient(system, pids...)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	start := time.Now()
	for i := range 10000 {
		r, err := client.Propose(ctx, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if got := binary.BigEndian.Uint64(r.Data); got != uint64(i+1) {
			t.Fatalf("got %d, want %d", got, i+1)
		}
		if i == 0 {
			t.Log("first", time.Since(start))
			start = time.Now()
		}
	}
	t.Log("10000:", time.Since(start))
	for _, pid := range pids {
		c := NewClient(system, pid)
		v, err := c.Query(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint64(v); got != 10000 {
			t.Fatalf("got %d", got)
		}
		s, err := c.Status(ctx, pid)
		t.Log(s, err)
		c.Close()
	}
	for _, pid := range pids {
		system.Root.StopFuture(pid).Wait()
	}
}
