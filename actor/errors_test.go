package raft

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// What is not said to have had no effect may have had one: a member of a later version may say something else.
func TestEveryErrorOfARequestMatchesOneOutcome(t *testing.T) {
	for outcome := range Outcome(5) {
		err := (&Rejected{Code: Code_DEADLINE, Outcome: outcome}).Err()
		if not, unknown := errors.Is(err, ErrNotApplied), errors.Is(err, ErrUnknown); not == unknown || not != (outcome == Outcome_NOT_APPLIED) {
			t.Errorf("%v: not applied is %v, unknown is %v", outcome, not, unknown)
		}
	}
}

func TestAClientWithoutRoomSaysSo(t *testing.T) {
	f := newFixture(t)
	f.newStub(1, func(*call) *reply { return nil })
	c := f.client(ClientConfig{InFlightMax: 1}, 1)
	defer c.Close()
	f.proposes(context.Background(), c, "first")
	err := c.TryProposeAsync(context.Background(), nil, nil)
	if !errors.Is(err, ErrOverloaded) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v", err)
	}
	want := "raft: proposing: raft: not applied: raft: OVERLOADED: as many requests are under way as ClientConfig.InFlightMax allows"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

func TestAMemberThatIsNobodyIsAnError(t *testing.T) {
	client := NewClient(quietSystem(), nil, nil)
	defer client.Close()
	for name, ask := range map[string]func() error{
		"propose": func() error { _, err := client.Propose(context.Background(), nil); return err },
		"ready":   func() error { _, err := client.Ready(context.Background(), nil); return err },
		"status":  func() error { _, err := client.Status(context.Background(), nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := ask(); !errors.Is(err, ErrNotApplied) || strings.Contains(err.Error(), "%!") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheStatusOfAMemberThatIsGoneIsAnError(t *testing.T) {
	system := quietSystem()
	client := NewClient(system)
	defer client.Close()
	_, err := client.Status(context.Background(), actor.NewPID(system.Address(), "nobody"))
	if !errors.Is(err, ErrStopped) || !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v", err)
	}
}

// Whoever comes to want a session while its opening fails has had no answer yet.
func TestAnOpThatWasNeverAnsweredSaysWhyItFails(t *testing.T) {
	f := newFixture(t)
	f.newStub(1, func(*call) *reply { return nil })
	c := f.client(ClientConfig{}, 1)
	defer c.Close()
	a := f.proposes(context.Background(), c, "first")
	f.run()
	opening := c.courier.opening
	opening.reply = *rejects(Code_INVALID, Outcome_NOT_APPLIED)
	opening.last.Store(opening.reply.rejected)
	c.courier.giveUp(opening)
	if a.ended != 1 || !errors.Is(a.err, ErrNotApplied) || !errors.Is(a.err, ErrInvalid) {
		t.Errorf("ended %d times: %v", a.ended, a.err)
	}
}
