package node

import (
	"slices"
	"testing"
)

// inOffice lets ticks pass one by one, and lets follower 2 answer each of them, until the node does not lead.
func (s *subject) inOffice(ticks int) (lines []string) {
	s.tb.Helper()
	for range ticks {
		lines = append(lines, s.ticks(1)...)
		if s.role == Leader {
			lines = append(lines, s.gets(s.ack(2, s.terms.last))...)
			lines = append(lines, s.gets(s.pulse(2))...)
		}
	}
	return lines
}

// TestLeaderWhoseDiskHangsStepsDown: its heartbeats would keep the others from electing one that works,
// and what it is given would never be applied there.
func TestLeaderWhoseDiskHangsStepsDown(t *testing.T) {
	for name, c := range map[string]struct {
		configured, overdue int
	}{"by default": {0, 20}, "as configured": {7, 7}, "at once": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, given{cfg: Config{DiskStallTicks: c.configured}}).leads()
			s.proposes("a")
			wantNo(t, s.inOffice(c.overdue-1), "disk")
			equal(t, "role just before", s.role, Leader)
			got := s.inOffice(1)
			if k := slices.IndexFunc(got, func(line string) bool { return some([]string{line}, "disk stalled for") }); k < 0 ||
				got[k+1] != "leader 0 t2" {
				t.Errorf("got %q, want the stall and then the loss of leadership", got)
			}
			equal(t, "role", s.role, Follower)
		})
	}
}

func TestStalledDiskIsToldOfOnce(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a")
	s.inOffice(19)
	wantSome(t, s.inOffice(1), "disk stalled for 20 gave up=true")
	lines := s.ticks(100)
	wantNo(t, lines, "disk")
	wantNo(t, lines, "->2 PreVote") // who cannot write does not campaign
	equal(t, "role", s.role, Follower)
	wantSome(t, s.syncs(), "disk recovered after 120")
	wantSome(t, s.ticks(2*s.cfg.ElectionTicks), "->2 PreVote")
	wantNo(t, s.ticks(1), "disk")
}

// TestLaterWritesThatAreNotOverdueAreNoStall: a disk that is slow for some time has recovered when the oldest write
// that it has not done is a young one.
func TestLaterWritesThatAreNotOverdueAreNoStall(t *testing.T) {
	s := start(t, given{id: 2}).follows(1, 2)
	prev := Entry{Index: s.terms.last, Term: s.terms.lastTerm()}
	first := command(prev.Index+1, 2, "a")
	s.gets(s.append(1, 2, prev, 0, first))
	seq := s.disk.seq
	for range 19 {
		s.ticks(1)
		s.gets(&Heartbeat{Header: s.from(1, 2)})
	}
	s.gets(s.append(1, 2, first, 0, command(first.Index+1, 2, "b")))
	wantSome(t, s.ticks(1), "disk stalled for 20 gave up=false")
	s.ticks(5)
	wantSome(t, s.does(&Synced{Seq: seq}), "disk recovered after 25")
	wantNo(t, s.ticks(13), "disk")
	wantSome(t, s.ticks(1), "disk stalled for 20 gave up=false")
}

func TestOnlyVoterGoesOnLeadingWhileItsDiskHangs(t *testing.T) {
	s := start(t, given{members: founders(1)})
	s.timesOut()
	s.syncs()
	s.syncs()
	equal(t, "role", s.role, Leader)
	s.proposes("a")
	s.ticks(19)
	want(t, s.ticks(1), "disk stalled for 20 gave up=false")
	want(t, s.ticks(50))
	equal(t, "role", s.role, Leader)
	wantSome(t, s.syncs(), "apply")
}

// TestLeaderThatBecomesOneOfSeveralGivesUpForAStallThatIsKnown: each loss of leadership says why.
func TestLeaderThatBecomesOneOfSeveralGivesUpForAStallThatIsKnown(t *testing.T) {
	s := start(t, given{members: NewConfiguration(append(founders(1).Members, learner(2))...)})
	s.timesOut()
	s.syncs()
	s.syncs()
	s.gets(s.ack(2, s.terms.last))
	s.proposes("a")
	wantSome(t, s.inOffice(20), "disk stalled for 20 gave up=false")
	wantSome(t, s.does(&Promote{ID: 2}), "accepted")
	wantSome(t, s.ticks(1), "disk stalled for 21 gave up=true")
	equal(t, "role", s.role, Follower)
}

func TestStallCanBeSwitchedOff(t *testing.T) {
	s := start(t, given{cfg: Config{DiskStallTicks: Unlimited}}).leads()
	s.proposes("a")
	wantNo(t, s.inOffice(1000), "disk")
	equal(t, "role", s.role, Leader)
}

// TestIdleDiskIsNotStalled: without a write on its way nothing is overdue, however long that is.
func TestIdleDiskIsNotStalled(t *testing.T) {
	s := start(t, given{}).leads()
	s.syncs()
	wantNo(t, s.inOffice(500), "disk")
	equal(t, "role", s.role, Leader)
}

func TestCandidateWhoseDiskHangsDoesNotTryAgain(t *testing.T) {
	s := start(t, given{}).becomes(Candidate)
	s.does(&Campaign{})
	s.gets(s.preVoteGrant(2))
	equal(t, "role", s.role, Candidate)
	term := s.hard.Term
	wantSome(t, s.ticks(40), "disk stalled for 20 gave up=false")
	equal(t, "term", s.hard.Term, term)
	equal(t, "role", s.role, Follower)
	wantNo(t, s.ticks(100), "->2")
	s.syncs()
	wantSome(t, s.ticks(2*s.cfg.ElectionTicks), "->2 PreVote")
}

// TestOldestWriteIsTheOneThatIsTold: who knows that it is done, by its number, knows that nothing was overdue.
func TestOldestWriteIsTheOneThatIsTold(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a")
	s.ticks(1)
	first := s.Overview()
	s.proposes("b")
	s.ticks(1)
	if o := s.Overview(); o.UnsyncedSeq != first.UnsyncedSeq || o.UnsyncedTicks != 2 {
		t.Errorf("the oldest write is %d, for %d ticks, want %d, for 2", o.UnsyncedSeq, o.UnsyncedTicks, first.UnsyncedSeq)
	}
}
