package node

import (
	"fmt"
	"testing"
)

// follower2 is member 2 in term 2, led by 1, with 1@1{1 2 3} 2@1=c2 3@2=c3.
func follower2(t *testing.T) *subject {
	t.Helper()
	return start(t, given{id: 2, terms: []Term{1, 2}}).follows(1, 2)
}

var c3 = command(3, 2, "c3")

func TestAppendIsAcknowledgedBehindItsSync(t *testing.T) {
	s := follower2(t)
	want(t, s.gets(s.append(1, 2, c3, 0, command(4, 2, "a"), command(5, 2, "b"))),
		"sync 1",
		"->1 AppendEntriesReply t2 match 5 commit 0")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@1=c2 3@2=c3 4@2=a 5@2=b")
}

func TestDuplicateAppendWaitsForTheSameSync(t *testing.T) {
	s := follower2(t)
	m := s.append(1, 2, c3, 0, command(4, 2, "a"))
	s.gets(m)
	want(t, s.gets(m), "sync 1", "->1 AppendEntriesReply t2 match 4 commit 0")
	s.syncs()
	want(t, s.gets(m), "->1 AppendEntriesReply t2 match 4 commit 0")
}

func TestDuplicateAppendDoesNotTruncateALongerTail(t *testing.T) {
	s := follower2(t)
	m := s.append(1, 2, c3, 0, command(4, 2, "a"))
	s.gets(m)
	s.gets(s.append(1, 2, command(4, 2, "a"), 0, command(5, 2, "b")))
	want(t, s.gets(m), "sync 2", "->1 AppendEntriesReply t2 match 4 commit 0")
	want(t, s.gets(s.append(1, 2, Entry{}, 0)), "sync 2", "->1 AppendEntriesReply t2 match 0 commit 0")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@1=c2 3@2=c3 4@2=a 5@2=b")
}

func TestCommitIndexNeverGoesBack(t *testing.T) {
	s := follower2(t)
	want(t, s.gets(s.append(1, 2, c3, 3)),
		"apply 1@1{1 2 3} 2@1=c2 3@2=c3",
		"members {1 2 3}@1 committed=true",
		"->1 AppendEntriesReply t2 match 3 commit 3")
	// Older messages: the logs agree up to the commit index at least, whatever they verify.
	want(t, s.gets(s.append(1, 2, command(1, 1, ""), 1, command(2, 1, "c2"))),
		"->1 AppendEntriesReply t2 match 3 commit 3")
	want(t, s.gets(&Heartbeat{Header: s.from(1, 2), Round: 1, Commit: 1}),
		"->1 HeartbeatReply t2 round 1 commit 3")
}

func TestEmptyAppendCommitsOnlyWhatItVerifies(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1, 1}}).follows(1, 2)
	want(t, s.gets(s.append(1, 2, command(2, 1, ""), 4)),
		"apply 1@1{1 2 3} 2@1=c2",
		"members {1 2 3}@1 committed=true",
		"->1 AppendEntriesReply t2 match 2 commit 2")
}

func TestHeartbeatCommitsWhatTheLeaderKnowsToBeHere(t *testing.T) {
	s := follower2(t)
	want(t, s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 2}),
		"apply 1@1{1 2 3} 2@1=c2",
		"members {1 2 3}@1 committed=true")
}

func TestFollowerAppliesOnlyWhatIsDurableHere(t *testing.T) {
	s := follower2(t)
	want(t, s.gets(s.append(1, 2, c3, 4, command(4, 2, "a"))),
		"apply 1@1{1 2 3} 2@1=c2 3@2=c3",
		"members {1 2 3}@1 committed=true",
		"sync 1",
		"->1 AppendEntriesReply t2 match 4 commit 4")
	want(t, s.syncs(), "apply 4@2=a")
}

func TestConflictingTailIsReplaced(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 2, 2, 2}})
	s.gets(s.append(1, 3, command(2, 1, ""), 0, command(3, 3, "x")))
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@1=c2 3@3=x")
	equal(t, "durable", s.disk.durable, 2)
	s.syncs()
	equal(t, "durable", s.disk.durable, 3)
}

func TestCommittedEntriesAreNeverTruncated(t *testing.T) {
	s := follower2(t)
	s.gets(s.append(1, 2, c3, 3))
	before := s.state()
	want(t, s.gets(s.append(1, 3, command(2, 1, ""), 0, command(3, 3, "x"))),
		"fault of 1: conflict with committed entries: it has term 3 at index 3, which is committed here with term 2")
	want(t, s.gets(s.append(1, 3, command(3, 3, ""), 0)),
		"fault of 1: conflict with committed entries: it has term 3 at index 3, which is committed here with term 2")
	equal(t, "state", s.state(), before)
}

func TestRejectionHintsAtTheHighestIndexThatCanMatch(t *testing.T) {
	// The follower's log: 1@1 2@1 3@4 4@4 5@6, nothing committed.
	for name, c := range map[string]struct {
		prev     Index
		prevTerm Term
		line     string
	}{
		"beyond the end":                 {9, 7, "rejected 9 hint 5@6"},
		"beyond the end, in an old term": {9, 4, "rejected 9 hint 4@4"},
		"another term":                   {5, 5, "rejected 5 hint 4@4"},
		"a term between":                 {4, 3, "rejected 4 hint 2@1"},
		"a higher term":                  {4, 5, "rejected 4 hint 3@4"},
		"older than all":                 {2, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, given{id: 2, terms: []Term{1, 4, 4, 6}}).follows(1, 8)
			got := s.gets(s.append(1, 8, command(c.prev, c.prevTerm, ""), 0))
			if c.line == "" {
				wantSome(t, got, "fault of 1: malformed")
				return
			}
			want(t, got, "->1 AppendEntriesReply t8 "+c.line+" commit 0")
		})
	}
}

func TestRejectionNeverHintsBelowWhatIsCommitted(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 4, 4}}).follows(1, 5)
	s.gets(s.append(1, 5, command(3, 4, ""), 3))
	want(t, s.gets(s.append(1, 5, command(4, 1, ""), 0)),
		"->1 AppendEntriesReply t5 rejected 4 hint 3@4 commit 3")
}

// TestLeaderOfAnEarlierTermIsTold: the answers say nothing but the term, since the round or the index
// of an earlier term could be taken for one of the present.
func TestLeaderOfAnEarlierTermIsTold(t *testing.T) {
	s := start(t, given{id: 2, hard: HardState{Term: 7}})
	before := s.state()
	want(t, s.gets(s.append(1, 6, command(1, 1, ""), 0, command(2, 6, "x"))),
		"->1 AppendEntriesReply t7 rejected 0 hint 0@0 commit 0")
	want(t, s.gets(&Heartbeat{Header: s.from(1, 6), Round: 4}), "->1 HeartbeatReply t7 round 0 commit 0")
	want(t, s.gets(&InstallSnapshot{Header: s.from(1, 6), Meta: SnapshotMeta{
		Index: 9, Term: 3, Configuration: founders(1), ConfigurationIndex: 1,
	}}), "->1 AppendEntriesReply t7 rejected 0 hint 0@0 commit 0")
	want(t, s.gets(&TimeoutNow{Header: s.from(1, 6), Transfer: 1, LastIndex: 1}))
	equal(t, "state", s.state(), before)
	equal(t, "stale", s.counters.Stale, 4)
}

func TestHeartbeatReplyWaitsForTheTermOnly(t *testing.T) {
	s := follower2(t)
	want(t, s.gets(&Heartbeat{Header: s.from(1, 3), Round: 1}),
		"leader 1 t3", "sync 1", "->1 HeartbeatReply t3 round 1 commit 0")
	want(t, s.gets(&Heartbeat{Header: s.from(1, 3), Round: 2}),
		"sync 1", "->1 HeartbeatReply t3 round 2 commit 0")
	s.syncs()
	s.gets(s.append(1, 3, c3, 0, command(4, 3, "a")))
	want(t, s.gets(&Heartbeat{Header: s.from(1, 3), Round: 3}),
		"->1 HeartbeatReply t3 round 3 commit 0")
}

func TestEntriesNotInMemoryAreReadToBeApplied(t *testing.T) {
	log := &absentLog{MemoryLog: given{id: 2, terms: []Term{1, 1, 1}}.log(t), absent: 3}
	n, err := New(Config{ID: 2}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	want(t, s.gets(s.append(1, 2, command(4, 1, ""), 4)),
		"read for 2: 1 to 5",
		"members {1 2 3}@1 committed=true",
		"leader 1 t2",
		"sync 1",
		"->1 AppendEntriesReply t2 match 4 commit 4")
	s.syncs()
	first := configurationAt(1, 1, founders(1, 2, 3))
	want(t, s.does(&EntriesRead{For: 2, Lo: 1, Hi: 5, Entries: []Entry{first, command(2, 1, "c2")}}),
		"apply 1@1{1 2 3} 2@1=c2",
		"read for 2: 3 to 5")
	want(t, s.does(&EntriesRead{For: 2, Lo: 3, Hi: 5, Entries: []Entry{command(3, 1, "c3")}}),
		"apply 3@1=c3",
		"apply 4@1=c4")
	want(t, s.does(&EntriesRead{For: 2, Lo: 3, Hi: 5, Entries: []Entry{command(3, 1, "c3")}})) // nobody asked
}

func TestMissingCommittedEntryIsFinal(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"none":         nil,
		"another term": {command(1, 9, "x")},
		"another one":  {command(2, 1, "c2")},
	} {
		t.Run(name, func(t *testing.T) {
			log := &absentLog{MemoryLog: given{id: 2, terms: []Term{1, 1, 1}}.log(t), absent: 3}
			n, err := New(Config{ID: 2}, log)
			must(t, err)
			s := &subject{Node: n, tb: t, store: log.MemoryLog}
			s.gets(s.append(1, 2, command(4, 1, ""), 4))
			if _, err := s.Step(&EntriesRead{For: 2, Lo: 1, Hi: 5, Entries: entries}); err == nil {
				t.Error("a committed entry that cannot be read has no effect")
			}
			equal(t, "applied", s.applied, 0)
		})
	}
}

func TestLongAppendIsAppliedAsFewRuns(t *testing.T) {
	s := follower2(t)
	var entries []Entry
	for i := range 500 {
		entries = append(entries, command(Index(4+i), 2, fmt.Sprint(i)))
	}
	s.gets(s.append(1, 2, c3, 503, entries...))
	actions, err := s.Step(&Synced{Seq: s.disk.seq})
	must(t, err)
	equal(t, "actions", len(actions), 2) // what fits behind the entries that are there, and the others
	equal(t, "entries", len(actions[0].(*Apply).Entries)+len(actions[1].(*Apply).Entries), 500)
}
