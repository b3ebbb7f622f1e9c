package raftremote

import (
	"net"
	"sync/atomic"
)

// A meteredConn knows when it has last read and written anything, so that a large frame on a slow connection is no
// silence.
type meteredConn struct {
	net.Conn
	now             func() int64
	readAt, wroteAt atomic.Int64
}

func newMeteredConn(c net.Conn, now func() int64) *meteredConn {
	return &meteredConn{Conn: c, now: now}
}

// Read implements [net.Conn].
func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.readAt.Store(c.now())
	}
	return n, err
}

// Write implements [net.Conn].
func (c *meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.wroteAt.Store(c.now())
	}
	return n, err
}
