package raft

import (
	"context"
	"testing"
)

// The channel goes to the next request: a token of this one would end that at once.
func TestAnOpThatHasEndedWaitsForItsToken(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 {
		o := &op{ctx: ctx, wake: make(chan struct{}, 1)}
		o.ended.Store(true) // by somebody who is about to say so
		awaited := make(chan struct{})
		go func() {
			o.await()
			close(awaited)
		}()
		o.wake <- struct{}{}
		<-awaited
		if len(o.wake) > 0 || o.err != nil {
			t.Fatalf("there are %d tokens, and the error is %v", len(o.wake), o.err)
		}
	}
}

// Whoever ended it may have seen no attempt that could be abandoned.
func TestAnOpThatHasEndedMakesNoAttempt(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, nil)
	c := f.client(ClientConfig{NoSession: true}, 1)
	defer c.Close()
	o := &op{call: call{kind: proposeCall}, client: c, flight: &c.proposals, ctx: context.Background()}
	if err := c.proposals.enter(o, nil, false); err != nil {
		t.Fatal(err)
	}
	c.courier.end(o, ErrClosed)
	o.frame(nil)
	o.launch(&o.call)
	f.run()
	if len(s.calls) > 0 {
		t.Errorf("%d attempts were made", len(s.calls))
	}
}
