// Package node is the Raft protocol as a deterministic state machine: the core of raftactor, without
// clock, disk, network or goroutine.
//
// A [Node] is one member of a group. What happens to it is an [Event]; [Node.Step] takes one and
// returns the [Action] values that it asks for, to be carried out in order:
//
//	        events                                     actions
//	Tick, Receive, Propose,     +-----------+     Send, Sync, Apply,
//	Synced, ReadIndex, ...  --> | Node.Step | --> TakeSnapshot, ReadReady,
//	                            +-----------+     LeaderChanged, ...
//	                              |       ^
//	                  staged writes       reads
//	                              v       |
//	                            +-----------+
//	                            |    Log    |
//	                            +-----------+
//
// The same log, configuration, seed and events give the same actions, byte for byte.
//
// # Durability
//
// The node writes to its [Log] but never waits for it. A write is staged: readable at once, durable
// after the next sync. [Sync] asks for one, and what stands behind it in the same step, which are
// messages that promise something, waits until [Synced] has said that it is done. Everything else
// need not wait, so that a leader's disk and its followers work at the same time (§10.2.1). A driver
// may have many syncs under way, and merge them into one.
//
// # Drivers
//
// Package actor drives a node in production, and package nodetest in tests. A driver must
//
//   - give each node a [Log] that no other node uses, and Step it from one goroutine;
//   - carry actions out in order; only Sends may overtake each other, and only Sends wait for a Sync;
//   - answer each ReadEntries, TakeSnapshot, SendSnapshot and RestoreSnapshot with its event;
//   - report what the machine has applied with MachineApplied, or it gets nothing more after a while;
//   - call Step with a [Tick] regularly, after the messages that have come before it;
//   - stop for good when Step returns an error or panics.
//
// Section numbers (§) are those of Diego Ongaro's dissertation, "Consensus: Bridging Theory and
// Practice" (2014).
package node
