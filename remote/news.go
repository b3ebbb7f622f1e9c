package raftremote

import (
	"sync"
)

// newsMax is how much may wait in it.
const newsMax = 1024

// A news calls what is the user's and could block, such as the handlers of the EventStream, on a goroutine of its own.
// When it is full it drops what comes. All methods are safe for concurrent use, and none blocks.
type news struct {
	deliver func(message any)
	waiting chan any
	done    chan struct{}
	once    sync.Once
}

func newNews(deliver func(message any)) *news {
	o := &news{deliver: deliver, waiting: make(chan any, newsMax), done: make(chan struct{})}
	go o.run()
	return o
}

// post has a message delivered behind those before it, or drops it, and tells which.
func (o *news) post(message any) bool {
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

func (o *news) run() {
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
func (o *news) call(message any) {
	defer func() { _ = recover() }()
	o.deliver(message)
}

// close ends the outlet as soon as nothing is being delivered. It does not wait for that.
func (o *news) close() { o.once.Do(func() { close(o.done) }) }
