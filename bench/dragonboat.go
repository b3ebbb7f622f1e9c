package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	dconfig "github.com/lni/dragonboat/v4/config"
	dchan "github.com/lni/dragonboat/v4/plugin/chan"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"
	"github.com/lni/vfs"
)

// dragonboatContenders are dragonboat with each of its log databases.
func dragonboatContenders() []contender {
	disk := []kind{inProcess, inProcesses}
	return []contender{
		// Not tan, which reserves 64 MiB for each file of each shard, here of memory.
		dragonboatContender("mem", []kind{inMemory}, nil,
			"its default log database, on Pebble, on the file system in memory, and the transport of channels, both of its own tests"),
		dragonboatContender("pebble", disk, nil,
			"its default log database, on Pebble; its TCP transport"),
		dragonboatContender("tan", disk, tan.Factory, "its log database tan; its TCP transport"),
	}
}

func dragonboatContender(name string, kinds []kind, logDB dconfig.LogDBFactory, settings string) contender {
	return contender{
		name:  "dragonboat-" + name,
		kinds: kinds,
		settings: "dragonboat v4.0.0-20250723143628-076c7f6497dc, " + settings + ". A regular state machine, sessions without " +
			"deduplication, the default expert settings, a tick of 100 ms, heartbeats each tick and elections after ten as its " +
			"documentation has them, CheckQuorum and PreVote, no automatic snapshots; idle groups quiesce (W5).",
		start: func(p plan) ([]replica, error) { return startDragonboat(p, logDB) },
	}
}

const (
	dragonboatTick    = 100 * time.Millisecond
	dragonboatTimeout = 10 * time.Second // of a request
	dragonboatShard   = 1                // the shard that takes the load
)

func startDragonboat(p plan, logDB dconfig.LogDBFactory) ([]replica, error) {
	dragonboatLogTo(p.log)
	members := make(map[uint64]dragonboat.Target)
	start := dragonboatStarts.Add(1)
	for _, m := range p.members {
		members[m.number] = m.address
		if p.kind == inMemory {
			members[m.number] = fmt.Sprintf("memory-%d-%d", start, m.number)
		}
	}
	var started []replica
	for _, number := range p.here {
		r, err := startDragonboatReplica(p, number, members, logDB)
		if err != nil {
			err = fmt.Errorf("start replica %d of dragonboat: %w", number, err)
			for _, other := range started {
				err = errors.Join(err, other.stop())
			}
			return nil, err
		}
		started = append(started, r)
	}
	return started, nil
}

// dragonboatStarts makes the names unique that channels are found by.
var dragonboatStarts atomic.Uint64

// A dragonboatReplica is one NodeHost of dragonboat, with a replica of each
// shard.
type dragonboatReplica struct {
	machine
	number  uint64
	host    *dragonboat.NodeHost
	session *client.Session
}

func startDragonboatReplica(p plan, number uint64, members map[uint64]dragonboat.Target, logDB dconfig.LogDBFactory,
) (*dragonboatReplica, error) {
	expert := dconfig.GetDefaultExpertConfig()
	expert.LogDBFactory = logDB
	dir := p.members[number-1].dir
	if p.kind == inMemory {
		dir = filepath.Join("/", "replica-"+strconv.FormatUint(number, 10))
		expert.FS = vfs.NewMem()
		expert.TransportFactory = &dragonboatChannels{}
	}
	host, err := dragonboat.NewNodeHost(dconfig.NodeHostConfig{
		NodeHostDir:    dir,
		RaftAddress:    members[number],
		RTTMillisecond: uint64(dragonboatTick.Milliseconds()),
		Expert:         expert,
	})
	if err != nil {
		return nil, err
	}
	r := &dragonboatReplica{number: number, host: host, session: host.GetNoOPSession(dragonboatShard)}
	for shard := uint64(dragonboatShard); shard < dragonboatShard+uint64(p.groups); shard++ {
		newMachine := func(uint64, uint64) statemachine.IStateMachine { return (*dragonboatMachine)(&r.machine) }
		if shard != dragonboatShard {
			newMachine = func(uint64, uint64) statemachine.IStateMachine { return &dragonboatMachine{} }
		}
		if err := host.StartReplica(members, false, newMachine, dragonboatSettings(shard, number, p.groups)); err != nil {
			host.Close()
			return nil, err
		}
	}
	return r, nil
}

func dragonboatSettings(shard, number uint64, groups int) dconfig.Config {
	return dconfig.Config{
		ShardID:      shard,
		ReplicaID:    number,
		CheckQuorum:  true,
		PreVote:      true,
		HeartbeatRTT: 1,
		ElectionRTT:  10,
		Quiesce:      groups > 1,
	}
}

func (r *dragonboatReplica) lead(ctx context.Context) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	fault := errors.New("there is no leader")
	for nextTransfer := time.Now(); ; {
		leader, _, known, err := r.host.GetLeaderID(dragonboatShard)
		switch {
		case err != nil:
			fault = err
		case known && leader == r.number:
			if fault = r.read(ctx); fault == nil {
				return nil
			}
		case known && time.Now().After(nextTransfer):
			fault = fmt.Errorf("replica %d leads", leader)
			nextTransfer = time.Now().Add(5 * dragonboatTick) // an attempt must not disturb the one before
			if err := r.host.RequestLeaderTransfer(dragonboatShard, r.number); err != nil {
				fault = errors.Join(fault, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("replica %d of dragonboat does not lead: %w: %w", r.number, ctx.Err(), fault)
		case <-look.C:
		}
	}
}

// propose does what SyncPropose does, but needs no deadline in ctx. The
// library has copied the command when Propose returns.
func (r *dragonboatReplica) propose(ctx context.Context, command []byte) error {
	request, err := r.host.Propose(r.session, command, dragonboatTimeout)
	if err != nil {
		return err
	}
	if err := dragonboatWait(ctx, request); err != nil {
		return err
	}
	request.Release()
	return nil
}

// read does what SyncRead does, but needs no deadline in ctx.
func (r *dragonboatReplica) read(ctx context.Context) error {
	request, err := r.host.ReadIndex(dragonboatShard, dragonboatTimeout)
	if err != nil {
		return err
	}
	if err := dragonboatWait(ctx, request); err != nil {
		return err
	}
	_, err = r.host.ReadLocalNode(request, nil)
	request.Release()
	return err
}

// dragonboatWait waits for a request to be carried out.
func dragonboatWait(ctx context.Context, request *dragonboat.RequestState) error {
	select {
	case result := <-request.AppliedC():
		switch {
		case result.Completed():
			return nil
		case result.Timeout():
			return dragonboat.ErrTimeout
		case result.Terminated():
			return dragonboat.ErrShardClosed
		case result.Dropped():
			return dragonboat.ErrShardNotReady
		case result.Aborted():
			return dragonboat.ErrAborted
		}
		return dragonboat.ErrRejected
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *dragonboatReplica) tally() tally { return r.look() }

func (r *dragonboatReplica) stop() error {
	r.host.Close()
	return nil
}

// dragonboatChannels is dragonboat's transport of channels, which checks no
// addresses itself.
type dragonboatChannels struct{ dchan.ChanTransportFactory }

func (*dragonboatChannels) Validate(address string) bool { return address != "" }

// dragonboatMachine is a machine as dragonboat wants it.
type dragonboatMachine machine

func (m *dragonboatMachine) Update(entry statemachine.Entry) (statemachine.Result, error) {
	(*machine)(m).apply(entry.Cmd)
	return statemachine.Result{}, nil
}

func (m *dragonboatMachine) Lookup(any) (any, error) { return nil, nil }

func (m *dragonboatMachine) SaveSnapshot(to io.Writer, _ statemachine.ISnapshotFileCollection, _ <-chan struct{}) error {
	saved, err := (*machine)(m).save()
	if err == nil {
		_, err = to.Write(saved)
	}
	return err
}

func (m *dragonboatMachine) RecoverFromSnapshot(from io.Reader, _ []statemachine.SnapshotFile, _ <-chan struct{}) error {
	saved, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return (*machine)(m).restore(saved)
}

func (m *dragonboatMachine) Close() error { return nil }
