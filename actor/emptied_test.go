package raft_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/node"
	"example.com/raftactor/persist"
)

// diskGroup is a group whose members have a directory each.
type diskGroup struct {
	*testing.T
	ctx       context.Context
	dir       string
	system    *actor.ActorSystem
	transport *grants
	stores    map[raft.ID]*persist.Store
	pids      map[raft.ID]*actor.PID
	client    *raft.Client
	// known is closed once member 1 knows that all incarnations are committed.
	known chan struct{}
}

func newDiskGroup(t *testing.T) *diskGroup {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	g := &diskGroup{
		T: t, ctx: ctx, dir: t.TempDir(),
		system: actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		})),
		transport: &grants{MemoryTransport: raft.NewMemoryTransport(), given: make(chan struct{}, 1000)},
		stores:    map[raft.ID]*persist.Store{}, pids: map[raft.ID]*actor.PID{}, known: make(chan struct{}),
	}
	knows := sync.OnceFunc(func() { close(g.known) })
	g.system.EventStream.Subscribe(func(event any) {
		e, ok := event.(*raft.MembershipChanged)
		if ok && e.Member == 1 && e.Committed && !slices.ContainsFunc(e.Configuration.Members, isUnknown) {
			knows()
		}
	})
	var members []*actor.PID
	for id := raft.ID(1); id <= 3; id++ {
		g.spawn(id, raft.Member{ID: 1}, raft.Member{ID: 2}, raft.Member{ID: 3})
		members = append(members, g.pids[id])
	}
	g.client = raft.NewClient(g.system, members...)
	t.Cleanup(func() {
		g.client.Close()
		for id := range g.pids {
			g.stop(id)
		}
	})
	return g
}

// isUnknown tells whether a group has not agreed on a member's incarnation.
func isUnknown(m node.Member) bool { return m.Incarnation == 0 }

func (g *diskGroup) path(id raft.ID) string { return filepath.Join(g.dir, fmt.Sprint(id)) }

func (g *diskGroup) spawn(id raft.ID, founders ...raft.Member) {
	g.Helper()
	store, err := persist.Open(g.path(id), persist.Options{Logger: hclog.NewNullLogger(), SegmentBytes: 1 << 20})
	g.must(err)
	pid, err := raft.Spawn(g.system, raft.Config{
		Group: "g", ID: id, Members: founders, Store: store, Transport: g.transport, Logger: hclog.NewNullLogger(),
		TickInterval: 10 * time.Millisecond, HeartbeatInterval: 20 * time.Millisecond,
		ElectionTimeout: 200 * time.Millisecond,
	}, &tally{})
	g.must(err)
	g.stores[id], g.pids[id] = store, pid
}

func (g *diskGroup) stop(id raft.ID) {
	g.Helper()
	g.must(g.system.Root.StopFuture(g.pids[id]).Wait())
	g.must(g.stores[id].Close())
	delete(g.pids, id)
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

// propose has so many commands acknowledged.
func (g *diskGroup) propose(count int) {
	g.Helper()
	for range count {
		_, err := g.client.Propose(g.ctx, nil)
		g.must(err)
	}
}

// promote makes a learner a voter, as soon as the leader finds that it has caught up.
func (g *diskGroup) promote(id raft.ID) {
	g.Helper()
	err := raft.ErrRefused
	for errors.Is(err, raft.ErrRefused) {
		err = g.client.Promote(g.ctx, id)
	}
	g.must(err)
}

// awaitGrants waits until member 3 has promised its vote to member 1 so often.
func (g *diskGroup) awaitGrants(count int) {
	g.Helper()
	for range count {
		select {
		case <-g.transport.given:
		case <-g.ctx.Done():
			g.Fatal("member 3 is not asked for its vote")
		}
	}
}

// grants is a transport that tells of the votes which member 3 promises to member 1.
type grants struct {
	*raft.MemoryTransport
	given chan struct{}
}

func (t *grants) Join(group string, id raft.ID, inbox raft.Inbox) (raft.Link, error) {
	link, err := t.MemoryTransport.Join(group, id, inbox)
	if id == 3 && err == nil {
		link = grantsLink{link, t}
	}
	return link, err
}

type grantsLink struct {
	raft.Link
	transport *grants
}

func (l grantsLink) Send(to raft.ID, address string, envelope *raft.PeerEnvelope) {
	given := 0
	for _, m := range envelope.Messages {
		switch m := m.(type) {
		case *node.PreVoteReply:
			if to == 1 && m.Granted {
				given++
			}
		case *node.RequestVoteReply:
			if to == 1 && m.Granted {
				given++
			}
		}
	}
	l.Link.Send(to, address, envelope)
	for range given {
		select {
		case l.transport.given <- struct{}{}:
		default: // nobody counts that far
		}
	}
}

// A member whose directory was emptied is another one to the group: its votes do not count, and it comes back as a
// learner, which is promoted. Nothing that was acknowledged is lost on the way.
func TestAMemberWhoseDirectoryWasEmptiedComesBack(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	g.propose(20)
	select {
	case <-g.known:
	case <-g.ctx.Done():
		t.Fatal("the group does not agree on its incarnations")
	}
	before := g.status(3).Incarnation

	// 1 and 3 would be a majority, and could lead without what 2 knows, if 3 were taken for the one that it was.
	g.stop(2)
	g.stop(3)
	g.must(os.RemoveAll(g.path(3)))
	for len(g.transport.given) > 0 {
		<-g.transport.given // by its earlier life
	}
	g.spawn(3)
	g.awaitGrants(1)
	term := g.status(1).Term
	g.awaitGrants(5)
	if s := g.status(1); s.Role == raft.Status_LEADER || s.Term != term {
		t.Fatalf("member 1 is %v in term %d, though nobody could give it a vote since term %d", s.Role, s.Term, term)
	}

	// With 2 there is a majority that knows all.
	g.spawn(2)
	g.propose(20)
	g.must(g.client.RemoveMember(g.ctx, 3))
	now := g.status(3).Incarnation
	if now == before {
		t.Error("member 3 is of the same incarnation as before")
	}
	g.must(g.client.AddIncarnation(g.ctx, 3, "", now))
	g.promote(3)

	// Now 1 and 3 are a majority, and do know all.
	g.stop(2)
	g.propose(20)
	through := raft.NewClient(g.system, g.pids[3])
	defer through.Close()
	result, err := through.Query(g.ctx, nil)
	g.must(err)
	if got := binary.BigEndian.Uint64(result.Data); got != 60 {
		t.Errorf("member 3 counts %d commands, want 60", got)
	}
	if got := len(g.status(3).Members); got != 3 {
		t.Errorf("member 3 knows %d members, want 3", got)
	}
}

// tally counts commands.
type tally struct{ count uint64 }

func (c *tally) Apply(raft.Command) ([]byte, error) { c.count++; return nil, nil }
func (c *tally) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.count), nil
}
func (c *tally) Snapshot() (raft.View, error) { return tally{c.count}, nil }
func (c *tally) Restore(r io.Reader) error    { return binary.Read(r, binary.BigEndian, &c.count) }

func (c tally) WriteTo(w io.Writer) (int64, error) {
	return 8, binary.Write(w, binary.BigEndian, c.count)
}
func (c tally) Release() {}
