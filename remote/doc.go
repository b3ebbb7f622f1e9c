// Package raftremote lets the members of a group live in different processes: it is the remoting of an actor system that has
// raft actors in it.
package raftremote
