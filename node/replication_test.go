package node

import (
	"errors"
	"fmt"
	"testing"
)

// replicating is a leader of three in term 2 whose followers 2 and 3 have everything, 1@1 and 2@2.
func replicatingLeader(t *testing.T, cfg Config) *subject {
	t.Helper()
	return start(t, given{cfg: cfg}).leads()
}

func TestNewLeaderProbesWithItsEmptyEntry(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}}).becomes(Candidate)
	want(t, s.gets(s.voteGrant(3)),
		"->2 AppendEntries t2 prev 3@1 commit 0: 4@2~",
		"->3 AppendEntries t2 prev 3@1 commit 0: 4@2~",
		"leader 1 t2",
		"sync 2")
}

func TestOneProbeAtATime(t *testing.T) {
	s := start(t, given{}).becomes(Leader)
	want(t, s.proposes("a"), "accepted 0+1 at 3@2", "sync 3")
	// A heartbeat's answer lets one more go: the first may be lost.
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 1@1 commit 0: 2@2~")
	want(t, s.proposes("b"), "accepted 0+1 at 4@2", "sync 4")
}

func TestAppendsLeaveBeforeTheLeadersOwnSync(t *testing.T) {
	s := replicatingLeader(t, Config{})
	want(t, s.proposes("a", "b"),
		"accepted 0+2 at 3@2",
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2=a 4@2=b",
		"->3 AppendEntries t2 prev 2@2 commit 2: 3@2=a 4@2=b",
		"sync 3")
}

func TestReplicationIsPipelined(t *testing.T) {
	s := replicatingLeader(t, Config{})
	for i := range 5 {
		wantSome(t, s.proposes("x"), fmt.Sprintf("->2 AppendEntries t2 prev %d@2 commit 2: %d@2=x", i+2, i+3))
	}
}

func TestWindowLimitsMessages(t *testing.T) {
	s := replicatingLeader(t, Config{InflightMessagesMax: 2})
	s.proposes("a")
	s.proposes("b")
	want(t, s.proposes("c"), "accepted 0+1 at 5@2", "sync 5")
	want(t, s.gets(s.ack(2, 3)), "->2 AppendEntries t2 prev 4@2 commit 2: 5@2=c")
}

func TestWindowLimitsBytes(t *testing.T) {
	s := replicatingLeader(t, Config{InflightBytesMax: 80, MessageBytesMax: 40})
	want(t, s.proposes("a", "b", "c", "d"),
		"accepted 0+4 at 3@2",
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2=a",
		"->2 AppendEntries t2 prev 3@2 commit 2: 4@2=b",
		"->2 AppendEntries t2 prev 4@2 commit 2: 5@2=c",
		"->3 AppendEntries t2 prev 2@2 commit 2: 3@2=a",
		"->3 AppendEntries t2 prev 3@2 commit 2: 4@2=b",
		"->3 AppendEntries t2 prev 4@2 commit 2: 5@2=c",
		"sync 3")
	want(t, s.gets(s.ack(2, 3)), "->2 AppendEntries t2 prev 5@2 commit 2: 6@2=d")
}

func TestCatchingUpSendsManyMessagesAtOnce(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1, 1, 1}, cfg: Config{MessageBytesMax: 70}}).becomes(Leader)
	rejection := &AppendEntriesReply{Header: s.re(2, 2), Rejected: 6}
	want(t, s.gets(rejection), "->2 AppendEntries t2 prev 0@0 commit 0: 1@1{1 2 3}")
	want(t, s.gets(s.ack(2, 1)),
		"->2 AppendEntries t2 prev 1@1 commit 0: 2@1=c2 3@1=c3",
		"->2 AppendEntries t2 prev 3@1 commit 0: 4@1=c4 5@1=c5",
		"->2 AppendEntries t2 prev 5@1 commit 0: 6@1=c6 7@2~")
}

func TestProbeCarriesNoLargeEntry(t *testing.T) {
	s := start(t, given{}).becomes(Leader)
	s.proposes(string(make([]byte, probeBytesMax)))
	s.gets(s.ack(2, 2)) // now replicating: the large one goes out
	s.does(&Unreachable{Peer: 2})
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 2@2 commit 2:")
}

func TestHeartbeatsCarryNoEntriesAndTheCommitOfWhatIsKnown(t *testing.T) {
	s := replicatingLeader(t, Config{})
	s.proposes("a")
	s.syncs()
	s.gets(s.ack(2, 3))
	s.ticks(1)
	want(t, s.ticks(1),
		"->2 Heartbeat t2 round 1 commit 3",
		"->3 Heartbeat t2 round 1 commit 2")
}

func TestHeartbeatFlowsToAMemberThatIsSentASnapshot(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}, snapshot: 2, released: 2}).becomes(Leader)
	wantSome(t, s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 3}), "send snapshot to 2")
	wantSome(t, s.ticks(2), "->2 Heartbeat t2 round 1")
}

func TestCommitIsPassedOnAtOnce(t *testing.T) {
	s := replicatingLeader(t, Config{})
	s.proposes("a")
	s.syncs()
	s.gets(s.ack(2, 3))
	// 3 gets it with its own acknowledgement, and nobody gets it twice.
	want(t, s.gets(s.ack(3, 3)), "->3 Heartbeat t2 round 0 commit 3")
	want(t, s.gets(s.ack(3, 3)))
}

func TestCommitIsPassedOnWithTheNextEntriesIfThereAreSome(t *testing.T) {
	s := replicatingLeader(t, Config{InflightMessagesMax: 1})
	s.proposes("a")
	s.proposes("b")
	s.syncs()
	want(t, s.gets(s.ack(2, 3)),
		"->2 AppendEntries t2 prev 3@2 commit 3: 4@2=b",
		"apply 3@2=a")
}

func TestOwnSyncCommitsAndPassesCommitOn(t *testing.T) {
	s := replicatingLeader(t, Config{})
	s.proposes("a")
	want(t, s.gets(s.ack(2, 3)))
	want(t, s.syncs(), "->2 Heartbeat t2 round 0 commit 3", "apply 3@2=a")
}

func TestQuorumOfFollowersCommitsBeforeTheLeadersSync(t *testing.T) {
	s := replicatingLeader(t, Config{})
	s.proposes("a")
	s.gets(s.ack(2, 3))
	want(t, s.gets(s.ack(3, 3)),
		"->2 Heartbeat t2 round 0 commit 3",
		"->3 Heartbeat t2 round 0 commit 3")
	equal(t, "commit", s.commit, 3)
	equal(t, "applied before it is durable here", s.applied, 2)
	want(t, s.syncs(), "apply 3@2=a")
}

func TestEntriesOfEarlierTermsAreNotCommittedByCounting(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}}).becomes(Leader)
	s.gets(s.ack(2, 3))
	s.gets(s.ack(3, 3))
	equal(t, "commit", s.commit, 0)
	s.gets(s.ack(2, 4))
	equal(t, "commit", s.commit, 4)
}

func TestStaleRejectionsAreIgnored(t *testing.T) {
	s := replicatingLeader(t, Config{})
	s.proposes("a")
	s.gets(s.ack(2, 3))
	for name, rejected := range map[string]Index{"at match": 3, "below": 1, "zero": 0, "not sent yet": 4} {
		t.Run(name, func(t *testing.T) {
			before := s.state()
			want(t, s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: rejected}))
			equal(t, "state", s.state(), before)
		})
	}
}

func TestBurstOfEqualRejectionsGoesBackOnce(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1, 1}}).becomes(Leader)
	rejection := &AppendEntriesReply{Header: s.re(2, 2), Rejected: 5, HintIndex: 3, HintTerm: 1}
	want(t, s.gets(rejection), "->2 AppendEntries t2 prev 3@1 commit 0: 4@1=c4")
	for range 10 {
		want(t, s.gets(rejection))
	}
	equal(t, "next", s.lead.progress(2).next, 4)
}

// TestRejectionOfAnEarlierProbeIsIgnored: behind a snapshot the probe asks higher up than probes did
// before, and a late answer to one of those must not send it back there.
func TestRejectionOfAnEarlierProbeIsIgnored(t *testing.T) {
	s := behind(t, Config{})
	s.does(&SnapshotSent{Peer: 2, OK: true})
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 3@1 commit 4: 4@2~")
	want(t, s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 2, HintIndex: 1, HintTerm: 1}))
	equal(t, "next", s.lead.progress(2).next, 4)
}

// TestLateAcknowledgementDuringAProbe: what it says is true, so sending goes on from there, and not from
// where the probe hopes that the logs agree.
func TestLateAcknowledgementDuringAProbe(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1, 1}}).becomes(Leader)
	want(t, s.gets(s.ack(2, 2)), "->2 AppendEntries t2 prev 2@1 commit 0: 3@1=c3 4@1=c4 5@1=c5 6@2~")
}

func TestRejectionIsUnderstoodByTermsOnBothSides(t *testing.T) {
	// The leader's log: 1@1 2@1 3@3 4@3 5@5, then 6@6 of its own.
	for name, c := range map[string]struct {
		hint     Index
		hintTerm Term
		next     Index
	}{
		"follower is short":                        {3, 3, 4},
		"follower has a term that is unknown here": {4, 2, 3},
		"follower has older terms only":            {4, 1, 3},
		"follower has nothing":                     {0, 0, 1},
		"hint at the rejected index":               {5, 3, 5},
		"hint beyond it":                           {9, 9, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, given{terms: []Term{1, 3, 3, 5}, hard: HardState{Term: 8}}).becomes(Leader)
			s.gets(&AppendEntriesReply{Header: s.re(2, 9), Rejected: 5, HintIndex: c.hint, HintTerm: c.hintTerm})
			equal(t, "next", s.lead.progress(2).next, c.next)
		})
	}
}

func TestUnknownPreviousTermIsNeverSentAsZero(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1}, snapshot: 3, released: 3}).becomes(Leader)
	got := s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 4, HintIndex: 1, HintTerm: 1})
	want(t, got, "send snapshot to 2: InstallSnapshot t2 3@1 {1 2 3}@1 local")
}

func TestLostWindowIsFoundOutByAHeartbeat(t *testing.T) {
	s := replicatingLeader(t, Config{InflightMessagesMax: 2})
	s.proposes("a")
	s.proposes("b")
	s.proposes("c")
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 4@2 commit 2:")
	want(t, s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 4, HintIndex: 2, HintTerm: 2}),
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2=a")
	want(t, s.gets(s.ack(2, 3)),
		"->2 AppendEntries t2 prev 3@2 commit 2: 4@2=b 5@2=c")
}

func TestUnreachableMemberIsProbedAtItsNextSignOfLife(t *testing.T) {
	s := replicatingLeader(t, Config{})
	s.proposes("a")
	want(t, s.does(&Unreachable{Peer: 2}))
	want(t, s.proposes("b"), "accepted 0+1 at 4@2", "->3 AppendEntries t2 prev 3@2 commit 2: 4@2=b", "sync 4")
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 2@2 commit 2: 3@2=a")
	want(t, s.gets(s.ack(2, 3)), "->2 AppendEntries t2 prev 3@2 commit 2: 4@2=b")
}

func TestProbeReportedUnreachableResumes(t *testing.T) {
	s := start(t, given{}).becomes(Leader)
	want(t, s.does(&Unreachable{Peer: 2}))
	s.ticks(2)
	want(t, s.gets(s.pulse(2)), "->2 AppendEntries t2 prev 1@1 commit 0: 2@2~")
}

func TestEntriesNotInMemoryAreReadForAFollower(t *testing.T) {
	log := &absentLog{MemoryLog: given{terms: []Term{1, 1, 1, 1}}.log(t)}
	n, err := New(Config{ID: 1, Seed: 1}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	s.becomes(Leader)
	s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 5})
	log.absent = 5
	want(t, s.gets(s.ack(2, 1)), "read for 2: 2 to 7")
	want(t, s.gets(s.ack(2, 1))) // one at a time
	read := func(lo Index, entries ...Entry) *EntriesRead {
		return &EntriesRead{For: 2, Lo: lo, Hi: 7, Entries: entries}
	}
	want(t, s.does(read(2, command(2, 1, "c2"), command(3, 1, "c3"))),
		"->2 AppendEntries t2 prev 1@1 commit 0: 2@1=c2 3@1=c3",
		"read for 2: 4 to 7")
	// What could not be read is tried again at the next sign of life.
	want(t, s.does(read(4)))
	s.ticks(2)
	wantSome(t, s.gets(s.pulse(2)), "read for 2: 4 to 7")
	// What is not what the log holds is not sent.
	want(t, s.does(read(4, command(4, 2, "x"))), "read for 2: 4 to 7")
	want(t, s.does(read(4, command(4, 1, "c4"), command(5, 1, "c5"))),
		"->2 AppendEntries t2 prev 3@1 commit 0: 4@1=c4 5@1=c5",
		"->2 AppendEntries t2 prev 5@1 commit 0: 6@2~")
	want(t, s.does(read(4, command(4, 1, "c4")))) // nobody asked
}

func TestReadThatStartsElsewhereIsNotSent(t *testing.T) {
	log := &absentLog{MemoryLog: given{terms: []Term{1, 1, 1, 1}}.log(t)}
	n, err := New(Config{ID: 1, Seed: 1}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	s.becomes(Leader)
	s.gets(&AppendEntriesReply{Header: s.re(2, 2), Rejected: 5})
	log.absent = 5
	s.gets(s.ack(2, 1))
	got := s.does(&EntriesRead{For: 2, Lo: 2, Hi: 7, Entries: []Entry{command(4, 1, "c4")}})
	wantNo(t, got, "->2 AppendEntries")
}

// absentLog has the entries up to absent, but not in memory.
type absentLog struct {
	*MemoryLog
	absent Index
}

func (l *absentLog) Entries(lo, hi Index, bytesMax int) ([]Entry, error) {
	if lo <= l.absent {
		return nil, ErrNotInMemory
	}
	return l.MemoryLog.Entries(lo, hi, bytesMax)
}

// brokenEntries is a log that cannot be read any more.
type brokenEntries struct {
	*MemoryLog
	broken bool
}

var errBroken = errors.New("the disk is gone")

func (l *brokenEntries) Entries(lo, hi Index, bytesMax int) ([]Entry, error) {
	if l.broken {
		return nil, errBroken
	}
	return l.MemoryLog.Entries(lo, hi, bytesMax)
}

func TestProbeDoesNotSwallowAStorageError(t *testing.T) {
	log := &brokenEntries{MemoryLog: given{}.log(t)}
	n, err := New(Config{ID: 1, Seed: 1}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	s.becomes(Candidate)
	log.broken = true
	_, err = s.Step(&Receive{Message: s.voteGrant(2)})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v, want %v", err, errBroken)
	}
}
