// Package raftremote lets the members of a group live in different processes: it is the remoting of an actor system that has
// raft actors in it.
//
//	material, err := raftremote.LoadTLS("own.pem", "own-key.pem", "ca.pem")
//	remote, err := raftremote.Start(system, raftremote.Config{Listen: "10.0.0.1:7001", TLS: material})
//	...
//	pid, err := raft.Spawn(system, raft.Config{
//		Group: "chat", ID: 1, Store: store, Transport: remote.Transport(),
//		Members: []raft.Member{{ID: 1, Address: "10.0.0.1:7001"}, {ID: 2, Address: "10.0.0.2:7001"}, ...},
//	}, machine)
//	...
//	err = remote.Stop(ctx)
//
// Start comes before members and other actors that systems elsewhere are to know, because it gives the system its address. An
// address is spelled the same everywhere: in Advertise, in the members of a group, and in PIDs. Without TLS material Start
// refuses, unless Insecure says that anybody who reaches the port may speak for anybody.
//
// # What travels how
//
//	           port of the other system
//	members ── link ─────────────────────────> guard ──> members
//	users ──── gate ── Proto.Actor's remoting ─> guard ──> raft actors, and what is exposed
//
// What members say to each other goes by a link: one connection per pair of systems, with bounded queues, and a second one for
// snapshots. It drops what is stale rather than deliver it late, is there again at once when the other system is, and says
// whom it does not reach ([PeerUnreachable], [PeerReachable], [PeerRefused] on the EventStream). PROTOCOL.md describes it.
//
// What users send, by PID, goes by Proto.Actor's remoting, from the gate of one system to the guard of the other. So requests,
// replies, subscriptions and watches work from any actor system that runs a Remote, also one without members.
//
// # The gate
//
// Sending never blocks and never connects on the sender's goroutine. What waits for one system is bounded in bytes
// (ClientQueueBytesMax). What certainly has not left comes back as Proto.Actor's DeadLetterResponse, or is in the dead letters
// as [Undelivered], without what was in it. A watched actor's end is told once, also if that is the end of its system, or of
// the connection to it.
//
// # The guard
//
// Others reach the raft actors here, what [Remote.Expose] names, and who has asked them something, and nobody else. Of system
// messages there are Watch, Unwatch and Terminated; nothing is stopped or spawned from elsewhere, and nobody can be named in a
// message who could not be sent one. A message that is not allowed is dropped and counted, and its sender gets a
// DeadLetterResponse. What cannot be honest, such as a frame that is none, ends the connection. The metric
// raftactor.guard.refused counts both; see docs/metrics-remote.md.
//
// # Who is who
//
// TLS is mutual, 1.3, and names systems: a certificate with the URI raft://CLUSTER/SYSTEM is that of a system, which speaks for
// the members that its group places at its address. It must cover the host of that address. A certificate without such a
// URI is a client's: it may send requests, and opens no link. All certificates serve both ways, for servers and for clients,
// since answers are a connection back. Package certtest makes some to try it with.
//
// # Proto.Cluster, and remoting of one's own
//
// Who starts Proto.Actor's remoting or its Cluster themselves gives them the [Remote.Options] of a Remote made by [New], and calls
// [Remote.Attach] before they are started. What others ask of a cluster's actors is exposed, by their names and with the types
// of the messages; docs/clustering.md says which. The answers need nothing.
package raftremote
