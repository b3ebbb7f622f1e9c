package raftremote

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"

	"example.com/raftactor/node"
)

// An outbox is what users here send to one other system. A goroutine of its own makes connections, and hands Proto.Actor no
// more than that has room for. While the system cannot be reached everything is sent back at once.
type outbox struct {
	gate    *gate
	address string
	wake    chan struct{} // a token: there is something to do
	ended   chan struct{} // a token: Proto.Actor says that its connection has ended
	leave   chan struct{} // a token: another system needs the room, if there is nothing to do here
	leaving bool          // guarded by mu of the gate; it was told to leave

	mu      sync.Mutex
	queue   []*letter             // guarded by mu; not handed to Proto.Actor
	handed  []*letter             // guarded by mu; handed over and not known to have left
	bytes   int                   // guarded by mu; of both
	flying  int                   // guarded by mu; bytes of handed
	watches map[watchKey]struct{} // guarded by mu; of actors here on actors there
	down    bool                  // guarded by mu; it cannot be reached
	gone    bool                  // guarded by mu; it is in the gate no more
	conn    net.Conn              // guarded by mu; made, and not taken by gRPC yet
	open    bool                  // guarded by mu; the other end has said that it is there
	sending bool                  // guarded by mu; a frame is on its way into the connection
	used    time.Time             // guarded by mu; when something was sent, or was last known to move
}

// A watchKey is a watch by an actor here on one of the outbox's system.
type watchKey struct{ watcher, watchee string }

const (
	// flyingBytesMax is how much Proto.Actor has at a time: it makes one frame of what waits there, and a frame is bounded.
	flyingBytesMax = 1 << 20
	// watchKeysMax is how many watches there may be on actors of one system.
	watchKeysMax = 64 << 10
	// systemLettersMax is how many watches and ends of watched actors may wait, whatever else does.
	systemLettersMax = 64 << 10
)

func newOutbox(g *gate, address string) *outbox {
	return &outbox{
		gate: g, address: address,
		wake: make(chan struct{}, 1), ended: make(chan struct{}, 1), leave: make(chan struct{}, 1),
		watches: map[watchKey]struct{}{}, used: time.Now(),
	}
}

// post takes a letter, or says why not. again: the outbox has been given up.
func (o *outbox) post(i *letter) (reason gateReason, again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.gone:
		return "", true
	case o.down:
		return gateUnreachable, false
	case i.system && len(o.queue) >= systemLettersMax:
		return gateFull, false
	case !i.system && o.bytes+i.bytes > o.gate.remote.cfg.ClientQueueBytesMax:
		return gateFull, false
	}
	_, watched := o.watches[i.watch]
	_, watch := i.body.(*actor.Watch)
	_, unwatch := i.body.(*actor.Unwatch)
	switch {
	case watch && watched, unwatch && !watched:
		return "", false
	case watch && len(o.watches) >= watchKeysMax:
		return gateFull, false
	case !o.gate.reserve(i, o.bytes):
		return gateCrowded, false
	case watch:
		o.watches[i.watch] = struct{}{}
	case unwatch:
		delete(o.watches, i.watch)
	}
	o.queue = append(o.queue, i)
	o.bytes += i.bytes
	signal(o.wake)
	return "", false
}

// unwatch ends a watch, and tells whether there was one.
func (o *outbox) unwatch(key watchKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, there := o.watches[key]
	delete(o.watches, key)
	return there
}

// run is the outbox's goroutine. It ends when there is nothing to do.
func (o *outbox) run() {
	defer o.gate.owners.Done()
	defer o.fail(gateStopped)
	for o.gate.ctx.Err() == nil {
		raw, err := dialHost(o.gate.ctx, o.address)
		if err != nil {
			o.fail(gateUnreachable)
			o.gate.remote.logger.Debug("system unreachable", "address", o.address, "error", err)
			o.pause(dialPause, nil)
		} else if conn, err := o.gate.remote.dialed.add(raw); err != nil {
			raw.Close()
			return
		} else {
			o.serve(conn)
		}
		o.up()
		if o.gate.forget(o) {
			return
		}
	}
}

// serve sends by a connection for as long as that lasts.
func (o *outbox) serve(conn *trackedConn) {
	drain(o.ended)
	drain(o.leave)
	o.mu.Lock()
	o.conn, o.open, o.sending, o.used = conn, false, false, time.Now()
	o.mu.Unlock()
	used, err := o.pump(conn)
	o.mu.Lock()
	o.conn = nil
	o.mu.Unlock()
	conn.Close()
	if err != nil {
		o.fail(gateUnreachable)
		o.gate.lost.post(&node.AddressUnreachable{Address: o.address}) // what has left may have been lost, too
		o.gate.remote.logger.Debug("connection to system lost", "address", o.address, "error", err)
	} // else it was idle, and what comes meanwhile waits for the next connection
	if used {
		// As long as Proto.Actor takes a connection for that of this address, another would be ended with it.
		o.pause(endTime, o.ended)
		// Its manager hears of that in no certain order, and again does no harm.
		o.gate.remote.system.EventStream.Publish(&remote.EndpointTerminatedEvent{Address: o.address})
	}
}

var (
	errLost       = errors.New("the connection has ended")
	errNoProgress = errors.New("nothing has left for too long")
)

// pump hands Proto.Actor what waits, as it gets on. used: it has been given something. Without an error the connection is
// not needed any more.
func (o *outbox) pump(conn *trackedConn) (used bool, err error) {
	check := time.NewTicker(time.Second)
	defer check.Stop()
	for {
		for i := o.next(); i != nil; i = o.next() {
			used = true
			if err := o.hand(i); err != nil {
				return used, err
			}
		}
		select {
		case <-o.wake:
		case <-conn.gone:
			return used, errLost
		case <-o.ended:
			signal(o.ended)
			return used, errLost
		case <-o.gate.ctx.Done():
			return used, errLost
		case <-o.leave:
			if o.gate.leaves(o) {
				return used, nil
			}
		case now := <-check.C:
			if idle, stuck := o.check(now, time.Duration(sinceStart()-conn.wroteAt.Load())); stuck {
				return used, errNoProgress
			} else if idle {
				return used, nil
			}
		}
	}
}

// next takes what can be handed over out of the queue, or returns nil. As long as the other end has not said that it is
// there, that is one letter, by which Proto.Actor gets to know that there is something to send.
func (o *outbox) next() *letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 || !o.open && len(o.handed) > 0 {
		return nil
	}
	i := o.queue[0]
	if len(o.handed) > 0 && o.flying+i.bytes > flyingBytesMax {
		return nil
	}
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.handed = append(o.handed, i)
	o.flying += i.bytes
	if len(o.handed) == 1 {
		o.used = time.Now()
	}
	return i
}

// hand gives a letter to Proto.Actor, whose supervisor of endpoints may have been stopped by somebody: then it panics.
func (o *outbox) hand(i *letter) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("Proto.Actor's remoting has been stopped")
		}
	}()
	proto, err := o.gate.remote.protoRemote()
	if err == nil {
		proto.SendMessage(i.target, i.header, i, i.sender, 0)
	}
	return err
}

// check tells whether nothing was to be sent for long, or nothing has left although it should. A large frame may take long
// on a slow connection, which has taken nothing since it has been quiet.
func (o *outbox) check(now time.Time, quiet time.Duration) (idle, stuck bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	since := now.Sub(o.used)
	if !o.sending && since > time.Second {
		o.release() // what has been taken and is in no frame cannot be encoded
	}
	if len(o.handed) > 0 {
		return false, since > stuckTime && quiet > stuckTime
	}
	return since > idleTime && o.isIdle(), false
}

// isIdle tells whether there is nothing to do. It is called with mu held.
func (o *outbox) isIdle() bool { return len(o.queue)+len(o.handed)+len(o.watches) == 0 }

// fail sends everything back that has certainly not left, says that all watched actors there are gone, and does so at once
// with what comes, until up is called.
func (o *outbox) fail(reason gateReason) {
	o.mu.Lock()
	o.down = true
	lost := o.queue
	for _, i := range o.handed {
		if i.state.CompareAndSwap(letterWaits, letterLost) {
			lost = append(lost, i)
		}
	}
	watches := o.watches
	o.gate.bytes.Add(-int64(o.bytes))
	o.queue, o.handed, o.bytes, o.flying, o.watches = nil, nil, 0, 0, map[watchKey]struct{}{}
	o.mu.Unlock()
	for _, i := range lost {
		if _, watch := i.body.(*actor.Watch); !watch { // told of below, unless it has ended since
			o.gate.lose(o.address, i, reason)
		}
	}
	for key := range watches {
		o.gate.tell(o.address, key, actor.TerminatedReason_AddressTerminated)
	}
}

func (o *outbox) up() {
	o.mu.Lock()
	o.down = false
	o.mu.Unlock()
}

// pause waits for a time, for a token, or for the end.
func (o *outbox) pause(d time.Duration, token chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-token:
	case <-o.gate.ctx.Done():
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}
