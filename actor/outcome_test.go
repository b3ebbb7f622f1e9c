package raft

import (
	"bytes"
	"testing"
)

// How a proposal of a session ends that was answered with UNKNOWN, for each way that leads there: what it was is told
// to a retry, once.

func TestUnknownByDeadlineIsKnownToARetry(t *testing.T) {
	f, leader := newGroup(t)
	session := f.openSession(leader)
	others := f.others(leader)
	f.network.cutWay(others[0], leader) // what it hears from the leader it appends
	f.network.isolate(others[1], leader)
	in := f.ask(leader, withTimeout(inSession(session, 1, 1, "late"), 200))
	f.pass(6)
	f.rejected(in, Code_DEADLINE, Outcome_UNKNOWN)
	f.network.heal()
	next := f.elect()
	got := done[*Proposed](f, next, inSession(session, 1, 1, "late"))
	f.pass(2)
	f.agree(1, 2, 3)
	applied := f.machines[next].all()
	if len(applied) != 1 || applied[0].Index != Index(got.Index) {
		t.Errorf("applied %v, and answered %v", texts(applied), got)
	}
}

func withTimeout(m *Propose, ms int64) *Propose {
	m.TimeoutMs = ms
	return m
}

func TestUnknownByStopIsKnownToARetry(t *testing.T) {
	f, leader := newGroup(t)
	session := f.openSession(leader)
	others := f.others(leader)
	for _, id := range others {
		f.network.cutWay(id, leader)
	}
	in := f.ask(leader, inSession(session, 1, 1, "x"))
	f.settle() // it has reached the others
	f.stop(leader)
	f.rejected(in, Code_STOPPED, Outcome_UNKNOWN)
	next := f.elect()
	got := done[*Proposed](f, next, inSession(session, 1, 1, "x"))
	if applied := f.machines[next].all(); len(applied) != 1 || applied[0].Index != Index(got.Index) {
		t.Errorf("applied %v, and answered %v", texts(applied), got)
	}
}

// coveredBySnapshot has a proposal stand in the log of a former leader at an index that the group's snapshot covers.
func coveredBySnapshot(t *testing.T, between func(f *fixture, next ID, session uint64)) (f *fixture, former ID, session uint64, in *inbox) {
	f = newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries, c.SessionsMax = -1, 1 }
	f.spawnFounders()
	former = f.elect()
	session = f.openSession(former)
	f.network.isolate(former, f.others(former)...)
	in = f.ask(former, withTimeout(inSession(session, 1, 1, "x"), 600_000))
	f.until("a new leader", func() bool { l := f.leader(); return l != 0 && l != former })
	between(f, f.leader(), session)
	f.applyMany(f.leader(), 10)
	done[*SnapshotTaken](f, f.leader(), &TakeSnapshot{})
	f.noReply(in)
	f.network.heal()
	f.until("an answer", func() bool { return len(in.all()) > 0 })
	f.elect()
	f.agree(1, 2, 3)
	return f, former, session, in
}

func TestASnapshotTellsOfItsSessions(t *testing.T) {
	var elsewhere *Proposed
	f, former, session, in := coveredBySnapshot(t, func(f *fixture, next ID, session uint64) {
		elsewhere = done[*Proposed](f, next, inSession(session, 1, 1, "x"))
	})
	got := only[*Proposed](f, in)
	if got.Index != elsewhere.Index || !bytes.Equal(got.Result, elsewhere.Result) {
		t.Errorf("the former leader %d answers %v for session %d, want %v", former, got, session, elsewhere)
	}
}

func TestASnapshotTellsWhatIsNotInItsSessions(t *testing.T) {
	f, former, session, in := coveredBySnapshot(t, func(*fixture, ID, uint64) {})
	f.rejected(in, Code_SNAPSHOT_COVERS, Outcome_NOT_APPLIED)
	done[*Proposed](f, former, inSession(session, 1, 1, "x"))
	f.pass(2)
	f.agree(1, 2, 3)
	if n := len(f.machines[former].all()); n != 11 {
		t.Errorf("%d commands were applied", n)
	}
}

// It may have been applied, and its result forgotten since.
func TestASnapshotThatDoesNotTellLeavesItUnknown(t *testing.T) {
	for name, forget := range map[string]func(f *fixture, next ID, session uint64){
		"the result is not kept": func(f *fixture, next ID, session uint64) {
			done[*Proposed](f, next, inSession(session, 2, 2, "y"))
		},
		"the session is not kept": func(f *fixture, next ID, _ uint64) { f.openSession(next) },
	} {
		t.Run(name, func(t *testing.T) {
			f, _, _, in := coveredBySnapshot(t, func(f *fixture, next ID, session uint64) {
				done[*Proposed](f, next, inSession(session, 1, 1, "x"))
				forget(f, next, session)
			})
			f.rejected(in, Code_SNAPSHOT_COVERS, Outcome_UNKNOWN)
		})
	}
}
