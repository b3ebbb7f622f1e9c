package node

import (
	"fmt"
	"testing"
)

// wiped puts another life on a message.
func wiped(m Message) Message {
	m.Head().FromIncarnation = 0x999
	return m
}

func TestGrantOfAnotherLifeDoesNotCountAndItIsTold(t *testing.T) {
	s := start(t, given{})
	s.timesOut()
	want(t, s.gets(wiped(s.preVoteGrant(2))),
		"fault of 2: another incarnation: it is known as 102, and claims to be 999",
		"->2 Refusal t1 HEADER {From:1 To:2 FromIncarnation:257 ToIncarnation:2457 Term:1} known as 102")
	equal(t, "role", s.role, PreCandidate)
	s.gets(s.preVoteGrant(2))
	s.syncs()
	wantSome(t, s.gets(wiped(s.voteGrant(2))), "fault of 2: another incarnation")
	equal(t, "role", s.role, Candidate)
	equal(t, "faults", s.counters.Faults[FaultIncarnation], 2)
}

func TestAcknowledgementOfAnotherLifeDoesNotCount(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a")
	s.syncs()
	wantSome(t, s.gets(wiped(s.ack(2, 3))), "fault of 2: another incarnation")
	equal(t, "commit", s.commit, 2)
	equal(t, "match", s.lead.progress(2).match, 2)
}

func TestAnotherLifeKeepsNoLeaderInOffice(t *testing.T) {
	s := start(t, given{}).leads()
	for range 4 {
		s.ticks(2)
		s.gets(wiped(s.pulse(2)))
		s.gets(wiped(s.ack(3, 2)))
	}
	s.ticks(2)
	equal(t, "role", s.role, Follower)
}

func TestCandidateOfAnotherLifeGetsNoVote(t *testing.T) {
	s := start(t, given{})
	want(t, s.gets(wiped(s.voteOf(2, 2, 1, 1))),
		"fault of 2: another incarnation: it is known as 102, and claims to be 999",
		"->2 Refusal t2 HEADER {From:1 To:2 FromIncarnation:257 ToIncarnation:2457 Term:2} known as 102",
		"->2 RequestVoteReply t2 HEADER {From:1 To:2 FromIncarnation:257 ToIncarnation:2457 Term:2} refused",
		"sync 1")
	wantSome(t, s.gets(wiped(s.preVoteOf(2, 2, 1, 1))), "fault of 2: another incarnation")
	equal(t, "vote", s.hard.Vote, None)
}

func TestRefusalReachesTheDriver(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	want(t, s.gets(&Refusal{Header: s.re(1, 2), Known: 0x77}), "disowned by 1, who knows 77")
}

func TestReplyToAnEarlierLifeIsVoid(t *testing.T) {
	s := start(t, given{}).leads()
	m := s.ack(2, 2)
	m.Head().ToIncarnation = 0x55
	before := s.state()
	want(t, s.gets(m))
	equal(t, "state", s.state(), before)
	equal(t, "stale", s.counters.Stale, 1)
}

func TestMemberOfAnotherLifeDoesNotCampaign(t *testing.T) {
	members := founders(1, 2, 3).with(Member{ID: 1, Suffrage: Voter, Incarnation: 0x77})
	s := start(t, given{members: members})
	want(t, s.timesOut())
	want(t, s.does(&Campaign{}))
	want(t, s.gets(&TimeoutNow{Header: s.from(2, 2), Transfer: 1, LastIndex: 1}), "leader 2 t2", "sync 1")
	equal(t, "role", s.role, Follower)
}

// TestLeaderNamesTheLifeThatItMeans: so a member that has lost its storage finds out by the first
// heartbeat, and has not to say anything for that.
func TestLeaderNamesTheLifeThatItMeans(t *testing.T) {
	s := start(t, given{members: founders(1, 2).with(Member{ID: 3, Suffrage: Learner})}).becomes(Leader)
	meant := func() map[ID]Incarnation {
		lives := map[ID]Incarnation{}
		actions, err := s.Step(&Tick{Elapsed: 2})
		must(t, err)
		for _, a := range actions {
			if send, ok := a.(*Send); ok {
				lives[send.To] = send.Message.Head().ToIncarnation
			}
		}
		return lives
	}
	if got := meant(); got[2] != life(2) || got[3] != 0 {
		t.Errorf("it means %v", got)
	}
	s.gets(s.pulse(3))
	if got := meant(); got[2] != life(2) || got[3] != life(3) {
		t.Errorf("it means %v when it has met 3", got)
	}
}

func TestMemberThatIsNotMeantSaysSo(t *testing.T) {
	for kind, message := range kinds {
		s := start(t, given{id: 3})
		m := message(s, s.from(2, 5))
		m.Head().ToIncarnation = 0x55
		before := s.state()
		got := s.gets(m)
		if isReply(m) {
			want(t, got)
		} else {
			want(t, got, "disowned by 2, who knows 55")
		}
		equal(t, kind+": state", s.state(), before)
	}
}

func TestMemberIsToldOnceInATermThatItIsDisowned(t *testing.T) {
	s := start(t, given{id: 3})
	meant := func(leader ID, term Term, known Incarnation) []string {
		h := s.from(leader, term)
		h.ToIncarnation = known
		return s.gets(&Heartbeat{Header: h, Round: 1})
	}
	told := "disowned by 2, who knows 55"
	want(t, meant(2, 5, 0x55), told)
	want(t, meant(2, 5, 0x55))
	want(t, s.gets(&Refusal{Header: s.re(2, 5), Known: 0x55}))
	want(t, s.gets(&Refusal{Header: s.re(1, 5), Known: 0x55}), "disowned by 1, who knows 55") // by another one
	want(t, meant(2, 5, 0x55))
	want(t, meant(2, 6, 0x55), told) // in another term
	want(t, meant(2, 6, 0x55))
	want(t, meant(2, 6, 0x66), "disowned by 2, who knows 66") // by another life
	equal(t, "stale", s.counters.Stale, 6)
}

// TestDisowningsAreBounded: whoever floods a member with refusals in many names makes it forget, and no more.
func TestDisowningsAreBounded(t *testing.T) {
	s := start(t, given{id: 3})
	refused := func(by ID) []string { return s.gets(&Refusal{Header: s.re(by, 1), Known: 0x55}) }
	for by := range ID(2 * membersMax) {
		want(t, refused(10+by), fmt.Sprintf("disowned by %d, who knows 55", 10+by))
	}
	equal(t, "remembered", len(s.disownings), membersMax)
	want(t, refused(9+2*membersMax))
	wantSome(t, refused(10), "disowned by 10") // the oldest was forgotten
}

// TestFirstLifeMetIsRemembered: across a restart too, so that a member wiped meanwhile is noticed.
func TestFirstLifeMetIsRemembered(t *testing.T) {
	s := start(t, given{members: Voters(1, 2, 3)})
	want(t, s.gets(s.preVoteOf(2, 1, 1, 1)), "->2 PreVoteReply t1 1 granted", "sync 1")
	again := startOn(t, Config{ID: 1}, s.store.Clone())
	wantSome(t, again.gets(wiped(again.preVoteOf(2, 1, 1, 1))), "fault of 2: another incarnation")
}

func TestNothingIsNotedOfStrangers(t *testing.T) {
	s := start(t, given{members: Voters(1, 2, 3)})
	want(t, s.gets(s.preVoteOf(9, 1, 1, 1)), "->9 PreVoteReply t1 1 granted")
	equal(t, "lives noted", len(s.store.Met()), 0)
}

func TestAcknowledgementsOfNewAcquaintancesCountWhenTheyAreDurable(t *testing.T) {
	s := start(t, given{members: Voters(1, 2, 3)}).becomes(Leader)
	s.identity.met, s.lead.progress(2).life = nil, 0 // as if the votes had come from elsewhere
	want(t, s.gets(s.ack(2, 2)), "sync 5")
	equal(t, "commit", s.commit, 0)
	s.syncs()
	equal(t, "commit", s.commit, 2)
}

func TestLeaderHasTheGroupAgreeOnLives(t *testing.T) {
	s := start(t, given{members: Voters(1, 2, 3)}).leads()
	wantSome(t, s.ticks(2), "members {1 2 3}@3 committed=false")
	equal(t, "log", s.holds(), "1@1{1? 2? 3?} 2@2~ 3@2{1 2 3}")
	s.gets(s.pulse(2))
	wantNo(t, s.ticks(2), "members")
}

func TestLivesAreForgottenWithTheirMembers(t *testing.T) {
	s := start(t, given{id: 2, members: Voters(1, 2, 3)})
	s.gets(s.preVoteOf(3, 1, 1, 1))
	s.syncs()
	equal(t, "lives noted", len(s.store.Met()), 1)
	s.gets(s.append(1, 1, command(1, 1, ""), 0, configurationAt(2, 1, Voters(1, 2))))
	equal(t, "lives noted before it is committed", len(s.store.Met()), 1)
	want(t, s.gets(&Heartbeat{Header: s.from(1, 1), Commit: 2}),
		"apply 1@1{1? 2? 3?}",
		"members {1? 2? 3?}@1 committed=true",
		"members {1? 2?}@2 committed=true",
		"sync 3")
	equal(t, "lives noted", len(s.store.Met()), 0)
}

// TestLifeIsForgottenWhenARemovalAndAReturnAreCommittedTogether: a follower that was late may learn of
// both at once.
func TestLifeIsForgottenWhenARemovalAndAReturnAreCommittedTogether(t *testing.T) {
	s := start(t, given{id: 2, members: Voters(1, 2, 3)})
	s.gets(s.preVoteOf(3, 1, 1, 1))
	back := Voters(1, 2).with(Member{ID: 3, Suffrage: Learner})
	s.gets(s.append(1, 1, command(1, 1, ""), 3, configurationAt(2, 1, Voters(1, 2)), configurationAt(3, 1, back)))
	s.syncs()
	equal(t, "lives noted", len(s.store.Met()), 0)
	wantNo(t, s.gets(wiped(s.preVoteOf(3, 1, 3, 1))), "fault")
}

func TestBootstrapNeverLowersTheTerm(t *testing.T) {
	log := NewMemoryLog(life(1))
	must(t, log.SetHardState(HardState{Term: 5, Vote: 2, VoteIncarnation: life(2)}))
	s := startOn(t, Config{ID: 1, Bootstrap: founders(1, 2, 3)}, log)
	equal(t, "term", s.hard.Term, 5)
	wantSome(t, s.gets(s.voteOf(3, 5, 1, 1)), "->3 RequestVoteReply t5 refused")
}

func TestLogWithoutALifeIsRefused(t *testing.T) {
	if _, err := New(Config{ID: 1}, &MemoryLog{entries: Window{first: 1}}); err == nil {
		t.Error("a node starts on storage that was not initialised")
	}
}

func TestLogThatContradictsItselfIsRefused(t *testing.T) {
	late := given{terms: []Term{3}}.log(t)
	must(t, late.SetHardState(HardState{Term: 2}))
	broken := NewMemoryLog(life(1))
	must(t, broken.Append([]Entry{{Index: 1, Term: 1, Kind: EntryConfiguration, Data: []byte("?")}}))
	must(t, broken.SetHardState(HardState{Term: 1}))
	gap := given{terms: []Term{1, 1}}.log(t)
	gap.snapshot.Index = 9
	for name, log := range map[string]*MemoryLog{
		"hard state behind the log": late, "configuration that is none": broken, "snapshot beyond the log": gap,
	} {
		if _, err := New(Config{ID: 1}, log); err == nil {
			t.Errorf("%s: the node starts", name)
		}
	}
}

// leaderThatForgets3 leads 1 and 2 and the learner 3, whose life it met and then forgot: it has committed
// an older configuration in which there is no 3.
func leaderThatForgets3(t *testing.T) *subject {
	t.Helper()
	log := given{members: Voters(1, 2)}.log(t)
	withLearner := Voters(1, 2).with(Member{ID: 3, Suffrage: Learner})
	must(t, log.Append([]Entry{configurationAt(2, 1, withLearner)}))
	must(t, log.SetHardState(HardState{Term: 1}))
	s := startOn(t, Config{ID: 1, Seed: 3}, log)
	s.becomes(Leader)
	s.gets(&AppendEntriesReply{Header: s.re(3, s.hard.Term), Success: true, Match: 3})
	s.syncs()
	s.gets(s.ack(2, 3))
	s.syncs()
	return s
}

// TestPromotionNamesTheLife: a voter of no known life would be taken for a founder that was never
// removed.
func TestPromotionNamesTheLife(t *testing.T) {
	s := leaderThatForgets3(t)
	s.does(&Promote{ID: 3})
	s.syncs()
	m, _ := s.Configuration().Member(3)
	if m.Suffrage == Voter && m.Incarnation == 0 {
		t.Errorf("3 is a voter of no known life: %v", s.Configuration())
	}
}

// TestProgressIsOfOneLife: what one life has acknowledged must not be taken for what the next one has.
func TestProgressIsOfOneLife(t *testing.T) {
	s := leaderThatForgets3(t)
	s.ticks(2)
	s.syncs()
	s.gets(s.ack(2, s.terms.last))
	s.syncs()
	another := s.re(3, s.hard.Term)
	another.FromIncarnation = 0x999
	s.gets(&HeartbeatReply{Header: another, Round: s.lead.round}) // an empty storage
	s.syncs()
	s.does(&Promote{ID: 3})
	s.ticks(2)
	m, _ := s.Configuration().Member(3)
	p := s.lead.progress(3)
	if p.match > 0 && m.Incarnation == 0x999 {
		t.Errorf("%v: life 999 counts for %d, which it never had", s.Configuration(), p.match)
	}
}

// TestWhatAnEarlierLeaderMeantDisownsNobody: the message was long on its way, and the member may have been
// removed and added again meanwhile.
func TestWhatAnEarlierLeaderMeantDisownsNobody(t *testing.T) {
	s := start(t, given{}).follows(2, 3)
	h := s.from(2, 2)
	h.ToIncarnation = 0x55
	want(t, s.gets(&Heartbeat{Header: h, Commit: 1}))
}
