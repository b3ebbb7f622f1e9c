package node

import "testing"

// preVoteOf and voteOf are what a candidate sends whose log ends so.
func (s *subject) preVoteOf(id ID, term Term, lastIndex Index, lastTerm Term) Message {
	return &PreVote{Header: s.from(id, term), Round: 1, CampaignTerm: term + 1, LastIndex: lastIndex, LastTerm: lastTerm}
}

func (s *subject) voteOf(id ID, term Term, lastIndex Index, lastTerm Term) Message {
	return &RequestVote{Header: s.from(id, term), LastIndex: lastIndex, LastTerm: lastTerm}
}

func TestPreVoteDeniedByLiveLeader(t *testing.T) {
	follower := start(t, given{}).follows(2, 1)
	want(t, follower.gets(follower.preVoteOf(3, 1, 9, 1)), "->3 PreVoteReply t1 1 refused")
	leader := start(t, given{}).leads()
	want(t, leader.gets(leader.preVoteOf(3, 2, 9, 2)), "->3 PreVoteReply t2 1 refused")
}

func TestPreVoteGrantedOnceTheLeaderIsSilent(t *testing.T) {
	s := start(t, given{cfg: Config{Seed: 5}}).follows(2, 1)
	s.ticks(s.cfg.ElectionTicks - 1)
	want(t, s.gets(s.preVoteOf(3, 1, 1, 1)), "->3 PreVoteReply t1 1 refused")
	s.ticks(1)
	equal(t, "role", s.role, Follower)
	want(t, s.gets(s.preVoteOf(3, 1, 1, 1)), "->3 PreVoteReply t1 1 granted")
}

func TestPreVoteIsRefusedAtAnEqualTerm(t *testing.T) {
	s := start(t, given{hard: HardState{Term: 2}})
	want(t, s.gets(s.preVoteOf(2, 1, 1, 1)), "->2 PreVoteReply t2 1 refused")
	want(t, s.gets(s.preVoteOf(2, 2, 1, 1)), "->2 PreVoteReply t2 1 granted")
}

// TestLateElectedLeaderIsNotDeposed: a leader does not age its own election timer, so however long
// it took to be elected it hears itself.
func TestLateElectedLeaderIsNotDeposed(t *testing.T) {
	s := start(t, given{}).becomes(Candidate)
	for s.election.timeout <= s.cfg.ElectionTicks+1 {
		s.resetElectionTimer()
	}
	s.ticks(s.election.timeout - 1) // longer than a live leader may be silent
	s.gets(s.voteGrant(2))
	s.syncs()
	s.gets(s.ack(2, 2))
	for range 50 {
		s.ticks(2)
		s.gets(s.pulse(2))
		want(t, s.gets(s.voteOf(3, 9, 99, 2)), "->3 RequestVoteReply t2 refused")
		want(t, s.gets(s.preVoteOf(3, 8, 99, 2)), "->3 PreVoteReply t2 1 refused")
	}
	equal(t, "role", s.role, Leader)
	equal(t, "term", s.hard.Term, 2)
}

func TestPreVoteGrantOfAnEarlierRoundDoesNotCount(t *testing.T) {
	s := start(t, given{})
	s.timesOut()
	late := s.preVoteGrant(2)
	s.timesOut()
	want(t, s.gets(late))
	equal(t, "role", s.role, PreCandidate)
	equal(t, "stale", s.counters.Stale, 1)
}

func TestGrantsOfStrangersAndLearnersDoNotCount(t *testing.T) {
	members := founders(1, 2, 3).with(learner(4))
	s := start(t, given{members: members})
	s.timesOut()
	for _, id := range []ID{4, 9} {
		want(t, s.gets(s.preVoteGrant(id)))
	}
	equal(t, "role", s.role, PreCandidate)
	s.gets(s.preVoteGrant(2))
	s.syncs()
	for _, id := range []ID{4, 9} {
		want(t, s.gets(s.voteGrant(id)))
	}
	equal(t, "role", s.role, Candidate)
	equal(t, "strangers", s.counters.Strangers, 2)
}

func TestGrantOfAnEarlierTermDoesNotCount(t *testing.T) {
	s := start(t, given{}).becomes(Candidate)
	late := s.voteGrant(2)
	s.timesOut()
	s.gets(s.preVoteGrant(3))
	s.syncs()
	equal(t, "term", s.hard.Term, 3)
	want(t, s.gets(late))
	equal(t, "role", s.role, Candidate)
}

func TestDuplicateGrantCountsOnce(t *testing.T) {
	s := start(t, given{members: founders(1, 2, 3, 4, 5)})
	s.timesOut()
	s.gets(s.preVoteGrant(2))
	s.gets(s.preVoteGrant(2))
	equal(t, "role", s.role, PreCandidate)
	s.gets(s.preVoteGrant(3))
	s.syncs()
	s.gets(s.voteGrant(2))
	s.gets(s.voteGrant(2))
	equal(t, "role", s.role, Candidate)
	s.gets(s.voteGrant(5))
	equal(t, "role", s.role, Leader)
}

func TestRefusedVoteDoesNotCount(t *testing.T) {
	s := start(t, given{}).becomes(Candidate)
	s.gets(&RequestVoteReply{Header: s.re(2, s.hard.Term)})
	equal(t, "role", s.role, Candidate)
}

func TestCandidateCountsItsOwnVoteOnlyWhenItIsDurable(t *testing.T) {
	s := start(t, given{})
	s.timesOut()
	s.gets(s.preVoteGrant(2))
	want(t, s.gets(s.voteGrant(2)))
	equal(t, "role", s.role, Candidate)
	wantSome(t, s.syncs(), "leader 1 t2")
}

// TestGrantOfNewAcquaintanceCountsWhenItIsDurable: whom a grant came from must not be forgotten, so
// the grant waits for the sync and counts then.
func TestGrantOfNewAcquaintanceCountsWhenItIsDurable(t *testing.T) {
	s := start(t, given{members: Voters(1, 2, 3)})
	s.timesOut()
	want(t, s.gets(s.preVoteGrant(2)), "sync 1")
	equal(t, "role", s.role, PreCandidate)
	want(t, s.syncs(),
		"sync 2",
		"->2 RequestVote t2 last 1@1",
		"->3 RequestVote t2 last 1@1")
	want(t, s.gets(s.voteGrant(3)), "sync 3")
	s.does(&Synced{Seq: 2})
	equal(t, "role", s.role, Candidate)
	s.does(&Synced{Seq: 3})
	equal(t, "role", s.role, Leader)
}

func TestDuplicateVoteRequestWaitsForTheSameSync(t *testing.T) {
	s := start(t, given{})
	request := s.voteOf(2, 2, 1, 1)
	want(t, s.gets(request), "sync 1", "->2 RequestVoteReply t2 granted")
	want(t, s.gets(request), "sync 1", "->2 RequestVoteReply t2 granted")
	s.syncs()
	want(t, s.gets(request), "->2 RequestVoteReply t2 granted")
}

func TestRefusalOfVoteLeavesAtOnce(t *testing.T) {
	s := start(t, given{})
	s.gets(s.voteOf(2, 2, 1, 1))
	want(t, s.gets(s.voteOf(3, 2, 1, 1)), "->3 RequestVoteReply t2 refused")
	// Its higher term is staged in the same step, but a refusal promises nothing.
	want(t, s.gets(s.voteOf(3, 3, 0, 0)), "->3 RequestVoteReply t3 refused", "sync 2")
}

func TestVoteNeedsALogAsGood(t *testing.T) {
	for name, c := range map[string]struct {
		index Index
		term  Term
		yes   bool
	}{
		"shorter, same term":  {2, 2, false},
		"equal":               {3, 2, true},
		"longer, same term":   {4, 2, true},
		"longer, lower term":  {9, 1, false},
		"shorter, higher":     {2, 3, true},
		"nothing":             {0, 0, false},
		"much longer, higher": {9, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, given{terms: []Term{1, 2}})
			got := s.gets(s.voteOf(2, 5, c.index, c.term))
			if c.yes {
				want(t, got, "sync 1", "->2 RequestVoteReply t5 granted")
			} else {
				want(t, got, "->2 RequestVoteReply t5 refused", "sync 1")
			}
			s = start(t, given{terms: []Term{1, 2}})
			want(t, s.gets(s.preVoteOf(2, 5, c.index, c.term)), "->2 PreVoteReply t2 1 "+granted(c.yes))
		})
	}
}

func TestRefusedPreVoteWithAHigherTermIsHeeded(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}})
	s.timesOut()
	want(t, s.gets(&PreVoteReply{Header: s.re(2, 7), Round: s.election.round}), "sync 1")
	equal(t, "term", s.hard.Term, 7)
	equal(t, "role", s.role, Follower)
	want(t, s.timesOut(),
		"->2 PreVote t7 #2 for t8 last 3@1",
		"->3 PreVote t7 #2 for t8 last 3@1")
}

func TestPreVoteOfAMemberInALowerTermCounts(t *testing.T) {
	s := start(t, given{hard: HardState{Term: 6}})
	s.timesOut()
	s.gets(&PreVoteReply{Header: s.re(2, 3), Round: s.election.round, Granted: true})
	equal(t, "role", s.role, Candidate)
}

func TestVoteRequestIsNotHeededWhileTheLeaderIsHeard(t *testing.T) {
	s := start(t, given{}).follows(2, 1)
	want(t, s.gets(s.voteOf(3, 5, 9, 4)), "->3 RequestVoteReply t1 refused")
	equal(t, "term", s.hard.Term, 1)
	equal(t, "leader", s.leader, 2)
}

func TestForcedElectionIsHeardDespiteTheLeader(t *testing.T) {
	s := start(t, given{}).follows(2, 1)
	want(t, s.gets(&RequestVote{Header: s.from(3, 2), LastIndex: 1, LastTerm: 1, Transfer: 1}),
		"leader 0 t2", "sync 1", "->3 RequestVoteReply t2 granted")
}

func TestLeaderHearsOnlyTheElectionThatItAskedFor(t *testing.T) {
	s := start(t, given{}).leads()
	forced := func(from ID, transfer uint64) Message {
		return &RequestVote{Header: s.from(from, 3), LastIndex: 2, LastTerm: 2, Transfer: transfer}
	}
	want(t, s.gets(forced(2, 1)), "->2 RequestVoteReply t2 refused")
	s.does(&TransferLeadership{Target: 2})
	want(t, s.gets(forced(3, 1)), "->3 RequestVoteReply t2 refused")
	want(t, s.gets(forced(2, 9)), "->2 RequestVoteReply t2 refused")
	want(t, s.gets(forced(2, 1)), "leader 0 t3", "sync 3", "->2 RequestVoteReply t3 granted")
}

// TestStepDownIsPersistedEachTime: the term of every message is staged, and nothing remembers a
// step-down that was not.
func TestStepDownIsPersistedEachTime(t *testing.T) {
	s := start(t, given{}).leads()
	s.gets(&AppendEntriesReply{Header: s.re(2, 8)})
	equal(t, "stored term", s.store.HardState().Term, 8)
	equal(t, "role", s.role, Follower)
	want(t, s.gets(&RequestVoteReply{Header: s.re(2, 9)}), "sync 4")
	equal(t, "stored term", s.store.HardState().Term, 9)
}

func TestCandidateFollowsTheLeaderOfItsTerm(t *testing.T) {
	s := start(t, given{}).becomes(Candidate)
	want(t, s.gets(&Heartbeat{Header: s.from(3, 2), Round: 4}),
		"->3 HeartbeatReply t2 round 4 commit 0", "leader 3 t2")
	equal(t, "role", s.role, Follower)
	want(t, s.gets(s.voteGrant(2)))
	equal(t, "role", s.role, Follower)
}

func TestPreCandidateFollowsItsLeaderAgain(t *testing.T) {
	s := start(t, given{}).follows(3, 1)
	s.timesOut()
	equal(t, "role", s.role, PreCandidate)
	s.follows(3, 1)
	equal(t, "role", s.role, Follower)
	want(t, s.gets(s.preVoteGrant(2)))
	equal(t, "role", s.role, Follower)
}

func TestAppendOfTheSameTermDoesNotDemoteALeader(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.gets(s.append(2, 2, Entry{}, 0)),
		"fault of 2: second leader in a term: it leads term 2, and so does member 1")
	equal(t, "role", s.role, Leader)
}

func TestCampaignDoesNothingToLeadersAndLearners(t *testing.T) {
	leader := start(t, given{}).leads()
	want(t, leader.does(&Campaign{}))
	equal(t, "role", leader.role, Leader)
	l := start(t, given{id: 4, members: founders(1, 2, 3).with(learner(4))})
	want(t, l.does(&Campaign{}))
	equal(t, "role", l.role, Follower)
}

func TestElectionTimerAgesByOneTickAtMost(t *testing.T) {
	s := start(t, given{}).follows(2, 1)
	want(t, s.does(&Tick{Elapsed: 1000}))
	equal(t, "elapsed", s.election.elapsed, 1)
	want(t, s.gets(s.preVoteOf(3, 1, 1, 1)), "->3 PreVoteReply t1 1 refused")
}

func TestTicksOfNoTimeDoNothing(t *testing.T) {
	s := start(t, given{}).leads()
	before := s.state()
	want(t, s.does(&Tick{}))
	want(t, s.does(&Tick{Elapsed: -3}))
	equal(t, "state", s.state(), before)
}

func TestGrantedVoteResetsTheElectionTimer(t *testing.T) {
	s := start(t, given{})
	s.ticks(s.election.timeout - 1)
	s.gets(s.voteOf(2, 2, 1, 1))
	equal(t, "elapsed", s.election.elapsed, 0)
	s.ticks(5)
	s.gets(s.voteOf(3, 2, 1, 1))
	equal(t, "elapsed after a refusal", s.election.elapsed, 5)
}

func TestElectionTimeoutsLieBetweenOneAndTwoTimesElectionTicks(t *testing.T) {
	s := start(t, given{})
	seen := map[int]bool{}
	for range 1000 {
		s.resetElectionTimer()
		if s.election.timeout < 10 || s.election.timeout > 20 {
			t.Fatalf("timeout of %d ticks", s.election.timeout)
		}
		seen[s.election.timeout] = true
	}
	equal(t, "different timeouts", len(seen), 11)
}

func TestOneVotePerTermAcrossARestart(t *testing.T) {
	s := start(t, given{})
	s.gets(s.voteOf(2, 2, 1, 1))
	again := startOn(t, Config{ID: 1}, s.store.Clone())
	want(t, again.gets(again.voteOf(3, 2, 1, 1)), "->3 RequestVoteReply t2 refused")
	want(t, again.gets(again.voteOf(2, 2, 1, 1)), "->2 RequestVoteReply t2 granted")
}

func TestVoteIsNotRepeatedForAnotherLifeOfTheCandidate(t *testing.T) {
	s := start(t, given{members: Voters(1, 2, 3)})
	s.gets(s.voteOf(2, 2, 1, 1))
	wiped := s.voteOf(2, 2, 1, 1)
	wiped.Head().FromIncarnation = 0x999
	want(t, s.gets(wiped), "->2 RequestVoteReply t2 HEADER {From:1 To:2 FromIncarnation:257 ToIncarnation:2457 Term:2} refused")
}

func TestNobodyCampaignsBeyondTheLastTerm(t *testing.T) {
	s := start(t, given{hard: HardState{Term: TermMax}})
	s.timesOut()
	s.gets(s.preVoteGrant(2))
	equal(t, "role", s.role, Follower)
	equal(t, "term", s.hard.Term, TermMax)
}
