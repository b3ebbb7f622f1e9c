//go:build !race

package raft

// stride is which of the schedules are run: all.
const stride = 1
