package raft

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/timer"
)

// What a member starts ends with it: goroutines, and what it keeps in its actor system.
func TestNothingIsLeftOfMembersThatHaveStopped(t *testing.T) {
	cycles := 1000
	if testing.Short() {
		cycles = 100
	}
	system, source := quietSystem(), timer.NewReal()
	defer source.Stop()
	store, transport := NewMemoryStore(), NewMemoryTransport()
	machine := &journal{}
	cycle := func() {
		pid, err := Spawn(system, Config{
			Group: "g", ID: 1, Members: []Member{{ID: 1}}, Store: store, Transport: transport, Timer: source,
			Logger: hclog.NewNullLogger(),
		}, machine)
		if err != nil {
			t.Fatal(err)
		}
		if err := system.Root.StopFuture(pid).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // what is started once, and the goroutines of Proto.Actor's dispatcher
		cycle()
	}
	processesOf := func() (n int) {
		for _, shard := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
			n += shard.Count()
		}
		return n
	}
	goroutines, processes, handlers := runtime.NumGoroutine(), processesOf(), system.EventStream.Length()
	for range cycles {
		cycle()
	}
	settles := func(what string, limit int, count func() int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); count() > limit; {
			if time.Now().After(deadline) {
				buffer := make([]byte, 1<<20)
				t.Fatalf("%d %s are left, want %d:\n%s", count(), what, limit, buffer[:runtime.Stack(buffer, true)])
			}
			runtime.Gosched()
		}
	}
	settles("goroutines", goroutines+2, runtime.NumGoroutine)
	settles("processes", processes+2, processesOf)
	settles("handlers of events", int(handlers), func() int { return int(system.EventStream.Length()) })
	if n := len(transport.members); n > 0 {
		t.Errorf("%d members are joined to the transport", n)
	}
}

func TestNoGoroutineIsLeftOfAGroup(t *testing.T) {
	t.Run("group", func(t *testing.T) {
		g := newRealGroup(t, 3)
		g.configure = func(c *Config) { c.SnapshotEntries, c.RetainEntries = 20, -1 }
		leader := g.leader()
		for range 60 {
			g.propose(leader, "x")
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		buffer := make([]byte, 4<<20)
		stacks := string(buffer[:runtime.Stack(buffer, true)])
		left := strings.Count(stacks, "raftactor/mailbox.(*goroutine)") + strings.Count(stacks, "raftactor/timer.(*Real).run")
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left:\n%s", left, stacks)
		}
	}
}
