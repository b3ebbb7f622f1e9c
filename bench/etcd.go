package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// etcd is the core of etcd, which comes without a driver: this one does as
// the library's documentation and the etcd server do. All that has gathered
// since the last Ready goes into the next one, proposals as one message; the
// leader sends before it saves; applying has a goroutine of its own.
var etcd = contender{
	name:  "etcd-io/raft",
	kinds: []kind{inMemory, inProcess, inProcesses},
	settings: "etcd-io/raft v3.7.0 with a batching driver of this benchmark, after its documentation and the etcd server's: " +
		"RawNode, PreVote, CheckQuorum, ticks of 100 ms, 10 of them to an election, MaxSizePerMsg 1 MiB, MaxInflightMsgs 512; a snapshot " +
		"every 100,000 entries, 5,000 kept behind it; ReadIndex, one for all that wait; W1 MemoryStorage; " +
		"W2 and W3 the etcd server's WAL and snapshots (v3.7.3), and length-prefixed protobuf messages over TCP",
	start: startEtcd,
}

// As the etcd server has them.
const (
	etcdTick          = 100 * time.Millisecond
	etcdElectionTicks = 10
	etcdSizePerMsg    = 1 << 20
	etcdInflightMsgs  = 512
	etcdSnapshotEvery = 100_000
	etcdCatchUp       = 5_000
	etcdWALFilesMax   = 5
)

func startEtcd(p plan) ([]replica, error) {
	if p.groups > 1 && p.kind != inMemory {
		return nil, errNoGroups
	}
	var first []replica
	var others []*etcdNode
	for g := range p.groups {
		nodes, err := startEtcdGroup(p)
		if err != nil {
			for _, n := range others {
				err = errors.Join(err, n.stop())
			}
			return nil, err
		}
		for _, n := range nodes {
			if g == 0 {
				first = append(first, n)
			} else {
				others = append(others, n)
			}
		}
	}
	if len(others) > 0 {
		first[0].(*etcdNode).idle = others
	}
	return first, nil
}

func startEtcdGroup(p plan) ([]*etcdNode, error) {
	var nodes []*etcdNode
	inMemory := etcdMemory{}
	for _, number := range p.here {
		n, err := newEtcdNode(p, number)
		if err == nil {
			nodes = append(nodes, n)
			if n.disk == nil {
				inMemory[number], n.transport = n, inMemory
			} else {
				n.transport, err = newEtcdTCP(n, p.members)
			}
		}
		if err != nil {
			for _, n := range nodes {
				err = errors.Join(err, n.stop())
			}
			return nil, err
		}
	}
	for _, n := range nodes {
		n.running.Go(n.run)
		n.running.Go(n.applyAll)
	}
	return nodes, nil
}

// An etcdTransport takes messages without waiting, and may lose them.
type etcdTransport interface {
	send(messages []*raftpb.Message)
	close()
}

// An etcdNode is one replica: a RawNode, and the goroutine that owns it.
type etcdNode struct {
	machine
	number    uint64
	transport etcdTransport
	storage   *raft.MemoryStorage
	disk      storage.Storage // nil in memory
	idle      []*etcdNode     // those of other groups, which this one stops with itself

	wake            chan struct{} // has a token after something came into one of the next three
	commands, reads *intake
	inbox           etcdInbox
	wanted          atomic.Bool // somebody wants this node to lead
	leading         atomic.Bool

	stopping chan struct{}
	running  sync.WaitGroup
	toApply  chan etcdApply

	// All below belong to run.
	raw          *raft.RawNode
	next         uint64 // the id of the next proposal
	spareCommand []*request
	spareReads   []*request
	reading      *etcdRead // the round under way
	readDue      *etcdRead // a round whose index has not been handed to the applier
	handed       uint64    // the index up to which entries were
	pending      etcdPending
}

// An etcdRead is some reads that one round serves.
type etcdRead struct {
	id       uint64
	index    uint64
	requests []*request
}

// An etcdApply is work for the applier, in this order.
type etcdApply struct {
	snapshot *raftpb.Snapshot
	entries  []*raftpb.Entry
	reads    []*request
}

// newEtcdNode makes a node whose group begins with a snapshot that has nothing
// in it but the members.
func newEtcdNode(p plan, number uint64) (*etcdNode, error) {
	n := &etcdNode{
		number: number, storage: raft.NewMemoryStorage(), wake: make(chan struct{}, 1), commands: newIntake(), reads: newIntake(),
		stopping: make(chan struct{}), toApply: make(chan etcdApply, 1024), next: 1,
	}
	n.commands.wake, n.reads.wake, n.inbox.wake = n.wake, n.wake, n.wake
	voters := &raftpb.ConfState{}
	for _, m := range p.members {
		voters.Voters = append(voters.Voters, m.number)
	}
	founding := &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: voters, Index: proto.Uint64(1), Term: proto.Uint64(1),
	}}
	err := n.storage.ApplySnapshot(founding)
	if err == nil && p.kind != inMemory {
		err = n.openDisk(p.members[number-1].dir, founding)
	}
	if err != nil {
		return nil, err
	}
	n.handed = 1
	n.raw, err = raft.NewRawNode(&raft.Config{
		ID: number, ElectionTick: etcdElectionTicks, HeartbeatTick: 1, Storage: n.storage, Applied: 1,
		MaxSizePerMsg: etcdSizePerMsg, MaxInflightMsgs: etcdInflightMsgs, CheckQuorum: true, PreVote: true,
		DisableProposalForwarding: true, Logger: &raft.DefaultLogger{Logger: log.New(p.log, "etcd ", log.Lmicroseconds)},
	})
	return n, err
}

// openDisk makes a write-ahead log and a place for snapshots.
func (n *etcdNode) openDisk(dir string, founding *raftpb.Snapshot) error {
	logs, snapshots := filepath.Join(dir, "wal"), filepath.Join(dir, "snap")
	if err := os.Mkdir(snapshots, 0o700); err != nil {
		return err
	}
	w, err := wal.Create(zap.NewNop(), logs, nil)
	if err != nil {
		return err
	}
	n.disk = storage.NewStorage(zap.NewNop(), w, snap.New(zap.NewNop(), snapshots))
	if err := n.disk.SaveSnap(founding); err != nil {
		return errors.Join(err, n.disk.Close())
	}
	// As the server does, but sooner: the disk of a benchmark is small.
	n.running.Go(func() {
		done, _ := fileutil.PurgeFileWithDoneNotify(zap.NewNop(), logs, "wal", etcdWALFilesMax, time.Second, n.stopping)
		<-done
	})
	return nil
}

// lead campaigns, or has leadership transferred, until it is here.
func (n *etcdNode) lead(ctx context.Context) error {
	for !n.leading.Load() {
		if ctx.Err() != nil {
			return fmt.Errorf("replica %d does not lead: %w", n.number, ctx.Err())
		}
		n.wanted.Store(true)
		n.commands.rouse()
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

func (n *etcdNode) propose(ctx context.Context, command []byte) error {
	return n.commands.put(ctx, command)
}

func (n *etcdNode) read(ctx context.Context) error { return n.reads.put(ctx, nil) }
func (n *etcdNode) tally() tally                   { return n.look() }

func (n *etcdNode) stop() error {
	close(n.stopping)
	n.commands.close()
	n.reads.close()
	if n.transport != nil {
		n.transport.close()
	}
	n.running.Wait()
	var faults []error
	if n.disk != nil {
		faults = append(faults, n.disk.Close())
	}
	for _, other := range n.idle {
		faults = append(faults, other.stop())
	}
	return errors.Join(faults...)
}
