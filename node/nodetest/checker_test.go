package nodetest

import (
	"errors"
	"strings"
	"testing"

	"example.com/raftactor/node"
)

// group makes three members of which 1 leads term 2 and has committed three commands, at 3 to 5.
func group(t *testing.T) *Cluster {
	t.Helper()
	c := New(Options{NameLives: true})
	c.Bootstrap(1, 2, 3)
	c.Elect(1)
	c.Propose(1, "a", "b", "c")
	c.Settle()
	if c.Err() != nil || c.Committed() != 5 || c.Leader() != c.Member(1) {
		t.Fatalf("the group is not what these tests start from: %v\n%v", c.Err(), c)
	}
	return c
}

// step is what the checker is told by a step of member 1 with these actions, all else unchanged.
func step(c *Cluster, event node.Event, actions ...node.Action) error {
	m := c.Member(1)
	c.checker.before(m, event)
	return c.checker.after(m, event, actions)
}

// header is that of a message from member 2 to member 1.
func header(term node.Term) node.Header {
	return node.Header{From: 2, To: 1, FromIncarnation: 0x202, ToIncarnation: 0x101, Term: term}
}

func entry(i node.Index, term node.Term, data string) node.Entry {
	return node.Entry{Index: i, Term: term, Kind: node.EntryCommand, Data: []byte(data)}
}

// TestCheckerFindsViolations hands the checker one violation of each kind.
func TestCheckerFindsViolations(t *testing.T) {
	tests := map[string]struct {
		violate func(c *Cluster, k *checker, m *Member, v *view) error
		want    string
	}{
		"second leader in a term": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error { return k.elected(life{3, 1}, 2, m.log.written) },
			"election safety",
		},
		"leader without a committed entry": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error {
				return k.elected(life{3, 1}, 7, node.NewMemoryLog(1))
			},
			"leader completeness",
		},
		"leader without votes": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.wasVotedFor(c.Member(2), &view{life: life{2, 0x202}, term: 2})
			},
			"by 0 votes",
		},
		"candidate without pre-votes": {
			func(_ *Cluster, _ *checker, m *Member, v *view) error {
				was := *v
				v.role, v.term = node.Candidate, 3
				clear(v.granted)
				return v.stands(m.node, &was, &node.Tick{Elapsed: 1})
			},
			"stands for election by 1 pre-votes",
		},
		"logs that disagree on an entry": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error {
				e := entry(4, 2, "other")
				return k.wrote(3, &e, 2)
			},
			"log matching",
		},
		"logs that disagree on what stands in front of an entry": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error {
				e := entry(4, 2, "b")
				return k.wrote(3, &e, 1)
			},
			"log matching",
		},
		"leader that changes its log": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				_ = m.log.Append([]node.Entry{entry(6, 2, "x")})
				_ = m.log.Truncate(6)
				return k.staged(m)
			},
			"removes entries from its log, and leads",
		},
		"truncation of a committed entry": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error { return k.truncated(2, 3, position{4, 2}) },
			"truncates its log from 4",
		},
		"snapshot of what is not committed": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error {
				return k.covered(2, node.SnapshotMeta{Index: 6, Term: 2})
			},
			"is not committed",
		},
		"snapshot with another configuration": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error {
				return k.covered(2, node.SnapshotMeta{Index: 4, Term: 2, ConfigurationIndex: 1, Configuration: node.Voters(1, 2)})
			},
			"with configuration {1 2}",
		},
		"configuration that is not the log's": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				e := node.Entry{Index: 6, Term: 2, Kind: node.EntryConfiguration, Data: node.Voters(1, 2).Encode()}
				_ = m.log.Append([]node.Entry{e})
				return k.followsLog(m)
			},
			"and its log says {1 2}",
		},
		"change of membership before the first commit of the term": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				v.term = 3
				return k.reconfigures(m, v, &write{entries: []node.Entry{{Index: 6, Kind: node.EntryConfiguration}}})
			},
			"before it has committed in it",
		},
		"second change of membership": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				v.configured = 9
				return k.reconfigures(m, v, &write{entries: []node.Entry{{Index: 10, Kind: node.EntryConfiguration}}})
			},
			"before the change at 9 is committed",
		},
		"second vote in a term": {
			func(_ *Cluster, k *checker, _ *Member, _ *view) error {
				return k.voted(life{2, 0x202}, 2, life{3, 0x303})
			},
			"has voted in term 2",
		},
		"vote that is not durable": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.left(c.Member(2), &node.RequestVoteReply{Header: header(3), Granted: true})
			},
			"promises a vote",
		},
		"candidacy that is not durable": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.left(c.Member(2), &node.RequestVote{Header: header(3)})
			},
			"its vote to itself",
		},
		"entries that are not durable": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.left(c.Member(2), &node.AppendEntriesReply{Header: header(2), Success: true, Match: 6})
			},
			"promises entries",
		},
		"snapshot that is not durable": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.left(c.Member(2), &node.InstallSnapshotReply{Header: header(2), Match: 6})
			},
			"promises a snapshot",
		},
		"confirmation in a term that is not durable": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.left(c.Member(2), &node.HeartbeatReply{Header: header(3), Round: 1})
			},
			"to follow in its term",
		},
		"leadership that is not durable": {
			func(c *Cluster, k *checker, _ *Member, _ *view) error {
				return k.left(c.Member(2), &node.Heartbeat{Header: header(3)})
			},
			"to lead its term",
		},
		"storage that goes back": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				k.storages[v.life].hard.Term = 9
				return k.completed(m)
			},
			"its storage held",
		},
		"storage whose vote changes": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				k.storages[v.life].hard.Vote = 3
				return k.completed(m)
			},
			"its storage held",
		},
		"start in an earlier term": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				_ = m.log.durable.SetHardState(node.HardState{Term: 9})
				return k.started(m)
			},
			"its storage holds term 9",
		},
		"term that goes back": {
			func(c *Cluster, _ *checker, _ *Member, v *view) error { v.term = 9; return step(c, &node.Tick{}) },
			"term went back",
		},
		"vote that changes": {
			func(c *Cluster, _ *checker, _ *Member, v *view) error { v.vote = 3; return step(c, &node.Tick{}) },
			"vote of term 2 changed",
		},
		"commit that goes back": {
			func(c *Cluster, _ *checker, _ *Member, v *view) error { v.commit = 9; return step(c, &node.Tick{}) },
			"commit went back",
		},
		"follower that commits": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				k.committed = k.committed[:4]
				return k.commits(m, &view{commit: 4}, &view{life: v.life, commit: 5, term: 2})
			},
			"no leader has committed it",
		},
		"commit of an earlier term's entry by counting": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				k.committed = k.committed[:4]
				return k.commits(m, &view{commit: 4}, &view{role: node.Leader, commit: 5, term: 3})
			},
			"by counting",
		},
		"commit that is not durable on a majority": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				_ = m.log.Append([]node.Entry{entry(6, 2, "x")})
				return k.commits(m, &view{commit: 5}, &view{role: node.Leader, commit: 6, term: 2})
			},
			"durable on 0 voters",
		},
		"commit of what was superseded": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				_ = m.log.Append([]node.Entry{entry(6, 2, "x")})
				k.dead[position{6, 2}] = true
				return k.extend(m, &view{commit: 6, term: 2})
			},
			"was said to be superseded",
		},
		"commit of another entry": {
			func(_ *Cluster, k *checker, m *Member, _ *view) error {
				k.committed[4].entry.Term = 1
				return k.commits(m, &view{commit: 4}, &view{commit: 5, term: 2})
			},
			"state machine safety",
		},
		"gap in what is applied": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				return k.applies(m, v, []node.Entry{entry(7, 2, "x")})
			},
			"applies index 7 after 5",
		},
		"apply of what is not committed": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				return k.applies(m, v, []node.Entry{entry(6, 2, "x")})
			},
			"which is not committed",
		},
		"apply of another entry": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				v.applied = 4
				return k.applies(m, v, []node.Entry{entry(5, 2, "other")})
			},
			"state machine safety",
		},
		"apply of what is not durable": {
			func(_ *Cluster, k *checker, m *Member, v *view) error {
				v.applied, m.log.durable = 4, node.NewMemoryLog(1)
				return k.applies(m, v, []node.Entry{entry(5, 2, "c")})
			},
			"not durable there",
		},
		"machine with another state": {
			func(c *Cluster, _ *checker, m *Member, _ *view) error { m.machine.Hash++; return step(c, &node.Tick{}) },
			"its machine is at index 5",
		},
		"machine that is behind and has nothing to do": {
			func(c *Cluster, _ *checker, m *Member, _ *view) error {
				m.machine = &State{}
				return step(c, &node.Tick{})
			},
			"its machine is at index 0 and has nothing to do",
		},
		"more handed over than may wait": {
			func(c *Cluster, k *checker, _ *Member, v *view) error {
				v.applied, v.unappliedBytes, v.unappliedBytesMax = 4, 100, 100
				return step(c, &node.Tick{}, &node.Apply{Entries: []node.Entry{k.at(5).entry}})
			},
			"hands over index 5 when",
		},
		"machine that goes back": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.RestoreSnapshot{Meta: node.SnapshotMeta{Index: 4}})
			},
			"its machine goes back",
		},
		"snapshot of something else than what is applied": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.TakeSnapshot{Meta: node.SnapshotMeta{Index: 4}})
			},
			"takes a snapshot at 4",
		},
		"leader that nobody elected": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.LeaderChanged{Leader: 3, Term: 2})
			},
			"takes 3 for the leader",
		},
		"configuration that is not committed": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.MembershipChanged{Index: 4, Committed: true})
			},
			"as committed, and it is not",
		},
		"batch with a gap in its answers": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Propose{Commands: make([][]byte, 3)}, &node.Rejected{Count: 1}, &node.Rejected{Offset: 2, Count: 1})
			},
			"leave a gap at 1",
		},
		"batch that is answered in part": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Propose{Commands: make([][]byte, 3)}, &node.Rejected{Count: 2})
			},
			"2 of 3 were answered",
		},
		"change that is not answered": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error { return step(c, &node.Promote{ID: 3}) },
			"0 of 1 were answered",
		},
		"accepted command of which nothing is told": {
			func(_ *Cluster, _ *checker, _ *Member, v *view) error {
				v.accept(5, 1, 1)
				return v.allSettled()
			},
			"does not say what became of it",
		},
		"committed command that is called superseded": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.Superseded{First: 4, Last: 4, Term: 2})
			},
			"said to be superseded, and is committed",
		},
		"stale read": {
			func(c *Cluster, _ *checker, _ *Member, v *view) error {
				v.reads[7] = openRead{sees: 5}
				return step(c, &node.Tick{}, &node.ReadReady{ID: 7, Index: 4})
			},
			"and 5 was committed before",
		},
		"read of what is not committed": {
			func(c *Cluster, _ *checker, _ *Member, v *view) error {
				v.reads[7] = openRead{sees: 5}
				return step(c, &node.Tick{}, &node.ReadReady{ID: 7, Index: 6})
			},
			"and only 5 is committed",
		},
		"read that nobody has confirmed": {
			func(c *Cluster, k *checker, _ *Member, v *view) error {
				v.reads[7] = openRead{sees: 5, step: k.step}
				return step(c, &node.Tick{}, &node.ReadReady{ID: 7, Index: 5})
			},
			"only 1 voters",
		},
		"read that is answered twice": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.ReadReady{ID: 7, Index: 5})
			},
			"is not open",
		},
		"read that fails after its answer": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.ReadFailed{ID: 7})
			},
			"is not open",
		},
		"end of a transfer that did not begin": {
			func(c *Cluster, _ *checker, _ *Member, _ *view) error {
				return step(c, &node.Tick{}, &node.TransferEnded{Target: 2})
			},
			"that did not begin",
		},
		"second transfer": {
			func(c *Cluster, _ *checker, _ *Member, v *view) error {
				v.transferring = true
				return step(c, &node.TransferLeadership{Target: 2})
			},
			"second transfer",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := group(t)
			if err := step(c, &node.Tick{}); err != nil {
				t.Fatalf("a step that does nothing: %v", err)
			}
			m := c.Member(1)
			err := test.violate(c, c.checker, m, c.checker.views[1])
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a finding with %q", err, test.want)
			}
		})
	}
}

func TestFindingStopsTheCluster(t *testing.T) {
	c := group(t)
	c.checker.views[1].commit = 9
	c.Tick(1, 1)
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "commit went back") {
		t.Fatalf("got %v, want a commit that went back", err)
	}
	steps := c.Steps()
	c.Run(20)
	if c.Steps() != steps {
		t.Errorf("%d steps after the finding, want none", c.Steps()-steps)
	}
}

func TestUncheckedClusterGoesOn(t *testing.T) {
	c := group(t)
	c.options.Unchecked = true
	c.checker.views[1].commit = 9
	c.Run(20)
	if err := c.Err(); err != nil {
		t.Errorf("got %v, want nothing", err)
	}
}

func TestFailingDiskStopsTheMemberOnly(t *testing.T) {
	c := group(t)
	broken := errors.New("broken")
	c.Member(1).Log().FailAfter(0, broken)
	c.Propose(1, "x")
	if got := c.Member(1).Failed(); !errors.Is(got, broken) {
		t.Errorf("member 1 failed with %v, want %v", got, broken)
	}
	c.Crash(1)
	c.Restart(1)
	c.Run(40)
	if c.Err() != nil || c.Leader() == nil {
		t.Errorf("the group does not go on: %v\n%v", c.Err(), c)
	}
}
