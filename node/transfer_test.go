package node

import (
	"errors"
	"testing"
)

func TestTransferWaitsForTheTargetToHaveEverything(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a")
	want(t, s.does(&TransferLeadership{Target: 2}))
	want(t, s.gets(s.ack(3, 3)))
	want(t, s.gets(s.ack(2, 3)),
		"->2 Heartbeat t2 round 0 commit 3",
		"->3 Heartbeat t2 round 0 commit 3",
		"->2 TimeoutNow t2 transfer 1 last 3")
}

func TestTransferEndsWhenTheTargetLeads(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&TransferLeadership{Target: 2}), "->2 TimeoutNow t2 transfer 1 last 2")
	want(t, s.gets(&RequestVote{Header: s.from(2, 3), LastIndex: 2, LastTerm: 2, Transfer: 1}),
		"leader 0 t3", "sync 3", "->2 RequestVoteReply t3 granted")
	want(t, s.gets(s.append(2, 3, empty(2, 2), 2, empty(3, 3))),
		"leader 2 t3",
		"transfer to 2 ended: <nil>",
		"sync 4",
		"->2 AppendEntriesReply t3 match 3 commit 2")
}

func TestTransferToItselfIsDone(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&TransferLeadership{Target: 1}), "transfer to 1 ended: <nil>")
	wantSome(t, s.proposes("a"), "accepted")
}

func TestTransferHasADeadline(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	for range 4 {
		s.ticks(2)
		s.gets(s.pulse(3))
	}
	wantNo(t, s.ticks(1), "transfer")
	want(t, s.ticks(1),
		"transfer to 2 ended: node: transferring leadership to 2: it has not taken over within an election timeout; it still may",
		"->2 Heartbeat t2 round 5 commit 2",
		"->3 Heartbeat t2 round 5 commit 2")
	wantSome(t, s.proposes("a"), "accepted")
}

// TestTransferThatMayYetSucceedSaysSo: a target that was told to campaign can win after the deadline,
// one that was not cannot.
func TestTransferThatMayYetSucceedSaysSo(t *testing.T) {
	for name, told := range map[string]bool{"told": true, "not told": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t, given{}).leads()
			if !told {
				s.proposes("a") // 2 never acknowledges it
			}
			s.does(&TransferLeadership{Target: 2})
			for range 4 {
				s.ticks(2)
				s.gets(s.pulse(3))
			}
			actions, err := s.Step(&Tick{Elapsed: 2})
			must(t, err)
			ended, ok := actions[0].(*TransferEnded)
			var failed *TransferError
			if !ok || !errors.As(ended.Err, &failed) || failed.Undecided != told {
				t.Errorf("got %s, want an outcome with Undecided=%v", s.renderAction(actions[0]), told)
			}
		})
	}
}

func TestSecondTransferIsNumberedAnew(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	for range 5 {
		s.ticks(2)
		s.gets(s.pulse(2))
		s.gets(s.pulse(3))
	}
	want(t, s.does(&TransferLeadership{Target: 3}), "->3 TimeoutNow t2 transfer 2 last 2")
}

func TestLostTimeoutNowIsRepeated(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	want(t, s.ticks(2),
		"->2 Heartbeat t2 round 1 commit 2",
		"->3 Heartbeat t2 round 1 commit 2",
		"->2 TimeoutNow t2 transfer 1 last 2")
}

func TestTransferIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		target ID
		reason string
	}{
		"to a learner":   {4, "node: transferring leadership to 4: it is not a voter"},
		"to a stranger":  {9, "node: transferring leadership to 9: it is not a voter"},
		"to a dead one":  {3, "node: transferring leadership to 3: it has not answered within an election timeout"},
		"too early":      {3, ErrNotHeard.Error()},
		"to nobody":      {0, "node: transferring leadership to 0: it is not a voter"},
		"while one runs": {2, ErrTransferring.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, given{members: founders(1, 2, 3).with(learner(4))}).becomes(Leader)
			s.gets(s.ack(2, 2))
			switch name {
			case "while one runs":
				s.does(&TransferLeadership{Target: 2})
			case "to a dead one":
				for range s.cfg.ElectionTicks {
					s.ticks(1)
					s.gets(s.ack(2, 2))
				}
			}
			want(t, s.does(&TransferLeadership{Target: c.target}), "rejected 0+1: "+c.reason)
		})
	}
	f := start(t, given{}).follows(2, 1)
	want(t, f.does(&TransferLeadership{Target: 2}), "rejected 0+1: node: not the leader in term 1; ask member 2")
}

func TestChangesAreRefusedDuringATransfer(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	want(t, s.does(&AddMember{ID: 4}), "rejected 0+1: "+ErrTransferring.Error())
}

func TestPreVoteDoesNotEndATransfer(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	want(t, s.gets(s.preVoteOf(3, 2, 9, 2)), "->3 PreVoteReply t2 1 refused")
	equal(t, "target", s.transfer.target, 2)
}

func TestTransferThatAnotherMemberWinsFails(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	s.gets(&AppendEntriesReply{Header: s.re(3, 3)})
	want(t, s.gets(&Heartbeat{Header: s.from(3, 3), Round: 1}),
		"leader 3 t3",
		"transfer to 2 ended: node: transferring leadership to 2: member 3 leads instead",
		"sync 3",
		"->3 HeartbeatReply t3 round 1 commit 2")
}

func TestTransferOfUnknownOutcomeEndsAtItsDeadline(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	s.gets(&AppendEntriesReply{Header: s.re(2, 3)})
	wantNo(t, s.ticks(9), "transfer")
	wantSome(t, s.ticks(1),
		"transfer to 2 ended: node: transferring leadership to 2: who leads is not known after an election timeout")
}

func TestTimeoutNowIsBoundToTermAndLog(t *testing.T) {
	for name, c := range map[string]struct {
		term  Term
		last  Index
		stale bool
	}{
		"as it should be":   {2, 3, false},
		"earlier term":      {1, 3, true},
		"the log is longer": {2, 2, true},
		"the log is behind": {2, 4, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := follower2(t)
			got := s.gets(&TimeoutNow{Header: s.from(1, c.term), Transfer: 1, LastIndex: c.last})
			if c.stale {
				want(t, got)
				equal(t, "stale", s.counters.Stale, 1)
				return
			}
			want(t, got,
				"leader 0 t3",
				"sync 1",
				"->1 RequestVote t3 last 3@2 transfer 1",
				"->3 RequestVote t3 last 3@2 transfer 1")
		})
	}
}

func TestTimeoutNowAtOneThatDoesNotVoteIsIgnored(t *testing.T) {
	removed := start(t, given{id: 3, terms: []Term{1}, entries: []Entry{configurationAt(2, 1, founders(1, 2))}}).follows(1, 1)
	want(t, removed.gets(&TimeoutNow{Header: removed.from(1, 1), Transfer: 1, LastIndex: 2}))
	l := start(t, given{id: 4, members: founders(1, 2, 3).with(learner(4))}).follows(1, 1)
	want(t, l.gets(&TimeoutNow{Header: l.from(1, 1), Transfer: 1, LastIndex: 1}))
	equal(t, "role", l.role, Follower)
}

func TestRepeatedTimeoutNowDoesNotBeginAnotherElection(t *testing.T) {
	s := follower2(t)
	m := &TimeoutNow{Header: s.from(1, 2), Transfer: 1, LastIndex: 3}
	s.gets(m)
	equal(t, "term", s.hard.Term, 3)
	want(t, s.gets(m))
	equal(t, "term", s.hard.Term, 3)
}

// TestTimeoutNowAtAStalledDiskIsIgnored: it could not write its vote, and would only depose the leader.
func TestTimeoutNowAtAStalledDiskIsIgnored(t *testing.T) {
	s := follower2(t)
	s.gets(s.append(1, 2, command(3, 2, ""), 0, command(4, 2, "d")))
	s.does(&Tick{Elapsed: 2 * s.cfg.ElectionTicks})
	m := &TimeoutNow{Header: s.from(1, 2), Transfer: 1, LastIndex: 4}
	want(t, s.gets(m))
	equal(t, "role", s.role, Follower)
	s.syncs()
	wantSome(t, s.gets(m), "->1 RequestVote t3")
}
