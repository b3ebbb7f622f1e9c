package raft

import (
	"slices"
	"testing"
)

func promote(id ID) *ChangeMembers {
	return &ChangeMembers{Change: &ChangeMembers_Promote{Promote: &PromoteMember{Id: uint64(id)}}}
}

func demote(id ID) *ChangeMembers {
	return &ChangeMembers{Change: &ChangeMembers_Demote{Demote: &DemoteMember{Id: uint64(id)}}}
}

func remove(id ID) *ChangeMembers {
	return &ChangeMembers{Change: &ChangeMembers_Remove{Remove: &RemoveMember{Id: uint64(id)}}}
}

// voters are those of the configuration that a member has.
func (f *fixture) voters(id ID) (voters []ID) {
	for _, m := range f.status(id).Members {
		if m.Voter {
			voters = append(voters, ID(m.Id))
		}
	}
	return voters
}

// A transport knows where members are from the configuration, also before it is committed, and when a member starts again.
func TestATransportIsToldTheConfiguration(t *testing.T) {
	f, leader := newGroup(t)
	f.spawnJoiner(4, &journal{})
	if got := f.network.configured(4); len(got.Members) != 0 {
		t.Errorf("a joiner has told %v", got)
	}
	done[*MembersChanged](f, leader, addLearner(4, "host-4"))
	f.elect()
	f.agree(1, 2, 3, 4)
	f.stop(1)
	f.spawn(1, &journal{})
	for _, id := range []ID{1, leader, 4} {
		if m, _ := f.network.configured(id).Member(4); m.Address != "host-4" {
			t.Errorf("member %d has told %v", id, f.network.configured(id))
		}
	}
}

func TestAMemberJoins(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	f.spawnJoiner(4, &journal{})
	f.pass(100)
	if s := f.status(4); s.Role != Status_FOLLOWER || s.LastIndex != 0 || s.Term > 1 || len(s.Members) > 0 {
		t.Fatalf("a joiner that nobody has added is %v", s)
	}

	changed := done[*MembersChanged](f, leader, addLearner(4, "host-4"))
	f.elect()
	f.agree(1, 2, 3, 4)
	for _, id := range []ID{1, 4} {
		members := f.status(id).Members
		if m := members[len(members)-1]; len(members) != 4 || m.Id != 4 || m.Voter || m.Address != "host-4" {
			t.Errorf("member %d knows %v", id, members)
		}
	}
	if f.status(1).CommitIndex < changed.Index {
		t.Error("answered before it is committed")
	}
	if answer := done[*Answer](f, 4, &Query{}); number(answer.Result) != 1 {
		t.Errorf("a learner answered %v", answer)
	}

	done[*MembersChanged](f, leader, promote(4))
	f.pass(5)
	if got := f.voters(4); !slices.Equal(got, []ID{1, 2, 3, 4}) {
		t.Errorf("voters are %v", got)
	}
	done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: 4})
	if f.leader() != 4 {
		t.Errorf("%d leads", f.leader())
	}
	f.apply(4, "b")
	f.pass(3)
	f.agree(1, 2, 3, 4)
}

func TestALearnerThatIsNotThereIsNotPromoted(t *testing.T) {
	f, leader := newGroup(t)
	done[*MembersChanged](f, leader, addLearner(4, ""))
	early := f.ask(leader, promote(4))
	f.settle()
	f.rejected(early, Code_CHANGE_IN_PROGRESS, Outcome_NOT_APPLIED) // it may answer yet
	f.pass(20)
	in := f.ask(leader, promote(4))
	f.settle()
	f.rejected(in, Code_REFUSED, Outcome_NOT_APPLIED)
	f.apply(leader, "the group does not wait for it")
}

func TestAFollowerIsDemotedAndRemoved(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	done[*MembersChanged](f, leader, demote(follower))
	f.pass(3)
	if got := f.voters(follower); slices.Contains(got, follower) {
		t.Errorf("voters are %v", got)
	}
	done[*MembersChanged](f, leader, remove(follower))
	f.pass(5)
	if got := len(f.status(follower).Members); got != 2 {
		t.Errorf("the removed member knows of %d members, want 2: it was told", got)
	}
	term := f.status(leader).Term
	f.pass(200) // it disturbs nobody
	if s := f.status(leader); s.Term != term || s.Role != Status_LEADER {
		t.Errorf("got %v", s)
	}
	f.apply(leader, "a")
	if got := len(f.machines[follower].all()); got != 0 {
		t.Errorf("the removed member has applied %d commands", got)
	}
}

func TestTheLeaderIsRemoved(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	done[*MembersChanged](f, leader, remove(leader))
	f.until("another leads", func() bool { l := f.leader(); return l != 0 && l != leader })
	f.apply(f.leader(), "b")
	if got := f.voters(f.leader()); slices.Contains(got, leader) || len(got) != 2 {
		t.Errorf("voters are %v", got)
	}
	f.stop(leader)
	f.apply(f.leader(), "c")
}

func TestTheLastVoterIsNotRemoved(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	for _, change := range []*ChangeMembers{remove(1), demote(1)} {
		in := f.ask(1, change)
		f.settle()
		f.rejected(in, Code_REFUSED, Outcome_NOT_APPLIED)
	}
	f.apply(1, "a")
}

func TestWhatIsTheCaseAlreadyIsAnsweredSo(t *testing.T) {
	f, leader := newGroup(t)
	first := done[*MembersChanged](f, leader, addLearner(7, "there"))
	f.pass(5)
	again := done[*MembersChanged](f, leader, addLearner(7, "there"))
	if again.Index < first.Index {
		t.Errorf("got %v after %v", again, first)
	}
	done[*MembersChanged](f, leader, promote(leader))
	done[*MembersChanged](f, leader, remove(7))
	done[*MembersChanged](f, leader, remove(7))
}

func TestTransfer(t *testing.T) {
	f, leader := newGroup(t)
	for _, target := range append(f.others(leader), leader) {
		from := f.leader()
		done[*LeadershipTransferred](f, from, &TransferLeadership{Target: uint64(target)})
		if got := f.leader(); got != target {
			t.Fatalf("%d leads, want %d", got, target)
		}
		f.elect()
	}
	done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: uint64(leader)})
	f.apply(leader, "a")
	f.pass(3)
	f.agree(1, 2, 3)
}

func TestATransferToAMemberThatIsSilentIsRefused(t *testing.T) {
	f, leader := newGroup(t)
	target := f.others(leader)[0]
	f.stop(target)
	f.pass(25)
	in := f.ask(leader, &TransferLeadership{Target: uint64(target)})
	f.settle()
	f.rejected(in, Code_REFUSED, Outcome_NOT_APPLIED)
}

// A member that has lost its storage has forgotten its votes: it is not taken for the one it was.
func TestAMemberThatHasLostItsStorageIsDisowned(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	lost := f.others(leader)[0]
	f.stop(lost)
	f.stores[lost] = newTestStore(77)
	f.spawnJoiner(lost, &journal{})
	f.apply(leader, "what it answers to this does not count")
	f.pass(5)
	if got := events[*Disowned](f); len(got) == 0 || got[0].Member != lost || got[0].By != leader {
		t.Fatalf("got %v, want a Disowned of member %d by %d", got, lost, leader)
	}
	done[*MembersChanged](f, leader, remove(lost))
	f.pass(30)
	done[*MembersChanged](f, leader, addLearner(lost, ""))
	f.elect()
	done[*MembersChanged](f, leader, promote(lost))
	f.apply(leader, "b")
	f.pass(5)
	f.agree(1, 2, 3)
}

func TestTheLifeThatIsMeantCanBeNamed(t *testing.T) {
	f, leader := newGroup(t)
	f.spawnJoiner(4, &journal{})
	life := f.status(4).Incarnation
	if life != uint64(f.store(4).incarnation) {
		t.Errorf("its status tells of life %d, want %d", life, f.store(4).incarnation)
	}
	add := func(life uint64) *ChangeMembers {
		return &ChangeMembers{Change: &ChangeMembers_Add{Add: &AddMember{Id: 4, Incarnation: life}}}
	}
	done[*MembersChanged](f, leader, add(life+1))
	f.apply(leader, "what it answers to this does not count")
	f.pass(5)
	if got := events[*Disowned](f); len(got) == 0 || got[0].Member != 4 {
		t.Fatalf("got %v, want a Disowned: another life was meant", got)
	}
	done[*MembersChanged](f, leader, remove(4))
	done[*MembersChanged](f, leader, add(life))
	f.elect()
	done[*MembersChanged](f, leader, promote(4))
	f.pass(3)
	f.agree(1, 2, 3, 4)
}
