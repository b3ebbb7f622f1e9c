package raft

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A member that comes back is ready when it has applied what was acknowledged before.
func TestReadyWaitsForWhatWasAcknowledged(t *testing.T) {
	f, leader := newGroup(t)
	behind := f.others(leader)[0]
	f.stop(behind)
	last := f.apply(leader, "a", "b", "c")
	f.spawn(behind, &journal{})
	f.held[Name("g", behind)+"/applier"] = true
	client := f.client(ClientConfig{}, leader)
	defer client.Close()

	ready := make(chan error, 1)
	var index Index
	go func() {
		var err error
		index, err = client.Ready(context.Background(), f.pids[behind])
		ready <- err
	}()
	await(t, "the call", func() bool { return !client.others.isEmpty() })
	f.pass(30)
	select {
	case err := <-ready:
		t.Fatalf("it is ready at %d already (%v)", index, err)
	default:
	}
	delete(f.held, Name("g", behind)+"/applier")
	await(t, "it is ready", func() bool { // by a goroutine that needs its turn, too
		f.pass(1)
		return len(ready) > 0
	})
	if err := <-ready; err != nil || index < Index(last.Index) {
		t.Errorf("ready at %d, want at least %d (%v)", index, last.Index, err)
	}
	if n := len(f.machines[behind].all()); n != 3 {
		t.Errorf("its machine has applied %d commands", n)
	}
}

func TestReadyWaitsForAMemberAndForALeader(t *testing.T) {
	t.Parallel()
	g := newRealGroup(t, 3)
	g.leader()
	pid := g.pids[1]
	g.stop(1)
	for name, member := range map[string]*actor.PID{
		"a member that is not there": pid,
		"a member of another group":  actor.NewPID(g.system.Address(), Name("other", 1)),
	} {
		_, err := Ready(within(t, 100*time.Millisecond), g.system, member)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrNotApplied) || !errors.Is(err, ErrStopped) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	g.stop(2)
	g.stop(3)
	g.spawn(1)
	if _, err := Ready(within(t, 300*time.Millisecond), g.system, pid); !errors.Is(err, ErrNotApplied) {
		t.Errorf("it is alone: got %v", err)
	}
	ready := make(chan error, 1)
	go func() { _, err := Ready(within(t, 20*time.Second), g.system, pid); ready <- err }()
	g.spawn(2)
	if err := <-ready; err != nil {
		t.Error(err)
	}
}
