// Command counter runs a replicated counter: some members in one process, increments proposed from
// goroutines and actors at once, and a check that each acknowledged one is counted exactly once.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// options are the flags.
type options struct {
	members, increments int
	killLeader          bool
	level               hclog.Level
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "counter:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	defer stop()
	verdict, err := count(ctx, o, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "counter:", err)
		return exitFailed
	}
	fmt.Fprintln(stdout, verdict)
	return exitOK
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("counter", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.members, "members", 3, "how many members the group has, from 1 to 9")
	flags.IntVar(&o.increments, "increments", 10000, "how many increments to propose")
	flags.BoolVar(&o.killLeader, "kill-leader", true, "stop the leader half-way, if there are 3 members or more")
	level := flags.String("log", "off", "how much the members log: off, error, warn, info, debug or trace")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.New("see the flags above")
	}
	o.level = hclog.LevelFromString(*level)
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag; there are no other arguments", flags.Arg(0))
	case o.members < 1 || o.members > 9:
		return o, fmt.Errorf("-members is %d: it must be from 1 to 9", o.members)
	case o.increments < 1:
		return o, fmt.Errorf("-increments is %d: it must be at least 1", o.increments)
	case o.level == hclog.NoLevel:
		return o, fmt.Errorf("-log is %q: it must be off, error, warn, info, debug or trace", *level)
	}
	return o, nil
}

// count runs the group and the load, and returns the last line, if all is well.
func count(ctx context.Context, o options, stdout, stderr io.Writer) (string, error) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	defer system.Shutdown()
	reign := watchLeaders(system)
	members, err := spawn(system, o, stderr)
	if err != nil {
		return "", err
	}
	defer stopAll(system, members)

	start := time.Now()
	load := newLoad(system, members, o.increments)
	done := make(chan error, 1)
	go func() { done <- load.run(ctx) }()
	live, err := follow(ctx, o, load, done, stdout)
	if ctx.Err() != nil {
		return "", fmt.Errorf("interrupted after %d of %d increments", load.acknowledged.Load(), o.increments)
	}
	if err != nil {
		return "", err
	}
	took := time.Since(start)
	value, err := readEverywhere(ctx, system, live)
	if err != nil {
		return "", err
	}
	reign.report(stdout)
	load.report(stdout, took)
	return judge(int64(o.increments), load.acknowledged.Load(), value, len(live))
}

// spawn starts the members, all in this actor system.
func spawn(system *actor.ActorSystem, o options, stderr io.Writer) ([]*actor.PID, error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: "counter", Level: o.level, Output: stderr})
	store, transport := raft.NewMemoryStore(), raft.NewMemoryTransport()
	var founders []raft.Member
	for i := range o.members {
		founders = append(founders, raft.Member{ID: raft.ID(i + 1)})
	}
	var members []*actor.PID
	for _, m := range founders {
		pid, err := raft.Spawn(system, raft.Config{
			Group: "counter", ID: m.ID, Members: founders, Store: store, Transport: transport, Logger: logger,
		}, &counter{})
		if err != nil {
			stopAll(system, members)
			return nil, err
		}
		members = append(members, pid)
	}
	return members, nil
}

func stopAll(system *actor.ActorSystem, members []*actor.PID) {
	for _, pid := range members {
		_ = system.Root.StopFuture(pid).Wait()
	}
}

// follow shows progress, and stops the leader half-way if it is to, until the load has ended or ctx has. It returns the
// members that are left.
func follow(ctx context.Context, o options, load *load, done <-chan error, stdout io.Writer) (live []*actor.PID, err error) {
	show := func() {
		fmt.Fprintf(stdout, "%d of %d increments proposed\n", load.acknowledged.Load(), o.increments)
	}
	progress, look := time.NewTicker(500*time.Millisecond), time.NewTicker(time.Millisecond)
	defer progress.Stop()
	defer look.Stop()
	live = load.members
	kill := o.killLeader && o.members >= 3 // of fewer the rest would be no majority
	for kill || done != nil {
		select {
		case err := <-done:
			if show(); err != nil {
				return nil, err
			}
			done = nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-progress.C:
			show()
		case <-look.C:
			if !kill || load.acknowledged.Load() < int64(o.increments/2) {
				continue
			}
			if live, err = stopLeader(ctx, load, stdout); err != nil {
				return nil, err
			}
			kill = len(live) == len(load.members)
		}
	}
	return live, nil
}

// stopLeader stops the member that leads, if one does, and returns the others.
func stopLeader(ctx context.Context, load *load, stdout io.Writer) ([]*actor.PID, error) {
	client := raft.NewClient(load.system, load.members...)
	defer client.Close()
	for i, pid := range load.members {
		status, err := client.Status(ctx, pid)
		if err != nil {
			return nil, err
		}
		if status.Role != raft.Status_LEADER {
			continue
		}
		fmt.Fprintf(stdout, "stopping the leader, member %d, after %d increments\n", status.Id, load.acknowledged.Load())
		if err := load.system.Root.StopFuture(pid).Wait(); err != nil {
			return nil, fmt.Errorf("stopping member %d: %w", status.Id, err)
		}
		return slices.Delete(slices.Clone(load.members), i, i+1), nil
	}
	return load.members, nil
}

// readEverywhere reads the value, linearizably, through every live member, and checks that it is the
// same.
func readEverywhere(ctx context.Context, system *actor.ActorSystem, live []*actor.PID) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var value uint64
	for i, pid := range live {
		client := raft.NewClient(system, pid)
		answer, err := client.Query(ctx, nil)
		client.Close()
		if err != nil {
			return 0, fmt.Errorf("reading through %s: %w", pid.Id, err)
		}
		read := binary.BigEndian.Uint64(answer.Data)
		if i > 0 && read != value {
			return 0, fmt.Errorf("%s has the value %d, and %s has %d", pid.Id, read, live[0].Id, value)
		}
		value = read
	}
	return value, nil
}

// judge returns the last line, or says what is wrong.
func judge(increments, acknowledged int64, value uint64, live int) (string, error) {
	if acknowledged != increments || value != uint64(increments) {
		return "", fmt.Errorf("%d increments were proposed and %d acknowledged, but the value is %d", increments, acknowledged, value)
	}
	return fmt.Sprintf("ok: %d increments, value %d on %d of %d members", increments, value, live, live), nil
}

// leaders notes who led which term.
type leaders struct {
	mu    sync.Mutex
	terms map[raft.Term]raft.ID // guarded by mu
}

func watchLeaders(system *actor.ActorSystem) *leaders {
	l := &leaders{terms: map[raft.Term]raft.ID{}}
	system.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*raft.LeaderChanged); ok && e.Leader != 0 {
			l.mu.Lock()
			l.terms[e.Term] = e.Leader
			l.mu.Unlock()
		}
	})
	return l
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
