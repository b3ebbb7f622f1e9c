package raftremote

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// methodReceive is the method of Proto.Actor's that is served.
const methodReceive = "/remote.Remoting/Receive"

// helloTime is how long a stream of Proto.Actor's may be silent at first.
const helloTime = 2 * time.Second

// A guard stands in front of the services of this system. It judges each frame before Proto.Actor sees it, ends connections
// that nobody well-meaning would make, and lets no panic end the process.
type guard struct {
	remote *Remote

	mu      sync.Mutex
	streams map[string]map[*guardedStream]struct{} // guarded by mu; by the address announced
	watches map[heldWatch]*guardedStream           // guarded by mu; on actors here, by the stream that vouches for them
	logged  time.Time                              // guarded by mu; when a refusal was logged last
	silent  int                                    // guarded by mu; refusals that were not logged since
}

// A heldWatch is one by an actor of another system on one of this.
type heldWatch struct{ address, watcher, watchee string }

func newGuard(r *Remote) *guard {
	return &guard{
		remote: r, streams: map[string]map[*guardedStream]struct{}{}, watches: map[heldWatch]*guardedStream{},
	}
}

// unary refuses unary calls: those that Proto.Actor declares it answers with a panic.
func (g *guard) unary(ctx context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	return nil, g.refuse(ctx, reasonMethod, fmt.Errorf("unary call of %q", info.FullMethod))
}

// unknown refuses what Proto.Actor's server does not know.
func (g *guard) unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	return g.refuse(stream.Context(), reasonMethod, fmt.Errorf("unknown method %q", method))
}

// link serves a connection of the link.
func (g *guard) link(w *wire, info *connectionInfo) {
	b := g.remote.running.Load()
	if b == nil {
		w.conn.Close()
		return
	}
	b.links.serve(w, info, func(err error) {
		switch {
		case errors.Is(err, errMalformed):
			g.condemn(info, reasonMalformed, err)
		case errors.Is(err, errFrameTooLarge):
			g.condemn(info, reasonTooMuch, err)
		case errors.Is(err, errHandshakeTimeout):
			g.condemn(info, reasonSilent, err)
		}
	})
}

// stream is the interceptor of all streams.
func (g *guard) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := stream.Context()
	markUsed(ctx)
	defer func() {
		if reason := recover(); reason != nil { // gRPC does not recover
			err = g.refuse(ctx, reasonPanic, fmt.Errorf("%v\n%s", reason, debug.Stack()))
		}
	}()
	if info.FullMethod != methodReceive {
		return handler(srv, stream)
	}
	b := g.remote.running.Load()
	if b == nil {
		return status.Error(codes.Unavailable, "this system is not running")
	}
	s := &guardedStream{ServerStream: stream, guard: g, ours: b.address, identity: identityOf(ctx)}
	silent := time.AfterFunc(helloTime, func() { s.tooLate() })
	defer silent.Stop()
	defer s.end()
	err = handler(srv, s)
	if err != nil && !s.ended.Load() {
		return g.refuse(ctx, reasonPayload, err) // Proto.Actor could not decode what a frame has in it
	}
	return err
}

// refuse counts what came in and is refused for good, closes its connection, and returns the status of the stream.
func (g *guard) refuse(ctx context.Context, reason refusalReason, err error) error {
	markUsed(ctx)
	g.condemn(connectionOf(ctx), reason, err)
	return status.Error(codes.PermissionDenied, "raftremote: "+string(reason))
}

// condemn counts what came in by a connection, which it closes. Nil: that is not known.
func (g *guard) condemn(c *connectionInfo, reason refusalReason, err error) {
	g.remote.counters.refuse(reason)
	args := []any{"reason", string(reason), "error", err}
	if c != nil {
		args = append(args, "from", c.conn.RemoteAddr().String(), "system", c.identity.system)
	}
	g.log("connection closed: it has sent what is refused", args...)
	if c != nil {
		c.conn.Close()
	}
}

// logEvery is how often refusals are logged at the most. The metric counts all of them.
const logEvery = time.Second

// log tells of a refusal, unless one was told of just before.
func (g *guard) log(message string, args ...any) {
	r := g.remote
	if r.running.Load() == nil {
		return
	}
	g.mu.Lock()
	now := time.Now()
	if now.Sub(g.logged) < logEvery {
		g.silent++
		g.mu.Unlock()
		return
	}
	silent := g.silent
	g.logged, g.silent = now, 0
	g.mu.Unlock()
	if silent > 0 {
		args = append(args, "not-logged-before", silent)
	}
	r.logger.Warn(message, args...)
}

// enter notes that a stream speaks for an address.
func (g *guard) enter(s *guardedStream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.streams[s.address]
	if of == nil {
		of = map[*guardedStream]struct{}{}
		g.streams[s.address] = of
	}
	of[s] = struct{}{}
}

// leave forgets a stream, and ends the watches that it vouches for: whoever watched has been told that the address is gone,
// or is gone itself.
func (g *guard) leave(s *guardedStream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.streams[s.address]
	delete(of, s)
	if len(of) == 0 {
		delete(g.streams, s.address)
	}
	if s.watches == 0 {
		return
	}
	for w, by := range g.watches {
		if by == s {
			delete(g.watches, w)
			// With mu held, so that the same watch by a newer stream comes behind it.
			if process, alive := g.remote.system.ProcessRegistry.GetLocal(w.watchee); alive {
				watcher := actor.NewPID(w.address, w.watcher)
				process.SendSystemMessage(actor.NewPID(s.ours, w.watchee), &actor.Unwatch{Watcher: watcher})
			}
		}
	}
}

const (
	// watchesMax is how many watches a stream may have.
	watchesMax = 16 << 10
	// allWatchesMax is how many all streams may have together: anybody can make many streams.
	allWatchesMax = 8 * watchesMax
)

// watch notes that a stream vouches for a watch, and tells whether it may.
func (g *guard) watch(s *guardedStream, w heldWatch) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	by, there := g.watches[w]
	if by == s {
		return true
	}
	if s.watches >= watchesMax || !there && len(g.watches) >= allWatchesMax {
		return false
	}
	if there {
		by.watches--
	}
	g.watches[w] = s
	s.watches++
	return true
}

func (g *guard) unwatch(w heldWatch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if by, there := g.watches[w]; there {
		by.watches--
		delete(g.watches, w)
	}
}

// disconnect ends all connections that speak for an address.
func (g *guard) disconnect(address string) {
	g.mu.Lock()
	var contexts []context.Context
	for s := range g.streams[address] {
		contexts = append(contexts, s.Context())
	}
	g.mu.Unlock()
	for _, ctx := range contexts {
		if c := connectionOf(ctx); c != nil {
			c.conn.Close()
		}
	}
}

var errNoSystem = errors.New("it announces no address")

// check says why a stream may not speak for an address.
func (s *guardedStream) check(hello *remote.ConnectRequest) error {
	server := hello.GetServerConnection()
	if server == nil {
		return errNoSystem
	}
	address := server.GetAddress()
	if err := checkAddress(address); err != nil {
		return err
	}
	if address == s.ours {
		return fmt.Errorf("it says that it is %q, which is this system", address)
	}
	if len(server.GetSystemId()) > nameBytesMax {
		return errors.New("its system id is too long")
	}
	id := s.identity
	if cluster := s.guard.remote.cfg.ClusterID; id.system != "" && id.cluster != cluster {
		return fmt.Errorf("its certificate is for cluster %q, and this is %q", id.cluster, cluster)
	}
	if !id.verified {
		return nil
	}
	host, _, _ := splitAddress(address)
	if err := id.hosts(host); err != nil {
		return err
	}
	if b := s.guard.remote.running.Load(); b != nil {
		return b.links.isTakenBy(address, id)
	}
	return nil
}
