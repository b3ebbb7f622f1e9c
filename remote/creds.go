package raftremote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// connectionInfo is what a stream can learn of its connection.
type connectionInfo struct {
	credentials.CommonAuthInfo
	identity identity
	// conn is below TLS. Closing it ends the connection at once.
	conn net.Conn
}

// AuthType implements [credentials.AuthInfo].
func (c *connectionInfo) AuthType() string {
	if c.identity.verified {
		return "tls"
	}
	return "insecure"
}

// metered is what the connection has read and written, if others have made it.
func (c *connectionInfo) metered() *meteredConn {
	if tracked, ok := c.conn.(*trackedConn); ok {
		return tracked.meteredConn
	}
	return newMeteredConn(c.conn)
}

// guardedCredentials bound and track the connections that others make here, and tell who is at the other end. For those
// that are made from here they only do the latter.
type guardedCredentials struct {
	inner    credentials.TransportCredentials
	accepted *connections
	refused  func(reason refusalReason)
	// link takes the connections of the link, which gRPC then never sees. It does not wait.
	link func(*wire, *connectionInfo)
}

func newGuardedCredentials(material *TLS, accepted *connections, refused func(refusalReason),
	link func(*wire, *connectionInfo),
) *guardedCredentials {
	inner := insecure.NewCredentials()
	if material != nil {
		inner = material.credentials()
	}
	return &guardedCredentials{inner, accepted, refused, link}
}

// ServerHandshake implements [credentials.TransportCredentials]. gRPC closes the connection after an error.
func (g *guardedCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	tracked, err := g.accepted.begin(raw)
	if err != nil {
		g.refused(reasonConnections)
		raw.Close()
		return nil, nil, err
	}
	tracked.used.Store(true) // what fails here is counted here
	reason := reasonHandshake
	conn, auth, err := g.inner.ServerHandshake(tracked)
	var info *connectionInfo
	if err == nil {
		info, err = inform(auth, tracked)
	}
	var first [len(preamble)]byte
	if err == nil {
		reason = reasonSilent
		_, err = io.ReadFull(conn, first[:])
	}
	if err == nil {
		reason, err = reasonConnections, g.accepted.establish(tracked)
	}
	if err != nil {
		if tracked.displaced.Load() {
			reason = reasonHandshakes
		}
		g.refused(reason)
		tracked.Close()
		return nil, nil, err
	}
	if string(first[:]) == preamble {
		_ = raw.SetDeadline(time.Time{}) // it is gRPC's, for the handshake
		g.link(newWire(conn, helloBytesMax), info)
		return nil, nil, credentials.ErrConnDispatched
	}
	tracked.used.Store(false)
	return &begunConn{conn, first[:]}, info, nil
}

// ClientHandshake implements [credentials.TransportCredentials].
func (g *guardedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (
	net.Conn, credentials.AuthInfo, error,
) {
	conn, auth, err := g.inner.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	if auth, err = inform(auth, raw); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, auth, nil
}

// A begunConn is a connection of which the first bytes have been read already.
type begunConn struct {
	net.Conn
	first []byte
}

// Read implements [net.Conn].
func (c *begunConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// inform says who is at the other end.
func inform(auth credentials.AuthInfo, raw net.Conn) (*connectionInfo, error) {
	info := &connectionInfo{conn: raw}
	info.SecurityLevel = credentials.NoSecurity
	t, ok := auth.(credentials.TLSInfo)
	if !ok {
		return info, nil
	}
	info.SecurityLevel = credentials.PrivacyAndIntegrity
	if len(t.State.VerifiedChains) == 0 || len(t.State.PeerCertificates) == 0 {
		return nil, errors.New("raftremote: the other end has shown no certificate that is believed")
	}
	id, err := identityIn(t.State.PeerCertificates[0])
	info.identity = id
	return info, err
}

// Info implements [credentials.TransportCredentials].
func (g *guardedCredentials) Info() credentials.ProtocolInfo { return g.inner.Info() }

// Clone implements [credentials.TransportCredentials].
func (g *guardedCredentials) Clone() credentials.TransportCredentials {
	return &guardedCredentials{g.inner.Clone(), g.accepted, g.refused, g.link}
}

// OverrideServerName implements [credentials.TransportCredentials].
//
// Deprecated: it is in the interface; nobody calls it here.
func (g *guardedCredentials) OverrideServerName(string) error {
	return errors.New("raftremote: a server's name is that of its address")
}

// connections are open ones, so that they can be closed. Those whose handshake is under way have a bound of their own: who
// has no certificate takes the place of nobody who has one. It is safe for concurrent use.
type connections struct {
	limit int // none if zero
	// unused is told of a connection that was closed without a call. Nil: nobody is.
	unused func()

	mu     sync.Mutex
	open   map[*trackedConn]struct{} // guarded by mu; their handshake is over
	begun  handshakes                // guarded by mu
	closed bool                      // guarded by mu; no more are taken
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, open: map[*trackedConn]struct{}{}}
}

var errStopping = errors.New("raftremote: this system is being stopped")

// add takes a connection in that needs no handshake. After an error it is still the caller's.
func (c *connections) add(raw net.Conn) (*trackedConn, error) {
	tracked := &trackedConn{meteredConn: newMeteredConn(raw), set: c, gone: make(chan struct{}), at: sinceStart()}
	return tracked, c.establish(tracked)
}

// begin takes a connection in whose handshake follows. Where there are too many of those, one of them is closed for it.
// After an error it is still the caller's.
func (c *connections) begin(raw net.Conn) (*trackedConn, error) {
	tracked := &trackedConn{meteredConn: newMeteredConn(raw), set: c, gone: make(chan struct{}), at: sinceStart()}
	displaced, err := c.beginLocked(tracked)
	if displaced != nil {
		displaced.displaced.Store(true)
		displaced.Close()
	}
	return tracked, err
}

func (c *connections) beginLocked(t *trackedConn) (displaced *trackedConn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.hasRoom(); err != nil {
		return nil, err
	}
	if c.limit > 0 && c.begun.count >= c.handshakesMax() {
		displaced = c.begun.takeOldest()
	}
	c.begun.add(t)
	return displaced, nil
}

// handshakesMax is how many handshakes may be under way.
func (c *connections) handshakesMax() int { return max(handshakesMin, c.limit/4) }

// establish takes note that a handshake is over. After an error the connection is the caller's still.
func (c *connections) establish(t *trackedConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun.remove(t)
	if err := c.hasRoom(); err != nil {
		return err
	}
	if t.displaced.Load() {
		return errDisplaced
	}
	c.open[t] = struct{}{}
	return nil
}

// hasRoom says why there is no room for one more. It is called with mu held.
func (c *connections) hasRoom() error {
	switch {
	case c.closed:
		return errStopping
	case c.limit > 0 && len(c.open) >= c.limit:
		return fmt.Errorf("raftremote: there are %d connections already, which is ConnectionsMax", len(c.open))
	default:
		return nil
	}
}

// close ends all connections, and lets no new ones in.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	open := c.open
	c.open = map[*trackedConn]struct{}{}
	for t := c.begun.takeOldest(); t != nil; t = c.begun.takeOldest() {
		open[t] = struct{}{}
	}
	c.mu.Unlock()
	for tracked := range open {
		tracked.Close()
	}
}

// count is how many are open, but for those whose handshake is under way.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// A trackedConn is one of connections, until it is closed.
type trackedConn struct {
	*meteredConn
	set  *connections
	once sync.Once
	used atomic.Bool // for a call
	// displaced: it was closed during its handshake, to make room for another one.
	displaced atomic.Bool
	at        int64 // when it came, by the clock of sinceStart
	// gone is closed with the connection.
	gone chan struct{}
	err  error // of Close; written before gone is closed
}

// Close closes the connection, however often it is called.
func (t *trackedConn) Close() error {
	t.once.Do(func() {
		t.set.mu.Lock()
		delete(t.set.open, t)
		t.set.begun.remove(t)
		stopping := t.set.closed
		t.set.mu.Unlock()
		if t.set.unused != nil && !stopping && !t.used.Load() {
			t.set.unused()
		}
		t.err = t.Conn.Close()
		close(t.gone)
	})
	<-t.gone
	return t.err
}

// markUsed notes that a connection has been used for a call.
func markUsed(ctx context.Context) {
	if c := connectionOf(ctx); c != nil {
		if tracked, ok := c.conn.(*trackedConn); ok {
			tracked.used.Store(true)
		}
	}
}
