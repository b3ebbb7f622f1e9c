package proxytest

import (
	"net"
	"sync"
	"time"
)

// A Direction is the way that bytes go.
type Direction int

const (
	// ToServer is from who dialed to the server.
	ToServer Direction = iota
	// ToClient is the other way.
	ToClient
	directions
)

// A Proxy passes connections on to a server. Its methods are safe for concurrent use, and what they set is so for the
// connections that there are, and for those to come.
type Proxy struct {
	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	faults   [directions]faults // guarded by mu
	refusing bool               // guarded by mu
	pairs    map[*pair]struct{} // guarded by mu
	accepted int                // guarded by mu
	passed   [directions]int64  // guarded by mu
	closed   bool               // guarded by mu
}

// faults are those of one direction.
type faults struct {
	silent    bool
	delay     time.Duration
	perSecond int
}

// A pair is a connection on both its sides.
type pair struct {
	client, server net.Conn
	// halfOpen: the server's side has ended, and the client is not told.
	halfOpen bool // guarded by Proxy.mu
}

// New makes a proxy for the server at an address, on a port of its own.
func New(server string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{server: server, listener: listener, pairs: map[*pair]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where to dial.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Accepted is how many connections have been accepted, those that were refused included.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Passed is how many bytes have been passed on in a direction.
func (p *Proxy) Passed(d Direction) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[d]
}

// Silence has nothing pass in a direction, without anybody being told, or ends that. What was held back passes then.
func (p *Proxy) Silence(d Direction, silent bool) {
	p.set(func() { p.faults[d].silent = silent })
}

// Delay has all that is read from now on wait for so long.
func (p *Proxy) Delay(d Direction, delay time.Duration) {
	p.set(func() { p.faults[d].delay = delay })
}

// Limit has so many bytes pass in a second. Zero: any number.
func (p *Proxy) Limit(d Direction, bytesPerSecond int) {
	p.set(func() { p.faults[d].perSecond = bytesPerSecond })
}

// Refuse has new connections closed at once, or ends that.
func (p *Proxy) Refuse(refusing bool) { p.set(func() { p.refusing = refusing }) }

// Cut closes all connections that there are, with a reset.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		reset(c.client)
		reset(c.server)
	}
}

// HalfOpen closes the server's side of all connections. The client's stays open, and nobody answers there.
func (p *Proxy) HalfOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.halfOpen = true
		reset(c.server)
	}
}

// Close ends the proxy, and all its connections.
func (p *Proxy) Close() {
	p.set(func() { p.closed = true })
	p.listener.Close()
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.accepted++
		refused := p.refusing || p.closed
		p.mu.Unlock()
		if refused {
			reset(client)
			continue
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			reset(client)
			continue
		}
		c := &pair{client: client, server: server}
		p.mu.Lock()
		if p.closed || p.refusing {
			p.mu.Unlock()
			reset(client)
			reset(server)
			continue
		}
		p.pairs[c] = struct{}{}
		p.mu.Unlock()
		p.running.Go(func() { p.carry(c) })
	}
}

// carry passes bytes on, both ways, until one side ends.
func (p *Proxy) carry(c *pair) {
	var both sync.WaitGroup
	both.Go(func() { p.pass(c, ToServer, c.client, c.server) })
	both.Go(func() { p.pass(c, ToClient, c.server, c.client) })
	both.Wait()
	c.client.Close()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// A piece is what was read at once, and when it is due.
type piece struct {
	data []byte
	due  time.Time
}

// piecesMax bounds what a direction holds: as the buffers of a network.
const piecesMax = 64

// pass passes bytes on in one direction.
func (p *Proxy) pass(c *pair, d Direction, from, to net.Conn) {
	pieces := make(chan piece, piecesMax)
	ended := make(chan struct{})
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if n > 0 {
				p.mu.Lock()
				due := time.Now().Add(p.faults[d].delay)
				p.mu.Unlock()
				select {
				case pieces <- piece{data[:n], due}:
				case <-ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	p.write(c, d, to, pieces)
	close(ended)
	p.mu.Lock()
	keep := c.halfOpen && !p.closed
	p.mu.Unlock()
	if !keep {
		from.Close()
		to.Close()
	}
	for range pieces { // until the reader has ended
	}
}

// write writes pieces when they are due, as far as the faults of the direction let it.
func (p *Proxy) write(c *pair, d Direction, to net.Conn, pieces <-chan piece) {
	for next := range pieces {
		if wait := time.Until(next.due); wait > 0 {
			time.Sleep(wait)
		}
		p.mu.Lock()
		for p.faults[d].silent && !p.closed {
			p.changed.Wait()
		}
		limit, lost := p.faults[d].perSecond, c.halfOpen && !p.closed
		p.mu.Unlock()
		if lost {
			continue // nobody answers
		}
		if limit > 0 {
			time.Sleep(time.Duration(len(next.data)) * time.Second / time.Duration(limit))
		}
		if _, err := to.Write(next.data); err != nil {
			p.mu.Lock()
			lost = c.halfOpen && !p.closed
			p.mu.Unlock()
			if lost {
				continue
			}
			return
		}
		p.mu.Lock()
		p.passed[d] += int64(len(next.data))
		p.mu.Unlock()
	}
}
