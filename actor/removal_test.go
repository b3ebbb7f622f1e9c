package raft

import "testing"

// removals counts what a member was told.
func (f *fixture) removals(id ID) (count int) {
	for _, e := range events[*Removed](f) {
		if e.Member == id && e.Group == "g" {
			count++
		}
	}
	return count
}

func TestAMemberThatIsRemovedIsToldOnce(t *testing.T) {
	f, leader := newGroup(t)
	gone := f.others(leader)[0]
	done[*MembersChanged](f, leader, remove(gone))
	f.pass(300)
	if got := f.removals(gone); got != 1 || len(events[*Removed](f)) != 1 {
		t.Errorf("it was told %d times, of %v", got, events[*Removed](f))
	}
}

func TestALeaderThatIsRemovedIsTold(t *testing.T) {
	f, leader := newGroup(t)
	done[*MembersChanged](f, leader, remove(leader))
	f.until("it is told", func() bool { return f.removals(leader) == 1 })
}

func TestAMemberThatWasRemovedWhileItWasDownIsTold(t *testing.T) {
	for name, prepare := range map[string]func(f *fixture, leader, gone ID){
		"a voter": func(*fixture, ID, ID) {},
		"a learner": func(f *fixture, leader, gone ID) {
			done[*MembersChanged](f, leader, demote(gone))
			f.pass(3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, leader := newGroup(t)
			gone := f.others(leader)[0]
			prepare(f, leader, gone)
			f.stop(gone)
			done[*MembersChanged](f, leader, remove(gone))
			f.apply(leader, "a")
			f.pass(30) // it is let go
			f.spawn(gone, &journal{})
			f.until("it is told", func() bool { return f.removals(gone) == 1 })
			f.pass(300)
			if got := f.removals(gone); got != 1 {
				t.Errorf("it was told %d times", got)
			}
			if s := f.status(leader); s.Role != Status_LEADER {
				t.Errorf("the leader is %v: it was disturbed", s)
			}
		})
	}
}

func TestAMemberThatKnowsOfItsRemovalIsToldAgainWhenItStarts(t *testing.T) {
	f, leader := newGroup(t)
	gone := f.others(leader)[0]
	done[*MembersChanged](f, leader, remove(gone))
	f.until("it is told", func() bool { return f.removals(gone) == 1 })
	f.stop(gone)
	f.spawn(gone, &journal{})
	f.until("it is told again", func() bool { return f.removals(gone) == 2 })
}

// The members that it knows are gone, but for one that does not lead.
func TestAMemberLearnsOfItsRemovalFromALeaderThatItDoesNotKnow(t *testing.T) {
	f, leader := newGroup(t)
	gone, left := f.others(leader)[0], f.others(leader)[1]
	f.stop(gone)
	f.spawnJoiner(4, &journal{})
	done[*MembersChanged](f, leader, addLearner(4, "host-4"))
	f.elect()
	done[*MembersChanged](f, leader, promote(4))
	done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: 4})
	done[*MembersChanged](f, 4, remove(gone))
	done[*MembersChanged](f, 4, remove(leader))
	f.pass(30)
	f.stop(leader)
	f.spawn(gone, &journal{})
	f.until("it is told", func() bool { return f.removals(gone) == 1 })
	f.apply(left, "the others go on")
}

func TestAMemberWithoutALeaderDoesNotTakeItselfForRemoved(t *testing.T) {
	f, leader := newGroup(t)
	alone := f.others(leader)[0]
	f.network.isolate(alone, f.others(alone)...) // it asks the others, who have it still
	f.pass(500)
	f.spawnJoiner(4, &journal{})
	f.pass(500)
	if got := events[*Removed](f); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// A leader that has not committed a removal may yet lose it.
func TestARemovalThatIsNotCommittedIsNoRemoval(t *testing.T) {
	f, leader := newGroup(t)
	alone, other := f.others(leader)[0], f.others(leader)[1]
	f.network.isolate(alone, leader, other)
	f.pass(5)
	f.network.cutWay(other, leader) // it stays leader for an election timeout, and commits nothing
	f.ask(leader, remove(alone))
	for range 15 {
		f.pass(1)
		judged := &inquirer{id: alone, owner: refuseAll{t}}
		judged.asked.member = f.pids[leader]
		judged.judge(nil, f.status(leader))
	}
	if got := events[*Removed](f); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// refuseAll takes nothing.
type refuseAll struct{ t *testing.T }

func (r refuseAll) PostUserMessage(message any) { r.t.Errorf("got %T", message) }

func TestAMemberThatIsAddedAgainCanBeRemovedAgain(t *testing.T) {
	f, leader := newGroup(t)
	gone := f.others(leader)[0]
	done[*MembersChanged](f, leader, remove(gone))
	f.until("it is told", func() bool { return f.removals(gone) == 1 })
	f.pass(30)
	done[*MembersChanged](f, leader, addLearner(gone, "host"))
	f.elect()
	f.apply(leader, "a")
	f.pass(5)
	done[*MembersChanged](f, leader, remove(gone))
	f.until("it is told again", func() bool { return f.removals(gone) == 2 })
}
