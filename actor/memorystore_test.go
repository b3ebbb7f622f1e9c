package raft_test

import (
	"testing"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist/persisttest"
)

// The memory store keeps the promises that the durable one keeps, but for those about its own end.
func TestMemoryStoreConforms(t *testing.T) {
	persisttest.Run(t, func(*testing.T) persisttest.Subject {
		return persisttest.Subject{Store: raft.NewMemoryStore()}
	})
}
