package raftremote

import "sync"

// PeerReachable is published on the actor system's EventStream when another system is reached for the first time, or
// again.
type PeerReachable struct{ System, Address string }

// PeerUnreachable is published on the actor system's EventStream when another system is not reached any more, or was not
// at the first attempt. System is empty if it has never been reached.
type PeerUnreachable struct{ System, Address string }

// PeerRefused is published on the actor system's EventStream when another system will not be linked with, or does not want
// to be, and why. It is tried again all the time; what is refused for the same reason is published once.
type PeerRefused struct{ Address, Reason string }

// An outlet publishes events, in order, on a goroutine that there is only while there are any: handlers are the user's,
// and may block. What is too much then is dropped.
type outlet struct {
	publish func(any)

	mu      sync.Mutex
	waiting []any // guarded by mu
	busy    bool  // guarded by mu
	closed  bool  // guarded by mu
}

const eventsMax = 256

// post has an event published.
func (o *outlet) post(event any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.publish == nil || o.closed || len(o.waiting) >= eventsMax {
		return
	}
	o.waiting = append(o.waiting, event)
	if !o.busy {
		o.busy = true
		go o.run()
	}
}

func (o *outlet) run() {
	for {
		o.mu.Lock()
		if len(o.waiting) == 0 || o.closed {
			o.busy = false
			o.mu.Unlock()
			return
		}
		event := o.waiting[0]
		o.waiting = o.waiting[1:]
		o.mu.Unlock()
		o.publish(event)
	}
}

// close drops what waits. One event may be on its way still.
func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.waiting = true, nil
}
