package raft_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist"
)

// diskGroup is a group of three members that have a directory each, on the disk of this machine.
type diskGroup struct {
	*testing.T
	ctx       context.Context
	dir       string
	system    *actor.ActorSystem
	transport raft.Transport
	// configure changes a configuration, if it is not nil, and options is how stores are opened.
	configure func(*raft.Config)
	options   persist.Options
	// ballast is how many bytes a snapshot has beside the count.
	ballast int
	stores  map[raft.ID]*persist.Store
	pids    map[raft.ID]*actor.PID
	client  *raft.Client
	heard   heard
}

// newDiskGroup makes one whose members have not been spawned.
func newDiskGroup(t *testing.T) *diskGroup {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	g := &diskGroup{
		T: t, ctx: ctx, dir: t.TempDir(), transport: raft.NewMemoryTransport(),
		system: actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		})),
		options: persist.Options{Logger: hclog.NewNullLogger(), SegmentBytes: 1 << 20},
		stores:  map[raft.ID]*persist.Store{}, pids: map[raft.ID]*actor.PID{}, heard: heard{news: make(chan struct{}, 1)},
	}
	g.system.EventStream.Subscribe(g.heard.add)
	t.Cleanup(func() {
		for id := range g.pids {
			g.stop(id)
		}
		g.system.Shutdown()
	})
	return g
}

// founders are the members that the group is founded with.
func founders() []raft.Member { return []raft.Member{{ID: 1}, {ID: 2}, {ID: 3}} }

// spawnFounders spawns all members, each as one of the founders.
func (g *diskGroup) spawnFounders() {
	g.Helper()
	var members []*actor.PID
	for _, m := range founders() {
		g.spawn(m.ID, founders()...)
		members = append(members, g.pids[m.ID])
	}
	g.client = raft.NewClient(g.system, members...)
	g.Cleanup(g.client.Close)
}

func (g *diskGroup) path(id raft.ID) string { return filepath.Join(g.dir, fmt.Sprint(id)) }

func (g *diskGroup) spawn(id raft.ID, founders ...raft.Member) {
	g.Helper()
	store, err := persist.Open(g.path(id), g.options)
	g.must(err)
	pid, err := raft.Spawn(g.system, g.config(id, store, founders...), &tally{ballast: g.ballast})
	g.must(err)
	g.stores[id], g.pids[id] = store, pid
}

func (g *diskGroup) config(id raft.ID, store raft.Store, founders ...raft.Member) raft.Config {
	cfg := raft.Config{
		Group: "g", ID: id, Members: founders, Store: store, Transport: g.transport, Logger: hclog.NewNullLogger(),
		TickInterval: 10 * time.Millisecond, HeartbeatInterval: 20 * time.Millisecond,
		ElectionTimeout: 200 * time.Millisecond,
	}
	if g.configure != nil {
		g.configure(&cfg)
	}
	return cfg
}

func (g *diskGroup) stop(id raft.ID) {
	g.Helper()
	g.must(g.system.Root.StopFuture(g.pids[id]).Wait())
	g.must(g.stores[id].Close())
	delete(g.pids, id)
	delete(g.stores, id)
}

// restart stops all members that have not been stopped, and spawns all.
func (g *diskGroup) restart() {
	g.Helper()
	for id := range g.pids {
		g.stop(id)
	}
	g.spawnFounders()
}

func (g *diskGroup) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

func (g *diskGroup) status(id raft.ID) *raft.Status {
	g.Helper()
	s, err := g.client.Status(g.ctx, g.pids[id])
	g.must(err)
	return s
}

// leader waits for one, and returns it.
func (g *diskGroup) leader() raft.ID {
	g.Helper()
	for {
		_, err := g.client.Query(g.ctx, nil)
		g.must(err)
		for id := range g.pids {
			if g.status(id).Role == raft.Status_LEADER {
				return id
			}
		}
	}
}

// propose has so many commands acknowledged.
func (g *diskGroup) propose(count int, command ...byte) {
	g.Helper()
	for range count {
		_, err := g.client.Propose(g.ctx, command)
		g.must(err)
	}
}

// expect wants so many commands to be counted, by every member that has not been stopped.
func (g *diskGroup) expect(want uint64) {
	g.Helper()
	for id, pid := range g.pids {
		through := raft.NewClient(g.system, pid)
		result, err := through.Query(g.ctx, nil)
		through.Close()
		g.must(err)
		if got := count(result); got != want {
			g.Errorf("member %d counts %d commands, want %d", id, got, want)
		}
	}
}

// await waits until something is published, now or earlier.
func (g *diskGroup) await(what string, is func(event any) bool) {
	g.Helper()
	for !slices.ContainsFunc(g.heard.all(), is) {
		select {
		case <-g.heard.news:
		case <-g.ctx.Done():
			g.Fatalf("%s: nobody has said so", what)
		}
	}
}

// heard is what has been published.
type heard struct {
	// news says that there is more.
	news   chan struct{}
	mu     sync.Mutex
	events []any // guarded by mu
}

func (h *heard) add(event any) {
	h.mu.Lock()
	h.events = append(h.events, event)
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default:
	}
}

func (h *heard) all() []any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// tally counts commands.
type tally struct {
	count   uint64
	ballast int
}

func (c *tally) Apply(raft.Command) ([]byte, error) { c.count++; return nil, nil }
func (c *tally) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.count), nil
}
func (c *tally) Snapshot() (raft.View, error) { return *c, nil }

func (c *tally) Restore(r io.Reader) error {
	if err := binary.Read(r, binary.BigEndian, &c.count); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, r)
	c.ballast = int(n)
	return err
}

func (c tally) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(append(binary.BigEndian.AppendUint64(nil, c.count), make([]byte, c.ballast)...))
	return int64(n), err
}
func (c tally) Release() {}

// count is what a tally answers.
func count(result raft.Result) uint64 { return binary.BigEndian.Uint64(result.Data) }
