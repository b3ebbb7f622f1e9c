package raftremote

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// sinceStart is the time since this process began, in nanoseconds, on a clock that nobody sets.
func sinceStart() int64 { return int64(time.Since(processStart)) }

var processStart = time.Now()

// A meteredConn knows when it has last read and written anything, so that a large frame on a slow connection is no
// silence.
type meteredConn struct {
	net.Conn
	// By the clock of sinceStart.
	readAt, wroteAt atomic.Int64
	// beganAt is when something was first read since took was called, or zero.
	beganAt atomic.Int64
}

func newMeteredConn(c net.Conn) *meteredConn { return &meteredConn{Conn: c} }

// Read implements [net.Conn].
func (c *meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		now := sinceStart()
		c.readAt.Store(now)
		if c.beganAt.Load() == 0 {
			c.beganAt.Store(now)
		}
	}
	return n, err
}

// took is how long it has been read since took was called last: by who calls it after each frame, roughly how long the
// frame has taken to come in.
func (c *meteredConn) took() int64 {
	if began := c.beganAt.Swap(0); began != 0 {
		return sinceStart() - began
	}
	return 0
}

// Write implements [net.Conn].
func (c *meteredConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.wroteAt.Store(sinceStart())
	}
	return n, err
}

// CloseWrite tells the other end that nothing more comes.
func (c *meteredConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
