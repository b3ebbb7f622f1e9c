// Package persist is the durable store of raftactor: one write-ahead log for all groups of an actor
// system, and snapshots in files beside it.
package persist
