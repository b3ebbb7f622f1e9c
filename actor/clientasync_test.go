package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// A context that is done ends a proposal at whatever stage it is, with the outcome that is true there.
func TestADoneContextEndsAProposalAtEachStage(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(c *call) *reply
		want   error
	}{
		"while a session is opened": {func(*call) *reply { return nil }, ErrNotApplied},
		"while an attempt is out":   {script(nil), ErrUnknown},
		"between two attempts":      {script(rejects(Code_OVERLOADED, Outcome_NOT_APPLIED)), ErrNotApplied},
		"between two, one in doubt": {script(rejects(Code_DEADLINE, Outcome_UNKNOWN)), ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.newStub(1, c.answer)
			client := f.client(ClientConfig{}, 1)
			defer client.Close()
			ctx, cancel := context.WithCancel(context.Background())
			got := f.proposes(ctx, client, "x")
			f.settle()
			if cancel(); got.ended > 0 {
				t.Fatalf("ended at once, with %v", got.err)
			}
			f.clock.Advance(clientTick)
			f.settle()
			if got.ended != 1 {
				t.Fatalf("ended %d times, a tick after its context", got.ended)
			}
			f.end(got)
			if !errors.Is(got.err, context.Canceled) || !errors.Is(got.err, c.want) ||
				errors.Is(got.err, ErrUnknown) == errors.Is(got.err, ErrNotApplied) {
				t.Errorf("got %v, want context.Canceled and %v", got.err, c.want)
			}
		})
	}
}

func TestAContextThatIsDoneBeforeSendsNothing(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, nil)
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := client.ProposeAsync(ctx, nil, func(Result, error) { t.Error("done was called") })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v", err)
	}
	if _, err := client.Query(ctx, nil); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v", err)
	}
	f.pass(10)
	if len(s.calls) > 0 {
		t.Errorf("%d calls were sent", len(s.calls))
	}
}

func TestWhoWantsMoreThanThereIsRoomForWaits(t *testing.T) {
	f := newFixture(t)
	var kept []*call
	s := f.newStub(1, nil)
	s.answer = func(c *call) *reply {
		if c.kind == openCall {
			return &reply{index: 1}
		}
		kept = append(kept, c)
		return nil
	}
	client := f.client(ClientConfig{InFlightMax: 3}, 1)
	defer client.Close()
	var all []*promise
	for i := range 3 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(i)))
	}
	f.settle()
	never := func(Result, error) { t.Error("done was called") }
	if err := client.TryProposeAsync(context.Background(), nil, never); !errors.Is(err, ErrOverloaded) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v, want ErrOverloaded", err)
	}

	// One who waits gives up, and one gets the room of a proposal that is answered.
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp, entered := make(chan error, 1), make(chan error, 1)
	waiting := func(n int) bool {
		client.proposals.mu.Lock()
		defer client.proposals.mu.Unlock()
		return len(client.proposals.waiting) == n
	}
	go func() { gaveUp <- client.ProposeAsync(ctx, []byte("gave up"), never) }()
	await(t, "a waiter", func() bool { return waiting(1) })
	last := &promise{}
	go func() {
		entered <- client.ProposeAsync(context.Background(), []byte("waited"), func(r Result, err error) {
			last.ended++
			last.result, last.err = r, err
		})
	}()
	await(t, "two waiters", func() bool { return waiting(2) })
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v", err)
	}
	kept[1].answer(f.system, *applied)
	f.settle()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	f.settle()
	if got := places(s.proposals()); !slices.Equal(got, []string{"1/1", "1/2", "1/3", "1/4"}) {
		t.Errorf("proposed at %v", got)
	}
	for _, c := range kept {
		c.answer(f.system, *applied)
	}
	for _, a := range append(all, last) {
		if f.end(a); a.err != nil {
			t.Error(a.err)
		}
	}
}

// The sequences of a session must not be too far apart: one proposal that goes on and on holds the others up in the end.
func TestOneSlowProposalHoldsOthersUpAtTheEndOfTheWindow(t *testing.T) {
	f := newFixture(t)
	f.scheduler.Trace = nil
	var slow *call
	f.newStub(1, func(c *call) *reply {
		if c.kind == openCall {
			return &reply{index: 1}
		}
		if slow == nil {
			slow = c
			return nil
		}
		return applied
	})
	client := f.client(ClientConfig{InFlightMax: 100}, 1)
	defer client.Close()
	first := f.proposes(context.Background(), client, "slow")
	f.settle()
	ended, refused := 0, 0
	for range sessionWindow + 100 {
		switch err := client.TryProposeAsync(context.Background(), nil, func(Result, error) { ended++ }); {
		case errors.Is(err, ErrOverloaded):
			refused++
		case err != nil:
			t.Fatal(err)
		}
		f.run()
	}
	if ended != sessionWindow-1 || refused != 101 {
		t.Errorf("%d proposals ended, and %d were refused", ended, refused)
	}
	slow.answer(f.system, *applied)
	f.end(first)
	if got := f.end(f.proposes(context.Background(), client, "next")); got.err != nil {
		t.Error(got.err)
	}
}

// A callback may propose, and has room for that; if it panics, that is nobody else's business.
func TestCallbacksProposeAndPanic(t *testing.T) {
	f := newFixture(t)
	var logged strings.Builder
	f.newStub(1, nil)
	client := f.client(ClientConfig{InFlightMax: 1, Logger: hclog.New(&hclog.LoggerOptions{Output: &logged})}, 1)
	defer client.Close()
	left, ended := 10, make(chan struct{})
	var next func(Result, error)
	next = func(_ Result, err error) {
		if err != nil {
			t.Error(err)
		}
		if left--; left == 0 {
			close(ended)
			return
		}
		if err := client.TryProposeAsync(context.Background(), nil, next); err != nil {
			t.Error(err)
		}
		panic("callback's own")
	}
	if err := client.ProposeAsync(context.Background(), nil, next); err != nil {
		t.Fatal(err)
	}
	f.settle()
	select {
	case <-ended:
	default:
		t.Errorf("%d proposals are left", left)
	}
	if n := strings.Count(logged.String(), "callback's own"); n < 9 {
		t.Errorf("%d panics are logged:\n%s", n, &logged)
	}
	if got := f.end(f.proposes(context.Background(), client, "x")); got.err != nil {
		t.Error(got.err)
	}
}

// Close ends what is under way, with the outcome that is true.
func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, nil)
	opened := false
	s.answer = func(c *call) *reply {
		if c.kind == openCall && !opened {
			opened = true
			return &reply{index: 1}
		}
		if fr, _ := parseFrame(c.payload); string(fr.command) == "lost" {
			return rejects(Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)
		}
		return nil
	}
	client := f.client(ClientConfig{InFlightMax: 2}, 1)
	out := f.proposes(context.Background(), client, "out")
	parked := f.proposes(context.Background(), client, "lost")
	f.pass(1)
	waits := make(chan error, 1)
	go func() { _, err := client.Propose(context.Background(), nil); waits <- err }()
	await(t, "a waiter", func() bool {
		client.proposals.mu.Lock()
		defer client.proposals.mu.Unlock()
		return len(client.proposals.waiting) == 1
	})
	client.Close()
	client.Close()
	if err := <-waits; !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("who waited for room got %v", err)
	}
	f.end(out)
	f.end(parked)
	if !errors.Is(out.err, ErrClosed) || !errors.Is(out.err, ErrUnknown) {
		t.Errorf("an attempt was out: got %v", out.err)
	}
	if !errors.Is(parked.err, ErrClosed) || !errors.Is(parked.err, ErrNotApplied) {
		t.Errorf("it waited for a session: got %v", parked.err)
	}
	for _, c := range s.calls {
		c.answer(f.system, *applied)
	}
	f.pass(100)
	if out.ended != 1 || parked.ended != 1 {
		t.Errorf("ended %d and %d times", out.ended, parked.ended)
	}
	for name, ask := range map[string]func() error{
		"Propose": func() error { _, err := client.Propose(context.Background(), nil); return err },
		"Query":   func() error { _, err := client.Query(context.Background(), nil); return err },
		"ProposeAsync": func() error {
			return client.ProposeAsync(context.Background(), nil, func(Result, error) { t.Error("done was called") })
		},
	} {
		if err := ask(); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotApplied) {
			t.Errorf("%s of a closed client: got %v", name, err)
		}
	}
	if _, ok := f.clock.Next(); ok {
		t.Error("it still gets ticks")
	}
	if _, there := f.system.ProcessRegistry.GetLocal(client.courier.self.Id); there {
		t.Error("its courier is still there")
	}
}

// A client with nothing under way costs nothing.
func TestAnIdleClientGetsNoTicks(t *testing.T) {
	f := newFixture(t)
	f.newStub(1, nil)
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	for range 3 {
		if _, ok := f.clock.Next(); ok {
			t.Fatal("it gets ticks already")
		}
		got := f.proposes(context.Background(), client, "x")
		f.settle()
		if _, ok := f.clock.Next(); !ok {
			t.Fatal("it gets no ticks though a proposal is under way")
		}
		f.end(got)
		f.pass(idleTicks)
	}
}

// However many proposals one dead member has to be left for, the client moves on by one member only.
func TestAllProposalsMoveOnTogether(t *testing.T) {
	f := newFixture(t)
	f.newStub(1, script(rejects(Code_STOPPED, Outcome_NOT_APPLIED)))
	second, third := f.newStub(2, nil), f.newStub(3, nil)
	client := f.client(ClientConfig{}, 1, 2, 3)
	defer client.Close()
	var all []*promise
	for i := range 100 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(i)))
	}
	for i, a := range all {
		if f.end(a); a.err != nil {
			t.Fatal(a.err)
		}
		if got := string(second.proposals()[i].command); got != fmt.Sprint(i) {
			t.Errorf("attempt %d is %q", i, got)
		}
	}
	if len(third.calls) > 0 {
		t.Errorf("the third was asked %d times", len(third.calls))
	}
}
