package raft

import (
	"context"
	"testing"
)

// An op may end while the courier sees to it: then it must not wait for a session that it does not want any more.
func TestAnOpThatHasEndedDoesNotWaitForASession(t *testing.T) {
	f := newFlight(4, 1<<20, true)
	f.opened(7)
	enter := func() *op {
		o := &op{flight: &f, ctx: context.Background()}
		if err := f.enter(o, nil, false); err != nil || !o.direct || o.place.session != 7 {
			t.Fatalf("got %v, %+v", err, o.place)
		}
		return o
	}
	before, after := enter(), enter()
	before.ended.Store(true)
	before.exit()
	if there, wanted := f.readmit(before); there || wanted {
		t.Errorf("who ended before: there %v, wanted %v", there, wanted)
	}
	if there, wanted := f.readmit(after); there || !wanted {
		t.Errorf("there %v, wanted %v, want that another session is opened", there, wanted)
	}
	after.ended.Store(true)
	after.err = ErrClosed
	after.exit()
	if f.parked != 0 || !f.isEmpty() || f.isSessionWanted(&Rejected{}) {
		t.Errorf("%d wait for a session, and %d are under way", f.parked, f.count.Load())
	}
	if waiting := f.opened(8); len(waiting) > 0 || f.session != 8 {
		t.Errorf("%d ops are to be proposed in session %d", len(waiting), f.session)
	}
}

// As long as those who waited for a session are not all proposed in it, a later one must not overtake them.
func TestNobodyOvertakesThoseWhoWaitForASession(t *testing.T) {
	f := newFlight(4, 1<<20, true)
	enter := func() *op {
		o := &op{flight: &f, ctx: context.Background()}
		if err := f.enter(o, nil, false); err != nil {
			t.Fatal(err)
		}
		return o
	}
	first := enter()
	if first.direct || !first.wantsSession {
		t.Fatal("there is a session already")
	}
	if waiting := f.opened(7); len(waiting) != 1 || waiting[0] != first {
		t.Fatalf("%d ops are to be proposed", len(waiting))
	}
	second := enter() // the first has not been sent yet
	if second.direct || second.wantsSession {
		t.Error("it overtakes, or has another session opened")
	}
	if waiting := f.opened(7); len(waiting) != 1 || waiting[0] != second || second.place != (sessionPlace{7, 2, 1}) {
		t.Fatalf("%d ops are to be proposed, the second at %v", len(waiting), second.place)
	}
	if waiting := f.opened(7); len(waiting) > 0 {
		t.Fatalf("%d ops are to be proposed", len(waiting))
	}
	if third := enter(); !third.direct || third.place != (sessionPlace{7, 3, 1}) {
		t.Errorf("direct %v, at %v", third.direct, third.place)
	}
}

// The loss of a session is told once for each op that was under way in it.
func TestALateLossLeavesTheNextSessionOpen(t *testing.T) {
	f := newFlight(4, 1<<20, true)
	f.opened(7)
	o := &op{flight: &f, ctx: context.Background()}
	if err := f.enter(o, nil, false); err != nil {
		t.Fatal(err)
	}
	f.opened(8)
	if there, wanted := f.readmit(o); !there || wanted || o.place != (sessionPlace{8, o.number, 1}) || f.session != 8 {
		t.Errorf("there %v, wanted %v, at %+v, and the session is %d", there, wanted, o.place, f.session)
	}
}

// Where there are more clients than the group keeps sessions, each opening costs another client its own.
func TestAClientThatLosesItsSessionsPauses(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, script(rejects(Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)))
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	a := f.proposes(context.Background(), client, "x")
	f.settle() // without a pause it would not come to rest
	if got := s.count(openCall); got > 2 {
		t.Errorf("%d sessions were opened at once", got)
	}
	f.pass(100)
	if got := s.count(openCall); got < 20 || got > 60 {
		t.Errorf("%d sessions were opened in 5 s, want some, and not many", got)
	}
	s.answer = script(applied)
	if f.end(a); a.err != nil {
		t.Error(a.err)
	}
}
