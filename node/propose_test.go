package node

import (
	"errors"
	"testing"
)

func TestBatchStandsInTheLogInItsOrder(t *testing.T) {
	s := start(t, given{}).leads()
	wantSome(t, s.proposes("a", "b", "c"), "accepted 0+3 at 3@2")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@2~ 3@2=a 4@2=b 5@2=c")
	want(t, s.does(&Propose{}))
}

func TestEmptyCommandIsACommand(t *testing.T) {
	s := start(t, given{}).leads()
	wantSome(t, s.proposes(""), "accepted 0+1 at 3@2")
}

func TestTooLargeCommandIsRefusedAndTheRestTaken(t *testing.T) {
	s := start(t, given{cfg: Config{CommandBytesMax: 3}}).leads()
	got := s.proposes("a", "toolarge", "b", "large", "huge", "ccc")
	want(t, got,
		"accepted 0+1 at 3@2",
		"rejected 1+1: node: command of 8 bytes is too large: at most 3 (Config.CommandBytesMax)",
		"accepted 2+1 at 4@2",
		"rejected 3+1: node: command of 5 bytes is too large: at most 3 (Config.CommandBytesMax)",
		"rejected 4+1: node: command of 4 bytes is too large: at most 3 (Config.CommandBytesMax)",
		"accepted 5+1 at 5@2",
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2=a 4@2=b 5@2=ccc",
		"->3 AppendEntries t2 prev 2@2 commit 2: 3@2=a 4@2=b 5@2=ccc",
		"sync 3")
}

func TestOverloadRefusesTheRestOfTheBatch(t *testing.T) {
	s := start(t, given{cfg: Config{UncommittedBytesMax: 70}}).leads()
	want(t, s.proposes("a", "b", "a longer one", "c"),
		"accepted 0+2 at 3@2",
		"rejected 2+2: "+ErrOverloaded.Error(),
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2=a 4@2=b",
		"->3 AppendEntries t2 prev 2@2 commit 2: 3@2=a 4@2=b",
		"sync 3")
	want(t, s.proposes("d"), "rejected 0+1: "+ErrOverloaded.Error())
	s.syncs()
	s.gets(s.ack(2, 4))
	equal(t, "uncommitted bytes", s.Overview().UncommittedBytes, 0)
	wantSome(t, s.proposes("d"), "accepted")
}

func TestOneCommandIsTakenHoweverSmallTheLimit(t *testing.T) {
	s := start(t, given{cfg: Config{UncommittedBytesMax: 1}}).leads()
	wantSome(t, s.proposes("longer than the limit"), "accepted")
	wantSome(t, s.proposes(""), "rejected")
}

func TestUncommittedBytesDoNotLeakAcrossTerms(t *testing.T) {
	s := start(t, given{cfg: Config{UncommittedBytesMax: 100}}).leads()
	for range 20 {
		wantSome(t, s.proposes("some bytes"), "accepted")
		s.gets(&AppendEntriesReply{Header: s.re(2, s.hard.Term+1)})
		s.leads()
		equal(t, "uncommitted bytes", s.Overview().UncommittedBytes, 0)
	}
}

func TestProposalsAreRefusedDuringATransfer(t *testing.T) {
	s := start(t, given{}).leads()
	s.does(&TransferLeadership{Target: 2})
	want(t, s.proposes("a"), "rejected 0+1: "+ErrTransferring.Error())
}

// loses has a leader with uncommitted commands follow member 2 in term 3.
func loses(t *testing.T, commands ...string) *subject {
	t.Helper()
	s := start(t, given{}).leads()
	s.proposes(commands...)
	return s
}

func TestTruncationAloneSupersedesNothing(t *testing.T) {
	s := loses(t, "a", "b")
	got := s.gets(s.append(2, 3, empty(2, 2), 2, empty(3, 3)))
	wantNo(t, got, "superseded")
	s.syncs()
	want(t, s.gets(&Heartbeat{Header: s.from(2, 3), Commit: 3}),
		"apply 3@3~",
		"superseded 3 to 4 of t2")
	want(t, s.gets(s.append(2, 3, empty(3, 3), 3, command(4, 3, "x"))), "sync 5", "->2 AppendEntriesReply t3 match 4 commit 3")
	want(t, s.gets(&Heartbeat{Header: s.from(2, 3), Commit: 4}))
	want(t, s.syncs(), "apply 4@3=x")
}

func TestStepDownEndsNoProposal(t *testing.T) {
	s := loses(t, "a", "b")
	got := s.gets(&AppendEntriesReply{Header: s.re(2, 5)})
	want(t, got, "leader 0 t5", "sync 4")
	// A later leader has one of the two: it is applied, and the other is superseded.
	s.gets(s.append(3, 6, command(3, 2, "a"), 3, empty(4, 6)))
	s.syncs()
	want(t, s.gets(&Heartbeat{Header: s.from(3, 6), Commit: 4}), "apply 4@6~", "superseded 4 to 4 of t2")
}

func TestProposalsCoveredByASnapshotAreForgotten(t *testing.T) {
	s := loses(t, "a", "b")
	offer := &InstallSnapshot{Header: s.from(2, 3), Meta: SnapshotMeta{
		Index: 3, Term: 3, Configuration: founders(1, 2, 3), ConfigurationIndex: 1,
	}}
	s.gets(offer)
	want(t, s.does(&SnapshotReceived{Message: offer}),
		"forgotten 3 to 3 of t2",
		"restore 3@3 {1 2 3}@1",
		"members {1 2 3}@1 committed=false",
		"members {1 2 3}@1 committed=true",
		"sync 5",
		"->2 InstallSnapshotReply t3 match 3")
	s.gets(s.append(2, 3, empty(3, 3), 4, command(4, 3, "x")))
	want(t, s.syncs(), "apply 4@3=x", "superseded 4 to 4 of t2")
}

func TestProposalsOfSeveralTermsAreKeptApart(t *testing.T) {
	s := loses(t, "a", "b")
	s.gets(&AppendEntriesReply{Header: s.re(2, 3)})
	s.becomes(Leader) // term 4: 5@4~
	s.proposes("c")
	s.syncs()
	// Led by 3 in term 5, which has 3@2=a only.
	s.gets(s.append(3, 5, command(3, 2, "a"), 3, empty(4, 5), empty(5, 5), empty(6, 5)))
	s.syncs()
	want(t, s.gets(&Heartbeat{Header: s.from(3, 5), Commit: 4}), "apply 4@5~", "superseded 4 to 4 of t2")
	want(t, s.gets(&Heartbeat{Header: s.from(3, 5), Commit: 6}), "apply 5@5~ 6@5~", "superseded 6 to 6 of t4")
	equal(t, "runs left", len(s.accepted), 0)
}

func TestRefusalsCarryTheirEvidence(t *testing.T) {
	var notLeader *NotLeaderError
	err := error(&NotLeaderError{Leader: 3, Term: 4})
	if !errors.Is(err, ErrNotLeader) || !errors.As(err, &notLeader) || notLeader.Leader != 3 {
		t.Errorf("%v is not found", err)
	}
	for name, pair := range map[string][2]error{
		"too large":  {&CommandTooLargeError{}, ErrCommandTooLarge},
		"membership": {&MembershipError{}, ErrMembership},
		"transfer":   {&TransferError{}, ErrTransfer},
	} {
		if !errors.Is(pair[0], pair[1]) || errors.Is(pair[0], ErrNotLeader) {
			t.Errorf("%s: %v does not match its sentinel alone", name, pair[0])
		}
	}
}
