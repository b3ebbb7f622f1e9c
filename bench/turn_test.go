package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func shortJob(t *testing.T, contender, workload string) job {
	return job{
		Cell:      cell{Workload: workload, PayloadBytes: 64, Outstanding: 4},
		Contender: contender, WarmUp: 10 * time.Millisecond, Duration: 50 * time.Millisecond, Dir: t.TempDir(),
	}
}

// The processes of replicas are those of this test program.
func TestATurnMeasuresAndChecks(t *testing.T) {
	for _, test := range []struct{ contender, workload string }{
		{"null", "W1"},
		{"floor-mem", "W1"},
		{ownName, "W1"},
		{"etcd-io/raft", "W1"},
		{"floor-wal", "W2"},
		{ownName, "W2"},
		{"etcd-io/raft", "W2"},
		{"floor-wal", "W3"},
		{ownName, "W3"},
		{"etcd-io/raft", "W3"},
		{ownName, "R1"},
		{"etcd-io/raft", "R1"},
	} {
		t.Run(test.contender+" "+test.workload, func(t *testing.T) {
			m, err := takeTurn(t.Context(), shortJob(t, test.contender, test.workload), t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if m.Requests == 0 || m.PerSecond <= 0 || m.P50Micros <= 0 || m.P99Micros < m.P50Micros || m.PeakBytes == 0 {
				t.Errorf("measured %+v", m)
			}
		})
	}
}

func TestAContenderIsNotAskedForWhatItCannotDo(t *testing.T) {
	for _, workload := range []string{"W1", "R2"} {
		if _, err := takeTurn(t.Context(), shortJob(t, "floor-wal", workload), io.Discard); !errors.Is(err, errCannot) {
			t.Errorf("%s: got %v, want %v", workload, err, errCannot)
		}
	}
}

func TestATurnRunsInAProcessOfItsOwn(t *testing.T) {
	o, err := runTurn(t.Context(), shortJob(t, "floor-mem", "W1"))
	if err != nil || o.Error != "" || o.Measurement.Requests == 0 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestAnInterruptEndsTheProcessOfATurn(t *testing.T) {
	j := shortJob(t, "floor-mem", "W1")
	j.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := runTurn(ctx, j); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// failing has acknowledged nothing when it fails.
type failing struct{ planted }

func (*failing) propose(context.Context, []byte) error { return errors.New("no disk") }

func TestAFailedProposalFailsTheTurn(t *testing.T) {
	d := &deployment{leader: &failing{}}
	_, err := d.busy(t.Context(), shortJob(t, "failing", "W1"), false)
	if err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("got %v", err)
	}
}
