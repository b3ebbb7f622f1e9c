package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist"
	raftremote "example.com/raftactor/remote"
)

// group is the members, with the actor systems that they live in and the stores that keep their logs.
type group struct {
	// clients is the actor system of those who propose and ask.
	clients *actor.ActorSystem
	members []*member
	// founders are all members, also those of other processes.
	founders  []raft.Member
	transport raft.Transport
	// stores are those on disk, if there are any.
	stores []*persist.Store
	// remote is how other processes are reached. Nil: there are none.
	remote *raftremote.Remote
}

// member is one of the group.
type member struct {
	id raft.ID
	// address is that of its actor system, if it has one of its own.
	address string
	system  *actor.ActorSystem
	store   raft.Store
	pid     *actor.PID
}

// inMemory makes a group of members that share an actor system with their clients, and a store.
func inMemory(members int) *group {
	g, store := &group{clients: newSystem(), transport: raft.NewMemoryTransport()}, raft.NewMemoryStore()
	for id := range raft.ID(members) {
		g.found(&member{id: id + 1, system: g.clients, store: store})
	}
	return g
}

// found takes in a founding member of this process.
func (g *group) found(m *member) {
	g.members = append(g.members, m)
	g.founders = append(g.founders, raft.Member{ID: m.id, Address: m.address})
}

// inDirectory makes a group of members that each have an actor system, and a store below a directory. Each could as
// well be a process, but for the transport.
func inDirectory(dir string, members int, logger hclog.Logger) (*group, error) {
	founded, err := checkDirectory(dir, members)
	if err != nil {
		return nil, err
	}
	g := &group{clients: newSystem(), transport: raft.NewMemoryTransport()}
	systems := map[string]*actor.ActorSystem{"clients": g.clients}
	for id := range raft.ID(members) {
		store, err := openStore(dir, id+1, founded, logger)
		if err != nil {
			return nil, errors.Join(err, g.close())
		}
		m := &member{id: id + 1, address: fmt.Sprint("member-", id+1), system: newSystem(), store: store}
		g.found(m)
		g.stores = append(g.stores, store)
		systems[m.address] = m.system
	}
	connect(systems)
	return g, nil
}

// openStore opens a member's store. A group that has been founded has no member whose store is new.
func openStore(dir string, id raft.ID, founded bool, logger hclog.Logger) (*persist.Store, error) {
	own := filepath.Join(dir, strconv.FormatUint(uint64(id), 10))
	store, err := persist.Open(own, persist.Options{Logger: logger.With("member", uint64(id))})
	switch {
	case errors.Is(err, persist.ErrLocked):
		return nil, fmt.Errorf("another run is using %s: %w", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, wrongDir(dir, err)
	case err != nil:
		return nil, fmt.Errorf("opening the store of member %d: %w", id, err)
	case founded && len(store.Members()) == 0:
		err := fmt.Errorf("%s is empty, but member %d has been in use: a member that has lost what it had stored cannot go on "+
			"as if it had not; put the directory back, or begin anew in another one than %s", own, id, dir)
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// connect has actors of several systems reach each other, within this process, as remoting does between processes:
// each system has an address, and who has another one is looked up there.
func connect(systems map[string]*actor.ActorSystem) {
	for address, system := range systems {
		system.ProcessRegistry.Address = address
		system.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) {
			if there := systems[pid.Address]; there != nil {
				return there.ProcessRegistry.GetLocal(pid.Id)
			}
			return nil, false
		})
	}
}

// start spawns the members.
func (g *group) start(logger hclog.Logger) error {
	for _, m := range g.members {
		pid, err := raft.Spawn(m.system, raft.Config{
			Group: "counter", ID: m.id, Members: g.founders, Store: m.store, Transport: g.transport, Logger: logger,
		}, &counter{})
		if errors.Is(err, raft.ErrFounding) {
			return wrongFlag{fmt.Errorf("-members or -peers says that there are %d, and is to be what it was at the first run "+
				"in this directory: %w", len(g.founders), err)}
		}
		if err != nil {
			return err
		}
		m.pid = pid
	}
	return nil
}

// systems are the actor systems that there are.
func (g *group) systems() []*actor.ActorSystem {
	all := []*actor.ActorSystem{g.clients}
	for _, m := range g.members {
		if m.system != g.clients {
			all = append(all, m.system)
		}
	}
	return all
}

// pids are those of the members.
func (g *group) pids() (all []*actor.PID) {
	for _, m := range g.members {
		all = append(all, m.pid)
	}
	return all
}

// stop stops a member, and returns when it has let go of its store.
func (m *member) stop() error {
	if err := m.system.Root.StopFuture(m.pid).Wait(); err != nil {
		return fmt.Errorf("stopping member %d: %w", m.id, err)
	}
	return nil
}

// close stops all members, and closes their stores.
func (g *group) close() error {
	var faults []error
	for _, m := range g.members {
		if m.pid != nil {
			faults = append(faults, m.stop())
		}
	}
	if g.remote != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		faults = append(faults, g.remote.Stop(ctx))
	}
	for _, store := range g.stores {
		faults = append(faults, store.Close())
	}
	for _, system := range g.systems() {
		system.Shutdown()
	}
	return errors.Join(faults...)
}
