package node

import "testing"

func TestReadOnTheLeaderIsConfirmedByARound(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&ReadIndex{ID: 7}),
		"->2 Heartbeat t2 round 1 commit 2",
		"->3 Heartbeat t2 round 1 commit 2")
	want(t, s.gets(s.pulse(3)), "read 7 ready at 2")
	want(t, s.gets(s.pulse(2)))
}

func TestReadOnASingleVoterIsReadyAtOnce(t *testing.T) {
	s := alone(t, Config{})
	want(t, s.does(&ReadIndex{ID: 7}), "read 7 ready at 2")
}

func TestReadIsHeldUntilTheFirstCommitOfTheTerm(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}, hard: HardState{Commit: 2}}).becomes(Leader)
	want(t, s.does(&ReadIndex{ID: 7}))
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 3@1 commit 2: 4@2~")
	want(t, s.gets(s.ack(2, 4)),
		"->2 Heartbeat t2 round 2 commit 4",
		"->3 Heartbeat t2 round 2 commit 0",
		"apply 3@1=c3 4@2~")
	want(t, s.gets(s.pulse(2)), "read 7 ready at 4")
}

func TestOlderRoundDoesNotConfirm(t *testing.T) {
	s := start(t, given{}).leads()
	s.ticks(2)
	older := s.pulse(2)
	s.does(&ReadIndex{ID: 7})
	want(t, s.gets(older))
	want(t, s.gets(s.pulse(2)), "read 7 ready at 2")
}

func TestReadsThatComeDuringARoundShareTheNext(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&ReadIndex{ID: 1})
	first := s.pulse(2)
	want(t, s.does(&ReadIndex{ID: 2}))
	s.proposes("a")
	s.syncs()
	s.gets(s.ack(2, 3))
	want(t, s.does(&ReadIndex{ID: 3}))
	want(t, s.gets(first),
		"read 1 ready at 2",
		"->2 Heartbeat t2 round 2 commit 3",
		"->3 Heartbeat t2 round 2 commit 2")
	want(t, s.gets(s.pulse(3)),
		"read 2 ready at 3",
		"read 3 ready at 3",
		"->3 AppendEntries t2 prev 3@2 commit 3:")
}

func TestLostRoundIsMadeUpForByTheNextHeartbeat(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&ReadIndex{ID: 1})
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "read 1 ready at 2")
}

func TestLearnersConfirmNothing(t *testing.T) {
	s := withLearner(t)
	s.does(&ReadIndex{ID: 1})
	want(t, s.gets(s.pulse(4)))
	want(t, s.gets(s.pulse(2)), "read 1 ready at 2")
}

func TestReadOnAFollowerIsAskedOfTheLeader(t *testing.T) {
	s := follower2(t)
	want(t, s.does(&ReadIndex{ID: 1}), "->1 ReadIndexRequest t2 #1")
	batch := s.reads.batch
	want(t, s.does(&ReadIndex{ID: 2}))
	want(t, s.does(&ReadIndex{ID: 3}))
	want(t, s.gets(&ReadIndexReply{Header: s.re(1, 2), Batch: batch, Index: 9}),
		"read 1 ready at 9",
		"->1 ReadIndexRequest t2 #2")
	want(t, s.gets(&ReadIndexReply{Header: s.re(1, 2), Batch: batch, Index: 9}))
	want(t, s.gets(&ReadIndexReply{Header: s.re(1, 2), Batch: batch + 1, Index: 12}),
		"read 2 ready at 12",
		"read 3 ready at 12")
}

func TestFollowerAsksAgain(t *testing.T) {
	s := follower2(t)
	want(t, s.does(&ReadIndex{ID: 1}), "->1 ReadIndexRequest t2 #1")
	first := s.reads.batch
	want(t, s.ticks(1))
	want(t, s.ticks(1), "->1 ReadIndexRequest t2 #2")
	s.does(&ReadIndex{ID: 2})
	// The answer to the first request answers the first read, and no more.
	want(t, s.gets(&ReadIndexReply{Header: s.re(1, 2), Batch: first, Index: 5}),
		"read 1 ready at 5", "->1 ReadIndexRequest t2 #3")
}

func TestLeaderAnswersAFollowersRead(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.gets(&ReadIndexRequest{Header: s.from(3, 2), Batch: 44}),
		"->2 Heartbeat t2 round 1 commit 2",
		"->3 Heartbeat t2 round 1 commit 2")
	want(t, s.gets(s.pulse(2)), "->3 ReadIndexReply t2 batch 44 at 2")
	before := s.state()
	want(t, s.gets(&ReadIndexRequest{Header: s.from(9, 2), Batch: 1}))
	equal(t, "state", s.state(), before)
	equal(t, "strangers", s.counters.Strangers, 1)
}

func TestReadWithoutALeaderFails(t *testing.T) {
	s := start(t, given{})
	want(t, s.does(&ReadIndex{ID: 1}),
		"read 1 failed: node: not the leader in term 1, and no leader is known; try again")
}

func TestChangeOfLeaderFailsReads(t *testing.T) {
	leader := start(t, given{}).leads()
	leader.does(&ReadIndex{ID: 1})
	leader.gets(&ReadIndexRequest{Header: leader.from(3, 2), Batch: 4})
	want(t, leader.gets(&AppendEntriesReply{Header: leader.re(2, 5)}),
		"read 1 failed: node: not the leader in term 5, and no leader is known; try again",
		"leader 0 t5",
		"sync 3")
	f := follower2(t)
	f.does(&ReadIndex{ID: 1})
	want(t, f.gets(&Heartbeat{Header: f.from(3, 3), Round: 1}),
		"read 1 failed: node: not the leader in term 3; ask member 3",
		"leader 3 t3",
		"sync 1",
		"->3 HeartbeatReply t3 round 1 commit 0")
	f.does(&ReadIndex{ID: 2})
	wantSome(t, f.timesOut(), "read 2 failed")
}

func TestReadsAreBounded(t *testing.T) {
	s := start(t, given{cfg: Config{ReadsMax: 2}}).leads()
	s.does(&ReadIndex{ID: 1})
	s.does(&ReadIndex{ID: 2})
	want(t, s.does(&ReadIndex{ID: 3}), "read 3 failed: "+ErrOverloaded.Error())
	want(t, s.gets(&ReadIndexRequest{Header: s.from(3, 2), Batch: 44})) // it asks again
	f := start(t, given{id: 2, cfg: Config{ReadsMax: 1}}).follows(1, 2)
	f.does(&ReadIndex{ID: 1})
	want(t, f.does(&ReadIndex{ID: 2}), "read 2 failed: "+ErrOverloaded.Error())
}

func TestAnswersOfOthersThanTheLeaderAreIgnored(t *testing.T) {
	s := follower2(t)
	s.does(&ReadIndex{ID: 1})
	want(t, s.gets(&ReadIndexReply{Header: s.re(3, 2), Batch: s.reads.batch, Index: 5}))
	want(t, s.gets(&ReadIndexReply{Header: s.re(1, 2), Batch: s.reads.batch + 1, Index: 5}))
	equal(t, "stale", s.counters.Stale, 2)
}

// TestRefusalOfAnEarlierTermConfirmsNoRead: its answer must not carry the round of the earlier term
// into the new one.
func TestRefusalOfAnEarlierTermConfirmsNoRead(t *testing.T) {
	f := start(t, given{id: 2, hard: HardState{Term: 5}})
	want(t, f.gets(&Heartbeat{Header: f.from(1, 4), Round: 9}), "->1 HeartbeatReply t5 round 0 commit 0")
	leader := start(t, given{}).leads()
	leader.does(&ReadIndex{ID: 1})
	want(t, leader.gets(&HeartbeatReply{Header: leader.re(2, 2)}))
}
