package node

import "testing"

// TestClaimsThatContradictAreRefused: what is well formed, and cannot be true here.
func TestClaimsThatContradictAreRefused(t *testing.T) {
	leader := func(t *testing.T) *subject { return start(t, given{terms: []Term{1}}).leads() }
	follower := func(t *testing.T) *subject {
		s := start(t, given{id: 1, terms: []Term{1, 2, 2}}).follows(2, 2)
		s.gets(s.append(2, 2, c3, 3))
		return s
	}
	for name, c := range map[string]struct {
		make    func(*testing.T) *subject
		message func(s *subject) Message
		fault   Fault
	}{
		"acknowledgement beyond the log": {leader, func(s *subject) Message { return s.ack(2, s.terms.last+1) }, FaultMatch},
		"snapshot beyond the log": {leader, func(s *subject) Message {
			return &InstallSnapshotReply{Header: s.re(2, 2), Match: s.terms.last + 1}
		}, FaultMatch},
		"round that has not begun": {leader, func(s *subject) Message {
			return &HeartbeatReply{Header: s.re(2, 2), Round: s.lead.round + 1}
		}, FaultMalformed},
		"append to a leader": {leader, func(s *subject) Message {
			return s.append(2, 2, Entry{}, 0)
		}, FaultSecondLeader},
		"heartbeat to a leader": {leader, func(s *subject) Message {
			return &Heartbeat{Header: s.from(2, 2), Round: 1}
		}, FaultSecondLeader},
		"offer to a leader": {leader, func(s *subject) Message {
			return s.offer(2, 2, metaAt(9, 1))
		}, FaultSecondLeader},
		"hand-over to a leader": {leader, func(s *subject) Message {
			return &TimeoutNow{Header: s.from(2, 2), Transfer: 1, LastIndex: 3}
		}, FaultSecondLeader},
		"append of a second leader": {follower, func(s *subject) Message {
			return s.append(3, 2, c3, 0)
		}, FaultSecondLeader},
		"heartbeat of a second leader": {follower, func(s *subject) Message {
			return &Heartbeat{Header: s.from(3, 2)}
		}, FaultSecondLeader},
		"heartbeat of a second leader, the first one silent": {func(t *testing.T) *subject {
			s := follower(t)
			s.timesOut()
			return s
		}, func(s *subject) Message {
			return &Heartbeat{Header: s.from(3, 2)}
		}, FaultSecondLeader},
		"append to a leader that has stepped down": {func(t *testing.T) *subject {
			s := leader(t)
			s.ticks(1)
			s.does(&Tick{Elapsed: 100})
			return s
		}, func(s *subject) Message {
			return s.append(2, s.hard.Term, Entry{}, 0)
		}, FaultSecondLeader},
		"a term that no elections can have led to": {follower, func(s *subject) Message {
			return &Heartbeat{Header: s.from(3, 2+termLeapMax+1)}
		}, FaultMalformed},
		"another term in front": {follower, func(s *subject) Message {
			return s.append(2, 2, command(3, 1, ""), 0)
		}, FaultConflict},
		"another term in front, in a later term": {follower, func(s *subject) Message {
			return s.append(3, 9, command(2, 2, ""), 0, command(3, 2, "c3"))
		}, FaultConflict},
		"another entry": {follower, func(s *subject) Message {
			return s.append(2, 2, command(1, 1, ""), 0, command(2, 2, "x"), command(3, 2, "y"))
		}, FaultConflict},
		"another entry, in a later term": {follower, func(s *subject) Message {
			return s.append(3, 9, command(2, 1, ""), 0, command(3, 9, "x"))
		}, FaultConflict},
		"another snapshot": {follower, func(s *subject) Message {
			return s.offer(2, 2, metaAt(2, 2))
		}, FaultConflict},
		"another snapshot, in a later term": {follower, func(s *subject) Message {
			return s.offer(3, 9, metaAt(3, 5))
		}, FaultConflict},
		"commit beyond the log": {follower, func(s *subject) Message {
			return &Heartbeat{Header: s.from(2, 2), Commit: 5}
		}, FaultMatch},
		"commit beyond the log, in a later term": {follower, func(s *subject) Message {
			return &Heartbeat{Header: s.from(3, 9), Commit: 5}
		}, FaultMatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.make(t)
			s.refuses(c.message(s), c.fault)
		})
	}
}

// TestUncommittedEntriesMayBeContradicted: that is how logs are made to agree.
func TestUncommittedEntriesMayBeContradicted(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 2, 2}}).follows(1, 3)
	s.gets(s.append(1, 3, command(2, 1, ""), 2))
	wantNo(t, s.gets(s.append(1, 3, command(2, 1, ""), 2, command(3, 3, "x"))), "fault")
	equal(t, "log", s.holds(), "1@1{1 2 3} 2@1=c2 3@3=x")
}

func TestWhatIsBelowTheLogIsNotContradicted(t *testing.T) {
	s := start(t, given{id: 2, terms: []Term{1, 2, 2}, snapshot: 3, released: 3}).follows(1, 3)
	got := s.gets(s.append(1, 3, command(1, 1, ""), 4, command(2, 1, "c2"), command(3, 2, "c3"), command(4, 2, "c4"), command(5, 3, "x")))
	want(t, got,
		"apply 4@2=c4",
		"sync 2",
		"->1 AppendEntriesReply t3 match 5 commit 4")
}

func TestRepliesForAnotherRoleAreCountedAsStale(t *testing.T) {
	for kind, message := range kinds {
		s := start(t, given{terms: []Term{1, 2}, hard: HardState{Term: 5}})
		m := message(s, s.re(2, 5))
		if _, refusal := m.(*Refusal); refusal || !isReply(m) {
			continue
		}
		before := s.state()
		want(t, s.gets(m))
		equal(t, kind, s.counters.Stale, 1)
		equal(t, kind+": state", s.state(), before)
	}
}

func TestRepliesOfStrangersAreCounted(t *testing.T) {
	for _, p := range parts() {
		for kind, message := range kinds {
			s := p.make(t)
			s.ticks(1)
			m := message(s, s.re(9, s.hard.Term+1))
			if _, refusal := m.(*Refusal); refusal || !isReply(m) {
				continue
			}
			before, counted := s.state(), s.counters.Strangers
			want(t, s.gets(m))
			equal(t, p.name+", "+kind, s.counters.Strangers, counted+1)
			equal(t, p.name+", "+kind+": state", s.state(), before)
		}
	}
}
