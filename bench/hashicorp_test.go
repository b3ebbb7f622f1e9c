package main

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"
)

func TestHashicorpLosesNothingThatItAcknowledges(t *testing.T) {
	tryAll(t, hashicorpContenders())
}

func TestHashicorpHasNoGroups(t *testing.T) {
	p := planFor(t, inMemory)
	p.groups = 2
	if _, err := hashicorpContenders()[0].start(p); !errors.Is(err, errNoGroups) {
		t.Errorf("got %v, want %v", err, errNoGroups)
	}
}

// tryAll has three replicas of each contender count, in each deployment that
// one process can do.
func tryAll(t *testing.T, all []contender) {
	t.Helper()
	for _, c := range all {
		for _, k := range c.kinds {
			if k == inProcesses {
				continue
			}
			t.Run(c.name+" "+string(k), func(t *testing.T) {
				t.Parallel()
				try(t, c, planFor(t, k))
			})
		}
	}
}

func planFor(t *testing.T, k kind) plan {
	t.Helper()
	p := plan{kind: k, payloadBytes: commandBytesMin, outstanding: 8, groups: 1, log: io.Discard}
	for number := uint64(1); number <= 3; number++ {
		m := endpoint{number: number}
		if k != inMemory {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			// Kept open until all have one, so that no two get the same.
			defer func() { _ = listener.Close() }()
			m.address, m.dir = listener.Addr().String(), t.TempDir()
		}
		p.members = append(p.members, m)
		p.here = append(p.here, number)
	}
	return p
}

// try proposes from eight goroutines, and compares what the replicas counted.
func try(t *testing.T, c contender, p plan) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	replicas, err := c.start(p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, r := range replicas {
			if err := r.stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	}()
	if err := replicas[0].lead(ctx); err != nil {
		t.Fatal(err)
	}
	const proposers, places = 8, 25
	var proposing sync.WaitGroup
	for proposer := range uint64(proposers) {
		proposing.Go(func() {
			command := make([]byte, p.payloadBytes)
			for place := uint64(1); place <= places; place++ {
				number(command, proposer, place)
				if err := replicas[0].propose(ctx, command); err != nil {
					t.Errorf("proposer %d, command %d: %v", proposer, place, err)
					return
				}
			}
		})
	}
	proposing.Wait()
	if err := replicas[0].read(ctx); err != nil {
		t.Errorf("read: %v", err)
	}
	want := replicas[0].tally()
	if want.Applied != proposers*places || want.Fault != "" {
		t.Fatalf("the leader has applied %d of %d, fault %q", want.Applied, proposers*places, want.Fault)
	}
	for _, r := range replicas[1:] {
		for !reflect.DeepEqual(r.tally(), want) {
			if ctx.Err() != nil {
				t.Fatalf("a follower counted %+v, the leader %+v", r.tally(), want)
			}
			pause(ctx, time.Millisecond)
		}
	}
}
