package node

import "testing"

// metaAt describes a snapshot of the group {1 2 3}.
func metaAt(i Index, t Term) SnapshotMeta {
	return SnapshotMeta{Index: i, Term: t, Configuration: founders(1, 2, 3), ConfigurationIndex: 1}
}

func (s *subject) offer(leader ID, term Term, meta SnapshotMeta) *InstallSnapshot {
	return &InstallSnapshot{Header: s.from(leader, term), Meta: meta}
}

// applied is a follower of 1 in term 2 that has applied 1@1 2@1 3@2, and takes a snapshot then.
func taking(t *testing.T, cfg Config) *subject {
	t.Helper()
	cfg.SnapshotEntries = 3
	s := start(t, given{id: 2, terms: []Term{1, 2}, cfg: cfg}).follows(1, 2)
	want(t, s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 3}),
		"apply 1@1{1 2 3} 2@1=c2 3@2=c3",
		"members {1 2 3}@1 committed=true",
		"take snapshot 3@2 {1 2 3}@1")
	return s
}

// feed appends and commits count entries, all durable.
func (s *subject) feed(count int) []string {
	s.tb.Helper()
	prev := Entry{Index: s.terms.last, Term: s.terms.lastTerm()}
	for range count {
		e := command(prev.Index+1, s.hard.Term, "x")
		s.gets(s.append(1, s.hard.Term, prev, e.Index, e))
		prev = e
	}
	return s.syncs()
}

func TestSnapshotIsAskedForOncePerCrossing(t *testing.T) {
	s := taking(t, Config{})
	wantNo(t, s.feed(10), "take") // one is being taken
	got := s.does(&Snapshotted{Meta: metaAt(3, 2)})
	want(t, got, "take snapshot 13@2 {1 2 3}@1", "sync 11")
}

func TestFailedSnapshotIsAskedForAgainAtTheNextCrossing(t *testing.T) {
	s := taking(t, Config{})
	want(t, s.does(&SnapshotFailed{Index: 9})) // of another one
	want(t, s.does(&SnapshotFailed{Index: 3}))
	wantNo(t, s.feed(2), "take")
	wantSome(t, s.feed(1), "take snapshot 6@2")
}

func TestSnapshotOnRequest(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 2}, cfg: Config{SnapshotEntries: Unlimited}}).follows(1, 2)
	want(t, s.does(&RequestSnapshot{}), "rejected 0+1: "+ErrNothingToSnapshot.Error())
	s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 2})
	want(t, s.does(&RequestSnapshot{}), "take snapshot 2@1 {1 2 3}@1")
	want(t, s.does(&RequestSnapshot{}), "rejected 0+1: "+ErrNothingToSnapshot.Error())
	s.does(&Snapshotted{Meta: metaAt(2, 1)})
	want(t, s.does(&RequestSnapshot{}), "rejected 0+1: "+ErrNothingToSnapshot.Error())
}

func TestSnapshotHoldsTheConfigurationInForceThere(t *testing.T) {
	s := start(t, given{
		id: 2, terms: []Term{1, 1, 1}, cfg: Config{SnapshotEntries: Unlimited},
		entries: []Entry{configurationAt(2, 1, founders(1, 2)), configurationAt(4, 1, founders(1, 2, 3, 4))},
	}).follows(1, 2)
	s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 3})
	want(t, s.does(&RequestSnapshot{}), "take snapshot 3@1 {1 2}@2")
}

func TestCompactionKeepsATail(t *testing.T) {
	s := taking(t, Config{RetainEntries: 2})
	want(t, s.does(&Snapshotted{Meta: metaAt(3, 2)}), "sync 1")
	equal(t, "first index", s.store.FirstIndex(), 2)
	equal(t, "snapshot", s.store.Snapshot().Index, 3)
	s = taking(t, Config{RetainEntries: -1})
	s.does(&Snapshotted{Meta: metaAt(3, 2)})
	equal(t, "first index", s.store.FirstIndex(), 4)
	s = taking(t, Config{RetainEntries: 100})
	s.does(&Snapshotted{Meta: metaAt(3, 2)})
	equal(t, "first index", s.store.FirstIndex(), 1)
}

func TestSnapshotThatNobodyAskedForIsIgnored(t *testing.T) {
	s := taking(t, Config{})
	before := s.state()
	want(t, s.does(&Snapshotted{Meta: metaAt(2, 1)}))
	want(t, s.does(&Snapshotted{}))
	equal(t, "state", s.state(), before)
}

func TestLateLocalSnapshotDoesNotReplaceANewerInstalledOne(t *testing.T) {
	s := taking(t, Config{})
	s.does(&SnapshotReceived{Message: s.offer(1, 2, metaAt(9, 2)), Handle: "newer"})
	s.syncs()
	before := s.state()
	want(t, s.does(&Snapshotted{Meta: metaAt(3, 2)}))
	equal(t, "state", s.state(), before)
}

func TestOfferIsAcceptedAndInstalledBehindItsSync(t *testing.T) {
	s := follower2(t)
	offer := s.offer(1, 2, metaAt(9, 2))
	want(t, s.gets(offer), "accept snapshot 9@2 {1 2 3}@1 of 1")
	equal(t, "last index before the state is durable", s.terms.last, 3)
	want(t, s.does(&SnapshotReceived{Message: offer, Handle: "file"}),
		"restore 9@2 {1 2 3}@1 file",
		"members {1 2 3}@1 committed=false",
		"members {1 2 3}@1 committed=true",
		"sync 1",
		"->1 InstallSnapshotReply t2 match 9")
	equal(t, "first index", s.store.FirstIndex(), 10)
	equal(t, "applied", s.applied, 9)
	// The log goes on behind it.
	want(t, s.gets(s.append(1, 2, command(9, 2, ""), 10, command(10, 2, "x"))),
		"sync 2", "->1 AppendEntriesReply t2 match 10 commit 10")
	want(t, s.syncs(), "apply 10@2=x")
}

func TestOfferOfWhatIsHereAlreadyIsAnswered(t *testing.T) {
	s := follower2(t)
	s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 2})
	// Committed here.
	want(t, s.gets(s.offer(1, 2, metaAt(2, 1))), "->1 InstallSnapshotReply t2 match 2")
	// In the log, and committed since a snapshot covers it: the suffix behind it stays.
	want(t, s.gets(s.offer(1, 2, metaAt(3, 2))), "apply 3@2=c3", "->1 InstallSnapshotReply t2 match 3")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@1=c2 3@2=c3")
}

func TestOfferOfWhatIsHereButNotDurableIsAnsweredBehindTheSync(t *testing.T) {
	s := follower2(t)
	s.gets(s.append(1, 2, c3, 0, command(4, 2, "a")))
	want(t, s.gets(s.offer(1, 2, metaAt(4, 2))),
		"apply 1@1{1 2 3} 2@1=c2 3@2=c3",
		"members {1 2 3}@1 committed=true",
		"sync 1",
		"->1 InstallSnapshotReply t2 match 4")
}

func TestSnapshotNeverInstallsBackwards(t *testing.T) {
	s := follower2(t)
	offer := s.offer(1, 2, metaAt(2, 1))
	s.gets(s.append(1, 2, c3, 3))
	want(t, s.does(&SnapshotReceived{Message: offer}), "->1 InstallSnapshotReply t2 match 3")
	equal(t, "applied", s.applied, 3)
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@1=c2 3@2=c3")
}

func TestConflictingTailIsDroppedByAnInstall(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1, 1, 1, 1}}).follows(1, 3)
	s.does(&SnapshotReceived{Message: s.offer(1, 3, metaAt(4, 2))})
	equal(t, "last index", s.terms.last, 4)
	equal(t, "term there", s.terms.lastTerm(), 2)
	equal(t, "log", s.holds(), "")
}

func TestInstallDiscardsAnUncommittedConfiguration(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1}, entries: []Entry{configurationAt(2, 1, founders(1, 2))}}).follows(1, 3)
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2}")
	s.does(&SnapshotReceived{Message: s.offer(1, 3, metaAt(4, 2))})
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2 3}")
	again := startOn(t, Config{ID: 2}, s.store)
	equal(t, "members after a restart", renderConfiguration(again.Configuration()), "{1 2 3}")
}

func TestSnapshotIsGoodWhoeverLeadsMeanwhile(t *testing.T) {
	s := follower2(t)
	offer := s.offer(1, 2, metaAt(9, 2))
	s.gets(offer)
	s.follows(3, 4)
	wantSome(t, s.does(&SnapshotReceived{Message: offer}), "restore 9@2")
	equal(t, "leader", s.leader, 3)
}

func TestSnapshotThatContradictsWhatIsCommittedIsRefused(t *testing.T) {
	s := follower2(t)
	s.gets(s.append(1, 2, c3, 3))
	before := s.state()
	want(t, s.gets(s.offer(1, 2, metaAt(3, 1))),
		"fault of 1: conflict with committed entries: its snapshot ends with term 1 at index 3, which is committed here with term 2")
	wantSome(t, s.does(&SnapshotReceived{Message: s.offer(1, 2, metaAt(3, 1))}), "fault of 1: conflict")
	bad := s.offer(1, 2, SnapshotMeta{Index: 9, Term: 2})
	wantSome(t, s.does(&SnapshotReceived{Message: bad}), "fault of 1: malformed")
	equal(t, "state", s.state(), before)
}

func TestLeaderInstallsNothing(t *testing.T) {
	s := start(t, given{}).leads()
	before := s.state()
	want(t, s.does(&SnapshotReceived{Message: s.offer(2, 1, metaAt(9, 1))}))
	equal(t, "state", s.state(), before)
}

// behind is a leader in term 2 whose log 1@1 2@1 3@1 is gone up to 3, which has committed 4@2 with
// follower 3, and which is sending follower 2 the snapshot at 3.
func behind(t *testing.T, cfg Config) *subject {
	t.Helper()
	cfg.SnapshotEntries = max(cfg.SnapshotEntries, 4)
	s := start(t, given{terms: []Term{1, 1}, snapshot: 3, released: 3, cfg: cfg}).becomes(Leader)
	s.does(&Restored{Index: 3})
	s.gets(s.ack(3, 4))
	want(t, s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 3, HintIndex: 1, HintTerm: 1}),
		"send snapshot to 2: InstallSnapshot t2 3@1 {1 2 3}@1 local")
	return s
}

func TestSnapshotIsSentOnce(t *testing.T) {
	s := behind(t, Config{})
	for range 5 {
		wantNo(t, s.ticks(2), "send")
		want(t, s.gets(s.pulse(2)))
		want(t, s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 3}))
		s.gets(s.pulse(3))
	}
	wantNo(t, s.proposes("a"), "->2")
	want(t, s.does(&Unreachable{Peer: 2}))
}

func TestReplicationGoesOnBehindASnapshot(t *testing.T) {
	s := behind(t, Config{})
	want(t, s.gets(&InstallSnapshotReply{Header: s.re(2, 2), Match: 3}),
		"->2 AppendEntries t2 prev 3@1 commit 4: 4@2~")
	want(t, s.does(&SnapshotSent{Peer: 2, OK: true}))
	want(t, s.gets(s.ack(2, 4)))
	equal(t, "state", s.lead.progress(2).state, replicating)
}

func TestLostSnapshotReplyIsMadeUpForByAProbe(t *testing.T) {
	s := behind(t, Config{})
	want(t, s.does(&SnapshotSent{Peer: 2, OK: true}))
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 3@1 commit 4: 4@2~")
	s.gets(s.ack(2, 4))
	equal(t, "state", s.lead.progress(2).state, replicating)
}

func TestFailedSnapshotIsSentAgainAtTheNextSignOfLife(t *testing.T) {
	s := behind(t, Config{})
	want(t, s.does(&SnapshotSent{Peer: 2}))
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "send snapshot to 2: InstallSnapshot t2 3@1 {1 2 3}@1 local")
}

func TestFollowerThatHasItAlreadyAdvances(t *testing.T) {
	s := behind(t, Config{})
	want(t, s.gets(&InstallSnapshotReply{Header: s.re(2, 2), Match: 4}), "->2 Heartbeat t2 round 0 commit 4")
	p := s.lead.progress(2)
	equal(t, "next", p.next, 5)
	equal(t, "state", p.state, replicating)
}

func TestAnswerBelowTheLogIsNotEnough(t *testing.T) {
	s := behind(t, Config{})
	want(t, s.gets(&InstallSnapshotReply{Header: s.re(2, 2), Match: 1}))
	equal(t, "state", s.lead.progress(2).state, snapshotting)
}

func TestSilentMemberIsOfferedNoSnapshot(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}, snapshot: 3, released: 3}).becomes(Leader)
	p := s.lead.progress(2)
	p.next, p.paused = 2, false
	want(t, s.proposes("a"), "accepted 0+1 at 5@2", "sync 3")
	equal(t, "state", p.state, probing)
	s.ticks(2)
	wantSome(t, s.gets(s.pulse(2)), "send snapshot to 2")
}

func TestReceiverHoldsCompactionBackForABoundedTimeAndNumber(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		ticks int
		first Index
	}{
		"held":         {Config{RetainEntries: -1}, 0, 4},
		"out of time":  {Config{RetainEntries: -1, SnapshotHoldTicks: 4}, 4, 8},
		"not at all":   {Config{RetainEntries: -1, SnapshotHoldTicks: -1}, 0, 8},
		"out of room":  {Config{RetainEntries: -1, SnapshotHoldEntries: 2}, 0, 6},
		"retain rules": {Config{RetainEntries: 3, SnapshotHoldEntries: 2}, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := behind(t, c.cfg)
			for range c.ticks / 2 {
				s.ticks(2)
				s.gets(s.pulse(3))
			}
			s.proposes("a", "b", "c")
			s.syncs()
			wantSome(t, s.gets(s.ack(3, 7)), "apply")
			want(t, s.does(&Snapshotted{Meta: metaAt(7, 2)}), "sync 4")
			equal(t, "first index", s.store.FirstIndex(), c.first)
		})
	}
}

func TestRestartTellsTheMachineToRestoreFirst(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1}, snapshot: 3, released: 1, hard: HardState{Commit: 4}})
	want(t, s.ticks(1),
		"restore 3@1 {1 2 3}@1 local",
		"apply 4@1=c4",
		"members {1 2 3}@1 committed=true")
}

func TestNoSnapshotIsTakenWhileOneIsRestored(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1}, snapshot: 2, released: 1, cfg: Config{SnapshotEntries: 1}}).follows(2, 1)
	wantNo(t, s.gets(&Heartbeat{Header: s.from(2, 1), Commit: 4}), "take")
	want(t, s.does(&Restored{Index: 1}))
	want(t, s.does(&Restored{Index: 2}), "take snapshot 4@1 {1 2 3}@1")
}

// TestContradictingSnapshotChangesNothing: not even the term.
func TestContradictingSnapshotChangesNothing(t *testing.T) {
	s := start(t, given{terms: []Term{1, 2}, hard: HardState{Term: 2, Commit: 3}})
	s.syncs()
	m := &InstallSnapshot{Header: s.from(2, 5), Meta: metaAt(3, 3)}
	s.does(&SnapshotReceived{Message: m, Handle: 1})
	equal(t, "term", s.hard.Term, 2)
}
