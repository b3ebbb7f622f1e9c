package raftremote

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
)

const (
	// stopTime is how long stopping takes at the most, whatever others do.
	stopTime = 900 * time.Millisecond
	// endpointsTime is how long the actors of Proto.Actor's remoting are waited for: one that sleeps does so for longer.
	endpointsTime = 100 * time.Millisecond
)

// Stop ends remoting within a second: the links, all connections, and Proto.Actor's server. Members are stopped before;
// those that are not reach nobody any more. Actors live on. What goroutines of Proto.Actor sleep after a failed attempt to
// connect end by themselves within two seconds. Stop can be called again, and then waits for the same end. The error is that
// of ctx.
func (r *Remote) Stop(ctx context.Context) error {
	r.mu.Lock()
	stopped, first := r.stopped, r.stopped == nil
	if first {
		stopped = make(chan struct{})
		r.stopped = stopped
	}
	r.mu.Unlock()
	if first {
		go func() {
			defer close(stopped)
			if r.starting != nil {
				<-r.starting // what is being started cannot be ended yet
			}
			r.mu.Lock()
			attached := r.attached
			r.mu.Unlock()
			if attached {
				r.halt()
			}
			r.dead.close()
		}()
	}
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// halt ends everything in the order in which others rest on it.
func (r *Remote) halt() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	b := r.running.Swap(nil)
	linksEnded := make(chan struct{})
	go func() {
		defer close(linksEnded)
		if b != nil {
			b.links.stop()
		}
	}()
	addresses := r.gate.stop(ctx)
	proto, err := r.protoRemote()
	serverEnded := make(chan struct{})
	go func() {
		defer close(serverEnded)
		defer func() { _ = recover() }() // it was never started
		select {
		case <-linksEnded: // so that they can say goodbye
		case <-ctx.Done():
		}
		r.accepted.close()
		if err == nil {
			proto.Shutdown(false)
		}
	}()
	for _, ended := range []chan struct{}{linksEnded, serverEnded} {
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
	endpointsEnded := make(chan struct{})
	go func() {
		defer close(endpointsEnded)
		r.stopEndpoints(addresses)
	}()
	select {
	case <-endpointsEnded:
	case <-ctx.Done(): // a handler of the event stream blocks
	}
	r.counters.unregister()
	r.logger.Info("remoting has been stopped")
}

// stopEndpoints stops the actors of Proto.Actor's remoting. Those that sleep do so when they wake up.
func (r *Remote) stopEndpoints(addresses []string) {
	ctx, cancel := context.WithTimeout(context.Background(), endpointsTime)
	defer cancel()
	for _, address := range addresses {
		r.system.EventStream.Publish(&remote.EndpointTerminatedEvent{Address: address})
	}
	for _, name := range []string{"activator", "EndpointSupervisor"} {
		if _, alive := r.system.ProcessRegistry.GetLocal(name); !alive {
			continue
		}
		future := r.system.Root.StopFuture(r.system.NewLocalPID(name))
		ended := make(chan struct{})
		go func(future *actor.Future) {
			defer close(ended)
			_ = future.Wait()
		}(future)
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
}

// publish hands an event to the actor system's handlers, which are the user's and may block or panic.
func (r *Remote) publish(event any) {
	defer func() {
		if reason := recover(); reason != nil {
			r.logger.Error("a handler of the event stream has panicked", "event", fmt.Sprintf("%T", event), "reason", reason)
		}
	}()
	r.system.EventStream.Publish(event)
}
