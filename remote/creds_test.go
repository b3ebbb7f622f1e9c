package raftremote

import (
	"net"
	"testing"
)

func TestNoMoreConnectionsAreTakenThanAllowed(t *testing.T) {
	c := newConnections(2)
	unused := 0
	c.unused = func() { unused++ }
	add := func() (*trackedConn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close(); far.Close() })
		return c.add(near)
	}
	first, err := add()
	if err != nil {
		t.Fatal(err)
	}
	second, err := add()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := add(); err == nil {
		t.Error("a third is taken")
	}
	second.used.Store(true)
	for range 2 {
		first.Close()
		second.Close()
	}
	if c.count() != 0 || unused != 1 {
		t.Errorf("%d are open, %d were closed unused", c.count(), unused)
	}
	third, err := add()
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	select {
	case <-third.gone:
	default:
		t.Error("one is open after all were closed")
	}
	if _, err := add(); err == nil {
		t.Error("one is taken after all were closed")
	}
}
