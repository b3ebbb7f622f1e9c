package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
)

// spawnMember spawns a founder, and returns what is behind its PID.
func (f *fixture) spawnMember(id ID) *raftActor {
	f.Helper()
	machine := &journal{}
	r, err := newRaftActor(f.config(id), machine)
	if err != nil {
		f.Fatal(err)
	}
	pid, err := f.system.Root.SpawnNamed(r.props(), Name("g", id))
	if err != nil {
		f.Fatal(err)
	}
	f.pids[id], f.machines[id] = pid, machine
	f.settle()
	return r
}

// spawnMembers is newGroup, with what is behind the PIDs.
func spawnMembers(tb testing.TB, configure func(*Config), ids ...ID) (f *fixture, leader ID, members map[ID]*raftActor) {
	tb.Helper()
	f, members = newFixture(tb, ids...), map[ID]*raftActor{}
	f.configure = configure
	for _, id := range ids {
		members[id] = f.spawnMember(id)
	}
	return f, f.elect(), members
}

// Requests whose time is up take room as long as the machine has not got to them: otherwise a machine that hangs would
// be given more and more.
func TestWhatWaitsForTheMachineTakesRoomAlsoWhenItsTimeIsUp(t *testing.T) {
	for name, request := range map[string]any{
		"proposals":            &Propose{TimeoutMs: 200},
		"linearizable queries": &Query{TimeoutMs: 200},
		"local queries":        &Query{Consistency: Consistency_LOCAL, TimeoutMs: 200},
	} {
		t.Run(name, func(t *testing.T) {
			const pendingMax = 20
			f, _, members := spawnMembers(t, func(c *Config) { c.PendingMax = pendingMax }, 1)
			f.held[Name("g", 1)+"/applier"] = true
			outcomes := map[Code]int{}
			for range 50 {
				for range 10 {
					in := f.ask(1, request)
					defer func() {
						if r := only[*Rejected](f, in); r.Code == Code_OVERLOADED || r.Code == Code_DEADLINE {
							outcomes[r.Code]++
						}
					}()
				}
				f.pass(1)
				if got := members[1].calls.pending().calls; got > pendingMax {
					t.Fatalf("%d calls are pending, want at most %d", got, pendingMax)
				}
			}
			clear(f.held)
			f.settle()
			if got := members[1].calls.pending(); got != (holding{}) {
				t.Errorf("%v are pending although all are answered", got)
			}
			f.pass(2)
			f.apply(1, "there is room again")
		})
	}
}

func TestRequestsUnderWayAreBoundedInBytes(t *testing.T) {
	const limit = 10_000
	f, leader, members := spawnMembers(t, func(c *Config) { c.PendingBytesMax = limit }, 1, 2, 3)
	follower := f.others(leader)[0]
	f.network.isolate(leader, f.others(leader)...)
	payload := make([]byte, 900)
	for name, ask := range map[string]func() *inbox{
		"proposals of the leader": func() *inbox { return f.ask(leader, &Propose{Command: payload}) },
		"queries of the leader":   func() *inbox { return f.ask(leader, &Query{Payload: payload}) },
		"forwarded proposals":     func() *inbox { return f.ask(follower, &Propose{Command: payload}) },
		"queries of a follower":   func() *inbox { return f.ask(follower, &Query{Payload: payload}) },
	} {
		var asked []*inbox
		for range 20 {
			asked = append(asked, ask())
		}
		f.settle()
		refused := 0
		for _, in := range asked {
			if len(in.all()) > 0 {
				f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED)
				refused++
			}
		}
		if refused < 10 {
			t.Errorf("%s: %d of 20 are turned down", name, refused)
		}
	}
	for id, r := range members {
		if got := r.calls.pending().bytes; got > limit {
			t.Errorf("%d bytes are pending at member %d", got, id)
		}
	}
	f.network.heal()
	f.pass(150) // their time is up
	f.elect()
	done[*Answer](f, f.leader(), &Query{Payload: make([]byte, 2*limit)}) // alone it is taken, whatever its size
}

// Also a member that is overloaded can be told what it is to do, but not without end.
func TestWhatRunsTheGroupHasRoomOfItsOwn(t *testing.T) {
	f, leader, members := spawnMembers(t, func(c *Config) { c.PendingMax = 1 }, 1, 2, 3)
	f.store(leader).slow = true // the others commit, and nothing is applied here
	f.propose(leader, "all that may be pending")
	refused := f.propose(leader, "one too many")
	f.settle()
	f.rejected(refused, Code_OVERLOADED, Outcome_NOT_APPLIED)
	var changes []*inbox
	for range adminMax + 50 {
		changes = append(changes, f.ask(leader, addLearner(7, "there"))) // accepted where it stands
		if len(changes) == 1 {
			f.pass(3)
		}
	}
	f.settle()
	for i, in := range changes {
		if i < adminMax {
			f.noReply(in)
		} else {
			f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED)
		}
	}
	if got := members[leader].calls.admin; got != adminMax {
		t.Errorf("%d are pending, want %d", got, adminMax)
	}
	f.store(leader).slow = false
	f.store(leader).complete(100)
	f.pass(3)
	for _, in := range changes[:adminMax] {
		only[*MembersChanged](f, in)
	}
	if got := members[leader].calls.admin; got != 0 {
		t.Errorf("%d are pending although all are answered", got)
	}
	done[*LeadershipTransferred](f, f.leader(), &TransferLeadership{Target: uint64(f.others(f.leader())[0])})
}

// A follower that is heard by nobody asks its leader for indices that never come.
func TestQueriesWithoutAnIndexAreForgottenWhenTheirTimeIsUp(t *testing.T) {
	f, leader, members := spawnMembers(t, func(*Config) {}, 1, 2, 3)
	follower := f.others(leader)[0]
	f.network.cutWay(follower, leader)
	for range 100 {
		f.ask(follower, &Query{TimeoutMs: 200})
		f.pass(1)
	}
	r := members[follower]
	waiting := 0
	for _, batch := range r.queries.waiting {
		waiting += len(batch)
	}
	if waiting > 10 || len(r.queries.waiting) > 10 || r.calls.pending().calls > 10 {
		t.Errorf("%d queries wait in %d batches, %v are pending", waiting, len(r.queries.waiting), r.calls.pending())
	}
}

// A sender that gives up, and one whose time is up, makes room at the applier, too, if that is not stuck.
func TestQueriesForAnIndexThatDoesNotComeMakeRoom(t *testing.T) {
	f, _, members := spawnMembers(t, func(c *Config) { c.PendingMax = 40 }, 1)
	for range 20 {
		for range 10 {
			f.ask(1, &Query{Consistency: Consistency_LOCAL, MinIndex: 1 << 40, TimeoutMs: 100})
		}
		f.pass(5)
	}
	if got := members[1].calls.pending().calls; got > 20 {
		t.Errorf("%d calls are pending, of which the time of most is up", got)
	}
}

func TestRepliesThatWaitForADiskThatHangsAreBounded(t *testing.T) {
	f, leader, members := spawnMembers(t, func(*Config) {}, 1, 2, 3)
	hangs := f.others(leader)[0]
	f.store(hangs).slow = true
	for i := range 20 {
		f.apply(leader, fmt.Sprint(i))
	}
	f.pass(20)
	before := len(members[hangs].barrier.held)
	f.pass(1000) // the leader asks again and again whether it has what it was sent
	if got := len(members[hangs].barrier.held); before == 0 || got > before+1 {
		t.Errorf("%d replies are held back, and %d a while ago", got, before)
	}
	f.store(hangs).slow = false
	f.store(hangs).complete(1000)
	f.pass(5)
	f.agree(1, 2, 3)
}

// What takes the place of an older reply says no less.
func TestAReplyThatReplacesAnotherSaysAsMuch(t *testing.T) {
	head := node.Header{From: 1, To: 2, Term: 3}
	success := func(match, commit Index) *node.AppendEntriesReply {
		return &node.AppendEntriesReply{Header: head, Success: true, Match: match, Commit: commit}
	}
	var b barrier
	b.hold(5, success(10, 3))
	b.hold(5, success(8, 4)) // has overtaken it, or is a copy
	b.hold(5, &node.HeartbeatReply{Header: head, Round: 7, Commit: 1})
	b.hold(5, &node.HeartbeatReply{Header: head, Round: 6, Commit: 2})
	b.hold(5, &node.RequestVoteReply{Header: head, Granted: true})
	b.hold(5, &node.RequestVoteReply{Header: head, Granted: true})
	other := success(9, 0)
	other.To = 3
	b.hold(5, other)
	b.hold(6, success(12, 4)) // rests on more
	if len(b.held) != 5 {
		t.Fatalf("%d are held back, want 5", len(b.held))
	}
	if m := b.held[0].message.(*node.AppendEntriesReply); m.Match != 10 || m.Commit != 4 {
		t.Errorf("got %+v, want match 10 and commit 4", m)
	}
	if m := b.held[1].message.(*node.HeartbeatReply); m.Round != 7 || m.Commit != 2 {
		t.Errorf("got %+v, want round 7 and commit 2", m)
	}
	var out outgoing
	b.complete(5, 0, &out)
	if len(b.held) != 1 || b.held[0].seq != 6 {
		t.Errorf("%v are still held back", b.held)
	}
}

func TestSyncsUnderWayAreBounded(t *testing.T) {
	f, leader, _ := spawnMembers(t, func(*Config) {}, 1)
	f.store(leader).slow = true
	var asked []*inbox
	for i := range syncsMax + 100 {
		asked = append(asked, f.propose(leader, fmt.Sprint(i)))
		f.settle()
	}
	if got := f.store(leader).waiting(); got != syncsMax {
		t.Fatalf("%d syncs are under way, want %d", got, syncsMax)
	}
	f.store(leader).complete(1)
	f.settle()
	only[*Proposed](f, asked[0])
	if got := f.store(leader).waiting(); got != syncsMax {
		t.Errorf("%d syncs are under way, want %d: the one that is done lets one for all the others begin", got, syncsMax)
	}
	f.store(leader).complete(syncsMax)
	f.settle()
	for _, in := range asked {
		only[*Proposed](f, in)
	}
}

func TestAMemberIsToldOnceThatAPeerCannotBeReached(t *testing.T) {
	f, leader, members := spawnMembers(t, func(*Config) {}, 1, 2, 3)
	inbox, box := f.network.links[memberKey{"g", leader}].inbox, members[leader].box
	for range 1000 {
		inbox.Unreachable(2)
		inbox.Unreachable(3)
	}
	if got := box.Stats().Control.Waiting; got != 2 {
		t.Errorf("%d messages wait, want one for each peer", got)
	}
	f.settle()
	inbox.Unreachable(2)
	if got := box.Stats().Control.Waiting; got != 1 {
		t.Errorf("%d messages wait, want one: it is news again", got)
	}
}

// A child that hangs in its storage is not sent a tick for each that passes, nor all answers that come.
func TestWhatWaitsForATransferThatHangsIsBounded(t *testing.T) {
	system := quietSystem()
	hangs := newInbox(system)
	r := &raftActor{system: system}
	sender := &transferring{pid: hangs.pid, peer: 2, transfer: 5}
	r.snapshots.senders = map[ID]*transferring{2: sender}
	for range 1000 {
		r.snapshots.tick(r)
		r.snapshots.ack(r, &PeerEnvelope{From: 2, Ack: &SnapshotAck{Transfer: 5}})
	}
	ticks := 0
	for _, m := range hangs.all() {
		if m == (transferTick{}) {
			ticks++
		}
	}
	if n := len(hangs.all()); ticks != 1 || n != 1+waitingMax {
		t.Errorf("%d ticks and %d answers wait, want 1 and %d", ticks, n-ticks, waitingMax)
	}
	s := &snapshotSender{now: sender}
	s.Receive(messageContext{message: transferTick{}})
	s.Receive(messageContext{message: &SnapshotAck{}})
	r.snapshots.tick(r)
	r.snapshots.ack(r, &PeerEnvelope{From: 2, Ack: &SnapshotAck{Transfer: 5}})
	if n := len(hangs.all()); n != 3+waitingMax {
		t.Errorf("%d messages have been sent in all, want %d", n, 3+waitingMax)
	}
}

// A receiver that hangs is given up by its sender, and another one begins. They must not become more and more, each
// with its chunks.
func TestReceiversThatHangAreBounded(t *testing.T) {
	l := newLag(t, 4<<20)
	l.network.heal()
	hung := map[string]bool{}
	l.scheduler.Trace = func(self *actor.PID, message any) {
		if c, ok := actor.UnwrapEnvelopeMessage(message).(*SnapshotChunk); ok && c != nil {
			l.held[self.Id] = true // from its second turn on
		}
	}
	for range 10 * giveUpTicks {
		l.pass(1)
		for id := range l.held {
			hung[id] = true
		}
	}
	if n := len(hung); n == 0 || n > receiversMax {
		t.Fatalf("%d receivers hang, want %d at most", n, receiversMax)
	}
	l.scheduler.Trace = nil
	clear(l.held)
	l.comesUp()
}

func TestAClientBoundsWhatItHasUnderWayInBytes(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, func(c *call) *reply {
		if c.kind == openCall {
			return &reply{index: 1}
		}
		return nil
	})
	client := f.client(ClientConfig{InFlightBytesMax: 1000}, 1)
	defer client.Close()
	try := func(bytes int) error {
		defer f.settle()
		return client.TryProposeAsync(context.Background(), make([]byte, bytes), func(Result, error) {})
	}
	for i, bytes := range []int{600, 300, 100} {
		if err := try(bytes); err != nil {
			t.Fatalf("proposal %d: %v", i, err)
		}
	}
	if err := try(1); !errors.Is(err, ErrOverloaded) {
		t.Errorf("got %v, want %v", err, ErrOverloaded)
	}
	if err := client.TryProposeAsync(context.Background(), nil, func(Result, error) {}); err != nil {
		t.Errorf("got %v for a command that takes nothing", err)
	}
	f.settle()
	for _, c := range slices.Clone(s.calls) {
		c.answer(f.system, *applied)
	}
	f.settle()
	if err := try(5000); err != nil {
		t.Errorf("got %v for a large command that is alone", err)
	}
	if err := try(1); !errors.Is(err, ErrOverloaded) {
		t.Errorf("got %v beside a command that fills all, want %v", err, ErrOverloaded)
	}
}

// What is turned down costs those who ask little, and the member nothing.
func TestTurningARequestDownAllocatesNothing(t *testing.T) {
	f, _, members := spawnMembers(t, func(c *Config) { c.PendingMax = 4 }, 1)
	f.scheduler.Trace = nil
	f.held[Name("g", 1)+"/applier"] = true
	for range 10 {
		f.propose(1, "x")
	}
	f.settle()
	if members[1].overload.door.Load() == nil {
		t.Fatal("the door is open")
	}
	sink := &countingProcess{}
	sink.pid, _ = f.system.ProcessRegistry.Add(sink, "sink")
	process, _ := f.system.ProcessRegistry.GetLocal(f.pids[1].Id)
	for name, request := range map[string]any{
		"Propose": &Propose{}, "OpenSession": &OpenSession{}, "Query": &Query{},
		"Forward": &forward{origin: &call{asker: nobody{}}},
	} {
		posted := &actor.MessageEnvelope{Message: request, Sender: sink.pid}
		if got := testing.AllocsPerRun(100, func() { process.SendUserMessage(f.pids[1], posted) }); got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	if f.scheduler.Len() > 1 { // the applier, which is held
		t.Error("the member has been given a turn for what it has turned down")
	}
}

// Messages of any kind count with what they carry.
func TestTheSizeOfARequestIsKnown(t *testing.T) {
	large := make([]byte, 1000)
	for name, request := range map[string]any{
		"Propose": &Propose{Command: large}, "Query": &Query{Payload: large}, "ChangeMembers": addLearner(4, string(large)),
		"call": &call{payload: large}, "Forward": &forward{origin: &call{payload: large}},
		"Forward from afar": &forward{request: &Propose{Command: large}}, "unknown": &Proposed{Result: large},
	} {
		if lane, bytes := classify(request); lane != mailbox.Request || bytes < 1000 {
			t.Errorf("%s is %d bytes in the lane %v, want more than 1000", name, bytes, lane)
		}
	}
}
