package raftremote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/remote/proxytest"
)

// A cluster is a group of three raft actors, in three actor systems, which reach each other through proxies.
type cluster struct {
	*testing.T
	ctx     context.Context
	systems map[raft.ID]*testSystem
	// proxies[a][b] is what a dials in place of b.
	proxies map[raft.ID]map[raft.ID]*proxytest.Proxy
	members map[raft.ID]*clusterMember
	founded []raft.Member
	// configure changes a configuration, if it is not nil.
	configure func(*raft.Config)
}

type clusterMember struct {
	actors  *actor.ActorSystem
	pid     *actor.PID
	machine *commands
	store   *raft.MemoryStore
	client  *raft.Client
	leader  atomic.Uint64 // whom it follows, or zero
}

// newCluster makes one of which no member has been spawned.
func newCluster(t *testing.T, change ...func(*linkConfig)) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := &cluster{
		T: t, ctx: ctx, systems: map[raft.ID]*testSystem{}, members: map[raft.ID]*clusterMember{},
		proxies: map[raft.ID]map[raft.ID]*proxytest.Proxy{},
	}
	for id := raft.ID(1); id <= 3; id++ {
		c.systems[id] = startSystem(t, fmt.Sprint("system", id), change...)
		c.founded = append(c.founded, raft.Member{ID: id, Address: c.systems[id].cfg.address})
	}
	for id, s := range c.systems {
		c.proxies[id] = map[raft.ID]*proxytest.Proxy{}
		for other, o := range c.systems {
			if id != other {
				p := startProxy(t, o)
				s.dials(p.Addr(), o.cfg.address)
				c.proxies[id][other] = p
			}
		}
	}
	return c
}

// startProxy starts a proxy in front of a system.
func startProxy(t testing.TB, s *testSystem) *proxytest.Proxy {
	t.Helper()
	p, err := proxytest.New(s.cfg.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (c *cluster) spawnAll() *cluster {
	c.Helper()
	for id := range c.systems {
		c.spawn(id)
	}
	return c
}

// spawn spawns a member, again with what it had stored.
func (c *cluster) spawn(id raft.ID) {
	c.Helper()
	m := c.members[id]
	if m == nil {
		m = &clusterMember{store: raft.NewMemoryStore()}
		m.actors = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		}))
		m.actors.EventStream.Subscribe(func(event any) {
			if e, ok := event.(*raft.LeaderChanged); ok {
				m.leader.Store(uint64(e.Leader))
				news.ring()
			}
		})
		c.members[id] = m
		c.Cleanup(func() {
			m.client.Close()
			m.actors.Root.StopFuture(m.pid).Wait()
			m.actors.Shutdown()
		})
	}
	m.machine = &commands{}
	cfg := raft.Config{
		Group: "g", ID: id, Members: c.founded, Store: m.store, Transport: c.systems[id].links, Logger: hclog.NewNullLogger(),
		TickInterval: 5 * time.Millisecond, HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond,
	}
	if c.configure != nil {
		c.configure(&cfg)
	}
	var err error
	if m.pid, err = raft.Spawn(m.actors, cfg, m.machine); err != nil {
		c.Fatal(err)
	}
	if m.client == nil {
		m.client = raft.NewClient(m.actors, m.pid)
	}
}

// stop stops a member.
func (c *cluster) stop(id raft.ID) {
	c.Helper()
	m := c.members[id]
	if err := m.actors.Root.StopFuture(m.pid).Wait(); err != nil {
		c.Fatal(err)
	}
	m.leader.Store(0)
}

// leader waits until a member leads that a majority of the others follows, other than one of those excepted.
func (c *cluster) leader(except ...raft.ID) raft.ID {
	c.Helper()
	var leader raft.ID
	eventually(c, "there is a leader", func() bool {
		followers := map[raft.ID]int{}
		for _, m := range c.members {
			if id := raft.ID(m.leader.Load()); id != 0 && !slices.Contains(except, id) {
				if followers[id]++; followers[id] == 2 {
					leader = id
				}
			}
		}
		return leader != 0
	})
	return leader
}

// propose has a command applied, by way of one of the members.
func (c *cluster) propose(by raft.ID, command string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 20*time.Second)
	defer cancel()
	if _, err := c.members[by].client.Propose(ctx, []byte(command)); err != nil {
		c.Fatalf("proposing %.20q by member %d: %v", command, by, err)
	}
}

// agree waits until all members have applied so many commands, and checks that they are the same.
func (c *cluster) agree(count int) {
	c.Helper()
	for id, m := range c.members {
		eventually(c, fmt.Sprintf("member %d has applied %d commands", id, count), func() bool { return m.machine.count() >= count })
	}
	want := c.members[1].machine.state()
	for id, m := range c.members {
		if got := m.machine.state(); !bytes.Equal(got, want) {
			c.Errorf("members 1 and %d differ: %d and %d bytes", id, len(want), len(got))
		}
	}
}

// cut takes a member away from the others, or ends that.
func (c *cluster) cut(id raft.ID, cut bool) {
	for other := range c.systems {
		if other == id {
			continue
		}
		for _, p := range []*proxytest.Proxy{c.proxies[id][other], c.proxies[other][id]} {
			p.Refuse(cut)
			if cut {
				p.Cut()
			}
		}
	}
}

// commands is a machine that keeps all commands.
type commands struct {
	mu       sync.Mutex
	all      [][]byte // guarded by mu
	restored bool     // guarded by mu
}

func (m *commands) isRestored() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.restored
}

func (m *commands) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

func (m *commands) state() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Join(m.all, []byte{0})
}

func (m *commands) Apply(c raft.Command) ([]byte, error) {
	defer news.ring()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, bytes.Clone(c.Data))
	return nil, nil
}

func (m *commands) Query([]byte) ([]byte, error) { return nil, nil }
func (m *commands) Snapshot() (raft.View, error) { return view(m.state()), nil }

func (m *commands) Restore(state io.Reader) error {
	all, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	defer news.ring()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all, m.restored = bytes.Split(all, []byte{0}), true
	return nil
}

type view []byte

func (v view) Release() {}

func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}
