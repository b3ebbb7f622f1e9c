package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	raftremote "example.com/raftactor/remote"
)

// clusterID is the name of the cluster that the processes of a counter are.
const clusterID = "counter"

// stopTime bounds what stopping the remote may take.
const stopTime = 2 * time.Second

// inProcess makes the part of a group that is one member, in a process of its own.
func inProcess(o options, logger hclog.Logger) (*group, error) {
	_, err := os.Stat(filepath.Join(o.dir, o.ledger()))
	g := &group{clients: newSystem(), founders: o.founders}
	store, err := openStore(o.dir, o.id, err == nil, logger)
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.stores = append(g.stores, store)
	g.remote, err = raftremote.Start(g.clients, raftremote.Config{
		Listen: o.listen, Advertise: o.address(), ClusterID: clusterID, StoreID: store.ID(), Insecure: o.insecure, Logger: logger,
	})
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.transport = g.remote.Transport()
	g.members = []*member{{id: o.id, address: o.address(), system: g.clients, store: store}}
	return g, nil
}

// awaitOthers waits until the member has caught up with the others, of which enough must be there.
func (l *load) awaitOthers(ctx context.Context, stdout io.Writer) error {
	own := l.group.members[0]
	fmt.Fprintf(stdout, "member %d is here, at %s\n", own.id, own.address)
	_, err := raft.Ready(ctx, own.system, own.pid)
	return err
}

// judgeOwn returns the last line of a process that is one of several, or says what is wrong. Others count, too.
func judgeOwn(base uint64, increments, acknowledged int64, value uint64, members int) (string, error) {
	if acknowledged != increments || value < base+uint64(increments) {
		return "", fmt.Errorf("%d increments were proposed and %d acknowledged, but the value is %d, and was %d before",
			increments, acknowledged, value, base)
	}
	return fmt.Sprintf("ok: %d increments, value %d on 1 of %d members", increments, value, members), nil
}

// stay prints the last line, and has the member take part until the process is interrupted: the others need it.
func (l *load) stay(running, interrupted context.Context, verdict string, stdout io.Writer) error {
	fmt.Fprintln(stdout, "the member stays until it is interrupted")
	fmt.Fprintln(stdout, verdict)
	<-running.Done()
	if interrupted.Err() != nil {
		return nil
	}
	return context.Cause(running)
}
