package mailbox_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"example.com/raftactor/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message of these tests says its lane and size.
type message struct {
	lane  mailbox.Lane
	bytes int
	name  string
}

func control(name string) *message { return &message{mailbox.Control, 1, name} }
func peer(name string) *message    { return &message{mailbox.Peer, 1, name} }
func request(name string) *message { return &message{mailbox.Request, 1, name} }

func classify(m any) (mailbox.Lane, int) {
	if m, ok := m.(*message); ok {
		return m.lane, m.bytes
	}
	return mailbox.Request, 0
}

// IgnoreDeadLetterLogging keeps Proto.Actor from logging, and from starting a goroutine to
// throttle that.
func (*message) IgnoreDeadLetterLogging() {}

func (m *message) String() string { return m.name }

// quietSystem returns an actor system that logs nothing. Its throttle of dead letters, which has a
// goroutine for a while after each, is short.
func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		}))
}

// A fixture is an actor that records what it receives, with a mailbox that the test runs.
type fixture struct {
	*testing.T
	system    *actor.ActorSystem
	scheduler *mailbox.Scheduler
	mailbox   actor.Mailbox
	pid       *actor.PID
	got       []string                             // what the actor has received
	react     func(ctx actor.Context, message any) // called for every element and message
	dead      []string                             // dead letters, as "message@pid"
}

func newFixture(t *testing.T, options mailbox.Options) *fixture {
	f := &fixture{T: t, system: quietSystem(), scheduler: new(mailbox.Scheduler)}
	f.react = func(actor.Context, any) {}
	f.system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			f.dead = append(f.dead, describe(letter.Message))
		}
	})
	options.Classify = classify
	f.spawn(f.scheduler.New(options))
	return f
}

func (f *fixture) spawn(producer actor.MailboxProducer) {
	f.pid = f.system.Root.Spawn(actor.PropsFromFunc(f.receive, withMailbox(producer, &f.mailbox)))
	f.run()
	f.expect("Started")
}

// withMailbox also tells the test which mailbox the actor has got.
func withMailbox(producer actor.MailboxProducer, made *actor.Mailbox) actor.PropsOption {
	return actor.WithMailbox(func() actor.Mailbox {
		*made = producer()
		return *made
	})
}

func (f *fixture) receive(ctx actor.Context) {
	f.got = append(f.got, describe(ctx.Message()))
	if batch, ok := ctx.Message().(*mailbox.Batch); ok {
		for _, elements := range [][]any{batch.Control, batch.Peer, batch.Requests} {
			for _, element := range elements {
				f.react(ctx, element)
			}
		}
		return
	}
	f.react(ctx, ctx.Message())
}

// describe names messages, and the elements of a batch in its three lanes.
func describe(m any) string {
	switch m := actor.UnwrapEnvelopeMessage(m).(type) {
	case *mailbox.Batch:
		var lanes []string
		for _, elements := range [][]any{m.Control, m.Peer, m.Requests} {
			var names []string
			for _, element := range elements {
				names = append(names, describe(element))
			}
			lanes = append(lanes, strings.Join(names, " "))
		}
		return strings.Join(lanes, "|")
	case *message:
		return m.name
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T", m), "*actor.")
	}
}

func (f *fixture) post(messages ...any) {
	for _, m := range messages {
		f.system.Root.Send(f.pid, m)
	}
}

// run runs all mailboxes until they have nothing to do.
func (f *fixture) run() {
	f.Helper()
	if f.scheduler.Run(10_000) == 10_000 {
		f.Fatal("the mailboxes do not come to rest")
	}
}

// expect compares what the actor has received since the last call.
func (f *fixture) expect(want ...string) {
	f.Helper()
	if !slices.Equal(f.got, want) {
		f.Fatalf("received %q\n    want %q", f.got, want)
	}
	f.got = nil
}

func (f *fixture) expectDead(want ...string) {
	f.Helper()
	if !slices.Equal(f.dead, want) {
		f.Fatalf("dead letters %q\n        want %q", f.dead, want)
	}
	f.dead = nil
}
