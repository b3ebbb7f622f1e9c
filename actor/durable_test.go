package raft_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist"
)

func TestWhatIsAcknowledgedOutlivesAllMembers(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.spawnFounders()
	g.propose(20)
	g.stop(g.leader())
	g.propose(20)
	g.restart()
	g.expect(40)
	g.propose(20)
	g.restart()
	g.expect(60)
}

func TestARestartGoesOnFromTheSnapshot(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.configure = func(c *raft.Config) { c.SnapshotEntries, c.RetainEntries = 20, -1 }
	g.spawnFounders()
	g.propose(50)
	for id := range g.pids {
		g.await(fmt.Sprint("a snapshot of member ", id), func(event any) bool {
			e, ok := event.(*raft.SnapshotSaved)
			return ok && e.Member == id && e.Index >= 40
		})
	}
	g.restart()
	g.expect(50)
	for id := range g.pids {
		g.await(fmt.Sprint("member ", id, " restores its snapshot"), func(event any) bool {
			e, ok := event.(*raft.SnapshotRestored)
			return ok && e.Member == id && e.Index >= 40
		})
		if s := g.status(id); s.FirstIndex != s.SnapshotIndex+1 || s.SnapshotIndex < 40 {
			t.Errorf("the log of member %d begins at %d, behind a snapshot at %d", id, s.FirstIndex, s.SnapshotIndex)
		}
	}
	g.propose(10)
	g.expect(60)
}

// reads is a store that counts how often entries were read from the disk.
type reads struct {
	raft.Store
	count *atomic.Int64
}

func (s reads) Open(group string, id raft.ID) (raft.Storage, error) {
	storage, err := s.Store.Open(group, id)
	return readsStorage{storage, s.count}, err
}

type readsStorage struct {
	raft.Storage
	count *atomic.Int64
}

func (s readsStorage) ReadEntries(lo, hi raft.Index, bytesMax int) ([]raft.Entry, error) {
	entries, err := s.Storage.ReadEntries(lo, hi, bytesMax)
	s.count.Add(int64(len(entries)))
	return entries, err
}

// What a late member lacks, and what machines have not applied after a start, may be on the disk only.
func TestEntriesComeFromTheDiskWhereTheyAreNotInMemory(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	var count atomic.Int64
	g.options.RecentBytesMax = 1
	g.configure = func(c *raft.Config) { c.Store = reads{c.Store, &count} }
	g.spawnFounders()
	late := g.leader()%3 + 1
	g.stop(late)
	g.propose(50, make([]byte, 10000)...)
	count.Store(0)
	g.spawn(late, founders()...)
	g.expect(50)
	if n := count.Load(); n < 40 {
		t.Errorf("%d entries were read from the disk for the member that was late, want nearly 50", n)
	}
	g.stop(1)
	g.stop(2)
	g.stop(3)
	count.Store(0)
	g.spawnFounders()
	g.expect(50)
	if n := count.Load(); n < 3*40 {
		t.Errorf("%d entries were read from the disk to be applied again, want nearly 50 for each member", n)
	}
}

func TestALateMemberGetsASnapshotFromAFileIntoAFile(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.ballast = 3 << 20 // many chunks
	g.configure = func(c *raft.Config) { c.SnapshotEntries, c.RetainEntries = 20, -1 }
	g.spawnFounders()
	g.propose(1)
	late := g.leader()%3 + 1
	g.stop(late)
	g.propose(50)
	g.ballast = 0 // of the machine that is to take the snapshot over
	g.spawn(late, founders()...)
	restored := func(event any) bool {
		e, ok := event.(*raft.SnapshotRestored)
		return ok && e.Member == late
	}
	g.await("the late member restores a snapshot", restored)
	g.expect(51)
	files, err := filepath.Glob(filepath.Join(g.path(late), "snapshots", "*.snap"))
	g.must(err)
	if len(files) == 0 {
		t.Error("the late member has no file with a snapshot")
	}
	g.restart()
	g.expect(51)
}

func TestSeveralGroupsShareAStore(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	const groups = 5
	for life := range 2 {
		store, err := persist.Open(g.dir, g.options)
		g.must(err)
		var pids []*actor.PID
		for group := range groups {
			var members []*actor.PID
			for _, m := range founders() {
				cfg := g.config(m.ID, store, founders()...)
				cfg.Group = fmt.Sprint("group-", group)
				pid, err := raft.Spawn(g.system, cfg, &tally{})
				g.must(err)
				members = append(members, pid)
			}
			pids = append(pids, members...)
			g.client = raft.NewClient(g.system, members...)
			g.propose(5 + group)
			g.pids = map[raft.ID]*actor.PID{1: members[0], 2: members[1], 3: members[2]}
			g.expect(uint64((life + 1) * (5 + group)))
			g.client.Close()
		}
		clear(g.pids)
		if got := len(store.Members()); got != 3*groups {
			t.Errorf("the store has %d members, want %d", got, 3*groups)
		}
		for _, pid := range pids {
			g.must(g.system.Root.StopFuture(pid).Wait())
		}
		g.must(store.Close())
	}
}

// newLonely opens a store in the directory of member 0, and spawns groups of one member each on it.
func newLonely(g *diskGroup, groups []string) (*persist.Store, map[string]*raft.Client) {
	g.Helper()
	store, err := persist.Open(g.path(0), g.options)
	g.must(err)
	clients := map[string]*raft.Client{}
	for _, group := range groups {
		cfg := g.config(1, store, raft.Member{ID: 1})
		cfg.Group = group
		pid, err := raft.Spawn(g.system, cfg, &tally{})
		g.must(err)
		clients[group] = raft.NewClient(g.system, pid)
	}
	return store, clients
}

// stopLonely stops the only member of a group, and returns when its actor has terminated.
func (g *diskGroup) stopLonely(group string, client *raft.Client) {
	g.Helper()
	client.Close()
	g.must(g.system.Root.StopFuture(actor.NewPID(g.system.Address(), raft.Name(group, 1))).Wait())
}

// proposeUntilItFails proposes to a group until its member fails, and returns how many commands were acknowledged.
func (g *diskGroup) proposeUntilItFails(group string, client *raft.Client) (acknowledged uint64) {
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	look := func(event any) {
		if hasFailed(group)(event) {
			cancel()
		}
	}
	defer g.system.EventStream.Unsubscribe(g.system.EventStream.Subscribe(look))
	for _, event := range g.heard.all() {
		look(event)
	}
	for ctx.Err() == nil {
		if _, err := client.Propose(ctx, make([]byte, 4000)); err == nil {
			acknowledged++
		}
	}
	return acknowledged
}

// hasFailed looks for the failure of a group's member since a file was not there.
func hasFailed(group string) func(event any) bool {
	return func(event any) bool {
		e, ok := event.(*raft.Failed)
		return ok && e.Group == group && errors.Is(e.Err, fs.ErrNotExist)
	}
}

// A store that cannot write any more fails all its groups. What was acknowledged is there when it is opened
// again.
func TestAStoreThatFailsFailsAllItsGroups(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.options.SegmentBytes = 64 << 10
	groups := []string{"a", "b", "c"}
	store, clients := newLonely(g, groups)
	acknowledged := map[string]uint64{}
	for group, client := range clients {
		_, err := client.Propose(g.ctx, nil)
		g.must(err)
		acknowledged[group]++
	}
	g.must(os.Rename(g.path(0), g.path(1))) // no file can be made in it
	acknowledged["a"] += g.proposeUntilItFails("a", clients["a"])
	for _, group := range groups { // also those that had nothing to write
		g.await(fmt.Sprintf("group %q has failed", group), hasFailed(group))
		g.stopLonely(group, clients[group]) // what has failed is on its way to stop
	}
	if err := store.Close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closing the store that has failed: %v", err)
	}
	g.must(os.Rename(g.path(1), g.path(0)))
	store, clients = newLonely(g, groups)
	for group, client := range clients {
		result, err := client.Query(g.ctx, nil)
		g.must(err)
		least := acknowledged[group]
		if got := count(result); got < least || got > least+1 {
			t.Errorf("group %q counts %d commands, want %d, or one more", group, got, least)
		}
		g.stopLonely(group, client)
	}
	g.must(store.Close())
}

func TestSpawnRefusesWhatContradictsTheStore(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.configure = func(c *raft.Config) { c.ClusterID = "blue" }
	g.spawnFounders()
	g.propose(5)
	g.stop(2)
	store, err := persist.Open(g.path(2), g.options)
	g.must(err)
	other := g.config(2, store, founders()...)
	other.ClusterID = "green"
	if _, err := raft.Spawn(g.system, other, &tally{}); !errors.Is(err, persist.ErrOtherCluster) {
		t.Errorf("under another cluster: %v", err)
	}
	fewer := g.config(2, store, founders()[:2]...)
	if _, err := raft.Spawn(g.system, fewer, &tally{}); !errors.Is(err, raft.ErrFounding) {
		t.Errorf("with other founders: %v", err)
	}
	g.must(store.Close()) // it is free: nothing has been started
	g.options.ClusterID = "green"
	if _, err := persist.Open(g.path(2), g.options); !errors.Is(err, persist.ErrOtherCluster) {
		t.Errorf("a store of another cluster: %v", err)
	}
	g.options.ClusterID = "blue"
	g.spawn(2) // founders may be left out
	g.expect(5)
}

// A snapshot that is damaged is not handed to a machine, and is called by its name.
func TestADamagedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.spawnFounders()
	g.propose(5)
	_, err := g.client.TakeSnapshot(g.ctx, g.pids[2])
	g.must(err)
	g.stop(2)
	files, err := filepath.Glob(filepath.Join(g.path(2), "snapshots", "*.snap"))
	g.must(err)
	if len(files) != 1 {
		t.Fatalf("%d files with snapshots, want 1", len(files))
	}
	bytes, err := os.ReadFile(files[0])
	g.must(err)
	bytes[len(bytes)*3/4] ^= 1
	g.must(os.WriteFile(files[0], bytes, 0o600))
	g.spawn(2, founders()...)
	failed := func(event any) bool {
		e, ok := event.(*raft.Failed)
		return ok && e.Member == 2
	}
	g.await("member 2 fails", failed)
	said := g.heard.all()
	err = said[slices.IndexFunc(said, failed)].(*raft.Failed).Err
	var damage *persist.DamageError
	if !errors.As(err, &damage) || damage.Dir != g.path(2) || strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v", err)
	}
}
