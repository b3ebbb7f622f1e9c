package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
)

// A contender is one implementation, with its settings, that replicates a
// log: ours, another library, a floor.
type contender struct {
	// name is what the table calls it.
	name string
	// kinds are the deployments that it can do.
	kinds []kind
	// settings says how it was set up and why: the footnote of the table.
	settings string
	// start starts the replicas that run in this process and returns them in
	// the order of plan.here. It need not wait for an election.
	start func(plan) ([]replica, error)
}

// A kind is how the three replicas are laid out.
type kind string

const (
	inMemory    kind = "W1" // one process, nothing on disk, messages passed in memory
	inProcess   kind = "W2" // one process, durable, TCP or the library's own link over loopback
	inProcesses kind = "W3" // as W2, each replica in a process of its own
)

// A plan tells a contender what to start.
type plan struct {
	kind kind
	// members are all replicas, in the order of their numbers, 1 first.
	members []endpoint
	// here are the numbers of the replicas that this process starts.
	here []uint64
	// payloadBytes and outstanding are those of the load that is to come.
	payloadBytes, outstanding int
	// groups is how many groups of three replicas to start, of which the
	// first takes the load; 1, but for the workload of idle groups.
	groups int
	// log takes what the library has to say; it is shown when a run fails.
	log io.Writer
}

// An endpoint is one replica's place.
type endpoint struct {
	number  uint64 // from 1
	address string // host:port on loopback, free when it was asked for; "" in memory
	dir     string // an empty directory of its own; "" in memory
}

// A replica is one member of the first group, with its tally.
type replica interface {
	// lead returns when this replica leads its group, and has made it so if
	// it had to: by a transfer or by campaigning.
	lead(ctx context.Context) error
	// propose returns when the command is committed and applied on this
	// replica, which leads. An error says that it may not have been. It may
	// be called by many goroutines at once. The command belongs to the caller
	// again when propose returns, unless it returned an error.
	propose(ctx context.Context, command []byte) error
	// read is a linearizable read of the tally on this replica, which leads;
	// errNoReads if the library has none that can be compared.
	read(ctx context.Context) error
	// tally is what this replica's state machine has counted so far. It may
	// be called at any time.
	tally() tally
	// stop ends the replica and frees what it holds, files excepted.
	stop() error
}

var (
	// errNoReads is what read returns if there are none that can be compared.
	errNoReads = errors.New("no linearizable reads that can be compared")
	// errNoGroups is what start returns if there can be only one group.
	errNoGroups = errors.New("only one group of replicas")
	// errFollows is what a replica returns that can never lead.
	errFollows = errors.New("this replica only follows")
)

// contenders are all there are, in the order of the table. The floors come
// first.
func contenders() []contender {
	all := []contender{floorMem, floorWAL, null, ours, etcd}
	all = append(all, hashicorpContenders()...)
	return append(all, dragonboatContenders()...)
}

// can tells whether a contender does a deployment.
func (c contender) can(k kind) bool { return slices.Contains(c.kinds, k) }

// A role is how the table looks at a contender.
type role int

const (
	rolePeer  role = iota // another library, to be ahead of
	roleOwn               // raftactor
	roleFloor             // what the hardware leaves to a replicated log
	roleNull              // the harness
)

func roleOf(name string) role {
	switch {
	case name == null.name:
		return roleNull
	case strings.HasPrefix(name, "floor-"):
		return roleFloor
	case strings.HasPrefix(name, ownName):
		return roleOwn
	}
	return rolePeer
}
