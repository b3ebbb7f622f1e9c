// Command counter runs a replicated counter: some members in one process, increments proposed from
// goroutines and actors at once, and a check that each acknowledged one is counted exactly once. In a directory, with
// -dir, a run goes on from what the one before it has left there, however that has ended. With -id it runs one member, and
// others run in processes of their own.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
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
		if errors.As(err, new(wrongFlag)) {
			return exitUsage
		}
		return exitFailed
	}
	if verdict != "" {
		fmt.Fprintln(stdout, verdict)
	}
	return exitOK
}

// count runs the group and the load, and returns the last line, if all is well.
func count(ctx context.Context, o options, stdout, stderr io.Writer) (verdict string, err error) {
	logger := hclog.New(&hclog.LoggerOptions{Name: "counter", Level: o.level, Output: stderr})
	g, err := newGroup(o, logger)
	if err != nil {
		return "", err
	}
	defer func() {
		if closed := g.close(); err == nil && closed != nil {
			verdict, err = "", closed
		}
	}()
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	reign := watch(g.systems(), fail)
	if err := g.start(logger); err != nil {
		return "", err
	}
	load := newLoad(g, o.increments, fail)
	verdict, err = load.carryOut(running, o, stdout, reign)
	if err == nil && o.id != 0 {
		return "", load.stay(running, ctx, verdict, stdout)
	}
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("interrupted after %d of %d increments", load.acknowledged.Load(), o.increments)
	case running.Err() != nil:
		return "", context.Cause(running)
	}
	return verdict, err
}

// newGroup makes the group that the flags ask for.
func newGroup(o options, logger hclog.Logger) (*group, error) {
	switch {
	case o.id != 0:
		return inProcess(o, logger)
	case o.dir == "":
		return inMemory(o.members), nil
	}
	return inDirectory(o.dir, o.members, logger)
}

// carryOut proposes all increments, and returns the last line.
func (l *load) carryOut(ctx context.Context, o options, stdout io.Writer, reign *leaders) (string, error) {
	start := time.Now()
	base, err := l.goOn(ctx, o, stdout)
	if err != nil {
		return "", err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		l.run(ctx)
	}()
	live, err := l.follow(ctx, o, over, stdout)
	if err != nil {
		l.fail(err)
		<-over
		return "", err
	}
	took := time.Since(start)
	value, err := readEverywhere(ctx, l.group.clients, live)
	if err != nil {
		return "", err
	}
	reign.report(stdout)
	l.report(stdout, took)
	if o.id != 0 {
		return judgeOwn(base, int64(o.increments), l.acknowledged.Load(), value, o.members)
	}
	return judge(base, int64(o.increments), l.acknowledged.Load(), value, len(live))
}

// goOn returns the value from which the load goes on: that which an earlier run has left in the directory, if there
// is one. All that earlier runs have proposed is decided by then: the leader that answers has committed what stands in
// its log, and what is not in there never will be.
func (l *load) goOn(ctx context.Context, o options, stdout io.Writer) (uint64, error) {
	if o.dir == "" {
		return 0, nil
	}
	if o.id != 0 {
		if err := l.awaitOthers(ctx, stdout); err != nil {
			return 0, err
		}
	}
	value, err := readEverywhere(ctx, l.group.clients, l.group.members)
	if err != nil {
		return 0, err
	}
	if l.ledger, err = openLedger(o.dir, o.ledger()); err != nil {
		return 0, err
	}
	if err := l.ledger.begin(value); err != nil {
		return 0, errors.Join(err, l.ledger.close())
	}
	fmt.Fprintf(stdout, "going on from %d\n", value)
	return value, nil
}

// follow shows progress, and stops the leader half-way if it is to, until the load is over. It returns the members
// that are left.
func (l *load) follow(
	ctx context.Context, o options, over <-chan struct{}, stdout io.Writer,
) (live []*member, err error) {
	show := func() {
		fmt.Fprintf(stdout, "%d of %d increments proposed\n", l.acknowledged.Load(), o.increments)
	}
	progress, look := time.NewTicker(500*time.Millisecond), time.NewTicker(time.Millisecond)
	defer progress.Stop()
	defer look.Stop()
	live = l.group.members
	kill := o.killLeader && len(live) >= 3 // of fewer the rest would be no majority
	for kill || over != nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over:
			show()
			over = nil
		case <-progress.C:
			show()
		case <-look.C:
			if !kill || l.acknowledged.Load() < int64(o.increments/2) {
				continue
			}
			if live, err = l.stopLeader(ctx, stdout); err != nil {
				return nil, err
			}
			kill = len(live) == len(l.group.members)
		}
	}
	return live, ctx.Err()
}

// stopLeader stops the member that leads, if one does, and returns the others.
func (l *load) stopLeader(ctx context.Context, stdout io.Writer) ([]*member, error) {
	client := raft.NewClient(l.group.clients, l.group.pids()...)
	defer client.Close()
	for i, m := range l.group.members {
		status, err := client.Status(ctx, m.pid)
		if err != nil {
			return nil, err
		}
		if status.Role != raft.Status_LEADER {
			continue
		}
		fmt.Fprintf(stdout, "stopping the leader, member %d, after %d increments\n", m.id, l.acknowledged.Load())
		if err := m.stop(); err != nil {
			return nil, err
		}
		return slices.Delete(slices.Clone(l.group.members), i, i+1), nil
	}
	return l.group.members, nil
}

// readEverywhere reads the value, linearizably, through every live member, and checks that it is the
// same.
func readEverywhere(ctx context.Context, system *actor.ActorSystem, live []*member) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var value uint64
	for i, m := range live {
		client := raft.NewClient(system, m.pid)
		answer, err := client.Query(ctx, nil)
		client.Close()
		if err != nil {
			return 0, fmt.Errorf("reading through member %d: %w", m.id, err)
		}
		read := binary.BigEndian.Uint64(answer.Data)
		if i > 0 && read != value {
			return 0, fmt.Errorf("member %d has the value %d, and member %d has %d", m.id, read, live[0].id, value)
		}
		value = read
	}
	return value, nil
}

// judge returns the last line, or says what is wrong.
func judge(base uint64, increments, acknowledged int64, value uint64, live int) (string, error) {
	if acknowledged != increments || value != base+uint64(increments) {
		return "", fmt.Errorf("%d increments were proposed and %d acknowledged, but the value is %d, and was %d before",
			increments, acknowledged, value, base)
	}
	return fmt.Sprintf("ok: %d increments, value %d on %d of %d members", increments, value, live, live), nil
}
