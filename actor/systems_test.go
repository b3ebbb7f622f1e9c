package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/timer"
)

func TestSeveralGroupsInOneActorSystem(t *testing.T) {
	system, store, transport, source := quietSystem(), NewMemoryStore(), NewMemoryTransport(), timer.NewReal()
	defer source.Stop()
	const groups = 3
	var pids []*actor.PID
	clients := make([]*Client, groups)
	for g := range groups {
		var members []*actor.PID
		for id := ID(1); id <= 3; id++ {
			pid, err := Spawn(system, Config{
				Group: fmt.Sprint("group-", g), ID: id, Members: []Member{{ID: 1}, {ID: 2}, {ID: 3}},
				Store: store, Transport: transport, Timer: source, Logger: hclog.NewNullLogger(),
				TickInterval: 10 * time.Millisecond, HeartbeatInterval: 20 * time.Millisecond,
				ElectionTimeout: 200 * time.Millisecond,
			}, &counter{})
			if err != nil {
				t.Fatal(err)
			}
			members = append(members, pid)
		}
		clients[g] = NewClient(system, members...)
		defer clients[g].Close()
		pids = append(pids, members...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for g, client := range clients {
		for range 10 * (g + 1) {
			if _, err := client.Propose(ctx, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for g, client := range clients {
		got, err := client.Query(ctx, nil)
		if err != nil || number(got.Data) != uint64(10*(g+1)) {
			t.Errorf("group %d counts %v (%v), want %d", g, got, err, 10*(g+1))
		}
	}
	stopAll(t, system, pids)
}

func TestSeveralActorSystemsInOneProcess(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	systems := map[ID]*actor.ActorSystem{}
	for id := ID(1); id <= 3; id++ {
		f.system = quietSystem()
		systems[id] = f.system
		f.spawn(id, &journal{})
	}
	on := func(id ID) *fixture { f.system = systems[id]; return f }
	leader := ID(0)
	f.until("a leader", func() bool {
		for id := range systems {
			if on(id).status(id).Role == Status_LEADER {
				leader = id
			}
		}
		return leader != 0
	})
	in := on(leader).propose(leader, "a")
	f.until("it is applied", func() bool { return len(in.all()) > 0 })
	f.pass(3)
	f.agree(1, 2, 3)
	follower := leader%3 + 1
	forwarded := on(follower).propose(follower, "b")
	f.settle()
	if got := only[*Proposed](f, forwarded); number(got.Result) != 2 {
		t.Errorf("got %v through a follower", got)
	}
}

func TestSpawnTwiceIsAnError(t *testing.T) {
	f, leader := newGroup(t)
	_, err := Spawn(f.system, f.config(leader), &journal{})
	if !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	// With another store it is the name that is taken, and the other store is given back.
	c := f.config(leader)
	c.Store = newTestStore(99)
	if _, err := Spawn(f.system, c, &journal{}); !errors.Is(err, actor.ErrNameExists) || !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrNameExists and ErrInUse", err)
	}
	if c.Store.(*testStore).storage.open {
		t.Error("the store is still open")
	}
	f.apply(leader, "the first goes on")
}

func TestAMemberUnderAnotherNameFails(t *testing.T) {
	f := newFixture(t, 1)
	props, err := Props(f.config(1), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := f.system.Root.SpawnNamed(props, "raft/g/2")
	if err != nil {
		t.Fatal(err)
	}
	f.settle()
	if err := f.failure(1, "raft/g/2"); !strings.Contains(err.Error(), Name("g", 1)) {
		t.Errorf("got %v, want the name that it should have", err)
	}
	if _, there := f.system.ProcessRegistry.GetLocal(pid.Id); there {
		t.Error("it has not stopped")
	}
	if f.store(1).storage != nil {
		t.Error("its store was opened")
	}
}

func TestPropsUnderTheRightName(t *testing.T) {
	f := newFixture(t, 1)
	props, err := Props(f.config(1), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	if f.pids[1], err = f.system.Root.SpawnNamed(props, Name("g", 1)); err != nil {
		t.Fatal(err)
	}
	f.machines[1] = &journal{}
	f.elect()
	f.apply(1, "a")

	// Used again, they make an actor that stops at once: two must not share a machine.
	again, err := f.system.Root.SpawnNamed(props, "again")
	if err != nil {
		t.Fatal(err)
	}
	in := newInbox(f.system)
	f.system.Root.RequestWithCustomSender(again, &Propose{}, in.pid)
	f.settle()
	if _, there := f.system.ProcessRegistry.GetLocal("again"); there {
		t.Error("the second has not stopped")
	}
	if len(in.all()) != 1 {
		t.Errorf("got %v, want one answer", in.all())
	}
	f.apply(1, "b")
}

func TestAStoreThatIsInUseFailsTheMember(t *testing.T) {
	f, leader := newGroup(t)
	c := f.config(leader)
	props, err := Props(c, &journal{})
	if err != nil {
		t.Fatal(err)
	}
	other := quietSystem()
	failed := make(chan error, 1)
	other.EventStream.Subscribe(func(event any) {
		if event, ok := event.(*Failed); ok {
			failed <- event.Err
		}
	})
	if _, err := other.Root.SpawnNamed(props, Name("g", leader)); err != nil {
		t.Fatal(err)
	}
	f.settle()
	if err := <-failed; !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	f.apply(leader, "the first goes on")
}

func TestATransportThatCannotBeJoinedFailsTheMember(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.Transport = brokenTransport{} }
	pid, err := Spawn(f.system, f.config(1), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	f.pids[1] = pid
	in := f.propose(1, "x")
	f.settle()
	f.failure(1, errTest.Error())
	if len(in.all()) != 1 {
		t.Errorf("got %v, want one answer", in.all())
	}
	if f.store(1).storage.open {
		t.Error("the store is still open")
	}
}

type brokenTransport struct{}

func (brokenTransport) Join(string, ID, Inbox) (Link, error) { return nil, errTest }

func TestTheMemoryTransport(t *testing.T) {
	transport := NewMemoryTransport()
	join := func(group string, id ID) (*countingInbox, Link) {
		inbox := new(countingInbox)
		link, err := transport.Join(group, id, inbox)
		if err != nil {
			t.Fatal(err)
		}
		return inbox, link
	}
	in, a := join("g", 1)
	if _, err := transport.Join("g", 1, in); err == nil {
		t.Error("a member has joined twice")
	}
	otherIn, other := join("other", 1)
	a.Send(1, "", &PeerEnvelope{})
	other.Send(2, "", &PeerEnvelope{}) // who is not there
	if in.delivered != 1 || len(in.unreachable) != 0 || otherIn.delivered != 0 {
		t.Errorf("got %+v and %+v", in, otherIn)
	}
	if !slices.Equal(otherIn.unreachable, []ID{2}) {
		t.Errorf("unreachable are %v, want 2", otherIn.unreachable)
	}
	a.Leave()
	a.Leave()
	a.Send(1, "", &PeerEnvelope{})
	a.Send(2, "", &PeerEnvelope{})
	if in.delivered != 1 || len(in.unreachable) != 0 {
		t.Error("something arrived after Leave")
	}
	join("g", 1)
}

type countingInbox struct {
	delivered   int
	unreachable []ID
}

func (i *countingInbox) NewForward([]byte, func([]byte)) (Forward, error) { return nil, nil }

func (i *countingInbox) Deliver(*PeerEnvelope) { i.delivered++ }
func (i *countingInbox) Unreachable(id ID)     { i.unreachable = append(i.unreachable, id) }

func TestTheMemoryStore(t *testing.T) {
	store := NewMemoryStore()
	a, err := store.Open("g", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open("g", 1); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
	b, err := store.Open("g", 2)
	if err != nil {
		t.Fatal(err)
	}
	if a.Log().Incarnation() == b.Log().Incarnation() || a.Log().Incarnation() == 0 {
		t.Error("two members have one life")
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open("g", 1)
	if err != nil || again.Log().Incarnation() != a.Log().Incarnation() {
		t.Errorf("got %v, want the same life again", err)
	}
	if _, err := again.OpenSnapshot(SnapshotMeta{Index: 3}); err == nil {
		t.Error("a snapshot was opened that is not there")
	}
	if _, err := again.ReadEntries(1, 2, 3); err == nil {
		t.Error("there is nothing to read that is not in memory")
	}
}

func stopAll(t *testing.T, system *actor.ActorSystem, pids []*actor.PID) {
	t.Helper()
	for _, pid := range pids {
		if err := system.Root.StopFuture(pid).Wait(); err != nil {
			t.Errorf("stopping %v: %v", pid, err)
		}
	}
}

// A spawn that fails does not use the Props up.
func TestPropsAfterASpawnThatFailed(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	machine := &journal{}
	props, err := Props(f.config(1), machine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.system.Root.SpawnNamed(props, Name("g", 1)); !errors.Is(err, actor.ErrNameExists) {
		t.Fatalf("got %v, want %v", err, actor.ErrNameExists)
	}
	f.stop(1)
	if f.pids[1], err = f.system.Root.SpawnNamed(props, Name("g", 1)); err != nil {
		t.Fatal(err)
	}
	f.machines[1] = machine
	f.settle()
	f.elect()
	f.apply(1, "a")
}
