package node

import (
	"fmt"
	"strings"
	"testing"
)

// alone is a leader of itself in term 2 with 1@1{1} 2@2~ committed.
func alone(t *testing.T, cfg Config) *subject {
	t.Helper()
	return start(t, given{members: founders(1), cfg: cfg}).leads()
}

// withLearner is a leader of three voters and learner 4, who has everything.
func withLearner(t *testing.T) *subject {
	t.Helper()
	return start(t, given{members: founders(1, 2, 3).with(learner(4))}).leads()
}

func TestChangeNeedsACommittedEntryOfTheTerm(t *testing.T) {
	s := start(t, given{}).becomes(Leader)
	for _, e := range []Event{&AddMember{ID: 4}, &RemoveMember{ID: 3}, &Demote{ID: 3}} {
		want(t, s.does(e), "rejected 0+1: "+ErrNotReady.Error())
	}
	s.gets(s.ack(2, 2))
	wantSome(t, s.does(&AddMember{ID: 4}), "members {1 2 3 4l?}@3 committed=false")
}

func TestChangeWaitsForAnInheritedOne(t *testing.T) {
	s := start(t, given{terms: []Term{1}, entries: []Entry{configurationAt(2, 1, founders(1, 2))}}).becomes(Leader)
	want(t, s.does(&AddMember{ID: 4}), "rejected 0+1: "+ErrNotReady.Error())
	s.gets(s.ack(2, 3)) // the empty entry commits it
	wantSome(t, s.does(&AddMember{ID: 4}), "members {1 2 4l?}@4")
}

func TestConfigurationIsCommittedBySayingSo(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&AddMember{ID: 4})
	s.syncs()
	want(t, s.gets(s.ack(2, 3)),
		"->2 Heartbeat t2 round 0 commit 3",
		"apply 3@2{1 2 3 4l?}",
		"members {1 2 3 4l?}@3 committed=true")
}

func TestRemovedVoterCountsNoMore(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&RemoveMember{ID: 3})
	s.syncs()
	s.gets(s.ack(3, 3))
	equal(t, "commit", s.commit, 2)
	s.gets(s.ack(2, 3))
	equal(t, "commit", s.commit, 3)
}

func TestTruncationBringsBackConfigurationAndSuffrage(t *testing.T) {
	s := start(t, given{id: 3, terms: []Term{1}}).follows(1, 1)
	s.gets(s.append(1, 1, command(2, 1, ""), 0, configurationAt(3, 1, founders(1, 2)), command(4, 1, "x")))
	equal(t, "voter", s.Configuration().IsVoter(3), false)
	want(t, s.gets(s.append(2, 2, command(2, 1, ""), 0, empty(3, 2))),
		"members {1 2 3}@1 committed=false",
		"leader 2 t2",
		"sync 2",
		"->2 AppendEntriesReply t2 match 3 commit 0")
	wantSome(t, s.timesOut(), "->1 PreVote")
}

func TestConfigurationIsRecoveredUpToTheEndOfTheLog(t *testing.T) {
	s := start(t, given{
		terms: []Term{1, 1, 1, 1}, snapshot: 3, released: 2, hard: HardState{Commit: 3},
		entries: []Entry{configurationAt(5, 1, founders(1, 2))},
	})
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2}")
	equal(t, "commit", s.commit, 3)
}

func TestMemberAbsentFromItsUncommittedConfigurationCampaigns(t *testing.T) {
	s := start(t, given{members: founders(1, 2), terms: []Term{1}, entries: []Entry{configurationAt(2, 1, founders(2))}})
	want(t, s.timesOut(), "->2 PreVote t1 #1 for t2 last 2@1")
	want(t, s.gets(s.preVoteGrant(2)), "sync 1", "->2 RequestVote t2 last 2@1")
	s.syncs()
	wantSome(t, s.gets(s.voteGrant(2)), "->2 AppendEntries t2 prev 2@1 commit 0: 3@2~")
	s.syncs()
	equal(t, "commit: it does not count itself", s.commit, 0)
	got := s.gets(s.ack(2, 3))
	wantSome(t, got, "->2 TimeoutNow t2 transfer 1 last 3")
	equal(t, "commit", s.commit, 3)
}

func TestMemberAbsentFromTheCommittedConfigurationDoesNot(t *testing.T) {
	s := start(t, given{
		members: founders(1, 2), terms: []Term{1}, hard: HardState{Commit: 2},
		entries: []Entry{configurationAt(2, 1, founders(2))},
	})
	want(t, s.ticks(1), "apply 1@1{1 2} 2@1{2}", "members {1 2}@1 committed=true", "members {2}@2 committed=true")
	for range 3 {
		want(t, s.timesOut())
	}
	want(t, s.does(&Campaign{}))
}

func TestLastVoterStays(t *testing.T) {
	s := start(t, given{members: founders(1).with(learner(4))}).leads()
	want(t, s.does(&RemoveMember{ID: 1}),
		"rejected 0+1: node: changing the membership of 1: it is the last voter")
	want(t, s.does(&Demote{ID: 1}),
		"rejected 0+1: node: changing the membership of 1: it is the last voter")
	wantSome(t, s.does(&RemoveMember{ID: 4}), "accepted")
}

func TestImpossibleChangesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		event  Event
		reason string
	}{
		"nobody":          {&AddMember{ID: 0}, "of 0: 0 is nobody: ids start at 1"},
		"long address":    {&AddMember{ID: 5, Address: strings.Repeat("x", 1025)}, "of 5: an address has at most 1024 bytes, this one 1025"},
		"other address":   {&AddMember{ID: 2, Address: "z"}, `of 2: it is a member already, at address ""`},
		"no such learner": {&Promote{ID: 9}, "of 9: it is not a member; add it first"},
		"no such voter":   {&Demote{ID: 9}, "of 9: it is not a member"},
	} {
		t.Run(name, func(t *testing.T) {
			s := withLearner(t)
			want(t, s.does(c.event), "rejected 0+1: node: changing the membership "+c.reason)
			f := start(t, given{id: 2}).follows(1, 1)
			want(t, f.does(c.event), "rejected 0+1: node: not the leader in term 1; ask member 1")
		})
	}
}

func TestChangeThatIsMadeAlreadyIsAcceptedWhereItStands(t *testing.T) {
	s := withLearner(t)
	for _, e := range []Event{&AddMember{ID: 4}, &Promote{ID: 2}, &Demote{ID: 4}, &RemoveMember{ID: 9}} {
		want(t, s.does(e), "accepted 0+1 at 1@1")
	}
}

func TestLearnersDoNotCount(t *testing.T) {
	s := withLearner(t)
	s.proposes("a")
	s.syncs()
	s.gets(s.ack(4, 3))
	equal(t, "commit", s.commit, 2)
	// Nor does one keep a leader in office.
	for range 4 {
		s.ticks(2)
		s.gets(s.pulse(4))
	}
	equal(t, "role", s.role, Leader)
	s.ticks(2)
	equal(t, "role", s.role, Follower)
}

func TestLearnerThatHasCaughtUpIsPromoted(t *testing.T) {
	s := withLearner(t)
	want(t, s.does(&Promote{ID: 4}),
		"members {1 2 3 4}@3 committed=false",
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2{1 2 3 4}",
		"->3 AppendEntries t2 prev 2@2 commit 2: 3@2{1 2 3 4}",
		"->4 AppendEntries t2 prev 2@2 commit 2: 3@2{1 2 3 4}",
		"accepted 0+1 at 3@2",
		"sync 3")
	s.syncs()
	s.gets(s.ack(4, 3))
	equal(t, "commit with two of four", s.commit, 2)
	s.gets(s.ack(2, 3))
	equal(t, "commit with three of four", s.commit, 3)
}

func TestSilentLearnerIsNotPromoted(t *testing.T) {
	s := withLearner(t)
	for range 5 {
		s.ticks(2)
		s.gets(s.pulse(2))
	}
	want(t, s.does(&Promote{ID: 4}),
		"rejected 0+1: node: changing the membership of 4: it has not answered within an election timeout")
	fresh := start(t, given{}).leads()
	fresh.does(&AddMember{ID: 5})
	fresh.syncs()
	fresh.gets(fresh.ack(2, 3))
	want(t, fresh.does(&Promote{ID: 5}), "rejected 0+1: "+ErrNotHeard.Error())
}

func TestLearnerThatLagsIsNotPromoted(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&AddMember{ID: 4})
	s.syncs()
	s.gets(s.ack(2, 3))
	for i := range 6 {
		s.proposes("x")
		s.syncs()
		s.ticks(2)
		s.gets(s.pulse(2))
		s.gets(s.pulse(4))
		s.gets(s.ack(2, Index(4+i)))
	}
	const lags = "rejected 0+1: node: changing the membership of 4: it has not caught up with the log yet; try again later"
	want(t, s.does(&Promote{ID: 4}), lags)
	// Its first round has taken twelve ticks: too long. It has to complete a short one.
	s.gets(s.ack(4, 5))
	want(t, s.does(&Promote{ID: 4}), lags)
	s.gets(s.ack(2, s.terms.last))
	s.gets(s.ack(4, s.terms.last))
	s.proposes("x")
	wantSome(t, s.does(&Promote{ID: 4}), "members {1 2 3 4}")
}

func TestMemberIsAddedWithTheLifeThatIsMeant(t *testing.T) {
	s := start(t, given{}).leads()
	wantSome(t, s.does(&AddMember{ID: 4, Incarnation: life(4)}), "members {1 2 3 4l}@3 committed=false")
	s.syncs()
	s.gets(s.ack(2, 3))
	want(t, s.does(&AddMember{ID: 4, Incarnation: life(4)}), "accepted 0+1 at 3@2")
	want(t, s.does(&AddMember{ID: 4, Incarnation: 0x77}),
		"rejected 0+1: node: changing the membership of 4: it is a member already, and known as 104; remove it first")
}

func TestPromotionNamesTheLifeOfTheLearner(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&AddMember{ID: 4})
	s.syncs()
	s.gets(s.ack(2, 3))
	s.gets(s.ack(4, 3))
	s.syncs()
	wantSome(t, s.does(&Promote{ID: 4}), "members {1 2 3 4}@4")
}

func TestLearnerPromotedWithoutKnowingItGrantsVotes(t *testing.T) {
	s := start(t, given{id: 4, members: founders(1, 2, 3).with(learner(4))})
	want(t, s.gets(s.voteOf(2, 2, 2, 1)), "sync 1", "->2 RequestVoteReply t2 granted")
}

func TestJoinerNeverElectsItself(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	for range 10 {
		want(t, s.timesOut())
	}
	want(t, s.does(&Campaign{}))
	want(t, s.gets(&TimeoutNow{Header: s.from(1, 2), Transfer: 1}), "leader 1 t2", "sync 1")
	equal(t, "role", s.role, Follower)
}

func TestJoinerAnswersRequests(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	want(t, s.gets(s.voteOf(1, 2, 3, 1)), "sync 1", "->1 RequestVoteReply t2 granted")
	want(t, s.gets(&Heartbeat{Header: s.from(1, 2), Round: 1}),
		"leader 1 t2", "sync 1", "->1 HeartbeatReply t2 round 1 commit 0")
}

// TestRemovedLeaderHandsOver: it leads until the removal is committed, without counting itself, passes
// the commit on, and tells the one with the most of the log to take over.
func TestRemovedLeaderHandsOver(t *testing.T) {
	s := start(t, given{}).leads()
	wantSome(t, s.does(&RemoveMember{ID: 1}), "members {2 3}@3 committed=false")
	wantSome(t, s.proposes("a"), "accepted 0+1 at 4@2")
	s.syncs()
	s.gets(s.ack(2, 4))
	equal(t, "commit with one of two", s.commit, 2)
	want(t, s.gets(s.ack(3, 3)),
		"->2 Heartbeat t2 round 0 commit 3",
		"->3 Heartbeat t2 round 0 commit 3",
		"apply 3@2{2 3}",
		"members {2 3}@3 committed=true",
		"->2 TimeoutNow t2 transfer 1 last 4")
	want(t, s.proposes("b"), "rejected 0+1: "+ErrTransferring.Error())
	want(t, s.does(&TransferLeadership{Target: 3}), "rejected 0+1: "+ErrTransferring.Error())
	equal(t, "role", s.role, Leader)
	want(t, s.gets(&RequestVote{Header: s.from(2, 3), LastIndex: 4, LastTerm: 2, Transfer: 1}),
		"leader 0 t3", "sync 5", "->2 RequestVoteReply t3 granted")
}

func TestRemovedLeaderStepsDownWhenNobodyTakesOver(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&RemoveMember{ID: 1})
	s.syncs()
	s.gets(s.ack(2, 3))
	wantSome(t, s.gets(s.ack(3, 3)), "->2 TimeoutNow")
	for range 4 {
		wantSome(t, s.ticks(2), "->2 TimeoutNow t2 transfer 1 last 3")
		s.gets(s.pulse(2))
		s.gets(s.pulse(3))
	}
	want(t, s.ticks(2), "leader 0 t2")
	equal(t, "role", s.role, Follower)
	for range 3 {
		want(t, s.timesOut())
	}
}

func TestDemotedLeaderHandsOver(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&Demote{ID: 1})
	s.gets(s.ack(2, 3))
	wantSome(t, s.gets(s.ack(3, 3)), "->2 TimeoutNow t2 transfer 1 last 3")
}

// TestRemovedMemberLearnsOfTheRemoval: it is sent entries and the commit index until it says that it
// knows, or for an election timeout.
func TestRemovedMemberLearnsOfTheRemoval(t *testing.T) {
	s := start(t, given{}).leads()
	wantSome(t, s.does(&RemoveMember{ID: 3}), "members {1 2}@3 committed=false")
	s.syncs()
	s.gets(s.ack(3, 3))
	wantSome(t, s.gets(s.ack(2, 3)), "->2 Heartbeat t2 round 0 commit 3")
	wantSome(t, s.ticks(2), "->3 Heartbeat t2 round 1 commit 3")
	s.gets(&HeartbeatReply{Header: s.re(3, 2), Round: 1, Commit: 3})
	wantNo(t, s.ticks(2), "->3")
	want(t, s.gets(s.ack(3, 3)))
	equal(t, "strangers", s.counters.Strangers, 1)
}

func TestRemovedMemberThatIsSilentIsLetGo(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&RemoveMember{ID: 3})
	s.syncs()
	s.gets(s.ack(2, 3))
	for range 5 {
		wantSome(t, s.ticks(2), "->3 Heartbeat")
		s.gets(s.pulse(2))
	}
	wantNo(t, s.ticks(4), "->3")
}

func TestMemberThatComesBackStartsFromNothing(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&RemoveMember{ID: 3})
	s.syncs()
	s.gets(s.ack(2, 3))
	s.does(&AddMember{ID: 3})
	p := s.lead.progress(3)
	equal(t, "match", p.match, 0)
	equal(t, "leaving", p.leaving, 0)
	equal(t, "state", p.state, probing)
}

func TestGroupHasAMostMembers(t *testing.T) {
	members := founders(1)
	for id := ID(2); id <= membersMax; id++ {
		members.Members = append(members.Members, learner(id))
	}
	s := start(t, given{members: members}).becomes(Leader)
	want(t, s.does(&AddMember{ID: 5000}),
		fmt.Sprintf("rejected 0+1: node: changing the membership of 5000: there are %d members already", membersMax))
}
