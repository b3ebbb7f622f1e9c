package raft

import (
	"context"
	"errors"
	"io"
	"testing"
)

// frugal is a machine that allocates nothing.
type frugal struct{ applied int }

func (m *frugal) Apply(Command) ([]byte, error) { m.applied++; return nil, nil }
func (*frugal) Query([]byte) ([]byte, error)    { return nil, nil }
func (*frugal) Snapshot() (View, error)         { return nil, errors.New("there is none") }
func (*frugal) Restore(io.Reader) error         { return nil }

// The whole way of a proposal, through the client, the leader and two followers with their appliers, costs three
// allocations at most when 1,024 are under way.
func TestAllocationsPerProposalOfAClient(t *testing.T) {
	if stride > 1 {
		t.Skip("a checked build verifies after every step")
	}
	f := newFixture(t, 1, 2, 3)
	f.scheduler.Trace = nil
	machines := map[ID]*frugal{}
	for _, m := range f.founders {
		machines[m.ID] = &frugal{}
		pid, err := Spawn(f.system, f.config(m.ID), machines[m.ID])
		if err != nil {
			t.Fatal(err)
		}
		f.pids[m.ID] = pid
	}
	client := f.client(ClientConfig{}, f.elect())
	defer client.Close()
	const inFlight, runs = 1024, 50
	command, ended := make([]byte, 16), 0
	done := func(_ Result, err error) {
		if ended++; err != nil {
			t.Error(err)
		}
	}
	run := func() {
		for range inFlight {
			if err := client.ProposeAsync(context.Background(), command, done); err != nil {
				t.Fatal(err)
			}
		}
		for f.scheduler.Len() > 0 {
			for f.scheduler.Len() > 0 {
				f.scheduler.Step(0)
			}
			f.network.deliver()
		}
		f.pass(2) // the followers learn of the commit
	}
	each := testing.AllocsPerRun(runs, run) / inFlight
	t.Logf("%.2f allocations per proposal", each)
	if each > 3 {
		t.Errorf("%.2f allocations per proposal, want 3 at most", each)
	}
	if ended != (runs+1)*inFlight || machines[1].applied < runs*inFlight {
		t.Errorf("%d proposals ended, and %d were applied", ended, machines[1].applied)
	}
}
