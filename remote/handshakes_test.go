package raftremote

import (
	"fmt"
	"net"
	"testing"
)

// A hostConn is a connection from a host, which knows whether it is closed.
type hostConn struct {
	net.Conn
	host   string
	closed bool
}

func (c *hostConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.host), Port: 4000}
}

func (c *hostConn) Close() error { c.closed = true; return nil }

// Strangers who never end their handshakes would otherwise keep members out, who have certificates.
func TestHandshakesTakeNoPlacesOfConnections(t *testing.T) {
	c := newConnections(100)
	begin := func(host string) (*trackedConn, *hostConn) {
		t.Helper()
		raw := &hostConn{host: host}
		tracked, err := c.begin(raw)
		if err != nil {
			t.Fatal(err)
		}
		return tracked, raw
	}
	member, raw := begin("10.0.0.1")
	stranger, first := begin("10.0.0.66")
	for range 1000 {
		begin("10.0.0.66")
	}
	if raw.closed || !first.closed || !stranger.displaced.Load() {
		t.Errorf("the member's is closed: %t, the stranger's first: %t, displaced: %t", raw.closed, first.closed, stranger.displaced.Load())
	}
	if err := c.establish(member); err != nil || c.count() != 1 || c.begun.count != 24 {
		t.Errorf("the member's: %v; %d are established, %d under way", err, c.count(), c.begun.count)
	}
	if err := c.establish(stranger); err == nil {
		t.Error("one that was closed is established")
	}
	member.Close()
	if c.count() != 0 {
		t.Error("one is open that was closed")
	}
}

// Where strangers come from a crowd of hosts, or from the member's, each has the time that the oldest one is let live.
func TestTheNewestHandshakeIsNotTheOneThatIsCutOff(t *testing.T) {
	for name, host := range map[string]func(int) string{
		"one host":        func(int) string { return "10.0.0.1" },
		"many hosts":      func(k int) string { return fmt.Sprintf("10.0.%d.%d", k/250, k%250+2) },
		"a network of v6": func(k int) string { return fmt.Sprintf("2001:db8::%x", k+1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newConnections(100)
			var raws []*hostConn
			for k := range 200 {
				raw := &hostConn{host: host(k)}
				if _, err := c.begin(raw); err != nil {
					t.Fatal(err)
				}
				raws = append(raws, raw)
			}
			for k, raw := range raws {
				if raw.closed != (k < 200-25) {
					t.Fatalf("connection %d is closed: %t", k, raw.closed)
				}
			}
		})
	}
}

func TestAConnectionCountsOnceItsHandshakeIsOver(t *testing.T) {
	c := newConnections(2)
	for k := range 3 {
		tracked, err := c.begin(&hostConn{host: "10.0.0.1"})
		if k == 2 {
			if err == nil {
				t.Error("a third one is taken")
			}
			break
		}
		if err == nil {
			err = c.establish(tracked)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.close()
	if _, err := c.begin(&hostConn{host: "10.0.0.1"}); err == nil {
		t.Error("one is taken after all were closed")
	}
}
