package raftremote

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/raftactor/node"
)

// linkConfig is what the links of a system take.
type linkConfig struct {
	// cluster, system and address are who this is. life tells its starts apart, store is its store's, or zero.
	cluster, system, address string
	store, life              uint64
	// creds secure the connections that are dialed. Nil: they are not secured, and neither are those accepted.
	creds credentials.TransportCredentials
	// dial reaches an address. Nil: TCP.
	dial func(ctx context.Context, address string) (net.Conn, error)
	// queueBytesMax bounds what waits for one other system. commandBytesMax is the largest command of any group.
	queueBytesMax, commandBytesMax int
	// peerTimeout is after how much silence a system counts as unreachable.
	peerTimeout time.Duration
	// linger is how long what is not urgent waits for something that goes the same way.
	linger time.Duration
	logger hclog.Logger
	// publish takes events. It may block.
	publish func(event any)
	// meter makes the instruments. Nil: there are none.
	meter metric.Meter
	// observe is called when a frame has been handled, and when a line has another state: tests wait for it. It may be called
	// with locks held, and does not wait. Nil: nobody looks.
	observe func()
}

func (c linkConfig) withDefaults() linkConfig {
	if c.creds == nil {
		c.creds = insecure.NewCredentials()
	}
	if c.dial == nil {
		var d net.Dialer
		c.dial = func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	if c.queueBytesMax == 0 {
		c.queueBytesMax = 16 << 20
	}
	if c.commandBytesMax == 0 {
		c.commandBytesMax = 1 << 20
	}
	if c.peerTimeout == 0 {
		c.peerTimeout = time.Second
	}
	if c.linger == 0 {
		c.linger = lingerDefault
	}
	if c.logger == nil {
		c.logger = hclog.NewNullLogger()
	}
	if c.observe == nil {
		c.observe = func() {}
	}
	return c
}

// isSecure tells whether others must prove who they are.
func (c linkConfig) isSecure() bool { return c.creds.Info().SecurityProtocol != "insecure" }

// frameBytesMax is the largest frame that is taken: a frame has a megabyte, or one command that is larger.
func (c linkConfig) frameBytesMax() int { return max(frameBytesMin, c.commandBytesMax+1<<20) }

// links is the [node.Transport] between actor systems: a connection to each of the others for what members say, and one
// for the chunks of snapshots while there are any. Either side dials; [peer] and [line] say what becomes of both.
//
// All methods are safe for concurrent use. Locks are taken in the order links, line; none is held while a member is
// called, but that of the member itself.
type links struct {
	cfg     linkConfig
	logger  hclog.Logger
	outlet  outlet
	metrics *linkMetrics
	// refusedAt is when the last refusal was logged.
	refusedAt atomic.Int64
	// done ends when the links stop. running are the goroutines.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.RWMutex
	stopped bool                  // guarded by mu
	members map[memberKey]*member // guarded by mu
	peers   map[string]*peer      // by address; guarded by mu
}

type memberKey struct {
	group string
	id    node.ID
}

var _ node.Transport = (*links)(nil)

// newLinks makes the links of a system, which dials nobody before a member asks for it. stop ends them.
func newLinks(cfg linkConfig) *links {
	cfg = cfg.withDefaults()
	l := &links{
		cfg: cfg, logger: cfg.logger.Named("link"),
		members: map[memberKey]*member{}, peers: map[string]*peer{},
	}
	l.outlet.publish = cfg.publish
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.metrics = newLinkMetrics(cfg.meter, l)
	l.spawn(l.watch)
	return l
}

// now is the time, on a clock that nobody sets.
func (l *links) now() int64 { return sinceStart() }

// spawn runs a goroutine of the links, unless they have stopped.
func (l *links) spawn(run func()) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.stopped {
		return false
	}
	l.running.Go(run)
	return true
}

// Join implements [node.Transport].
func (l *links) Join(group string, id node.ID, inbox node.Inbox) (node.Link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := memberKey{group, id}
	switch {
	case l.stopped:
		return nil, fmt.Errorf("raftremote: joining member %d of group %q: the remote has been stopped", id, group)
	case l.members[key] != nil:
		return nil, fmt.Errorf("raftremote: member %d of group %q has joined already; stop its actor first", id, group)
	}
	m := &member{links: l, group: group, id: id, inbox: inbox}
	m.placed.Store(&map[node.ID]string{})
	l.members[key] = m
	return m, nil
}

// hosts tells whether a member has joined here.
func (l *links) hosts(group string, id node.ID) bool { return l.member(group, id) != nil }

func (l *links) member(group string, id node.ID) *member {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.members[memberKey{group, id}]
}

// peer is the system at an address.
func (l *links) peer(address string) *peer {
	l.mu.RLock()
	p := l.peers[address]
	l.mu.RUnlock()
	if p != nil {
		return p
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peerLocked(address)
}

func (l *links) peerLocked(address string) *peer {
	p := l.peers[address]
	if p == nil {
		p = newPeer(l, address)
		if l.stopped {
			p.control.closed, p.bulk.closed = true, true
		} else {
			l.peers[address] = p
		}
	}
	return p
}

// eachPeer calls f for every peer, without a lock.
func (l *links) eachPeer(f func(*peer)) {
	l.mu.RLock()
	peers := make([]*peer, 0, len(l.peers))
	for _, p := range l.peers {
		peers = append(peers, p)
	}
	l.mu.RUnlock()
	for _, p := range peers {
		f(p)
	}
}

// stopPatience is how long stop waits for goroutines. They end at once, unless a member blocks them.
const stopPatience = 500 * time.Millisecond

// stop ends all connections and goroutines. What waits is lost, and the members are not told.
func (l *links) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	l.outlet.close()
	l.metrics.stop()
	l.eachPeer(func(p *peer) { p.close() })
	ended := make(chan struct{})
	go func() {
		l.running.Wait()
		close(ended)
	}()
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
		l.logger.Warn("a member holds up the end of the links")
	}
}

// watch looks at all connections again and again: for those that have fallen silent or are stuck, those that nobody
// needs, and peers that have to be dialed.
func (l *links) watch() {
	interval := l.cfg.peerTimeout / 10
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	last := l.now()
	for {
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
		now := l.now()
		// Who has been stopped himself lets the others have their say first.
		judge := now-last < int64(l.cfg.peerTimeout)/2
		last = now
		l.eachPeer(func(p *peer) {
			p.control.watch(now, judge)
			p.bulk.watch(now, judge)
			l.removeIdle(p, now)
		})
	}
}

// removeIdle forgets a peer that nobody needs.
func (l *links) removeIdle(p *peer, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.control.mu.Lock()
	defer p.control.mu.Unlock()
	p.bulk.mu.Lock()
	defer p.bulk.mu.Unlock()
	if p.control.isIdle(now) && p.bulk.isIdle(now) {
		p.control.closed, p.bulk.closed = true, true
		delete(l.peers, p.address)
	}
}
