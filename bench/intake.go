package main

import (
	"context"
	"errors"
	"sync"
)

// errStopped is what waits when its replica stops.
var errStopped = errors.New("the replica has stopped")

// A request is one command on its way, and who waits for it.
type request struct {
	command []byte
	done    chan error // room for the one answer
}

// An intake is where proposers leave their commands, and wait. Whatever has
// gathered is taken at once, so that a slow round serves all who came
// meanwhile (group commit). Safe for concurrent use; one goroutine takes.
type intake struct {
	mu      sync.Mutex
	waiting []*request // guarded by mu
	stopped bool       // guarded by mu

	wake  chan struct{} // has a token after something was left in an empty intake
	spare sync.Pool     // of *request
}

func newIntake() *intake {
	return &intake{
		wake:  make(chan struct{}, 1),
		spare: sync.Pool{New: func() any { return &request{done: make(chan error, 1)} }},
	}
}

// put leaves a command, and returns its answer.
func (in *intake) put(ctx context.Context, command []byte) error {
	r := in.spare.Get().(*request)
	r.command = command
	in.mu.Lock()
	if in.stopped {
		in.mu.Unlock()
		return errStopped
	}
	in.waiting = append(in.waiting, r)
	first := len(in.waiting) == 1
	in.mu.Unlock()
	if first {
		in.rouse()
	}
	select {
	case err := <-r.done:
		r.command = nil
		in.spare.Put(r)
		return err
	case <-ctx.Done():
		return ctx.Err() // the request is still in somebody's hands: it is not used again
	}
}

// rouse lets the taker look.
func (in *intake) rouse() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// poll takes all that waits, which may be nothing. The slice that was taken
// before is given back.
func (in *intake) poll(before []*request) []*request {
	clear(before)
	in.mu.Lock()
	defer in.mu.Unlock()
	taken := in.waiting
	in.waiting = before[:0]
	return taken
}

// take is poll, but waits until there is something. It returns false when the
// intake is closed.
func (in *intake) take(before []*request) ([]*request, bool) {
	for {
		taken := in.poll(before)
		if len(taken) > 0 {
			return taken, true
		}
		before = taken
		in.mu.Lock()
		stopped := in.stopped
		in.mu.Unlock()
		if stopped {
			return nil, false
		}
		<-in.wake
	}
}

// close turns away who waits, and who comes.
func (in *intake) close() {
	in.mu.Lock()
	in.stopped = true
	answer(in.waiting, errStopped)
	in.waiting = nil
	in.mu.Unlock()
	in.rouse()
}

// answer lets all who wait for these go on.
func answer(requests []*request, err error) {
	for _, r := range requests {
		r.done <- err
	}
}
