package raft

import (
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// member is what a status tells of a member.
func (f *fixture) member(s *Status, id ID) *MemberInfo {
	f.Helper()
	for _, m := range s.Members {
		if m.Id == uint64(id) {
			return m
		}
	}
	f.Fatalf("%v does not tell of member %d", s, id)
	return nil
}

// What the transport says counts until the member is heard from again.
func TestStatusTellsWhomTheMemberReaches(t *testing.T) {
	f, leader := newGroup(t)
	near, far := f.others(leader)[0], f.others(leader)[1]
	follower := f.network.links[memberKey{"g", near}].inbox
	check := func(when string, ofLeader, ofFollower MemberInfo_Contact) {
		t.Helper()
		s := f.status(near)
		if got := f.member(s, near).Contact; got != MemberInfo_REACHABLE {
			t.Errorf("%s: it says %v of itself", when, got)
		}
		if got := f.member(s, leader).Contact; got != ofLeader {
			t.Errorf("%s: it says %v of the leader, want %v", when, got, ofLeader)
		}
		if got := f.member(s, far).Contact; got != ofFollower {
			t.Errorf("%s: it says %v of a follower, want %v", when, got, ofFollower)
		}
	}
	check("at first", MemberInfo_REACHABLE, MemberInfo_CONTACT_UNSPECIFIED)
	follower.Unreachable(far)
	follower.Unreachable(leader)
	follower.Unreachable(77)
	f.network.isolate(leader, near)
	f.pass(1)
	check("when the transport has lost them", MemberInfo_UNREACHABLE, MemberInfo_UNREACHABLE)
	f.network.heal()
	f.pass(4)
	check("when the leader is heard from", MemberInfo_REACHABLE, MemberInfo_UNREACHABLE)
}

// hold lets an actor of a member have no turn: its applier, or itself.
func (f *fixture) hold(id ID, child string) { f.held[Name("g", id)+child] = true }

func TestTheLeadersStatusTellsOfEveryMember(t *testing.T) {
	f, leader := newGroup(t)
	done[*MembersChanged](f, leader, addLearner(7, "there"))
	near, far := f.others(leader)[0], f.others(leader)[1]
	f.pass(3)
	before := f.status(leader)
	f.network.isolate(far, leader, near)
	f.apply(leader, "a", "b", "c")
	f.pass(7)
	s := f.status(leader)
	for id, want := range map[ID]*MemberInfo{
		leader: {Voter: true, MatchIndex: s.LastIndex, Contact: MemberInfo_REACHABLE},
		near:   {Voter: true, MatchIndex: s.LastIndex, State: MemberInfo_REPLICATE, Contact: MemberInfo_REACHABLE},
		far: {
			Voter: true, MatchIndex: before.LastIndex, Lag: 3, State: MemberInfo_REPLICATE,
			Contact: MemberInfo_REACHABLE, // it is not silent for an election timeout yet
		},
		7: {Lag: s.LastIndex, State: MemberInfo_PROBE, Contact: MemberInfo_UNREACHABLE},
	} {
		got := f.member(s, id)
		silent := got.LastContactMs / step.Milliseconds()
		if (id == far || id == 7) != (silent >= 7) || (id == leader) != (got.LastContactMs == 0 && got.State == 0) {
			t.Errorf("member %d was last heard from %d ticks ago", id, silent)
		}
		want.Id, want.Address, want.LastContactMs = uint64(id), got.Address, got.LastContactMs
		if id != 7 { // which nobody has met
			want.Incarnation = uint64(1000 + id)
		}
		want.InflightMessages, want.InflightBytes = got.InflightMessages, got.InflightBytes
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	for _, m := range f.status(near).Members {
		if m.MatchIndex != 0 || m.Lag != 0 || m.State != 0 || m.LastContactMs != 0 {
			t.Errorf("a follower says %v", m)
		}
	}
	if got := f.member(f.status(near), 7); got.Voter || got.Address != "there" {
		t.Errorf("a follower says %v of the learner", got)
	}
}

func TestAFormerLeaderTellsNothingOfTheOthers(t *testing.T) {
	f, leader := newGroup(t)
	next := f.others(leader)[0]
	done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: uint64(next)})
	f.pass(3)
	if m := f.member(f.status(leader), next); m.State != 0 || m.MatchIndex != 0 {
		t.Errorf("got %v", m)
	}
	if m := f.member(f.status(next), leader); m.State != MemberInfo_REPLICATE {
		t.Errorf("the new leader says %v", m)
	}
}

func TestStatusTellsWhatIsOnItsWay(t *testing.T) {
	f, leader := newGroup(t)
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if e.From != leader {
			return nil
		}
		return []*PeerEnvelope{e}
	}
	f.propose(leader, "0123456789")
	f.settle()
	f.pass(1)
	s := f.status(leader)
	if s.Queues.UncommittedBytes < 10 || s.Queues.Pending != 1 {
		t.Errorf("got %v", s.Queues)
	}
	for _, id := range f.others(leader) {
		if m := f.member(s, id); m.InflightMessages != 1 || m.InflightBytes < 10 || m.Lag != 1 {
			t.Errorf("got %v", m)
		}
	}
}

func TestStatusTellsWhomLeadershipIsHandedTo(t *testing.T) {
	f, leader := newGroup(t)
	target := f.others(leader)[0]
	f.network.isolate(target, 1, 2, 3)
	f.ask(leader, &TransferLeadership{Target: uint64(target)})
	f.settle()
	f.pass(1)
	if s := f.status(leader); s.TransferTarget != uint64(target) {
		t.Errorf("got %d, want %d", s.TransferTarget, target)
	}
	f.pass(30)
	if s := f.status(leader); s.TransferTarget != 0 {
		t.Errorf("got %d behind the deadline", s.TransferTarget)
	}
}

// A machine that is stuck keeps nobody from being told of it.
func TestStatusTellsWhatTheMachineHasApplied(t *testing.T) {
	f, leader := newGroup(t)
	before := f.status(leader)
	if before.AppliedIndex != before.CommitIndex || before.Queues.UnappliedBytes != 0 || before.MachineStalledMs != 0 {
		t.Fatalf("got %v", before)
	}
	f.hold(leader, "/applier")
	f.propose(leader, "0123456789")
	f.settle()
	f.pass(20)
	s := f.status(leader)
	if s.AppliedIndex != before.AppliedIndex || s.CommitIndex != before.CommitIndex+1 {
		t.Errorf("applied %d of %d, want %d", s.AppliedIndex, s.CommitIndex, before.AppliedIndex)
	}
	if s.Queues.UnappliedBytes < 10 || s.Queues.Pending != 1 {
		t.Errorf("got %v", s.Queues)
	}
	if s.MachineStalledMs != 20*step.Milliseconds() {
		t.Errorf("stalled for %d ms", s.MachineStalledMs)
	}
	clear(f.held)
	f.settle()
	if s := f.status(leader); s.AppliedIndex != s.CommitIndex || s.Queues.UnappliedBytes != 0 {
		t.Errorf("got %v", s)
	}
	f.pass(1)
	if s := f.status(leader); s.MachineStalledMs != 0 || s.Queues.Pending != 0 {
		t.Errorf("got %v", s)
	}
}

// A machine that gets on is slow, and not stalled, however much waits for it.
func TestASlowMachineIsNotStalled(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.hold(1, "/applier")
	for range 10 {
		f.propose(1, "a")
		f.settle()
	}
	f.pass(3)
	if s := f.status(1); s.MachineStalledMs != 3*step.Milliseconds() {
		t.Fatalf("stalled for %d ms: this proves nothing", s.MachineStalledMs)
	}
	for range 5 {
		f.scheduler.Step(slices.IndexFunc(f.scheduler.Runnable(), func(pid *actor.PID) bool {
			return pid.Id == Name("g", 1)+"/applier"
		}))
		f.pass(1)
		if s := f.status(1); s.MachineStalledMs != 0 || s.AppliedIndex == s.CommitIndex {
			t.Errorf("stalled for %d ms, at %d of %d", s.MachineStalledMs, s.AppliedIndex, s.CommitIndex)
		}
	}
}

// A new leader does not wait for a tick before it tells of the others.
func TestANewLeaderTellsOfTheOthersAtOnce(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.spawnFounders()
	for f.leader() == 0 {
		f.pass(1)
	}
	for _, m := range f.status(f.leader()).Members {
		if m.Id != uint64(f.leader()) && m.State == MemberInfo_STATE_UNSPECIFIED {
			t.Errorf("nothing is told of %v", m)
		}
	}
}

func TestStatusTellsOfARestoredMachine(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a", "b")
	taken := done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.stop(leader)
	f.spawn(leader, &journal{})
	if s := f.status(leader); s.AppliedIndex < taken.Index || s.SnapshotIndex != taken.Index {
		t.Errorf("got %v, want at least %d to be applied", s, taken.Index)
	}
}

// A raft actor that is stuck keeps nobody from being told of it, and of what waits for it.
func TestStatusNeedsNoTurn(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RequestsMax, c.PeerBytesMax = 3, 1000 }
	f.spawnFounders()
	leader := f.elect()
	before := f.status(leader)
	f.hold(leader, "")
	for range 5 {
		f.propose(leader, "0123456789")
	}
	f.pass(40)
	s := f.status(leader)
	if s.StalledMs != 40*step.Milliseconds() || before.StalledMs != 0 {
		t.Errorf("stalled for %d ms, and %d before", s.StalledMs, before.StalledMs)
	}
	q := s.Queues
	if q.Requests != 3 || q.RequestBytes < 30 || q.RequestsRefused != 2 {
		t.Errorf("%d requests of %d bytes wait, %d were refused", q.Requests, q.RequestBytes, q.RequestsRefused)
	}
	if q.PeerMessages == 0 || q.PeerBytes == 0 || q.PeerBytes > 1000 || q.PeerDropped == 0 {
		t.Errorf("%d messages of %d bytes wait, %d were dropped", q.PeerMessages, q.PeerBytes, q.PeerDropped)
	}
	clear(f.held)
	f.settle()
	if s := f.status(leader); s.StalledMs != 0 || s.Queues.Requests != 0 || s.Queues.PeerMessages != 0 {
		t.Errorf("got %v", s)
	}
}

func TestEveryRefusalForLackOfRoomIsCounted(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.PendingMax = 2 }
	f.spawnFounders()
	f.elect()
	f.hold(1, "/applier")
	for range 5 {
		f.propose(1, "a")
	}
	f.settle()
	if s := f.status(1); s.Queues.RequestsRefused != 3 {
		t.Errorf("%d refused, want 3", s.Queues.RequestsRefused)
	}
}

func TestStatusCountsSubscribers(t *testing.T) {
	f, leader := newGroup(t)
	one, two := f.ask(leader, &Subscribe{}), f.ask(leader, &Subscribe{})
	f.settle()
	if s := f.status(leader); s.Subscribers != 2 {
		t.Errorf("got %d", s.Subscribers)
	}
	f.ask(leader, &Unsubscribe{Subscriber: one.pid})
	f.ask(leader, &Unsubscribe{Subscriber: two.pid})
	f.settle()
	if s := f.status(leader); s.Subscribers != 0 {
		t.Errorf("got %d", s.Subscribers)
	}
}

func TestStatusHasTheTagOfItsRequest(t *testing.T) {
	f, leader := newGroup(t)
	in := f.ask(leader, &GetStatus{Tag: 7})
	if s := only[*Status](f, in); s.Tag != 7 {
		t.Errorf("got %d", s.Tag)
	}
	f.hold(leader, "/applier") // so that it goes on stopping
	f.system.Root.Stop(f.pids[leader])
	f.run()
	r := f.rejected(f.ask(leader, &GetStatus{Tag: 8}), Code_STOPPED, Outcome_NOT_APPLIED)
	if r.Tag != 8 {
		t.Errorf("got %d", r.Tag)
	}
}
