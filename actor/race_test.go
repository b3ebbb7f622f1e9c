//go:build race

package raft

// stride is which of the schedules are run: with the race detector, and the invariants that come with
// it, one of so many.
const stride = 8
