package raft

import "example.com/raftactor/node"

// Core types that users meet.
type (
	// ID names a member within its group, from 1 up.
	ID = node.ID
	// Index is a position in the log, from 1 up.
	Index = node.Index
	// Term numbers periods of leadership.
	Term = node.Term
	// SnapshotMeta describes a snapshot.
	SnapshotMeta = node.SnapshotMeta
	// Entry is one slot of the log.
	Entry = node.Entry
	// Configuration is the set of members of a group.
	Configuration = node.Configuration
	// Storage is what one member must not forget.
	Storage = node.Storage
	// StorageStats is what a Storage takes.
	StorageStats = node.StorageStats
	// SnapshotWriter takes the state of a snapshot.
	SnapshotWriter = node.SnapshotWriter
	// SnapshotReader reads the state of a snapshot.
	SnapshotReader = node.SnapshotReader
)

// Unlimited switches a limit of [Config] off where that is allowed.
const Unlimited = node.Unlimited

// ErrFounding matches a [*FoundingError].
var ErrFounding = node.ErrFounding

// FoundingError says that the founding members, [Config].Members, are not those that the store has for the member.
type FoundingError = node.FoundingError

// ErrInUse is what a store returns for a member that is open already.
var ErrInUse = node.ErrInUse

// A Store keeps the logs of the members of one actor system, and survives their actors. It is safe for
// concurrent use. [MemoryStore] is one, and package persist has the durable one.
type Store interface {
	// Open hands out the storage of a member, new if there is none. A member that is open already, or
	// whose writes have not completed since it was closed, is [ErrInUse]. It may wait for a disk.
	Open(group string, id ID) (Storage, error)
	// Claim says to which cluster the store belongs: the first one that claims it. It is an error if that
	// was another one. It may wait for a disk.
	Claim(cluster string) error
}
