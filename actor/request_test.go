package raft

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/raftactor/node"
)

func TestProposeIsAppliedOnAllMembers(t *testing.T) {
	f, leader := newGroup(t)
	first := f.apply(leader, "a")
	second := f.apply(leader, "b")
	if second.Index <= first.Index || second.Term != first.Term || number(second.Result) != 2 {
		t.Errorf("got %v after %v", second, first)
	}
	f.agree(1, 2, 3)
	if got := f.machines[1].all(); len(got) != 2 || string(got[1].Data) != "b" ||
		got[1].Index != Index(second.Index) || got[1].Term != Term(second.Term) {
		t.Errorf("applied %v", got)
	}
}

func TestAnEmptyCommandIsACommand(t *testing.T) {
	f, leader := newGroup(t)
	for _, empty := range [][]byte{nil, {}} {
		done[*Proposed](f, leader, &Propose{Command: empty})
	}
	if got := len(f.machines[leader].all()); got != 2 {
		t.Errorf("%d commands applied, want 2", got)
	}
}

func TestACommandWithoutSenderIsAppliedToo(t *testing.T) {
	f, leader := newGroup(t)
	f.system.Root.Send(f.pids[leader], &Propose{Command: []byte("nobody waits")})
	f.settle()
	if got := len(f.machines[leader].all()); got != 1 {
		t.Errorf("%d commands applied, want 1", got)
	}
}

func TestManyProposalsOfOneTurnKeepTheirOrder(t *testing.T) {
	f, leader := newGroup(t)
	var asked []*inbox
	for i := range 100 {
		asked = append(asked, f.propose(leader, fmt.Sprint(i)))
	}
	f.settle()
	for i, in := range asked {
		if got := number(only[*Proposed](f, in).Result); got != uint64(i+1) {
			t.Fatalf("proposal %d was applied as number %d", i, got)
		}
	}
	f.agree(1, 2, 3)
}

func TestNotLeaderWithoutALeaderSaysWhenToTryAgain(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.spawnFounders()
	for _, request := range []any{&Propose{}, &Query{}, &TransferLeadership{Target: 2}} {
		in := f.ask(1, request)
		f.settle()
		r := f.rejected(in, Code_NOT_LEADER, Outcome_NOT_APPLIED)
		if r.Leader != 0 || r.LeaderPid != nil || r.RetryAfterMs <= 0 {
			t.Errorf("%T: got %v", request, r)
		}
	}
}

func TestAFormerLeaderAnswersWhatItAccepted(t *testing.T) {
	f, leader := newGroup(t)
	others := f.others(leader)
	// The command reaches the others, and their answers do not come back.
	for _, id := range others {
		f.network.cutWay(id, leader)
	}
	in := f.propose(leader, "kept")
	f.pass(15)
	if f.status(leader).Role == Status_LEADER {
		t.Fatal("a leader without a quorum still leads")
	}
	f.noReply(in)
	f.network.heal()
	f.until("an answer", func() bool { return len(in.all()) > 0 })
	only[*Proposed](f, in)
	f.elect()
	f.agree(1, 2, 3)
}

func TestSupersededOnlyWhenAnotherEntryIsCommitted(t *testing.T) {
	f, leader := newGroup(t)
	others := f.others(leader)
	f.network.isolate(leader, others...)
	in := f.propose(leader, "lost")
	f.until("a new leader", func() bool { l := f.leader(); return l != 0 && l != leader })
	f.noReply(in)
	f.apply(f.leader(), "in its place")
	f.noReply(in) // as long as this member cannot know

	f.network.heal()
	f.until("an answer", func() bool { return len(in.all()) > 0 })
	f.rejected(in, Code_SUPERSEDED, Outcome_NOT_APPLIED)
	f.elect()
	f.agree(1, 2, 3)
	for _, c := range f.machines[leader].all() {
		if string(c.Data) == "lost" {
			t.Error("what was answered with NOT_APPLIED was applied")
		}
	}
}

func TestPartOfABatchIsSuperseded(t *testing.T) {
	f, leader := newGroup(t)
	others := f.others(leader)
	// The first message reaches one follower, what comes later nobody.
	first := f.propose(leader, "first")
	f.run()
	for _, e := range f.network.take() {
		if e.To == others[0] {
			f.network.arrive(e)
		}
	}
	f.run()
	f.network.take()
	f.network.isolate(leader, others...)
	second := f.propose(leader, "second")
	f.until("a new leader", func() bool { l := f.leader(); return l != 0 && l != leader })
	if got := f.leader(); got != others[0] {
		t.Fatalf("%d leads, want %d, whose log is longer", got, others[0])
	}
	f.noReply(first)
	f.noReply(second)
	f.network.heal()
	f.until("both answers", func() bool { return len(first.all()) > 0 && len(second.all()) > 0 })
	only[*Proposed](f, first)
	f.rejected(second, Code_SUPERSEDED, Outcome_NOT_APPLIED)
}

func TestSnapshotCoversWhatCannotBeToldAnyMore(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	f.spawnFounders()
	leader := f.elect()
	others := f.others(leader)
	f.network.isolate(leader, others...)
	in := f.ask(leader, &Propose{Command: []byte("lost"), TimeoutMs: 600_000})
	f.until("a new leader", func() bool { l := f.leader(); return l != 0 && l != leader })
	f.applyMany(f.leader(), 10)
	done[*SnapshotTaken](f, f.leader(), &TakeSnapshot{})
	f.noReply(in)
	f.network.heal()
	f.until("an answer", func() bool { return len(in.all()) > 0 })
	f.rejected(in, Code_SNAPSHOT_COVERS, Outcome_UNKNOWN)
	f.elect()
	f.agree(1, 2, 3)
}

func TestOverloadedByPendingMax(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.PendingMax = 3 }
	f.spawnFounders()
	leader := f.elect()
	f.network.isolate(leader, f.others(leader)...)
	var asked []*inbox
	for range 5 {
		asked = append(asked, f.propose(leader, "x"))
	}
	f.settle()
	for _, in := range asked[:3] {
		f.noReply(in)
	}
	for _, in := range asked[3:] {
		if r := f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED); r.RetryAfterMs <= 0 {
			t.Errorf("got %v, want a time to wait", r)
		}
	}
	f.network.heal()
	f.until("answers", func() bool { return len(asked[2].all()) > 0 })
	f.elect()
	f.apply(f.leader(), "there is room again")
}

func TestOverloadedByRequestsMax(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RequestsMax = 2 }
	f.spawnFounders()
	f.elect()
	var asked []*inbox
	for range 4 { // all of them before the actor's next turn
		asked = append(asked, f.propose(1, "x"))
	}
	for _, in := range asked[2:] {
		f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED)
	}
	f.settle()
	for _, in := range asked[:2] {
		only[*Proposed](f, in)
	}
}

func TestOverloadedByRequestBytesMax(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RequestBytesMax = 1000 }
	f.spawnFounders()
	f.elect()
	first := f.propose(1, strings.Repeat("x", 800))
	second := f.propose(1, strings.Repeat("y", 800))
	f.rejected(second, Code_OVERLOADED, Outcome_NOT_APPLIED)
	f.settle()
	only[*Proposed](f, first)
}

func TestOverloadedByUncommittedBytesMax(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.UncommittedBytesMax = 100 }
	f.spawnFounders()
	leader := f.elect()
	f.network.isolate(leader, f.others(leader)...)
	taken := f.propose(leader, strings.Repeat("x", 50))
	refused := f.propose(leader, strings.Repeat("y", 50))
	f.settle()
	f.noReply(taken)
	f.rejected(refused, Code_OVERLOADED, Outcome_NOT_APPLIED)
}

func TestTooLarge(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.CommandBytesMax = 10 }
	f.spawnFounders()
	f.elect()
	fits, tooLarge, after := f.propose(1, "0123456789"), f.propose(1, "0123456789a"), f.propose(1, "b")
	f.settle()
	only[*Proposed](f, fits)
	f.rejected(tooLarge, Code_TOO_LARGE, Outcome_NOT_APPLIED)
	only[*Proposed](f, after)
}

func TestTransferringRefusesUntilItIsDecided(t *testing.T) {
	f, leader := newGroup(t)
	others := f.others(leader)
	f.network.cutWay(leader, others[0])
	transfer := f.ask(leader, &TransferLeadership{Target: uint64(others[0])})
	f.run()
	propose, change := f.propose(leader, "x"), f.ask(leader, addLearner(7, ""))
	again := f.ask(leader, &TransferLeadership{Target: uint64(others[1])})
	f.run()
	for _, in := range []*inbox{propose, change, again} {
		if r := f.rejected(in, Code_TRANSFERRING, Outcome_NOT_APPLIED); r.RetryAfterMs <= 0 {
			t.Errorf("got %v, want a time to wait", r)
		}
	}
	f.noReply(transfer)
	f.until("the end of the transfer", func() bool { return len(transfer.all()) > 0 })
	f.rejected(transfer, Code_DEADLINE, Outcome_UNKNOWN)
	f.network.heal()
	f.elect()
	f.apply(f.leader(), "taken again")
}

func TestChangeInProgress(t *testing.T) {
	f, leader := newGroup(t)
	f.network.isolate(leader, f.others(leader)...)
	first, second := f.ask(leader, addLearner(7, "")), f.ask(leader, addLearner(8, ""))
	f.settle()
	f.noReply(first)
	if r := f.rejected(second, Code_CHANGE_IN_PROGRESS, Outcome_NOT_APPLIED); r.RetryAfterMs <= 0 {
		t.Errorf("got %v, want a time to wait", r)
	}
}

func TestAChangeBeforeTheFirstCommitOfTheTermIsRefused(t *testing.T) {
	f, leader := newGroup(t)
	f.stop(leader)
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope { // nobody hears of the new leader's entry
		e.Messages = slices.DeleteFunc(e.Messages, func(m node.Message) bool {
			_, entries := m.(*node.AppendEntries)
			return entries
		})
		return []*PeerEnvelope{e}
	}
	f.until("a new leader", func() bool { return f.leader() != 0 })
	in := f.ask(f.leader(), addLearner(7, ""))
	f.settle()
	f.rejected(in, Code_CHANGE_IN_PROGRESS, Outcome_NOT_APPLIED)
}

func TestRefused(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	for name, request := range map[string]any{
		"transfer to a stranger":        &TransferLeadership{Target: 9},
		"transfer to nobody":            &TransferLeadership{},
		"promote a stranger":            &ChangeMembers{Change: &ChangeMembers_Promote{Promote: &PromoteMember{Id: 9}}},
		"demote a stranger":             &ChangeMembers{Change: &ChangeMembers_Demote{Demote: &DemoteMember{Id: 9}}},
		"add nobody":                    addLearner(0, ""),
		"add a member at another place": addLearner(follower, "elsewhere"),
		"add at an address without end": addLearner(7, strings.Repeat("x", 10_000)),
		"add without saying whom":       &ChangeMembers{Change: &ChangeMembers_Add{}},
		"promote without saying whom":   &ChangeMembers{Change: &ChangeMembers_Promote{}},
	} {
		in := f.ask(leader, request)
		f.settle()
		if len(in.all()) == 0 {
			t.Errorf("%s: no reply", name)
			continue
		}
		f.rejected(in, Code_REFUSED, Outcome_NOT_APPLIED)
	}
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	in := f.ask(leader, &TakeSnapshot{})
	f.settle()
	f.rejected(in, Code_REFUSED, Outcome_NOT_APPLIED) // nothing was applied since
}

func TestInvalid(t *testing.T) {
	f, leader := newGroup(t)
	for name, request := range map[string]any{
		"a change that names none": &ChangeMembers{},
		"an unknown consistency":   &Query{Consistency: 77},
		"an unknown request":       &Proposed{},
		"no message of ours":       "what is this",
	} {
		in := f.ask(leader, request)
		f.settle()
		if len(in.all()) == 0 {
			t.Errorf("%s: no reply", name)
			continue
		}
		f.rejected(in, Code_INVALID, Outcome_NOT_APPLIED)
	}
	f.apply(leader, "it goes on")
}

func TestQueryIsAnsweredByAnyMember(t *testing.T) {
	f, leader := newGroup(t)
	at := f.apply(leader, "a", "b", "c")
	for id := ID(1); id <= 3; id++ {
		answer := done[*Answer](f, id, &Query{})
		if number(answer.Result) != 3 || answer.Index < at.Index {
			t.Errorf("member %d answered %v", id, answer)
		}
	}
}

func TestALinearizableQueryOfADeposedLeaderIsNotAnswered(t *testing.T) {
	f, leader := newGroup(t)
	f.network.isolate(leader, f.others(leader)...)
	in, local := f.ask(leader, &Query{}), f.ask(leader, &Query{Consistency: Consistency_LOCAL})
	f.settle()
	f.noReply(in)
	only[*Answer](f, local)
	f.until("an answer", func() bool { return len(in.all()) > 0 })
	f.rejected(in, Code_NOT_LEADER, Outcome_NOT_APPLIED)
}

func TestALocalQueryWaitsForItsIndex(t *testing.T) {
	f, leader := newGroup(t)
	at := f.apply(leader, "a")
	follower := f.others(leader)[0]
	in := f.ask(follower, &Query{Consistency: Consistency_LOCAL, MinIndex: at.Index + 2})
	linearizable := f.ask(leader, &Query{MinIndex: at.Index + 2})
	f.pass(3)
	f.apply(leader, "b")
	f.noReply(in)
	f.noReply(linearizable)
	f.apply(leader, "c")
	f.pass(3)
	for _, in := range []*inbox{in, linearizable} {
		if a := only[*Answer](f, in); number(a.Result) != 3 || a.Index != at.Index+2 {
			t.Errorf("got %v", a)
		}
	}
}

func TestAQueryThatTheMachineTurnsDown(t *testing.T) {
	f, leader := newGroup(t)
	f.machines[leader].onQuery = func(payload []byte) error { return fmt.Errorf("no such key %q", payload) }
	in := f.ask(leader, &Query{Payload: []byte("k")})
	f.pass(3)
	if r := f.rejected(in, Code_QUERY_FAILED, Outcome_NOT_APPLIED); r.Detail != `no such key "k"` {
		t.Errorf("got %q", r.Detail)
	}
	f.machines[leader].onQuery = nil
	done[*Answer](f, leader, &Query{})
}

func TestDeadlines(t *testing.T) {
	f, leader := newGroup(t)
	f.network.isolate(leader, f.others(leader)...)
	propose := f.ask(leader, &Propose{TimeoutMs: 200})
	change := f.ask(leader, &ChangeMembers{Change: addLearner(7, "").Change, TimeoutMs: 200})
	query := f.ask(leader, &Query{TimeoutMs: 200})
	f.pass(3)
	for _, in := range []*inbox{propose, change, query} {
		f.noReply(in)
	}
	f.pass(3)
	f.rejected(propose, Code_DEADLINE, Outcome_UNKNOWN)
	f.rejected(change, Code_DEADLINE, Outcome_UNKNOWN)
	f.rejected(query, Code_DEADLINE, Outcome_NOT_APPLIED)

	// The command is applied all the same, in the end, and nobody is told twice.
	f.network.heal()
	f.elect()
	only[*Rejected](f, propose)
}

// A process that was stopped for a while has missed ticks, and those who wait have waited for all of them.
func TestMissedTicksCountForDeadlines(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	in := f.ask(1, &Query{Consistency: Consistency_LOCAL, MinIndex: 1000})
	f.settle()
	f.clock.Jump(10 * time.Second)
	f.settle()
	f.rejected(in, Code_DEADLINE, Outcome_NOT_APPLIED)
}

// A deadline may be late by a tick; before it is up nobody is told so.
func TestADeadlineIsNeverEarly(t *testing.T) {
	f, leader := newGroup(t)
	f.network.isolate(leader, f.others(leader)...)
	f.clock.Advance(step - time.Millisecond)
	f.settle()
	in := f.ask(leader, &Propose{TimeoutMs: 100})
	f.settle()
	f.clock.Advance(99 * time.Millisecond)
	f.settle()
	f.noReply(in)
	f.pass(2)
	f.rejected(in, Code_DEADLINE, Outcome_UNKNOWN)
}

func TestTheDefaultDeadlineIsOfTheConfig(t *testing.T) {
	for name, ms := range map[string]int64{"zero": 0, "negative": -1, "as negative as it gets": math.MinInt64} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1)
			f.configure = func(c *Config) { c.RequestTimeout = time.Second }
			f.spawnFounders()
			f.elect()
			in := f.ask(1, &Query{Consistency: Consistency_LOCAL, MinIndex: 1000, TimeoutMs: ms})
			f.pass(19)
			f.noReply(in)
			f.pass(3)
			f.rejected(in, Code_DEADLINE, Outcome_NOT_APPLIED)
		})
	}
}

func TestAHugeTimeoutIsLong(t *testing.T) {
	for _, ms := range []int64{math.MaxInt64, math.MaxInt64 / 1000, 1 << 45, 18446744073710, 18446744073810} {
		f := newFixture(t, 1)
		f.spawnFounders()
		f.elect()
		in := f.ask(1, &Query{Consistency: Consistency_LOCAL, MinIndex: 1000, TimeoutMs: ms})
		f.settle()
		f.clock.Jump(time.Hour)
		f.settle()
		if len(in.all()) > 0 {
			t.Errorf("a request with a timeout of %d ms was given up within an hour: %v", ms, in.all())
		}
	}
}

func TestWhatNobodyWaitsForAnyMoreIsForgotten(t *testing.T) {
	a := &applier{machine: &journal{}, feed: new(feed), vitals: new(vitals)}
	for range 1000 {
		c := &call{kind: queryCall, asker: nobody{}, min: 1 << 40}
		a.serveOrWait(&queriesReady{calls: []*call{c}})
		c.reject(nil, &Rejected{}) // its time is up
	}
	if err := a.apply([]Entry{{Index: 1, Term: 1}}); err != nil {
		t.Fatal(err)
	}
	if len(a.waiting) > 0 {
		t.Errorf("%d queries are waited with though all are answered", len(a.waiting))
	}
}

func TestSettledRunsAreForgotten(t *testing.T) {
	a := &applier{machine: &journal{}, feed: new(feed), vitals: new(vitals)}
	calls := make([]*call, 6)
	for i := range calls {
		calls[i] = &call{kind: proposeCall, asker: nobody{}}
	}
	a.expect(&expect{first: 1, term: 1, calls: calls})
	for i := Index(1); i <= 3; i++ {
		if err := a.apply([]Entry{{Index: i, Term: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.apply([]Entry{{Index: 4, Term: 2}}); err != nil {
		t.Fatal(err)
	}
	a.settle(&settle{first: 4, last: 6, term: 1, code: Code_SUPERSEDED})
	for i, c := range calls {
		if !c.answered.Load() {
			t.Errorf("call %d is not answered", i)
		}
	}
	if len(a.expected) > 0 {
		t.Errorf("%d runs are kept though all their calls are answered", len(a.expected))
	}
}

func TestGetStatusNeedsNoLeaderAndNoTurn(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.spawnFounders()
	in := f.ask(2, &GetStatus{})
	s := only[*Status](f, in) // without a turn of anybody
	if s.Group != "g" || s.Id != 2 || s.Role != Status_FOLLOWER || s.Leader != 0 || len(s.Members) != 3 {
		t.Errorf("got %v", s)
	}
	leader := f.elect()
	s = f.status(leader)
	if s.Role != Status_LEADER || s.Leader != uint64(leader) || s.CommitIndex != s.LastIndex ||
		s.AppliedIndex != s.LastIndex || s.FirstIndex != 1 || s.Members[2].Address != "host-3" || !s.Members[0].Voter {
		t.Errorf("got %v", s)
	}
}

func TestGetStatusRightAfterSpawnIsAnswered(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	pid, err := Spawn(f.system, f.config(1), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	f.pids[1] = pid
	in := f.ask(1, &GetStatus{}) // the actor has had no turn yet
	asked := &statusCall{status: make(chan *Status, 1)}
	f.system.Root.Send(pid, asked)
	f.settle()
	only[*Status](f, in)
	select {
	case s := <-asked.status:
		if s == nil || s.Id != 1 {
			t.Errorf("got %v", s)
		}
	default:
		t.Error("a status call before the first turn gets no answer")
	}
}

// addLearner is the request to add a member.
func addLearner(id ID, address string) *ChangeMembers {
	return &ChangeMembers{Change: &ChangeMembers_Add{Add: &AddMember{Id: uint64(id), Address: address}}}
}

// What runs the group is taken even when as many proposals wait as may.
func TestAnOverloadedLeaderCanBeToldToHandOver(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.PendingMax = 1 }
	f.spawnFounders()
	leader := f.elect()
	f.network.isolate(leader, f.others(leader)...)
	f.propose(leader, "waits")
	full := f.propose(leader, "finds no room")
	f.settle()
	f.rejected(full, Code_OVERLOADED, Outcome_NOT_APPLIED)
	f.network.heal()
	transfer := f.ask(leader, &TransferLeadership{Target: uint64(f.others(leader)[0])})
	f.until("a new leader", func() bool { return len(transfer.all()) > 0 })
	only[*LeadershipTransferred](f, transfer)
}

// A transfer that is given up may still succeed: its TimeoutNow is on its way.
func TestATransferThatIsGivenUpIsUnknown(t *testing.T) {
	f, leader := newGroup(t)
	target := f.others(leader)[0]
	var late []*PeerEnvelope
	f.network.fault = func(e *PeerEnvelope) []*PeerEnvelope {
		for _, m := range e.Messages {
			if _, ok := m.(*node.TimeoutNow); ok {
				late = append(late, &PeerEnvelope{
					Group: e.Group, From: e.From, To: e.To, Messages: []node.Message{m},
				})
				return nil
			}
		}
		return []*PeerEnvelope{e}
	}
	in := f.ask(leader, &TransferLeadership{Target: uint64(target)})
	f.until("given up", func() bool { return len(in.all()) > 0 })
	f.rejected(in, Code_DEADLINE, Outcome_UNKNOWN)
	f.network.fault = nil
	for _, e := range late {
		f.network.arrive(e)
	}
	f.pass(20)
	if got := f.leader(); got != target {
		t.Errorf("member %d leads, want %d", got, target)
	}
}
