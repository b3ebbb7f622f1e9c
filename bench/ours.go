package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist"
	raftremote "example.com/raftactor/remote"
)

const ownName = "raftactor"

// ours has every setting at its default, sessions included.
var ours = contender{
	name:  ownName,
	kinds: []kind{inMemory, inProcess, inProcesses},
	settings: "all defaults: a raft.Client with a session; W1 MemoryStore and MemoryTransport in one actor system; " +
		"W2 and W3 a persist.Store and a peer link per replica",
	start: startOurs,
}

// home is what replicas share that live in one actor system.
type home struct {
	system    *actor.ActorSystem
	store     raft.Store
	transport raft.Transport
	remote    *raftremote.Remote // nil in memory
	disk      *persist.Store     // nil in memory
	residents int                // how many have not been stopped; the last one shuts the house
}

func startOurs(p plan) ([]replica, error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: ownName, Level: hclog.Warn, Output: p.log})
	var members []raft.Member
	for _, m := range p.members {
		members = append(members, raft.Member{ID: raft.ID(m.number), Address: m.address})
	}
	var shared *home
	if p.kind == inMemory {
		shared = &home{system: newSystem(), store: raft.NewMemoryStore(), transport: raft.NewMemoryTransport()}
	}
	var replicas []replica
	fail := func(err error) ([]replica, error) {
		for _, r := range replicas {
			err = errors.Join(err, r.stop())
		}
		return nil, err
	}
	for _, number := range p.here {
		h := shared
		if h == nil {
			var err error
			if h, err = openHome(p.members[number-1], logger); err != nil {
				return fail(err)
			}
		}
		r := &ourReplica{home: h, number: raft.ID(number), machine: &ourMachine{}}
		h.residents++
		replicas = append(replicas, r)
		for g := range p.groups {
			machine := r.machine
			if g > 0 {
				machine = &ourMachine{}
			}
			pid, err := raft.Spawn(h.system, raft.Config{
				Group: fmt.Sprintf("bench-%d", g), ID: r.number, Members: members,
				Store: h.store, Transport: h.transport, Logger: logger,
			}, machine)
			if err != nil {
				return fail(err)
			}
			r.pids = append(r.pids, pid)
		}
		r.client = raft.NewClient(h.system, r.pids[0])
	}
	return replicas, nil
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// openHome makes an actor system that is reached over TCP, with a store on
// disk.
func openHome(at endpoint, logger hclog.Logger) (*home, error) {
	disk, err := persist.Open(at.dir, persist.Options{Logger: logger})
	if err != nil {
		return nil, err
	}
	h := &home{system: newSystem(), store: disk, disk: disk}
	h.remote, err = raftremote.Start(h.system, raftremote.Config{
		Listen: at.address, StoreID: disk.ID(), Insecure: true, Logger: logger,
	})
	if err != nil {
		return nil, errors.Join(err, h.leave())
	}
	h.transport = h.remote.Transport()
	return h, nil
}

// leave is called for each resident, and shuts the house behind the last one.
func (h *home) leave() error {
	if h.residents--; h.residents > 0 {
		return nil
	}
	var faults []error
	if h.remote != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		faults = append(faults, h.remote.Stop(ctx))
	}
	if h.disk != nil {
		faults = append(faults, h.disk.Close())
	}
	h.system.Shutdown()
	return errors.Join(faults...)
}

// ourReplica is one member of the first group, and of the idle ones.
type ourReplica struct {
	home    *home
	number  raft.ID
	pids    []*actor.PID // one per group
	client  *raft.Client
	machine *ourMachine
}

// lead has leadership transferred until it is here.
func (r *ourReplica) lead(ctx context.Context) error {
	for ctx.Err() == nil {
		status, err := r.client.Status(ctx, r.pids[0])
		if err == nil && status.Role == raft.Status_LEADER {
			return nil
		}
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err = r.client.TransferLeadership(try, r.number)
		cancel()
		if err != nil {
			pause(ctx, 10*time.Millisecond)
		}
	}
	return fmt.Errorf("replica %d does not lead: %w", r.number, ctx.Err())
}

func (r *ourReplica) propose(ctx context.Context, command []byte) error {
	_, err := r.client.Propose(ctx, command)
	return err
}

func (r *ourReplica) read(ctx context.Context) error {
	_, err := r.client.Query(ctx, nil)
	return err
}

func (r *ourReplica) tally() tally { return r.machine.look() }

func (r *ourReplica) stop() error {
	var faults []error
	if r.client != nil {
		r.client.Close()
	}
	for _, pid := range r.pids {
		faults = append(faults, r.home.system.Root.StopFuture(pid).Wait())
	}
	return errors.Join(append(faults, r.home.leave())...)
}

// ourMachine is the tally as a raft.Machine.
type ourMachine struct{ machine }

// Apply counts.
func (m *ourMachine) Apply(command raft.Command) ([]byte, error) {
	m.apply(command.Data)
	return nil, nil
}

// Query answers nothing.
func (m *ourMachine) Query([]byte) ([]byte, error) { return nil, nil }

// Snapshot captures the tally.
func (m *ourMachine) Snapshot() (raft.View, error) {
	saved, err := m.save()
	return view(saved), err
}

// Restore takes a tally over.
func (m *ourMachine) Restore(state io.Reader) error {
	saved, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	return m.restore(saved)
}

// view is a captured tally.
type view []byte

// WriteTo writes what Restore reads.
func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v)
	return int64(n), err
}

// Release has nothing to release.
func (view) Release() {}

// pause waits a moment, or until the context is done.
func pause(ctx context.Context, moment time.Duration) {
	t := time.NewTimer(moment)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
