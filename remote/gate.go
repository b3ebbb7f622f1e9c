package raftremote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A gate is where messages of users leave this system. It stands in front of Proto.Actor's remoting, which has no bound on
// what waits, makes connections on the goroutine of whoever sends, and is slow to see that a system is gone. Nothing that
// is sent here blocks, and a system that is gone costs nothing.
type gate struct {
	remote *Remote
	ctx    context.Context // done when the gate is stopped
	cancel context.CancelFunc
	owners sync.WaitGroup // of the outboxes' goroutines
	lost   outlet         // of addresses that were lost
	bytes  atomic.Int64   // what waits in all outboxes

	mu           sync.RWMutex
	outboxes     map[string]*outbox        // guarded by mu; by the address
	leaving      int                       // guarded by mu; how many of outboxes were told to leave
	stopped      bool                      // guarded by mu
	subscription *eventstream.Subscription // guarded by mu
}

func newGate(r *Remote) *gate {
	ctx, cancel := context.WithCancel(context.Background())
	return &gate{remote: r, ctx: ctx, cancel: cancel, outboxes: map[string]*outbox{}, lost: outlet{publish: r.publish}}
}

// begin lets the gate hear which connections of Proto.Actor's have ended.
func (g *gate) begin() {
	subscription := g.remote.system.EventStream.Subscribe(func(event any) {
		if ended, ok := event.(*remote.EndpointTerminatedEvent); ok {
			if o := g.outbox(ended.Address); o != nil {
				signal(o.ended)
			}
		}
	})
	g.mu.Lock()
	g.subscription = subscription
	g.mu.Unlock()
}

// resolve claims the addresses of all other systems. Proto.Actor keeps the process in the PID for good.
func (g *gate) resolve(pid *actor.PID) (actor.Process, bool) {
	return g.process(pid.GetAddress()), true
}

func (g *gate) process(address string) *proxy { return &proxy{g, address} }

// outbox is what there is for an address, or nil.
func (g *gate) outbox(address string) *outbox {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.outboxes[address]
}

// outboxFor is the outbox for an address, which is made if there is none.
func (g *gate) outboxFor(address string) (*outbox, gateReason) {
	if o := g.outbox(address); o != nil {
		return o, ""
	}
	if checkAddress(address) != nil {
		return nil, gateUnreachable
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.stopped:
		return nil, gateStopped
	case g.outboxes[address] != nil:
		return g.outboxes[address], ""
	case len(g.outboxes)-g.leaving >= g.remote.cfg.ConnectionsMax && !g.dismiss():
		return nil, gateSystems
	}
	o := newOutbox(g, address)
	g.outboxes[address] = o
	g.owners.Add(1)
	go o.run()
	return o, ""
}

// forget takes an outbox out that has nothing to do, and tells whether it has.
func (g *gate) forget(o *outbox) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leaving {
		o.leaving = false
		g.leaving--
	}
	if len(o.queue) > 0 || len(o.watches) > 0 {
		return false
	}
	o.gone = true
	delete(g.outboxes, o.address)
	return true
}

// dismiss tells the outbox to leave that has had nothing to do for longest, and returns whether there is one. It keeps its
// place until Proto.Actor knows of its end, so that an eighth more than ConnectionsMax may be there for a while. It is called
// with mu held.
func (g *gate) dismiss() bool {
	if g.leaving >= max(1, g.remote.cfg.ConnectionsMax/8) {
		return false
	}
	var longest *outbox
	before := time.Now().Add(-idleTimeMin)
	for _, o := range g.outboxes {
		o.mu.Lock()
		if !o.leaving && o.isIdle() && !o.used.After(before) {
			longest, before = o, o.used
		}
		o.mu.Unlock()
	}
	if longest == nil {
		return false
	}
	longest.leaving = true
	g.leaving++
	signal(longest.leave)
	return true
}

// leaves tells whether an outbox that was told to leave has nothing to do still.
func (g *gate) leaves(o *outbox) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isIdle() {
		return true
	}
	if o.leaving {
		o.leaving = false
		g.leaving--
	}
	return false
}

// reserve makes room for a letter among those of all outboxes, one of which has so many bytes already, and tells whether
// there is any. None may have more than what it leaves to all others, so that a few systems that take nothing do not use up
// all of it. Where nothing waits, one letter may go beyond the bound by an eighth, and so may watches and ends of what is
// watched.
func (g *gate) reserve(i *letter, has int) bool {
	most := min(int64(g.remote.cfg.ClientBytesMax), 1<<60)
	if i.system || has == 0 {
		most, has = most+most/8, 0
	} else {
		has += i.bytes
	}
	for {
		now := g.bytes.Load()
		if now+int64(i.bytes)+int64(has) > most {
			return false
		}
		if g.bytes.CompareAndSwap(now, now+int64(i.bytes)) {
			return true
		}
	}
}

// load is what waits, and for how many systems.
func (g *gate) load() (bytes, systems int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.bytes.Load(), int64(len(g.outboxes))
}

// stop ends everything, and waits for it until ctx is done.
func (g *gate) stop(ctx context.Context) (addresses []string) {
	g.mu.Lock()
	g.stopped = true
	for address := range g.outboxes {
		addresses = append(addresses, address)
	}
	if g.subscription != nil {
		g.remote.system.EventStream.Unsubscribe(g.subscription)
	}
	g.mu.Unlock()
	g.cancel()
	g.lost.close()
	g.remote.dialed.close()
	ended := make(chan struct{})
	go func() {
		g.owners.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return addresses
}

// takeConnection is the dialer of Proto.Actor's clients. It only has what an outbox has made: so gRPC never connects anywhere
// by itself.
func (g *gate) takeConnection(_ context.Context, address string) (net.Conn, error) {
	if o := g.outbox(address); o != nil {
		if conn := o.takeConnection(); conn != nil {
			return conn, nil
		}
	}
	return nil, errors.New("raftremote: the connection has ended")
}

// stream is the interceptor of Proto.Actor's clients. It tells an outbox what has left.
func (g *gate) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := streamer(ctx, desc, cc, method, options...)
	if o := g.outbox(cc.Target()); err == nil && o != nil {
		return &gateStream{ClientStream: stream, outbox: o}, nil
	}
	return stream, err
}

// terminated tells a watcher here that an actor elsewhere has ended, and whether it watches.
func (g *gate) terminated(address string, key watchKey, why actor.TerminatedReason) bool {
	o := g.outbox(address)
	if o == nil || !o.unwatch(key) {
		return false
	}
	g.tell(address, key, why)
	return true
}

func (g *gate) tell(address string, key watchKey, why actor.TerminatedReason) {
	system := g.remote.system
	if process, alive := system.ProcessRegistry.GetLocal(key.watcher); alive {
		process.SendSystemMessage(system.NewLocalPID(key.watcher), &actor.Terminated{
			Who: actor.NewPID(address, key.watchee), Why: why,
		})
	}
}

// Undelivered stands for a message in the dead letters that was to go to another system. What was in it is nobody's business.
type Undelivered struct {
	// Type is the name of its type.
	Type string
	// Reason is why it could not be sent.
	Reason string
}

// bounce tells the sender, or else the dead letters, of a message that has certainly not left.
func (g *gate) bounce(target *actor.PID, message any, sender *actor.PID, reason gateReason) {
	g.remote.counters.drop(reason)
	if _, dead := message.(*actor.DeadLetterResponse); dead {
		return
	}
	if sender != nil {
		g.remote.system.Root.Send(sender, &actor.DeadLetterResponse{Target: target})
		return
	}
	event := &actor.DeadLetterEvent{PID: target, Message: &Undelivered{Type: typeName(message), Reason: string(reason)}}
	g.remote.dead.post(event)
}

func typeName(message any) string {
	if m, ok := message.(proto.Message); ok {
		return string(proto.MessageName(m))
	}
	return fmt.Sprintf("%T", message)
}

// signal puts a token into a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Times of the gate.
const (
	// dialPause is for how long a system counts as unreachable after a connection could not be made.
	dialPause = 200 * time.Millisecond
	// endTime is how long Proto.Actor may take to see that its connection is gone: it sleeps for two seconds after a failure.
	endTime = 4 * time.Second
	// stuckTime is how long a message may be on its way out.
	stuckTime = 5 * time.Second
	// idleTime is after how long without messages a connection is closed.
	idleTime = 5 * time.Minute
	// idleTimeMin is after how long without messages a connection makes room for that to another system.
	idleTimeMin = time.Second
)
