package main

import (
	"encoding/binary"
	"io"

	raft "example.com/raftactor/actor"
)

// counter is the replicated state: each command adds one.
type counter struct{ value uint64 }

// Apply counts. The result is the value after it.
func (c *counter) Apply(raft.Command) ([]byte, error) {
	c.value++
	return c.Query(nil)
}

// Query returns the value.
func (c *counter) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.value), nil
}

// Snapshot captures the value.
func (c *counter) Snapshot() (raft.View, error) { return view(c.value), nil }

// Restore takes a value over.
func (c *counter) Restore(state io.Reader) error {
	return binary.Read(state, binary.BigEndian, &c.value)
}

// view is a captured value.
type view uint64

// WriteTo writes what Restore reads.
func (v view) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
	return int64(n), err
}

// Release has nothing to release.
func (view) Release() {}
