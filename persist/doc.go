// Package persist is the durable store of raftactor: one write-ahead log for all groups of an actor
// system, and snapshots in files beside it.
//
//	store, err := persist.Open(dir, persist.Options{})
//	...
//	pid, err := raft.Spawn(system, raft.Config{Store: store, ...}, machine)
//
// [Open] recovers what is in the directory, and makes it if it is not there. The store is given to every member of
// the actor system, and closed when they have stopped. [Example] is a whole program.
//
// # Promises
//
// What is reported durable survives the end of the process at any instruction, and the loss of power. What was not
// durable is there wholly or not at all, in order. No byte is served that is not as it was written. A failed write is
// final: the store takes nothing more, every member fails, and comes back by opening the store again.
//
// # What Open may say
//
//   - [ErrLocked]: another store uses the directory.
//   - a [*DamageError]: something that was durable is damaged. Nothing has been changed; raftctl wal verify shows all of
//     it. A torn end of the log, which a crash leaves, is no damage: it is dropped, and [Recovery] says so.
//   - [ErrVersion], [ErrOtherCluster], or an error of the disk.
//
// # On disk
//
//	DIR/LOCK                  held by the store that uses the directory
//	DIR/0000000000000001.wal  segments of the log
//	DIR/*.spare               files that become segments
//	DIR/snapshots/*.snap      snapshots
//
// FORMAT.md describes every byte. [Inspect] and [Dump] read it without changing anything; command raftctl prints what
// they find.
package persist
