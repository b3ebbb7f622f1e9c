package raft

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

// client makes a client of members, whose courier the fixture runs.
func (f *fixture) client(cfg ClientConfig, ids ...ID) *Client {
	for _, id := range ids {
		cfg.Members = append(cfg.Members, f.pid(id))
	}
	cfg.Timer, cfg.scheduler, cfg.seed = f.clock, f.scheduler, f.seed
	return newClient(f.system, cfg)
}

// pid is a member's as somebody has it who was told: without what it knows of an actor system.
func (f *fixture) pid(id ID) *actor.PID {
	if f.remoting == nil {
		return f.pids[id]
	}
	return copied(f.pids[id])
}

// A promise is a proposal that nobody waits for, and what has become of it.
type promise struct {
	ended  int
	result Result
	err    error
}

// proposes proposes a command of that text.
func (f *fixture) proposes(ctx context.Context, c *Client, command string) *promise {
	f.Helper()
	a := &promise{}
	err := c.ProposeAsync(ctx, []byte(command), func(r Result, err error) {
		a.ended++
		a.result, a.err = r, err
	})
	if err != nil {
		f.Fatalf("proposing %q: %v", command, err)
	}
	return a
}

// end waits for the end of a proposal.
func (f *fixture) end(a *promise) *promise {
	f.Helper()
	f.until("the end of a proposal", func() bool { return a.ended > 0 })
	f.pass(50) // does it end again?
	if a.ended != 1 {
		f.Fatalf("a proposal has ended %d times", a.ended)
	}
	return a
}

// A stub stands for a member: it keeps the calls that it gets, and does what a test has it do.
type stub struct {
	f     *fixture
	pid   *actor.PID
	calls []*call
	// frames are the payloads of calls, parsed, as they were.
	frames []frame
	// answer says what a call is answered with; nil leaves it unanswered. Unset: everything succeeds.
	answer func(c *call) *reply
}

// newStub spawns a stub, as the actor of that member.
func (f *fixture) newStub(id ID, answer func(c *call) *reply) *stub {
	f.Helper()
	s := &stub{f: f, answer: answer}
	props := actor.PropsFromFunc(s.receive, actor.WithMailbox(f.scheduler.New(mailbox.Options{})))
	pid, err := f.system.Root.SpawnNamed(props, Name("g", id))
	if err != nil {
		f.Fatal(err)
	}
	s.pid, f.pids[id] = pid, pid
	return s
}

func (s *stub) receive(ctx actor.Context) {
	batch, ok := ctx.Message().(*mailbox.Batch)
	if !ok {
		return
	}
	for _, m := range batch.Requests {
		c := m.(*call)
		if c.answered.Load() {
			continue
		}
		s.calls = append(s.calls, c)
		f, _ := parseFrame(c.payload)
		s.frames = append(s.frames, f)
		r := &reply{index: Index(1000 + len(s.calls)), term: 1, result: f.command}
		if s.answer != nil {
			r = s.answer(c)
		}
		if r != nil {
			c.answer(s.f.system, *r)
		}
	}
}

// proposals are the frames of commands that came.
func (s *stub) proposals() (frames []frame) {
	for i, c := range s.calls {
		if c.kind == proposeCall {
			frames = append(frames, s.frames[i])
		}
	}
	return frames
}

// count is how many calls of a kind came.
func (s *stub) count(kind callKind) (n int) {
	for _, c := range s.calls {
		if c.kind == kind {
			n++
		}
	}
	return n
}

func rejects(code Code, outcome Outcome) *reply {
	return &reply{rejected: &Rejected{Code: code, Outcome: outcome, Detail: "by the test"}}
}

// script answers proposals one after the other, the last answer for ever, and all others with success. The name of a
// session is how many have been opened.
func script(answers ...*reply) func(*call) *reply {
	sessions, attempts := Index(0), 0
	return func(c *call) *reply {
		if c.kind == openCall {
			sessions++
			return &reply{index: sessions}
		}
		attempts++
		return answers[min(attempts, len(answers))-1]
	}
}

var applied = &reply{index: 7, term: 3, result: []byte("done")}

func places(frames []frame) (all []string) {
	for _, f := range frames {
		all = append(all, fmt.Sprintf("%d/%d", f.session, f.sequence))
	}
	return all
}

// await waits for what another goroutine brings about.
func await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			tb.Fatalf("after 20 s still not: %s", what)
		}
	}
}
