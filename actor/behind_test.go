package raft

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
)

// catchUp lets nothing happen but the work that waits for a member's machine, and returns how many bytes of entries
// that was, and those of the largest entry.
func (f *fixture) catchUp(id ID) (bytes, largest int) {
	f.Helper()
	name := Name("g", id) + "/applier"
	trace := f.scheduler.Trace
	f.scheduler.Trace = func(_ *actor.PID, message any) {
		w, ok := actor.UnwrapEnvelopeMessage(message).(*work)
		if !ok {
			return
		}
		for _, item := range w.items {
			run, ok := item.(*applyRun)
			if !ok {
				continue
			}
			for i := range run.entries {
				counted := len(run.entries[i].Data) + 32
				bytes, largest = bytes+counted, max(largest, counted)
			}
		}
	}
	defer func() { f.scheduler.Trace = trace }()
	for {
		k := slices.IndexFunc(f.scheduler.Runnable(), func(pid *actor.PID) bool { return pid.Id == name })
		if k < 0 {
			return bytes, largest
		}
		f.scheduler.Step(k)
	}
}

// A follower's machine is stuck, and the group goes on without it for long. What waits for it is bounded, and when it
// can go on it gets all the rest.
func TestWhatWaitsForAStuckMachineIsBounded(t *testing.T) {
	const limit = 4000
	for name, inMemory := range map[string]Index{"all in memory": 0, "most of it on a disk": 500} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1, 2, 3)
			f.configure = func(c *Config) { c.UnappliedBytesMax = limit }
			logs := map[ID]*forgetfulLog{}
			for id := ID(1); id <= 3; id++ {
				f.store(id).wrap = func(l *node.MemoryLog) node.Log {
					logs[id] = &forgetfulLog{MemoryLog: l}
					return logs[id]
				}
			}
			f.spawnFounders()
			leader := f.elect()
			stuck := f.others(leader)[0]
			f.held[Name("g", stuck)+"/applier"] = true
			for i := range 600 {
				f.apply(leader, fmt.Sprintf("%d%s", i, strings.Repeat(".", 70)))
			}
			f.pass(5)
			logs[stuck].inMemory = inMemory
			if s, want := f.status(stuck), f.status(leader); s.CommitIndex != want.CommitIndex {
				t.Fatalf("it has committed %d of %d: it takes part, whatever its machine does", s.CommitIndex, want.CommitIndex)
			}
			bytes, largest := f.catchUp(stuck)
			if bytes > limit+largest || bytes < limit/2 {
				t.Errorf("%d bytes of entries waited, want about %d", bytes, limit)
			}
			clear(f.held)
			f.settle()
			f.agree(1, 2, 3)
			if got := len(f.machines[stuck].all()); got != 600 {
				t.Errorf("%d commands are applied, want 600", got)
			}
		})
	}
}

// What is committed is no longer uncommitted, and must not wait for the leader's machine without bound.
func TestALeaderWhoseMachineIsStuckIsOverloaded(t *testing.T) {
	const limit = 4000
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.UnappliedBytesMax = limit }
	f.spawnFounders()
	leader := f.elect()
	f.held[Name("g", leader)+"/applier"] = true
	var taken []*inbox
	for {
		in := f.ask(leader, &Propose{Command: make([]byte, 100), TimeoutMs: 60_000})
		f.settle()
		if got := in.all(); len(got) > 0 {
			if r := f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED); r.RetryAfterMs <= 0 {
				t.Errorf("got %v, want a time to wait", r)
			}
			break
		}
		if taken = append(taken, in); len(taken)*100 > limit {
			t.Fatalf("%d commands of 100 bytes are taken, and %d bytes may wait", len(taken), limit)
		}
	}
	f.pass(20)
	if s := f.status(leader); s.Role != Status_LEADER || s.CommitIndex != s.LastIndex {
		t.Errorf("the machine concerns nobody but those who propose: %v", s)
	}
	clear(f.held)
	f.settle()
	for _, in := range taken {
		only[*Proposed](f, in)
	}
	f.apply(leader, "there is room again")
	f.pass(5)
	f.agree(1, 2, 3)
}

// reported returns what machines report from now on.
func (f *fixture) reported() *[]Index {
	reports := new([]Index)
	f.scheduler.Trace = func(_ *actor.PID, message any) {
		batch, ok := actor.UnwrapEnvelopeMessage(message).(*mailbox.Batch)
		if !ok {
			return
		}
		for _, m := range batch.Control {
			if m, ok := actor.UnwrapEnvelopeMessage(m).(*machineApplied); ok {
				*reports = append(*reports, m.index)
			}
		}
	}
	return reports
}

// A turn of the applier is reported once, and one that applies nothing is not.
func TestAMachineReportsOncePerTurn(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	reports := f.reported()
	f.held[Name("g", 1)+"/applier"] = true
	var asked []*inbox
	for range 10 {
		asked = append(asked, f.propose(1, "a"))
	}
	f.settle()
	clear(f.held)
	f.settle()
	last := Index(only[*Proposed](f, asked[9]).Index)
	if !slices.Equal(*reports, []Index{last}) {
		t.Errorf("reported were %v, want %d once", *reports, last)
	}
	done[*Answer](f, 1, &Query{Consistency: Consistency_LOCAL})
	f.pass(10)
	if len(*reports) != 1 {
		t.Errorf("reported were %v, and nothing more was applied", *reports)
	}
}

func TestARestoredMachineIsReportedByThat(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	f.spawnFounders()
	f.elect()
	f.apply(1, "a")
	done[*SnapshotTaken](f, 1, &TakeSnapshot{})
	f.stop(1)
	reports := f.reported()
	f.spawn(1, &journal{})
	if len(*reports) != 0 {
		t.Errorf("reported were %v, and nothing is there but a snapshot", *reports)
	}
	f.elect()
	last := Index(f.apply(1, "b").Index)
	if n := len(*reports); n == 0 || (*reports)[n-1] != last {
		t.Errorf("reported were %v, want %d in the end", *reports, last)
	}
}
