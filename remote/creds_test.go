package raftremote

import (
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc/credentials"
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

// A connection of the link takes a place, and is refused where there is none, like one of gRPC's.
func TestConnectionsOfTheLinkAreCounted(t *testing.T) {
	accepted := newConnections(1)
	var dispatched []*wire
	var refused []refusalReason
	creds := newGuardedCredentials(nil, accepted, func(r refusalReason) { refused = append(refused, r) },
		func(w *wire, _ *connectionInfo) { dispatched = append(dispatched, w) })
	knock := func() error {
		far, near := net.Pipe()
		t.Cleanup(func() { far.Close() })
		go far.Write([]byte(preamble))
		_, _, err := creds.ServerHandshake(near)
		return err
	}
	if err := knock(); err != credentials.ErrConnDispatched || accepted.count() != 1 {
		t.Errorf("the first: %v, and %d are counted", err, accepted.count())
	}
	if err := knock(); err == nil || err == credentials.ErrConnDispatched {
		t.Errorf("the second: %v", err)
	}
	if !slices.Equal(refused, []refusalReason{reasonConnections}) || len(dispatched) != 1 {
		t.Fatalf("refused are %v, and there are %d", refused, len(dispatched))
	}
	dispatched[0].conn.Close()
	if err := knock(); err != credentials.ErrConnDispatched || accepted.count() != 1 || len(refused) != 1 {
		t.Errorf("the third: %v, %d are counted, and refused are %v", err, accepted.count(), refused)
	}
}
