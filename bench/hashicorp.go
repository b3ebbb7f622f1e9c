package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
)

// hashicorpContenders are hashicorp/raft with each of its stores, and with as
// many entries per append as its authors set, and as many as it allows.
func hashicorpContenders() []contender {
	var all []contender
	for _, store := range []hashicorpStore{hashicorpInmem, hashicorpWAL, hashicorpBolt} {
		for _, entriesMax := range []int{64, 1024} {
			all = append(all, hashicorpContender(store, entriesMax))
		}
	}
	return all
}

func hashicorpContender(store hashicorpStore, entriesMax int) contender {
	return contender{
		name:  fmt.Sprintf("hashicorp-%s-%d", store.name, entriesMax),
		kinds: store.kinds,
		settings: fmt.Sprintf("hashicorp/raft v1.8.0, %s. BatchApplyCh and a batching FSM as Vault has them, NoLegacyTelemetry, "+
			"timeouts as in DefaultConfig, which is what Consul and Vault advise for production, MaxAppendEntries %d%s. "+
			"A read is VerifyLeader. No groups.", store.settings, entriesMax, entriesMaxReason(entriesMax)),
		start: func(p plan) ([]replica, error) { return startHashicorp(p, store, entriesMax) },
	}
}

func entriesMaxReason(entriesMax int) string {
	if entriesMax == hraft.DefaultConfig().MaxAppendEntries {
		return " (the default, and Vault's)"
	}
	return " (the most that it allows)"
}

// hashicorpLeader is the number of the replica that is to lead. The others
// hand over to it, since a follower of hashicorp/raft cannot ask to lead.
const hashicorpLeader = 1

// hashicorpRoundTrip is how long hashicorp/raft waits for a reply. Consul and
// Vault both set it so.
const hashicorpRoundTrip = 10 * time.Second

// hashicorpPause is between two looks at who leads.
const hashicorpPause = 10 * time.Millisecond

func startHashicorp(p plan, store hashicorpStore, entriesMax int) ([]replica, error) {
	if p.groups > 1 {
		return nil, errNoGroups
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "hashicorp", Level: hclog.Info, Output: p.log})
	network, err := newHashicorpNetwork(p, logger)
	if err != nil {
		return nil, err
	}
	var started []replica
	for _, number := range p.here {
		r, err := startHashicorpReplica(p, number, store, entriesMax, network[number], logger)
		if err != nil {
			err = fmt.Errorf("start replica %d of hashicorp/raft: %w", number, err)
			for _, other := range started {
				err = errors.Join(err, other.stop())
			}
			for _, rest := range p.here[len(started):] {
				err = errors.Join(err, closeHashicorp(network[rest]))
			}
			return nil, err
		}
		started = append(started, r)
	}
	return started, nil
}

// A hashicorpReplica is one server of hashicorp/raft.
type hashicorpReplica struct {
	machine
	number  uint64
	raft    *hraft.Raft
	store   hashicorpLog
	leads   chan bool      // the library tells here whether this server leads
	watched sync.WaitGroup // the goroutine of watch

	readyMu   sync.Mutex    // held for the barrier of readyTerm
	readyTerm atomic.Uint64 // the newest term in which all that was acknowledged before is applied here
}

func startHashicorpReplica(p plan, number uint64, store hashicorpStore, entriesMax int, transport hraft.Transport,
	logger hclog.Logger,
) (*hashicorpReplica, error) {
	log, err := store.open(p.members[number-1].dir, hashicorpCacheEntries(entriesMax), logger)
	if err != nil {
		return nil, err
	}
	r := &hashicorpReplica{number: number, store: log, leads: make(chan bool, 16)}
	config := hraft.DefaultConfig()
	config.LocalID = hashicorpID(number)
	config.MaxAppendEntries = entriesMax
	config.BatchApplyCh = true
	config.NoLegacyTelemetry = true
	config.NotifyCh = r.leads
	config.Logger = logger.With("replica", number)
	if number == hashicorpLeader {
		err = hraft.BootstrapCluster(config, log.entries, log.stable, log.snapshots, transport, hashicorpServers(p))
	}
	if err == nil {
		r.raft, err = hraft.NewRaft(config, (*hashicorpMachine)(&r.machine), log.entries, log.stable, log.snapshots, transport)
	}
	if err != nil {
		return nil, errors.Join(err, log.close())
	}
	r.watched.Go(func() { r.watch(hashicorpAddress(p, hashicorpLeader), config.Logger) })
	return r, nil
}

// hashicorpServers are all replicas of the group. Only the one that is to lead
// is told; the others learn of it, and do not campaign before.
func hashicorpServers(p plan) hraft.Configuration {
	var servers hraft.Configuration
	for _, m := range p.members {
		servers.Servers = append(servers.Servers, hraft.Server{ID: hashicorpID(m.number), Address: hashicorpAddress(p, m.number)})
	}
	return servers
}

func hashicorpID(number uint64) hraft.ServerID {
	return hraft.ServerID(strconv.FormatUint(number, 10))
}

func hashicorpAddress(p plan, number uint64) hraft.ServerAddress {
	if p.kind == inMemory {
		return hraft.ServerAddress("memory-" + hashicorpID(number))
	}
	return hraft.ServerAddress(p.members[number-1].address)
}

// watch hands leadership over if the wrong replica has got it. It ends when
// leads is closed.
func (r *hashicorpReplica) watch(leader hraft.ServerAddress, logger hclog.Logger) {
	for range r.leads {
		for r.number != hashicorpLeader && r.raft.State() == hraft.Leader {
			err := r.raft.LeadershipTransferToServer(hashicorpID(hashicorpLeader), leader).Error()
			if err == nil {
				break
			}
			logger.Warn("leadership not handed over", "error", err)
			time.Sleep(hashicorpPause)
		}
	}
}

func (r *hashicorpReplica) lead(ctx context.Context) error {
	if r.number != hashicorpLeader {
		return fmt.Errorf("replica %d of hashicorp/raft was asked to lead: only replica %d can be", r.number, hashicorpLeader)
	}
	look := time.NewTicker(hashicorpPause)
	defer look.Stop()
	for {
		if r.raft.State() == hraft.Leader && r.ready() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("replica %d of hashicorp/raft does not lead, it is %v: %w", r.number, r.raft.State(), ctx.Err())
		case <-look.C:
		}
	}
}

// propose waits for as long as the library does: it answers all that is under
// way when its server stops leading or stops.
func (r *hashicorpReplica) propose(ctx context.Context, command []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The library keeps the command for as long as the entry is in its store.
	return r.raft.Apply(bytes.Clone(command), 0).Error()
}

// read is linearizable: this server led after the read began, and what was
// acknowledged before is applied here, by this leader before it answered, or
// before ready returned.
func (r *hashicorpReplica) read(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.raft.VerifyLeader().Error(); err != nil {
		return err
	}
	return r.ready()
}

// ready waits, once in a term of this leader, until what earlier leaders have
// acknowledged is applied.
func (r *hashicorpReplica) ready() error {
	if r.readyTerm.Load() == r.raft.CurrentTerm() {
		return nil
	}
	r.readyMu.Lock()
	defer r.readyMu.Unlock()
	term := r.raft.CurrentTerm()
	if r.readyTerm.Load() == term {
		return nil
	}
	if err := r.raft.Barrier(hashicorpRoundTrip).Error(); err != nil {
		return err
	}
	if r.raft.CurrentTerm() != term {
		return errors.New("the term changed during the barrier of hashicorp/raft")
	}
	r.readyTerm.Store(term)
	return nil
}

func (r *hashicorpReplica) tally() tally { return r.look() }

// stop closes the transport, too.
func (r *hashicorpReplica) stop() error {
	err := r.raft.Shutdown().Error()
	close(r.leads)
	r.watched.Wait()
	return errors.Join(err, r.store.close())
}

// hashicorpMachine is a machine as hashicorp/raft wants it.
type hashicorpMachine machine

func (m *hashicorpMachine) Apply(entry *hraft.Log) any {
	(*machine)(m).apply(entry.Data)
	return nil
}

func (m *hashicorpMachine) ApplyBatch(entries []*hraft.Log) []any {
	for _, e := range entries {
		if e.Type == hraft.LogCommand {
			(*machine)(m).apply(e.Data)
		}
	}
	return make([]any, len(entries))
}

func (m *hashicorpMachine) Snapshot() (hraft.FSMSnapshot, error) {
	saved, err := (*machine)(m).save()
	return hashicorpSnapshot(saved), err
}

func (m *hashicorpMachine) Restore(from io.ReadCloser) error {
	saved, err := io.ReadAll(from)
	if err = errors.Join(err, from.Close()); err != nil {
		return err
	}
	return (*machine)(m).restore(saved)
}

// A hashicorpSnapshot is a saved tally.
type hashicorpSnapshot []byte

func (s hashicorpSnapshot) Persist(sink hraft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s hashicorpSnapshot) Release() {}
