// Package raft runs Raft consensus as actors: import it as
//
//	import raft "example.com/raftactor/actor"
//
// Spawn one member of a group in each of some actor systems, or all of them in one, each with a machine
// of your own. Propose commands to any of them: the machines of all members apply the same commands in
// the same order, and go on doing so when members are lost, as long as a majority is there.
//
//	pid, err := raft.Spawn(system, raft.Config{
//		Group:     "counter",
//		ID:        1,
//		Members:   []raft.Member{{ID: 1}, {ID: 2}, {ID: 3}},
//		Store:     store,     // raft.NewMemoryStore()
//		Transport: transport, // raft.NewMemoryTransport()
//	}, machine)
//
// A member is an actor, and is talked to by messages: [OpenSession], [Propose], [Query], [ChangeMembers],
// [TransferLeadership], [TakeSnapshot] and [GetStatus]. Each of these requests is answered by exactly one reply, the
// one that its documentation names, or [Rejected]. [Subscribe] is answered by a stream of [Applied], until [Unsubscribe]
// or the member ends it; [GrantCredit] keeps it flowing, and has no reply.
//
// Goroutines use a [Client], which proposes in a session, so that a command is applied once however often it is sent,
// and range over what is applied with [Client.Applied].
// [Typed] and [TypedClient] are for machines whose commands are protobuf messages.
//
// # One member
//
//	requests, peers, ticks          +----------------------- storage, synced asynchronously
//	        |                       |
//	        v                       v
//	  +-----------+   events   +---------+
//	  |   raft    | ---------> |  node   |   the protocol, see package node
//	  |   actor   | <--------- +---------+
//	  +-----------+   actions
//	     |     |
//	     |     +--> transport: one envelope per peer and turn
//	     v
//	  +-----------+            +---------+
//	  |  applier  | ---------> | machine |   yours
//	  +-----------+            +---------+
//	     |     |
//	     |     +--> replies, answers
//	     v
//	  +-----------+
//	  |  feeder   | ---------> subscribers, as far as their credit goes
//	  +-----------+
//
// The raft actor never waits: neither for the disk, nor the network, nor the machine. However long the
// machine takes, heartbeats and elections go on.
//
// A member is never restarted in place. A panic in the machine, a broken invariant or a failure of the
// storage publishes [Failed] on the actor system's EventStream, answers all who wait, and stops the actor.
// Spawn it again, with a new machine, to bring it back from what its storage holds.
//
// # Looking at it
//
// [GetStatus] tells how a member sees the group, and [Health] what is wrong with it: for probes. Neither takes a turn
// of the member. Metrics are OpenTelemetry's, from the actor system's meter provider; logs are hclog's
// ([NewHclogLogger], [NewSlogHandler]). Neither a logger nor a handler of events can hold a member up. See
// docs/operations.md and docs/metrics.md.
package raft
