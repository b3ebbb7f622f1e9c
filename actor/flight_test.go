package raft

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// A request may wait for long: for a member to be ready, or for an index that is far ahead. Only the commands of a session
// have to wait for it, since a session knows so many of them.
func TestARequestThatTakesLongHoldsNoOtherUp(t *testing.T) {
	f := newFlight(100, 1<<20, false)
	begin := func() *op {
		o := &op{flight: &f, ctx: context.Background()}
		if err := f.enter(o, nil, false); err != nil {
			t.Fatalf("request %d: %v", f.next, err)
		}
		return o
	}
	end := func(o *op) {
		o.ended.Store(true)
		o.exit()
	}
	long := []*op{begin(), begin()}
	for i := range 3 * sessionWindow {
		end(begin())
		if i == sessionWindow {
			end(begin())
			long = append(long, begin())
		}
	}
	if got := f.all(nil); len(got) != len(long) || f.count.Load() != int64(len(long)) {
		t.Errorf("%d are under way, counted as %d, want %d", len(got), f.count.Load(), len(long))
	}
	for f.count.Load() < 100 {
		long = append(long, begin())
	}
	if err := f.enter(&op{ctx: context.Background()}, nil, false); err == nil {
		t.Error("more were let in than there is room for")
	}
	if len(f.ring) > sessionWindow {
		t.Errorf("there is room for %d", len(f.ring))
	}
	for _, o := range long {
		end(o)
	}
	if got := f.all(nil); len(got) != 0 || !f.isEmpty() {
		t.Errorf("%d are under way, counted as %d", len(got), f.count.Load())
	}
}

// Room may come to be between the look for it and the wait.
func TestNobodyWaitsWhileThereIsRoom(t *testing.T) {
	f := newFlight(1, 1<<20, true)
	ctx := within(t, 60*time.Second)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200_000 / stride {
				o := &op{flight: &f, ctx: ctx}
				if err := f.enter(o, nil, true); err != nil {
					t.Error(err)
					return
				}
				o.ended.Store(true)
				o.err = ErrClosed // so that it does not wait for a session
				o.exit()
			}
		})
	}
	all.Wait()
}

func TestWhoWaitsForRoomIsNotOvertaken(t *testing.T) {
	f := newFlight(1, 1<<20, true)
	first, second := &op{flight: &f, ctx: context.Background()}, &op{flight: &f, ctx: within(t, 20*time.Second)}
	if err := f.enter(first, nil, false); err != nil {
		t.Fatal(err)
	}
	let := make(chan error)
	go func() { let <- f.enter(second, nil, true) }()
	await(t, "somebody waits", func() bool { return f.waiters.Load() == 1 })
	first.left.Store(true) // it is leaving, and has not come to let others in
	f.count.Add(-1)
	if err := f.enter(&op{flight: &f, ctx: context.Background()}, nil, false); !errors.Is(err, ErrOverloaded) {
		t.Errorf("got %v, want that somebody else comes first", err)
	}
	f.count.Add(1)
	f.leave(first)
	if err := <-let; err != nil {
		t.Error(err)
	}
}

// A large command at the head of those who wait may be what keeps a small one from being let in.
func TestWhoStopsWaitingLetsOthersIn(t *testing.T) {
	f := newFlight(10, 100, false)
	ctx := within(t, 20*time.Second)
	large, small := make([]byte, 60), make([]byte, 10)
	if err := f.enter(&op{flight: &f, ctx: ctx}, large, false); err != nil {
		t.Fatal(err)
	}
	impatient, stop := context.WithCancel(ctx)
	quit, let := make(chan error, 1), make(chan error, 1)
	go func() { quit <- f.enter(&op{flight: &f, ctx: impatient}, large, true) }()
	await(t, "the large one waits", func() bool { return f.waiters.Load() == 1 })
	go func() { let <- f.enter(&op{flight: &f, ctx: ctx}, small, true) }()
	await(t, "the small one waits", func() bool { return f.waiters.Load() == 2 })
	stop()
	if err := <-quit; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-let; err != nil {
		t.Errorf("got %v, although there is room", err)
	}
}
