package raft

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
	"example.com/raftactor/timer"
)

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// A fixture is a group of real raft actors with their appliers, all run by the test's goroutine: a
// scheduler has their turns, a manual clock their time, and a network their messages.
type fixture struct {
	testing.TB
	seed      uint64
	system    *actor.ActorSystem
	scheduler *mailbox.Scheduler
	clock     *timer.Manual
	network   *network
	stores    map[ID]*testStore
	machines  map[ID]*journal
	pids      map[ID]*actor.PID
	starts    uint64
	// homes are the actor systems of members that live in one of their own, and remoting is between them, or nil.
	homes    map[ID]*actor.ActorSystem
	remoting *remoting

	// founders are the members that the group starts with; configure changes every member's Config.
	founders  []Member
	configure func(*Config)
	// held are names of actors that get no turn.
	held map[string]bool
	// trace has a line for every turn, if keepTrace is set.
	keepTrace bool
	trace     []string
	// events were published.
	events []any
}

// step is the tick interval.
const step = tickIntervalDefault

func newFixture(tb testing.TB, members ...ID) *fixture {
	return newFixtureIn(tb, quietSystem(), members...)
}

func newFixtureIn(tb testing.TB, system *actor.ActorSystem, members ...ID) *fixture {
	f := &fixture{
		TB: tb, seed: 1, system: system, scheduler: new(mailbox.Scheduler), clock: timer.NewManual(),
		network: newNetwork(), stores: map[ID]*testStore{}, machines: map[ID]*journal{},
		pids: map[ID]*actor.PID{}, held: map[string]bool{}, configure: func(*Config) {},
	}
	for _, id := range members {
		f.founders = append(f.founders, Member{ID: id, Address: fmt.Sprintf("host-%d", id)})
	}
	f.system.EventStream.Subscribe(func(event any) {
		switch event.(type) {
		case *LeaderChanged, *MembershipChanged, *SnapshotSaved, *SnapshotRestored, *Failed, *Disowned, *Removed, *DiskStalled, *DiskRecovered:
			f.events = append(f.events, event)
		}
	})
	f.scheduler.Trace = func(self *actor.PID, message any) {
		if f.keepTrace {
			f.trace = append(f.trace, self.Id+": "+describe(message))
		}
	}
	return f
}

// newGroup is a fixture with three members, the first of which that is elected leads.
func newGroup(tb testing.TB) (f *fixture, leader ID) {
	f = newFixture(tb, 1, 2, 3)
	f.spawnFounders()
	return f, f.elect()
}

func (f *fixture) config(id ID) Config {
	f.starts++
	cfg := Config{
		Group: "g", ID: id, Members: f.founders, Store: f.store(id), Transport: f.network, Timer: f.clock,
		Logger: hclog.NewNullLogger(), SnapshotEntries: node.Unlimited,
		seed: f.seed<<16 + f.starts, scheduler: f.scheduler,
	}
	f.configure(&cfg)
	return cfg
}

func (f *fixture) store(id ID) *testStore {
	if f.stores[id] == nil {
		f.stores[id] = newTestStore(node.Incarnation(1000 + id))
	}
	return f.stores[id]
}

// spawn starts a member on its store, with an empty machine unless it has been given one.
func (f *fixture) spawn(id ID, machine *journal) {
	f.Helper()
	pid, err := Spawn(f.home(id), f.config(id), machine)
	if err != nil {
		f.Fatal(err)
	}
	f.pids[id], f.machines[id] = pid, machine
	f.settle()
}

func (f *fixture) spawnFounders() {
	f.Helper()
	for _, m := range f.founders {
		f.spawn(m.ID, &journal{})
	}
}

// spawnJoiner starts a member that waits to be added.
func (f *fixture) spawnJoiner(id ID, machine *journal) {
	f.Helper()
	founders := f.founders
	f.founders = nil
	f.spawn(id, machine)
	f.founders = founders
}

// stop stops a member, and waits until it is gone.
func (f *fixture) stop(id ID) {
	f.Helper()
	f.home(id).Root.Stop(f.pids[id])
	f.settle()
	f.expectGone(id)
}

func (f *fixture) expectGone(id ID) {
	f.Helper()
	if f.isThere(id) {
		f.Fatalf("member %d has not stopped", id)
	}
}

// home is the actor system that a member lives in.
func (f *fixture) home(id ID) *actor.ActorSystem {
	if home := f.homes[id]; home != nil {
		return home
	}
	return f.system
}

func (f *fixture) isThere(id ID) bool {
	_, there := f.home(id).ProcessRegistry.GetLocal(Name("g", id))
	return there
}

// run runs turns until nobody has one, but for those that are held.
func (f *fixture) run() (turns int) {
	f.Helper()
	for ; ; turns++ {
		k := slices.IndexFunc(f.scheduler.Runnable(), func(pid *actor.PID) bool { return !f.isHeld(pid.Id) })
		if k < 0 {
			return turns
		}
		if turns > 1_000_000 {
			f.Fatal("the actors do not come to rest")
		}
		f.scheduler.Step(k)
	}
}

// isHeld tells whether an actor is to have no turn: by its name, or by that of its parent with a slash behind.
func (f *fixture) isHeld(id string) bool {
	return f.held[id] || f.held[id[:strings.LastIndex(id, "/")+1]]
}

// settle runs turns and delivers messages until there is nothing left to do at this moment.
func (f *fixture) settle() {
	f.Helper()
	for range 100_000 {
		f.run()
		if !f.network.deliver() && (f.remoting == nil || !f.remoting.deliver()) {
			return
		}
	}
	f.Fatal("the members do not come to rest")
}

// pass lets ticks pass, one after the other.
func (f *fixture) pass(ticks int) {
	f.Helper()
	for range ticks {
		f.clock.Advance(step)
		f.settle()
	}
}

// until lets ticks pass until something holds.
func (f *fixture) until(what string, holds func() bool) {
	f.Helper()
	f.settle()
	for range 1000 {
		if holds() {
			return
		}
		f.pass(1)
	}
	f.Fatalf("after 1000 ticks still not: %s", what)
}

// status asks a member.
func (f *fixture) status(id ID) *Status {
	f.Helper()
	in := f.ask(id, &GetStatus{})
	f.run()
	return only[*Status](f, in)
}

// leader is the one that leads in the highest term, or zero.
func (f *fixture) leader() (leader ID) {
	term := uint64(0)
	for id := ID(1); id <= 9; id++ {
		if f.isThere(id) && f.pids[id] != nil {
			if s := f.status(id); s.Role == Status_LEADER && s.Term >= term {
				leader, term = id, s.Term
			}
		}
	}
	return leader
}

// elect waits until somebody leads, everybody agrees, and the group has nothing more to say.
func (f *fixture) elect() ID {
	f.Helper()
	f.until("a leader and peace", func() bool {
		leader := f.leader()
		if leader == 0 {
			return false
		}
		want := f.status(leader)
		for _, id := range f.others(0) { // in a fixed order, so that equal runs stay equal
			s := f.status(id)
			if s.Leader != uint64(leader) || s.LastIndex != want.LastIndex || s.CommitIndex != want.LastIndex {
				return false
			}
		}
		return true
	})
	f.pass(5) // the lives of the members are committed with a heartbeat
	return f.leader()
}

// others are the members that are there but for one.
func (f *fixture) others(than ID) (ids []ID) {
	for id := range f.pids {
		if id != than && f.isThere(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// An inbox is a process that keeps what is sent to it: it stands for whoever asks.
type inbox struct {
	pid *actor.PID
	// arrived gets a token when something has.
	arrived chan struct{}

	mu  sync.Mutex
	got []any // guarded by mu
}

var _ actor.Process = (*inbox)(nil)

func newInbox(system *actor.ActorSystem) *inbox {
	in := &inbox{arrived: make(chan struct{}, 1)}
	in.pid, _ = system.ProcessRegistry.Add(in, "inbox"+system.ProcessRegistry.NextId())
	return in
}

func (in *inbox) SendUserMessage(_ *actor.PID, message any) {
	in.mu.Lock()
	in.got = append(in.got, actor.UnwrapEnvelopeMessage(message))
	in.mu.Unlock()
	select {
	case in.arrived <- struct{}{}:
	default:
	}
}

func (*inbox) SendSystemMessage(*actor.PID, any) {}
func (*inbox) Stop(*actor.PID)                   {}

func (in *inbox) all() []any {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.got)
}

// take returns what has arrived since the last take.
func (in *inbox) take() []any {
	in.mu.Lock()
	defer in.mu.Unlock()
	got := in.got
	in.got = nil
	return got
}

// wait returns the first message, for tests with a real clock.
func (in *inbox) wait(tb testing.TB) any {
	tb.Helper()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for {
		if got := in.all(); len(got) > 0 {
			return got[0]
		}
		select {
		case <-in.arrived:
		case <-late.C:
			tb.Fatal("no reply within 20 s")
		}
	}
}

// ask sends a request whose replies come to the inbox.
func (f *fixture) ask(id ID, request any) *inbox {
	in := newInbox(f.home(id))
	f.home(id).Root.RequestWithCustomSender(f.pids[id], request, in.pid)
	return in
}

// propose sends a command of that text.
func (f *fixture) propose(id ID, command string) *inbox {
	return f.ask(id, &Propose{Command: []byte(command)})
}

// done asks, and waits for the reply, which is of type M.
func done[M any](f *fixture, id ID, request any) M {
	f.Helper()
	in := f.ask(id, request)
	f.until(fmt.Sprintf("a reply to %T", request), func() bool { return len(in.all()) > 0 })
	return only[M](f, in)
}

// apply has commands applied, one after the other.
func (f *fixture) apply(id ID, commands ...string) (last *Proposed) {
	f.Helper()
	for _, c := range commands {
		last = done[*Proposed](f, id, &Propose{Command: []byte(c)})
	}
	return last
}

// applyMany has that many commands applied, and waits for all members.
func (f *fixture) applyMany(id ID, count int) {
	f.Helper()
	var all []*inbox
	for i := range count {
		all = append(all, f.propose(id, fmt.Sprintf("many-%d", i)))
	}
	f.settle()
	for _, in := range all {
		only[*Proposed](f, in)
	}
}

// only is the one message that the inbox has got, of type M.
func only[M any](f *fixture, in *inbox) M {
	f.Helper()
	got := in.all()
	var want M
	if len(got) != 1 {
		f.Fatalf("got %d replies %v, want one %T", len(got), got, want)
	}
	m, ok := got[0].(M)
	if !ok {
		f.Fatalf("got %T{%v}, want %T", got[0], got[0], want)
	}
	return m
}

// noReply wants nobody to have answered yet.
func (f *fixture) noReply(in *inbox) {
	f.Helper()
	if got := in.all(); len(got) > 0 {
		f.Fatalf("got %T{%v} already, want no reply yet", got[0], got[0])
	}
}

// rejected wants the one reply to be a Rejected of that code and outcome.
func (f *fixture) rejected(in *inbox, code Code, outcome Outcome) *Rejected {
	f.Helper()
	r := only[*Rejected](f, in)
	if r.Code != code || r.Outcome != outcome {
		f.Fatalf("got %v, want %v, %v", r, code, outcome)
	}
	if r.Detail == "" {
		f.Fatalf("got %v, want a detail that says what can be done", r)
	}
	return r
}

// agree wants the machines to have applied the same commands at the same indices, all of them.
func (f *fixture) agree(ids ...ID) {
	f.Helper()
	want := f.machines[ids[0]].all()
	for _, id := range ids[1:] {
		if got := f.machines[id].all(); !reflect.DeepEqual(got, want) {
			f.Fatalf("member %d applied %v\nmember %d applied %v", id, texts(got), ids[0], texts(want))
		}
	}
}

func texts(commands []Command) (texts []string) {
	for _, c := range commands {
		texts = append(texts, fmt.Sprintf("%d:%s", c.Index, c.Data))
	}
	return texts
}

// expectEvents returns the events of type E, of any member or of the one given.
func events[E any](f *fixture) (found []E) {
	for _, e := range f.events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// failure wants exactly one Failed of the member, in whose error the text stands.
func (f *fixture) failure(id ID, text string) error {
	f.Helper()
	var found []error
	for _, e := range events[*Failed](f) {
		if e.Member == id && e.Group == "g" {
			found = append(found, e.Err)
		}
	}
	if len(found) != 1 {
		f.Fatalf("member %d published %d Failed %v, want 1", id, len(found), found)
	}
	if !strings.Contains(found[0].Error(), text) {
		f.Fatalf("member %d failed with %v, want %q in it", id, found[0], text)
	}
	f.expectGone(id)
	return found[0]
}

func number(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// describe is a message as it stands in a trace: what is equal in two runs looks equal.
func describe(message any) string {
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case *mailbox.Batch:
		var all []string
		for _, lane := range [][]any{m.Control, m.Peer, m.Requests} {
			for _, element := range lane {
				all = append(all, describe(element))
			}
		}
		return strings.Join(all, "; ")
	case *PeerEnvelope:
		var all []string
		for _, message := range m.Messages {
			all = append(all, describe(message))
		}
		if m.Chunk != nil {
			c := *m.Chunk
			all = append(all, fmt.Sprintf("chunk %d of transfer %d at %d of %d", len(c.Data), c.Transfer, c.Offset, c.Size))
		}
		if m.Ack != nil {
			all = append(all, fmt.Sprintf("ack %+v", *m.Ack))
		}
		return fmt.Sprintf("%d->%d %s", m.From, m.To, strings.Join(all, ", "))
	case *node.InstallSnapshot:
		return fmt.Sprintf("%T%+v %d/%d", m, m.Header, m.Meta.Index, m.Meta.Term)
	case node.Message:
		return fmt.Sprintf("%T%+v", m, reflect.ValueOf(m).Elem())
	case *work:
		var all []string
		for _, item := range m.items {
			all = append(all, fmt.Sprintf("%T", item))
		}
		return "work " + strings.Join(all, " ")
	case *syncDone:
		return fmt.Sprintf("%T%d", m, m.seq)
	case *Propose, *Query, *ChangeMembers, *LeaderChanged, *MembershipChanged:
		return fmt.Sprintf("%T%v", m, m)
	default:
		return fmt.Sprintf("%T", m)
	}
}
