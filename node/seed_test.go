package node

import "testing"

// What the tests of the seed (raft_io_node_rs.txt, from line 1601) pin down, test by test. It differs
// from the seed in these points, each for the reason given:
//
//   - A member knows its group from a configuration entry at index 1 and term 1 that every founder
//     writes, or knows nobody; the seed's configuration always includes the member itself, so that a
//     lone joiner elects itself (PITFALLS 1.4). So terms here start at 1 where the seed's start at 0,
//     and indices are one higher.
//   - A leader begins with an empty entry (PITFALLS 1.8), which shifts indices by one again.
//   - A write is staged, and a Sync action asks for it to be made durable; the seed syncs inside of
//     step (PITFALLS 1.16). What promises something stands behind the Sync.
//   - Who asks for pre-votes has a role of its own, PreCandidate; the seed calls it a follower.
//   - A pre-vote is not granted at an equal term, and grants carry a round (PITFALLS 1.6).
//   - A higher term in a request is heeded whoever sends it, as in the seed, but a member that hears
//     from its leader does not heed a RequestVote (PITFALLS 1.10).
//   - Heartbeats are messages of their own and carry no entries; the seed's are AppendEntries that
//     repeat whatever is outstanding (PITFALLS 1.20).
//   - A hint names the highest index that can match and its term; the seed's names the first index of a
//     term, or the length (DESIGN section 3, conflict hints by term on both sides).
//   - A proposal or a change that is turned down is an action, Rejected; the seed returns an error
//     from step (DESIGN section 3: an outcome for every proposal).
//   - AddMember adds a learner, to be promoted later: the seed's AddServer adds a voter, dead or not
//     (PITFALLS 1.13). So adding a second member to one does not make the change uncommittable, and
//     what shows "one change at a time" is a change that is not synced.
//   - A change needs a committed entry of the leader's term (PITFALLS 1.1).
//   - Adding a member that is there already is Accepted where it stands; in the seed nothing is said.
//   - A snapshot's state never passes through the node: an offer is accepted, and SnapshotReceived
//     comes when its state is durable; the seed installs what the message holds.
//   - A leader sends a snapshot only to a member that it has heard from in its term.
//   - TimeoutNow names the transfer and the end of the log (PITFALLS 1.11, 2.14); in the seed any
//     TimeoutNow starts an election.
//   - Leadership passes only to a voter that has answered, and the refusal is told; in the seed a
//     transfer to a stranger is ignored silently (PITFALLS 1.11).

func single(t *testing.T, cfg Config) *subject {
	t.Helper()
	s := start(t, given{members: founders(1), cfg: cfg})
	s.timesOut()
	s.syncs()
	return s
}

func TestSingleNodeElectsItself(t *testing.T) {
	s := start(t, given{members: founders(1)})
	want(t, s.timesOut(), "sync 1")
	equal(t, "role before its vote is durable", s.role, Candidate)
	want(t, s.syncs(), "leader 1 t2", "sync 2")
	equal(t, "role", s.role, Leader)
	equal(t, "leader", s.leader, 1)
	equal(t, "term", s.hard.Term, 2)
}

func TestSingleNodeCommitsProposal(t *testing.T) {
	s := single(t, Config{})
	s.syncs()
	want(t, s.proposes("a"), "accepted 0+1 at 3@2", "sync 3")
	equal(t, "commit before the sync", s.commit, 2)
	want(t, s.syncs(), "apply 3@2=a")
	equal(t, "commit", s.commit, 3)
	equal(t, "applied", s.applied, 3)
}

func TestProposalToFollowerIsRejected(t *testing.T) {
	s := start(t, given{})
	s.syncs()
	want(t, s.proposes("a", "b"),
		"rejected 0+2: node: not the leader in term 1, and no leader is known; try again")
	s.follows(2, 1)
	want(t, s.proposes("a"), "rejected 0+1: node: not the leader in term 1; ask member 2")
}

func TestCandidatePreVotesThenRequestsVotesFromPeers(t *testing.T) {
	s := start(t, given{})
	want(t, s.timesOut(),
		"->2 PreVote t1 #1 for t2 last 1@1",
		"->3 PreVote t1 #1 for t2 last 1@1")
	equal(t, "role", s.role, PreCandidate)
	equal(t, "term", s.hard.Term, 1)

	want(t, s.gets(s.preVoteGrant(2)),
		"sync 1",
		"->2 RequestVote t2 last 1@1",
		"->3 RequestVote t2 last 1@1")
	equal(t, "role", s.role, Candidate)
	equal(t, "term", s.hard.Term, 2)
}

func TestPreVoteDoesNotAdvanceTermOrPersist(t *testing.T) {
	s := start(t, given{})
	for range 50 {
		wantNo(t, s.timesOut(), "sync")
	}
	equal(t, "role", s.role, PreCandidate)
	equal(t, "term", s.hard.Term, 1)
	equal(t, "stored term", s.store.HardState().Term, 1)
}

func TestPreVoteGrantedWhenNoLeaderAndLogGood(t *testing.T) {
	s := start(t, given{})
	want(t, s.gets(&PreVote{Header: s.from(2, 1), Round: 7, CampaignTerm: 2, LastIndex: 1, LastTerm: 1}),
		"->2 PreVoteReply t1 7 granted")
	equal(t, "term", s.hard.Term, 1)
	equal(t, "vote", s.hard.Vote, None)
}

func TestPreVoteDeniedForLogBehind(t *testing.T) {
	s := start(t, given{terms: []Term{2}})
	want(t, s.gets(&PreVote{Header: s.from(2, 2), Round: 7, CampaignTerm: 3, LastIndex: 9, LastTerm: 1}),
		"->2 PreVoteReply t2 7 refused")
}

func TestNodeGrantsOneVoteThenRefusesAnotherCandidate(t *testing.T) {
	s := start(t, given{})
	want(t, s.gets(&RequestVote{Header: s.from(2, 5), LastIndex: 1, LastTerm: 1}),
		"sync 1", "->2 RequestVoteReply t5 granted")
	want(t, s.gets(&RequestVote{Header: s.from(3, 5), LastIndex: 1, LastTerm: 1}),
		"->3 RequestVoteReply t5 refused")
}

func TestHigherTermMessageStepsNodeDown(t *testing.T) {
	s := single(t, Config{})
	s.gets(s.append(9, s.hard.Term+5, Entry{}, 0))
	equal(t, "role", s.role, Follower)
	equal(t, "term", s.hard.Term, 7)
	equal(t, "leader", s.leader, 9)
}

func TestStaleRequestVoteIsRefused(t *testing.T) {
	s := single(t, Config{})
	want(t, s.gets(&RequestVote{Header: s.from(2, 1), LastIndex: 0, LastTerm: 0}),
		"->2 RequestVoteReply t2 refused")
}

func TestHeartbeatResetsElectionTimer(t *testing.T) {
	s := start(t, given{})
	s.ticks(s.election.timeout - 1)
	want(t, s.gets(&Heartbeat{Header: s.from(2, 1), Round: 1}),
		"->2 HeartbeatReply t1 round 1 commit 0", "leader 2 t1")
	equal(t, "elapsed", s.election.elapsed, 0)
	want(t, s.ticks(1))
	equal(t, "role", s.role, Follower)
	equal(t, "leader", s.leader, 2)
}

func TestVoteRepliesElectLeader(t *testing.T) {
	s := start(t, given{}).becomes(Candidate)
	want(t, s.gets(s.voteGrant(2)),
		"->2 AppendEntries t2 prev 1@1 commit 0: 2@2~",
		"->3 AppendEntries t2 prev 1@1 commit 0: 2@2~",
		"leader 1 t2",
		"sync 2")
	equal(t, "role", s.role, Leader)
	equal(t, "leader", s.leader, 1)
}

func TestLeaderSendsHeartbeatsAtItsInterval(t *testing.T) {
	s := start(t, given{}).becomes(Leader)
	want(t, s.ticks(1))
	want(t, s.ticks(1),
		"->2 Heartbeat t2 round 1 commit 0",
		"->3 Heartbeat t2 round 1 commit 0")
}

func TestHardStateIsRestored(t *testing.T) {
	s := start(t, given{hard: HardState{Term: 7, Vote: 3, VoteIncarnation: life(3)}})
	equal(t, "term", s.hard.Term, 7)
	want(t, s.gets(&RequestVote{Header: s.from(2, 7), LastIndex: 9, LastTerm: 6}), "->2 RequestVoteReply t7 refused")
}

func TestVoteIsWrittenToTheLog(t *testing.T) {
	s := start(t, given{})
	s.gets(&RequestVote{Header: s.from(2, 4), LastIndex: 1, LastTerm: 1})
	equal(t, "hard state", s.store.HardState(), HardState{Term: 4, Vote: 2, VoteIncarnation: life(2)})
}

func TestLeaderReplicatesAndCommitsOnQuorum(t *testing.T) {
	s := start(t, given{}).becomes(Leader)
	s.gets(s.ack(2, 2))
	want(t, s.proposes("x"),
		"accepted 0+1 at 3@2",
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2=x",
		"sync 3")
	want(t, s.syncs())
	equal(t, "commit", s.commit, 2)
	want(t, s.gets(s.ack(2, 3)),
		"->2 Heartbeat t2 round 0 commit 3",
		"apply 3@2=x")
	equal(t, "commit", s.commit, 3)
}

func TestFollowerAppendsStreamedEntries(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	first := configurationAt(1, 1, founders(1))
	want(t, s.gets(s.append(1, 2, Entry{}, 2, first, command(2, 2, "x"))),
		"members {1}@1 committed=false",
		"members {1}@1 committed=true",
		"leader 1 t2",
		"sync 1",
		"->1 AppendEntriesReply t2 match 2 commit 2")
	equal(t, "log", s.holds(), "1@1{1} 2@2=x")
	equal(t, "commit", s.commit, 2)
	want(t, s.syncs(), "apply 1@1{1} 2@2=x")
}

func TestFollowerTruncatesDivergentTail(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{2}})
	want(t, s.gets(s.append(1, 3, command(1, 1, ""), 0, command(2, 3, "y"))),
		"leader 1 t3",
		"sync 1",
		"->1 AppendEntriesReply t3 match 2 commit 0")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@3=y")
}

func TestFollowerWithShortLogRejectsWithItsEnd(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	want(t, s.gets(s.append(1, 2, command(3, 1, ""), 0, command(4, 2, "z"))),
		"->1 AppendEntriesReply t2 rejected 3 hint 0@0 commit 0",
		"leader 1 t2",
		"sync 1")
}

func TestFollowerWithAnotherTermRejectsWithItsHighestThatCouldMatch(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 1}})
	want(t, s.gets(s.append(1, 5, command(3, 4, ""), 0)),
		"->1 AppendEntriesReply t5 rejected 3 hint 2@1 commit 0",
		"leader 1 t5",
		"sync 1")
}

func TestRejectionBacktracksThenConverges(t *testing.T) {
	p := &pump{tb: t, nodes: map[ID]*Node{}, applied: map[ID]int{}}
	p.nodes[1] = start(t, given{members: founders(1, 2), terms: []Term{1, 1}}).Node
	follower := start(t, given{id: 2, members: founders(1, 2)})
	p.nodes[2] = follower.Node
	p.elect(1)
	equal(t, "log", follower.holds(), "1@1{1 2} 2@1=c2 3@1=c3 4@2~")
	equal(t, "commit", p.nodes[1].Commit(), 4)
}

func TestGrantedVoteStandsBehindItsSync(t *testing.T) {
	s := start(t, given{})
	want(t, s.gets(&RequestVote{Header: s.from(2, 4), LastIndex: 1, LastTerm: 1}),
		"sync 1",
		"->2 RequestVoteReply t4 granted")
	equal(t, "stored vote", s.store.HardState().Vote, 2)
}

func TestSnapshotIsAskedForThenCompacts(t *testing.T) {
	s := single(t, Config{SnapshotEntries: 3, RetainEntries: -1})
	s.syncs()
	s.proposes("c")
	want(t, s.syncs(), "apply 3@2=c", "take snapshot 3@2 {1}@1")
	want(t, s.does(&Snapshotted{Meta: SnapshotMeta{Index: 3, Term: 2, Configuration: founders(1), ConfigurationIndex: 1}}),
		"sync 4")
	equal(t, "snapshot", s.store.Snapshot().Index, 3)
	equal(t, "first index", s.store.FirstIndex(), 4)
	equal(t, "commit", s.commit, 3)
}

func TestSnapshotOfUncommittedIndexIsIgnored(t *testing.T) {
	s := single(t, Config{SnapshotEntries: Unlimited})
	before := s.state()
	want(t, s.does(&Snapshotted{Meta: SnapshotMeta{Index: 99, Term: 2, Configuration: founders(1), ConfigurationIndex: 1}}))
	equal(t, "state", s.state(), before)
}

func TestLeaderSendsSnapshotToFollowerBehind(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}, snapshot: 2, released: 2}).becomes(Leader)
	reply := &AppendEntriesReply{Header: s.re(2, 2), Rejected: 3}
	want(t, s.gets(reply), "send snapshot to 2: InstallSnapshot t2 2@1 {1 2 3}@1 local")
}

func TestFollowerInstallsSnapshotAndRestores(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	offer := &InstallSnapshot{Header: s.from(1, 3), Meta: SnapshotMeta{
		Index: 8, Term: 2, Configuration: founders(1), ConfigurationIndex: 4,
	}}
	want(t, s.gets(offer), "accept snapshot 8@2 {1}@4 of 1", "leader 1 t3", "sync 1")
	want(t, s.does(&SnapshotReceived{Message: offer, Handle: "file"}),
		"restore 8@2 {1}@4 file",
		"members {1}@4 committed=false",
		"members {1}@4 committed=true",
		"sync 2",
		"->1 InstallSnapshotReply t3 match 8")
	equal(t, "snapshot", s.store.Snapshot().Index, 8)
	equal(t, "commit", s.commit, 8)
}

func TestAppliedPositionIsRecoveredFromSnapshot(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1, 1, 2, 2}, snapshot: 6, released: 6})
	equal(t, "commit", s.commit, 6)
	equal(t, "applied", s.applied, 6)
	want(t, s.ticks(1), "restore 6@2 {1 2 3}@1 local", "members {1 2 3}@1 committed=true")
}

func TestRejectedVoteMakesNoWrite(t *testing.T) {
	s := start(t, given{hard: HardState{Term: 5, Vote: 9}})
	want(t, s.gets(&RequestVote{Header: s.from(2, 3), LastIndex: 1, LastTerm: 1}), "->2 RequestVoteReply t5 refused")
}

func TestBootstrapMembershipIsReported(t *testing.T) {
	s := startOn(t, Config{ID: 1, Bootstrap: founders(3, 2, 1)}, NewMemoryLog(life(1)))
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2 3}")
	want(t, s.ticks(1), "members {1 2 3}@1 committed=true", "sync 1")
	want(t, s.syncs(), "apply 1@1{1 2 3}")
}

func TestAddMemberIsAdoptedOnAppend(t *testing.T) {
	s := single(t, Config{})
	s.syncs()
	want(t, s.does(&AddMember{ID: 2, Address: "b"}),
		"members {1 2l?(b)}@3 committed=false",
		"->2 AppendEntries t2 prev 3@2 commit 2:",
		"accepted 0+1 at 3@2",
		"sync 3")
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2l?(b)}")
	equal(t, "log", s.holds(), "1@1{1} 2@2~ 3@2{1 2l?(b)}")
}

func TestRemoveMemberIsAdoptedOnAppend(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&RemoveMember{ID: 3}),
		"members {1 2}@3 committed=false",
		"->2 AppendEntries t2 prev 2@2 commit 2: 3@2{1 2}",
		"->3 AppendEntries t2 prev 2@2 commit 2: 3@2{1 2}",
		"accepted 0+1 at 3@2",
		"sync 3")
}

func TestAddingExistingMemberChangesNothing(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&AddMember{ID: 2}), "accepted 0+1 at 1@1")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@2~")
}

func TestOneMembershipChangeAtATime(t *testing.T) {
	s := single(t, Config{})
	s.syncs()
	s.does(&AddMember{ID: 2})
	want(t, s.does(&AddMember{ID: 3}), "rejected 0+1: "+ErrChangeInProgress.Error())
	s.syncs()
	wantSome(t, s.does(&AddMember{ID: 3}), "accepted")
}

func TestMembershipChangeIsRejectedOnFollower(t *testing.T) {
	s := start(t, given{id: 2})
	s.follows(1, 1)
	want(t, s.does(&AddMember{ID: 4}), "rejected 0+1: node: not the leader in term 1; ask member 1")
}

func TestMembershipIsRecoveredFromConfigurationEntry(t *testing.T) {
	s := start(t, given{terms: []Term{1, 1}, entries: []Entry{configurationAt(3, 1, founders(1, 2, 3, 4))}})
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2 3 4}")
}

func TestMembershipIsRecoveredFromSnapshot(t *testing.T) {
	s := start(t, given{members: founders(1, 2, 3, 4, 5), terms: []Term{1, 2}, snapshot: 3, released: 3})
	equal(t, "members", renderConfiguration(s.Configuration()), "{1 2 3 4 5}")
}

func TestFollowerAdoptsConfigurationOnAppend(t *testing.T) {
	s := start(t, given{id: 5, joiner: true})
	want(t, s.gets(s.append(1, 2, Entry{}, 0, configurationAt(1, 2, founders(1, 5, 9)))),
		"members {1 5 9}@1 committed=false",
		"leader 1 t2",
		"sync 1",
		"->1 AppendEntriesReply t2 match 1 commit 0")
}

func TestTimeoutNowStartsElectionAtOnce(t *testing.T) {
	s := start(t, given{})
	want(t, s.gets(&TimeoutNow{Header: s.from(2, 1), Transfer: 4, LastIndex: 1}),
		"sync 1",
		"->2 RequestVote t2 last 1@1 transfer 4",
		"->3 RequestVote t2 last 1@1 transfer 4")
	equal(t, "role", s.role, Candidate)
}

func TestTransferToFollowerThatIsUpToDateSendsTimeoutNow(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&TransferLeadership{Target: 2}), "->2 TimeoutNow t2 transfer 1 last 2")
}

func TestTransferToStrangerIsRefused(t *testing.T) {
	s := start(t, given{}).leads()
	want(t, s.does(&TransferLeadership{Target: 99}),
		"rejected 0+1: node: transferring leadership to 99: it is not a voter")
}

func TestNonVoterDoesNotCampaign(t *testing.T) {
	s := start(t, given{id: 5})
	for range 5 {
		want(t, s.timesOut())
	}
	want(t, s.does(&Campaign{}))
	equal(t, "role", s.role, Follower)
}
