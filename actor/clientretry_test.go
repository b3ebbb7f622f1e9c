package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// What a client does about each answer, and with what error it ends a proposal that it gives up.
func TestEachRejectionIsTriedAgainOrEndsTheProposal(t *testing.T) {
	const notApplied, unknown = Outcome_NOT_APPLIED, Outcome_UNKNOWN
	for name, c := range map[string]struct {
		code      Code
		outcome   Outcome
		noSession bool
		want      error // nil: it is tried again, and succeeds
	}{
		"not leader":                     {code: Code_NOT_LEADER, outcome: notApplied},
		"overloaded":                     {code: Code_OVERLOADED, outcome: notApplied},
		"too large":                      {code: Code_TOO_LARGE, outcome: notApplied, want: ErrTooLarge},
		"transferring":                   {code: Code_TRANSFERRING, outcome: notApplied},
		"change in progress":             {code: Code_CHANGE_IN_PROGRESS, outcome: notApplied},
		"refused":                        {code: Code_REFUSED, outcome: notApplied, want: ErrRefused},
		"superseded":                     {code: Code_SUPERSEDED, outcome: notApplied},
		"deadline":                       {code: Code_DEADLINE, outcome: notApplied},
		"stopped":                        {code: Code_STOPPED, outcome: notApplied},
		"invalid":                        {code: Code_INVALID, outcome: notApplied, want: ErrInvalid},
		"query failed":                   {code: Code_QUERY_FAILED, outcome: notApplied, want: ErrQueryFailed},
		"unreachable":                    {code: Code_UNREACHABLE, outcome: notApplied},
		"session expired":                {code: Code_SESSION_EXPIRED, outcome: notApplied},
		"deadline, unknown":              {code: Code_DEADLINE, outcome: unknown},
		"stopped, unknown":               {code: Code_STOPPED, outcome: unknown},
		"unreachable, unknown":           {code: Code_UNREACHABLE, outcome: unknown},
		"snapshot covers, unknown":       {code: Code_SNAPSHOT_COVERS, outcome: unknown},
		"session expired, unknown":       {code: Code_SESSION_EXPIRED, outcome: unknown, want: ErrSessionExpired},
		"stopped, no session":            {code: Code_STOPPED, outcome: notApplied, noSession: true},
		"deadline, unknown, no session":  {code: Code_DEADLINE, outcome: unknown, noSession: true, want: ErrDeadline},
		"stopped, unknown, no session":   {code: Code_STOPPED, outcome: unknown, noSession: true, want: ErrStopped},
		"snapshot covers and no session": {code: Code_SNAPSHOT_COVERS, outcome: unknown, noSession: true, want: ErrSnapshotCovers},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := f.newStub(1, script(rejects(c.code, c.outcome), applied))
			client := f.client(ClientConfig{NoSession: c.noSession}, 1)
			defer client.Close()
			got := f.end(f.proposes(context.Background(), client, "x"))
			attempts := s.proposals()
			for _, a := range attempts {
				if string(a.command) != "x" {
					t.Errorf("proposed %q", a.command)
				}
			}
			if c.want == nil {
				if got.err != nil || string(got.result.Data) != "done" || got.result.Index != 7 || got.result.Term != 3 {
					t.Errorf("got %+v, %v", got.result, got.err)
				}
				if len(attempts) != 2 {
					t.Errorf("%d attempts, want 2", len(attempts))
				}
				if same := attempts[0].sessionPlace == attempts[1].sessionPlace; same == (c.code == Code_SESSION_EXPIRED) {
					t.Errorf("attempts at %v", places(attempts))
				}
				return
			}
			if len(attempts) != 1 || !errors.Is(got.err, c.want) ||
				errors.Is(got.err, ErrNotApplied) != (c.outcome == notApplied) || errors.Is(got.err, ErrUnknown) != (c.outcome == unknown) {
				t.Errorf("got %v after %d attempts, want %v", got.err, len(attempts), c.want)
			}
		})
	}
}

// The outcome is that of all attempts together.
func TestWhatOneAttemptMayHaveDoneIsNotForgotten(t *testing.T) {
	f := newFixture(t)
	f.newStub(1, script(rejects(Code_DEADLINE, Outcome_UNKNOWN), rejects(Code_OVERLOADED, Outcome_NOT_APPLIED),
		rejects(Code_REFUSED, Outcome_NOT_APPLIED)))
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	got := f.end(f.proposes(context.Background(), client, "x"))
	if !errors.Is(got.err, ErrUnknown) || errors.Is(got.err, ErrNotApplied) || !errors.Is(got.err, ErrRefused) {
		t.Errorf("got %v, want ErrUnknown and ErrRefused", got.err)
	}
}

func TestManyProposalsOpenOneSession(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, nil)
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	var all []*promise
	for i := range 100 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(i)))
	}
	f.settle()
	for i := range 100 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(100+i)))
	}
	f.settle()
	if n := s.count(openCall); n != 1 {
		t.Errorf("%d sessions were opened", n)
	}
	for i, p := range s.proposals() {
		if string(p.command) != fmt.Sprint(i) || p.sequence != uint64(i+1) || p.session != 1001 {
			t.Errorf("proposal %d is %q at %v", i, p.command, p.sessionPlace)
		}
	}
	for i, a := range all {
		if f.end(a); a.err != nil || string(a.result.Data) != fmt.Sprint(i) {
			t.Errorf("proposal %d: %q, %v", i, a.result.Data, a.err)
		}
	}
}

func TestASessionThatCannotBeOpenedIsTheEndOfThoseWhoWaitForIt(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, func(*call) *reply { return rejects(Code_INVALID, Outcome_NOT_APPLIED) })
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	a, b := f.proposes(context.Background(), client, "a"), f.proposes(context.Background(), client, "b")
	for _, got := range []*promise{f.end(a), f.end(b)} {
		if !errors.Is(got.err, ErrInvalid) || !errors.Is(got.err, ErrNotApplied) {
			t.Errorf("got %v, want ErrInvalid", got.err)
		}
	}
	s.answer = nil
	if got := f.end(f.proposes(context.Background(), client, "c")); got.err != nil {
		t.Errorf("got %v although a session can be opened now", got.err)
	}
}

// Whoever has its session forgotten while proposals are under way opens one new session for all of them.
func TestALostSessionIsReplacedOnce(t *testing.T) {
	f := newFixture(t)
	sessions := Index(0)
	s := f.newStub(1, nil)
	s.answer = func(c *call) *reply {
		if c.kind == openCall {
			sessions++
			return &reply{index: sessions}
		}
		if fr, _ := parseFrame(c.payload); fr.session == 1 && string(fr.command) != "first" {
			return rejects(Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)
		}
		return applied
	}
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	f.end(f.proposes(context.Background(), client, "first"))
	var all []*promise
	for i := range 10 {
		all = append(all, f.proposes(context.Background(), client, fmt.Sprint(i)))
	}
	for _, a := range all {
		if f.end(a); a.err != nil {
			t.Errorf("got %v", a.err)
		}
	}
	if sessions != 2 {
		t.Errorf("%d sessions were opened, want 2", sessions)
	}
	var again []string
	for _, p := range s.proposals() {
		if p.session == 2 {
			again = append(again, string(p.command))
		}
	}
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(again, want) {
		t.Errorf("proposed again: %v, want %v", again, want)
	}
}

// What may have been applied in a session that is lost is not proposed in another.
func TestACommandInDoubtStaysInItsSession(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, script(rejects(Code_DEADLINE, Outcome_UNKNOWN), rejects(Code_SESSION_EXPIRED, Outcome_NOT_APPLIED), applied))
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	got := f.end(f.proposes(context.Background(), client, "x"))
	if !errors.Is(got.err, ErrSessionExpired) || !errors.Is(got.err, ErrUnknown) || errors.Is(got.err, ErrNotApplied) {
		t.Errorf("got %v, want ErrSessionExpired and ErrUnknown", got.err)
	}
	if n := len(s.proposals()); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
	if got := f.end(f.proposes(context.Background(), client, "y")); got.err != nil {
		t.Errorf("got %v", got.err)
	}
}

// The lowest unanswered sequence moves on when the answers come, and when proposals are given up.
func TestTheLowestUnansweredSequenceMoves(t *testing.T) {
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
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	lowest := func(want uint64) {
		t.Helper()
		f.proposes(context.Background(), client, "probe")
		f.settle()
		all := s.proposals()
		if got := all[len(all)-1].lowest; got != want {
			t.Errorf("the lowest is %d, want %d", got, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.proposes(context.Background(), client, "1")
	f.proposes(ctx, client, "2")
	f.proposes(context.Background(), client, "3")
	f.settle()
	lowest(1)
	kept[2].answer(f.system, *applied)
	f.settle()
	lowest(1)
	cancel()
	f.pass(1)
	lowest(1)
	kept[0].answer(f.system, *applied)
	f.settle()
	lowest(4)
}

// A pause is at least as long as the member asks for, and is not for ever.
func TestPausesBetweenAttempts(t *testing.T) {
	f := newFixture(t)
	attempts := []int64{}
	patience := int64(0)
	s := f.newStub(1, nil)
	s.answer = func(c *call) *reply {
		if c.kind == openCall {
			return &reply{index: 1}
		}
		attempts = append(attempts, f.clock.Now().Milliseconds())
		r := rejects(Code_OVERLOADED, Outcome_NOT_APPLIED)
		r.rejected.RetryAfterMs = patience
		return r
	}
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	f.proposes(context.Background(), client, "x")
	tick := func(n int) {
		for range n {
			f.clock.Advance(clientTick)
			f.settle()
		}
	}
	tick(100)
	if n := len(attempts); n < 7 || n > 30 {
		t.Errorf("%d attempts within a second, at %v ms", n, attempts)
	}
	for i := 1; i < len(attempts); i++ {
		if pause := attempts[i] - attempts[i-1]; pause < 10 || pause > 210 {
			t.Errorf("a pause of %d ms", pause)
		}
	}
	patience = 1000
	tick(30)
	attempts = nil
	tick(200)
	if n := len(attempts); n != 1 && n != 2 {
		t.Errorf("%d attempts within two seconds, although the member asks for pauses of one", n)
	}
}

// A member that takes an attempt and never answers does not hold the proposal for ever: another one is asked.
func TestAMemberThatHangsIsLeft(t *testing.T) {
	f := newFixture(t)
	hangs := f.newStub(1, nil)
	hangs.answer = func(c *call) *reply {
		if c.kind == openCall {
			return &reply{index: 1}
		}
		return nil
	}
	other := f.newStub(2, nil)
	client := f.client(ClientConfig{}, 1, 2)
	defer client.Close()
	got := f.proposes(context.Background(), client, "x")
	f.pass(10)
	if got.ended > 0 || len(hangs.proposals()) != 1 || len(other.calls) > 0 {
		t.Fatalf("ended %d times, %d attempts at the first, %d at the other", got.ended, len(hangs.proposals()), len(other.calls))
	}
	if f.end(got); got.err != nil {
		t.Fatalf("got %v", got.err)
	}
	if a, b := hangs.proposals()[0].sessionPlace, other.proposals()[0].sessionPlace; a != b {
		t.Errorf("proposed at %v, and then at %v", a, b)
	}
	if !hangs.calls[1].answered.Load() {
		t.Error("the member is not told that nobody waits for it any more")
	}
	hangs.calls[1].answer(f.system, reply{index: 99}) // much too late
	f.pass(50)
	if got.ended != 1 || got.result.Index == 99 {
		t.Errorf("ended %d times, with %+v", got.ended, got.result)
	}
}

// Without a session nobody can tell whether it is safe to ask again, so the client waits.
func TestWithoutASessionAMemberMayTakeItsTime(t *testing.T) {
	f := newFixture(t)
	s := f.newStub(1, func(*call) *reply { return nil })
	client := f.client(ClientConfig{NoSession: true}, 1)
	defer client.Close()
	got := f.proposes(context.Background(), client, "x")
	f.pass(200)
	if got.ended != 0 || len(s.calls) != 1 {
		t.Fatalf("ended %d times after %d attempts", got.ended, len(s.calls))
	}
	s.calls[0].answer(f.system, *applied)
	if f.end(got); got.err != nil || s.frames[0].kind != frameKindCommand {
		t.Errorf("got %v, frame %+v", got.err, s.frames[0])
	}
}
