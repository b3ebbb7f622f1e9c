package raftremote

import (
	"sync"
)

// outletMax is how much may wait in an outlet.
const outletMax = 1024

// An outlet calls what is the user's and could block, such as the handlers of the EventStream, on a goroutine of its own.
// When it is full it drops what comes. All methods are safe for concurrent use, and none blocks.
type outlet struct {
	deliver func(message any)
	waiting chan any
	done    chan struct{}
	once    sync.Once
}

func newOutlet(deliver func(message any)) *outlet {
	o := &outlet{deliver: deliver, waiting: make(chan any, outletMax), done: make(chan struct{})}
	go o.run()
	return o
}

// post has a message delivered behind those before it, or drops it, and tells which.
func (o *outlet) post(message any) bool {
	select {
	case <-o.done:
		return false
	default:
	}
	select {
	case o.waiting <- message:
		return true
	default:
		return false
	}
}

func (o *outlet) run() {
	for {
		select {
		case <-o.done:
			return
		case message := <-o.waiting:
			o.call(message)
		}
	}
}

// call survives a panic of the user's code.
func (o *outlet) call(message any) {
	defer func() { _ = recover() }()
	o.deliver(message)
}

// close ends the outlet as soon as nothing is being delivered. It does not wait for that.
func (o *outlet) close() { o.once.Do(func() { close(o.done) }) }
