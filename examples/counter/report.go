package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	raft "example.com/raftactor/actor"
)

// leaders notes who led which term.
type leaders struct {
	mu    sync.Mutex
	terms map[raft.Term]raft.ID // guarded by mu
}

// watch notes what the members of some actor systems publish. One that fails ends the run.
func watch(systems []*actor.ActorSystem, fail context.CancelCauseFunc) *leaders {
	l := &leaders{terms: map[raft.Term]raft.ID{}}
	for _, system := range systems {
		system.EventStream.Subscribe(func(event any) {
			switch e := event.(type) {
			case *raft.LeaderChanged:
				l.note(e)
			case *raft.Failed:
				fail(fmt.Errorf("member %d has failed: %w", e.Member, e.Err))
			}
		})
	}
	return l
}

func (l *leaders) note(e *raft.LeaderChanged) {
	if e.Leader == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.terms[e.Term] = e.Leader
}

func (l *leaders) report(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	terms := make([]raft.Term, 0, len(l.terms))
	for term := range l.terms {
		terms = append(terms, term)
	}
	slices.Sort(terms)
	for _, term := range terms {
		fmt.Fprintf(w, "term %d: led by member %d\n", term, l.terms[term])
	}
}

// report prints throughput and latency.
func (l *load) report(w io.Writer, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.latencies) == 0 {
		return
	}
	slices.Sort(l.latencies)
	percentile := func(p int) time.Duration {
		return l.latencies[(len(l.latencies)-1)*p/100].Round(time.Microsecond)
	}
	fmt.Fprintf(w, "%.0f increments per second from %d goroutines and %d actors, the first election included\n",
		float64(len(l.latencies))/took.Seconds(), goroutines, actors)
	fmt.Fprintf(w, "latency: p50 %v, p90 %v, p99 %v, max %v\n",
		percentile(50), percentile(90), percentile(99), percentile(100))
}
