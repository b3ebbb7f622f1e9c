package raft

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
)

// forLeader are requests of every kind that a follower forwards, and what the leader replies.
func forLeader(follower ID) map[string]struct{ request, reply any } {
	return map[string]struct{ request, reply any }{
		"propose":      {&Propose{Command: []byte("x"), Tag: 7}, &Proposed{}},
		"open":         {&OpenSession{Tag: 7}, &SessionOpened{}},
		"add":          {&ChangeMembers{Change: &ChangeMembers_Add{Add: &AddMember{Id: 7}}, Tag: 7}, &MembersChanged{}},
		"demote":       {&ChangeMembers{Change: &ChangeMembers_Demote{Demote: &DemoteMember{Id: uint64(follower)}}, Tag: 7}, &MembersChanged{}},
		"remove":       {&ChangeMembers{Change: &ChangeMembers_Remove{Remove: &RemoveMember{Id: uint64(follower)}}, Tag: 7}, &MembersChanged{}},
		"transfer":     {&TransferLeadership{Target: uint64(follower), Tag: 7}, &LeadershipTransferred{}},
		"promote none": {&ChangeMembers{Change: &ChangeMembers_Promote{Promote: &PromoteMember{Id: 9}}, Tag: 7}, &Rejected{}},
	}
}

func TestAFollowerForwardsWhatTheLeaderAnswers(t *testing.T) {
	for name := range forLeader(1) {
		for where, fault := range map[string]func(*PeerEnvelope) []*PeerEnvelope{
			"in one process": nil, "between processes": throughBytes,
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				f, leader := newGroup(t)
				f.network.fault = fault
				follower := f.others(leader)[1]
				c := forLeader(follower)[name]
				in := f.ask(follower, c.request)
				f.until("a reply", func() bool { return len(in.all()) > 0 })
				f.pass(3)
				reply := only[proto.Message](f, in)
				if got, want := fmt.Sprintf("%T", reply), fmt.Sprintf("%T", c.reply); got != want {
					t.Fatalf("got %s{%v}, want %s", got, reply, want)
				}
				if tag := reply.(interface{ GetTag() uint64 }).GetTag(); tag != 7 {
					t.Errorf("the tag is %d", tag)
				}
			})
		}
	}
}

// throughBytes makes of each forwarded request and its reply what a transport between processes would.
func throughBytes(e *PeerEnvelope) []*PeerEnvelope {
	copied := *e
	copied.Forwards = nil
	for _, f := range e.Forwards {
		request, err := f.AppendRequest(nil)
		if err != nil {
			panic(err)
		}
		there, err := memberInbox{}.NewForward(request, func(reply []byte) {
			if err := f.Answer(reply); err != nil {
				panic(err)
			}
		})
		if err != nil {
			panic(err)
		}
		copied.Forwards = append(copied.Forwards, there)
	}
	return []*PeerEnvelope{&copied}
}

func copyOf(m proto.Message) proto.Message {
	encoded, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	decoded := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(encoded, decoded); err != nil {
		panic(err)
	}
	return decoded
}

func TestARequestIsForwardedOnceOnly(t *testing.T) {
	f, leader := newGroup(t)
	for _, follower := range f.others(leader) {
		in := newInbox(f.system)
		forward, err := newForward(&Propose{Tag: 3}, func(reply proto.Message) { in.SendUserMessage(nil, reply) })
		if err != nil {
			t.Fatal(err)
		}
		f.network.arrive(&PeerEnvelope{Group: "g", From: leader, To: follower, Forwards: []Forward{forward}})
		f.settle()
		r := f.rejected(in, Code_NOT_LEADER, Outcome_NOT_APPLIED)
		if r.Leader != uint64(leader) || r.LeaderPid != nil || r.Tag != 3 {
			t.Errorf("got %v, want the leader's ID, no PID, and the tag", r)
		}
	}
	if n := len(f.machines[1].all()); n > 0 {
		t.Errorf("%d commands were applied", n)
	}
}

func TestAForwardThatIsDeliveredTwiceIsDoneOnce(t *testing.T) {
	f, leader := newGroup(t)
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope { return []*PeerEnvelope{e, e} }
	in := f.propose(f.others(leader)[0], "once")
	f.pass(5)
	only[*Proposed](f, in)
	if got := f.machines[leader].all(); len(got) != 1 {
		t.Errorf("applied %v", texts(got))
	}
}

// It would be applied although nobody waits for it any more.
func TestAForwardThatNobodyWaitsForIsNotDone(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	f.held[Name("g", leader)] = true
	in := f.ask(follower, &Propose{Command: []byte("late"), TimeoutMs: 100})
	f.settle() // it waits in the leader's mailbox
	f.stop(follower)
	f.rejected(in, Code_STOPPED, Outcome_UNKNOWN)
	delete(f.held, Name("g", leader))
	f.settle()
	f.apply(leader, "next")
	if got := texts(f.machines[leader].all()); len(got) != 1 {
		t.Errorf("applied %v", got)
	}
}

func TestAForwardThatIsLostIsUnknownAtTheDeadline(t *testing.T) {
	f, leader := newGroup(t)
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		copied := *e
		copied.Forwards = nil
		return []*PeerEnvelope{&copied}
	}
	in := f.ask(f.others(leader)[0], &Propose{TimeoutMs: 500})
	f.pass(9)
	f.noReply(in)
	f.pass(3)
	f.rejected(in, Code_DEADLINE, Outcome_UNKNOWN)
}

func TestAForwardToALeaderThatIsReportedGoneIsUnknown(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if len(e.Forwards) > 0 {
			f.network.lose(e)
			return nil
		}
		return []*PeerEnvelope{e}
	}
	in := f.propose(follower, "lost")
	f.settle()
	f.rejected(in, Code_UNREACHABLE, Outcome_UNKNOWN)
}

func TestAForwardThatTheTransportDropsIsNotApplied(t *testing.T) {
	f, leader := newGroup(t)
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		for _, forward := range e.Forwards {
			forward.Drop()
		}
		return nil
	}
	in := f.propose(f.others(leader)[0], "lost")
	f.settle()
	f.rejected(in, Code_UNREACHABLE, Outcome_NOT_APPLIED)
}

func TestALeaderWithAFullMailboxAnswersForwards(t *testing.T) {
	f, leader := newGroup(t)
	f.held[Name("g", leader)] = true
	follower := f.others(leader)[0]
	requests := defaultsOf(f).RequestsMax
	for range requests {
		f.ask(leader, &Propose{})
	}
	in := f.propose(follower, "too many")
	f.settle()
	if r := f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED); r.RetryAfterMs == 0 {
		t.Errorf("got %v, want a hint when to try again", r)
	}
}

// The copy that finds the mailbox full must not speak for the one that has been taken.
func TestAForwardThatComesAgainToAFullMailboxIsAnsweredTruly(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RequestsMax = 1 }
	f.spawnFounders()
	leader := f.elect()
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		if len(e.Forwards) == 0 {
			return []*PeerEnvelope{e}
		}
		f.network.fault = nil
		f.network.arrive(e)
		f.run()
		f.held[Name("g", leader)] = true
		f.propose(leader, "another")
		return []*PeerEnvelope{e}
	}
	in := f.propose(f.others(leader)[0], "once")
	f.settle()
	f.noReply(in)
	clear(f.held)
	f.pass(5)
	only[*Proposed](f, in)
	if got := f.machines[leader].all(); len(got) != 2 {
		t.Errorf("applied %v", texts(got))
	}
}

func TestAForwardThatIsDroppedTooLateIsAnsweredTruly(t *testing.T) {
	f, leader := newGroup(t)
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		for _, forward := range e.Forwards {
			f.network.fault = nil
			f.network.arrive(e)
			f.run()
			forward.Drop()
			return nil
		}
		return []*PeerEnvelope{e}
	}
	in := f.propose(f.others(leader)[0], "once")
	f.pass(5)
	only[*Proposed](f, in)
	if got := f.machines[leader].all(); len(got) != 1 {
		t.Errorf("applied %v", texts(got))
	}
}

func defaultsOf(f *fixture) Config {
	c := f.config(1).withDefaults()
	if c.RequestsMax == 0 {
		c.RequestsMax = 16384
	}
	return c
}

func TestAFollowerThatStopsDoesNotKnowWhatBecameOfItsForwards(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	f.held[Name("g", leader)] = true
	in := f.propose(follower, "forwarded")
	f.settle()
	f.noReply(in)
	f.stop(follower)
	f.rejected(in, Code_STOPPED, Outcome_UNKNOWN)
	delete(f.held, Name("g", leader))
	f.settle()
	only[*Rejected](f, in) // and nothing more
}

func TestALeaderThatStopsAnswersForwards(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	f.network.isolate(f.others(leader)[1], leader) // without a quorum
	f.network.cutWay(leader, follower)
	in := f.propose(follower, "never committed")
	f.settle()
	f.noReply(in)
	f.stop(leader)
	f.rejected(in, Code_STOPPED, Outcome_UNKNOWN)
}

func TestOnlyWhatTheLeaderDoesCanBeForwarded(t *testing.T) {
	if _, err := newForward(&Query{}, func(proto.Message) {}); err == nil {
		t.Error("a query can be forwarded")
	}
	encoded, err := wrap(nil, &ForwardedRequest{}, &Propose{Command: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string][]byte{"nothing": nil, "rubbish": []byte("rubbish"), "cut off": encoded[:len(encoded)-1]} {
		if _, err := (memberInbox{}).NewForward(request, func([]byte) {}); err == nil {
			t.Errorf("%s can be forwarded", name)
		}
	}
	f := &forward{origin: &call{kind: proposeCall}}
	for _, reply := range []proto.Message{nil, &Propose{}, &MembersChanged{}} {
		if err := f.answer(reply); err == nil {
			t.Errorf("%v is taken for a reply", reply)
		}
	}
	for _, reply := range [][]byte{nil, []byte("rubbish")} {
		if err := f.Answer(reply); err == nil {
			t.Errorf("%q is taken for a reply", reply)
		}
	}
}
