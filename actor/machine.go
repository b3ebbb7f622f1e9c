package raft

import "io"

// A Machine is the user's replicated state machine. It must be deterministic: the same commands in
// the same order give the same results and the same state on every member, so it uses no clock, no
// random numbers, no map order, and nothing outside itself. Each spawning of a member takes a new one, in
// its initial state: what it had applied before comes again.
//
// All methods are called by one actor, the applier, one at a time. However long they take, leadership
// and replication go on; only applying and queries of this member wait.
type Machine interface {
	// Apply carries out a committed command and returns its result, which is what the proposer gets.
	// The machine must not keep or change command.Data, and must not change a result that it has returned:
	// the proposer has it, and it is kept for as long as the proposer may ask again. What is wrong with a
	// command is a result. An error means that the machine itself cannot go on: the member fails, and so
	// would every other.
	Apply(command Command) (result []byte, err error)
	// Query answers a question without changing anything. The machine must not change what it has returned. An
	// error is what the asker gets, as Rejected with QUERY_FAILED.
	Query(payload []byte) (result []byte, err error)
	// Snapshot captures the state as it is, for instance by copying on write. It must be quick: the
	// state is written from what it returns, while later commands are applied.
	Snapshot() (View, error)
	// Restore replaces all state by what a View has written. After an error the member fails.
	Restore(state io.Reader) error
}

// Command is a committed command.
type Command struct {
	Index Index
	Term  Term
	Data  []byte
}

// A View is the state of a machine at one moment. It is used by one goroutine, beside the machine's.
type View interface {
	io.WriterTo
	// Release is called once, when the view is not needed any more.
	Release()
}
