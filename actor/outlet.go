package raft

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// outletMax is how much may wait in an outlet.
const outletMax = 4096

// An outlet is an actor that calls code of the user's which could block: the handlers of the EventStream,
// or the logger. A member has one for each, so that neither holds up consensus, or the other. When one is full
// it drops what comes until half of it is free again, and then says how much that was. It is no child of
// the raft actor: it outlives it, to tell how that ended.
//
// All methods are safe for concurrent use, and none blocks.
type outlet struct {
	system *actor.ActorSystem
	vitals *vitals
	pid    *actor.PID
	// deliver calls the user's code with one message; panicked is told of its panics.
	deliver  func(message any)
	panicked func(message, reason any)
	// dropped makes the message which says that so many were dropped.
	dropped func(count int) any

	mu      sync.Mutex
	waiting int  // guarded by mu; posted and not delivered
	full    bool // guarded by mu
	closed  bool // guarded by mu
	lost    int  // guarded by mu; dropped, and not told of yet
}

// open spawns the outlet's actor. Nothing is posted before.
func (o *outlet) open(cfg Config, system *actor.ActorSystem, vitals *vitals, name string) {
	o.system, o.vitals = system, vitals
	props := cfg.childProps(func() actor.Actor { return o })
	o.pid = system.Root.SpawnPrefix(props, pidName(cfg.Group, cfg.ID)+"/"+name+"/")
}

// post has a message delivered, behind those before it, or drops it.
func (o *outlet) post(message any) { o.take(message, false) }

// postAlways has a message delivered even if the outlet is full: for what a member says once.
func (o *outlet) postAlways(message any) { o.take(message, true) }

func (o *outlet) take(message any, always bool) {
	o.mu.Lock()
	o.full = o.full || o.waiting >= outletMax
	accepted := !o.closed && (!o.full || always)
	if accepted {
		o.waiting++
	} else {
		o.lost++
	}
	o.mu.Unlock()
	if accepted {
		o.system.Root.Send(o.pid, message)
	} else {
		o.vitals.dropNotice()
	}
}

// Receive delivers a message.
func (o *outlet) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		o.call(m)
		if lost := o.delivered(); lost > 0 {
			o.postAlways(o.dropped(lost))
		}
	}
}

// call survives a panic of the user's code: it concerns neither the member nor what comes later.
func (o *outlet) call(message any) {
	defer func() {
		if reason := recover(); reason != nil {
			o.panicked(message, reason)
		}
	}()
	o.deliver(message)
}

// delivered makes room, and returns what is to be told: how much was dropped until now. What is dropped because the
// outlet is closed is told to nobody.
func (o *outlet) delivered() (lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
	if o.waiting > outletMax/2 || o.closed {
		return 0
	}
	o.full = false
	return o.takeLost()
}

// takeLost returns what is to be told, which is told then. It is called with mu held.
func (o *outlet) takeLost() (lost int) {
	lost, o.lost = o.lost, 0
	return lost
}

// depth is how much waits.
func (o *outlet) depth() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting
}

// close ends the outlet when it has delivered what waits. What is posted later is dropped.
func (o *outlet) close() {
	o.mu.Lock()
	lost := o.takeLost()
	o.mu.Unlock()
	if lost > 0 {
		o.postAlways(o.dropped(lost))
	}
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.system.Root.Poison(o.pid)
}
