package mailbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

func TestFullPeerLaneDropsTheNewestAndCounts(t *testing.T) {
	var dropped []string
	f := newFixture(t, mailbox.Options{
		PeerBytesMax: 300,
		Dropped:      func(m any) { dropped = append(dropped, describe(m)) },
	})
	for _, m := range []*message{
		{mailbox.Peer, 200, "p1"},
		{mailbox.Peer, 101, "p2"},
		{mailbox.Peer, 100, "p3"},
		{mailbox.Peer, 0, "p4"},
	} {
		f.system.Root.RequestWithCustomSender(f.pid, m, f.pid) // in an envelope
	}
	want := mailbox.LaneStats{Waiting: 2, Bytes: 300, Accepted: 2, Refused: 2}
	if got := f.stats().Peer; got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	f.run()
	f.expect("|p1 p3|")
	if got := fmt.Sprint(dropped); got != "[p2 p4]" {
		t.Errorf("dropped %v, want [p2 p4]", got)
	}
	f.post(&message{mailbox.Peer, 1000, "large"}) // one of any size is taken when none waits
	f.run()
	f.expect("|large|")
	want = mailbox.LaneStats{Accepted: 3, Refused: 2}
	if got := f.stats().Peer; got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func (f *fixture) stats() mailbox.Stats { return f.mailbox.(*mailbox.Mailbox).Stats() }

// The answer is there before the post returns: nobody but the poster can have given it.
func TestFullRequestLaneAnswersTheSenderAtOnce(t *testing.T) {
	for name, options := range map[string]mailbox.Options{
		"messages": {RequestsMax: 2},
		"bytes":    {RequestBytesMax: 2*mailbox.MessageBytesMin + 63},
	} {
		t.Run(name, func(t *testing.T) {
			options.Overloaded = func(m any) any { return "overloaded: " + describe(m) }
			f := newFixture(t, options)
			f.post(request("r1"), request("r2"))
			f.post(request("r3")) // nobody to answer to
			future := f.system.Root.RequestFuture(f.pid, request("r4"), -1)
			if got, err := future.Result(); got != "overloaded: r4" || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
			f.post(peer("p"), control("c"))
			if got := f.stats().Requests; got.Waiting != 2 || got.Refused != 2 {
				t.Errorf("stats %+v, want 2 waiting, 2 refused", got)
			}
			f.run()
			f.expect("c|p|r1 r2")
		})
	}
}

// A touchy process panics when it is sent anything, as Proto.Actor's guardians do.
type touchy struct{}

func (touchy) SendUserMessage(*actor.PID, any)   { panic("do not touch") }
func (touchy) SendSystemMessage(*actor.PID, any) { panic("do not touch") }
func (touchy) Stop(*actor.PID)                   {}

// Anybody may name such a process as the sender.
func TestASenderThatCannotBeAnsweredDoesNoHarm(t *testing.T) {
	f := newFixture(t, mailbox.Options{RequestsMax: 1, Overloaded: func(any) any { return "overloaded" }})
	pid, _ := f.system.ProcessRegistry.Add(touchy{}, "touchy")
	f.post(request("r1"))
	f.system.Root.RequestWithCustomSender(f.pid, request("r2"), pid)
	f.run()
	f.expect("||r1")
}

func TestOverloadedMayAnswerInItsOwnWay(t *testing.T) {
	var refused any
	f := newFixture(t, mailbox.Options{
		RequestsMax: 1,
		Overloaded:  func(m any) any { refused = m; return nil },
	})
	last := request("r2")
	f.system.Root.RequestWithCustomSender(f.pid, request("r1"), f.pid)
	f.system.Root.RequestWithCustomSender(f.pid, last, f.pid)
	f.run()
	f.expect("||r1")
	if refused != any(last) {
		t.Errorf("refused %v, want %v", refused, last)
	}
}

func TestControlLaneIsNeverFull(t *testing.T) {
	f := newFixture(t, mailbox.Options{PeerBytesMax: 1, RequestsMax: 1, RequestBytesMax: 1})
	for range 10_000 {
		f.post(&message{mailbox.Control, 1 << 20, "c"})
	}
	if got := f.stats().Control; got.Waiting != 10_000 || got.Refused != 0 {
		t.Errorf("stats %+v, want 10000 waiting, none refused", got)
	}
	f.run()
}

// Proto.Actor registers a mailbox before it tells it of its actor, and starts it last.
func TestPostsBeforeStartAreKept(t *testing.T) {
	f := newFixture(t, mailbox.Options{RequestsMax: 1})
	f.pid = f.system.Root.Spawn(actor.PropsFromFunc(f.receive,
		actor.WithMailbox(f.scheduler.New(mailbox.Options{Classify: classify, RequestsMax: 1})),
		actor.WithOnInit(func(ctx actor.Context) {
			f.system.Root.Send(ctx.Self(), request("r1"))
			f.system.Root.Send(ctx.Self(), control("c1"))
			f.system.Root.Send(ctx.Self(), request("r2")) // nobody could be answered yet
		})))
	f.run()
	f.expect("Started", "c1||r1 r2")
}

func TestInterceptAnswersWithoutATurn(t *testing.T) {
	f := newFixture(t, mailbox.Options{RequestsMax: 1})
	f.react = func(ctx actor.Context, m any) {
		if describe(m) != "install" {
			return
		}
		mailbox.Of(ctx).Intercept(func(request any, sender *actor.PID) bool {
			if describe(request) != "status" {
				return false
			}
			f.system.Root.Send(sender, "fine")
			return true
		})
	}
	f.post(request("install"))
	f.run()
	f.expect("||install")
	f.post(request("r1")) // the lane is full
	future := f.system.Root.RequestFuture(f.pid, request("status"), -1)
	if got, err := future.Result(); got != "fine" || err != nil {
		t.Errorf("got %v, %v, want fine", got, err)
	}
	f.post(control("status"))
	f.run()
	f.expect("status||r1")

	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	f.mailbox.PostUserMessage(request("status"))
	f.expectDead("status")
}

func TestElementsKeepSenderAndHeader(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.react = func(ctx actor.Context, m any) {
		header, _, sender := actor.UnwrapEnvelope(m)
		if sender != nil {
			ctx.Send(sender, "color "+header.Get("color"))
		}
	}
	future := actor.NewFuture(f.system, -1)
	envelope := &actor.MessageEnvelope{Message: request("r"), Sender: future.PID()}
	envelope.SetHeader("color", "green")
	f.post(envelope)
	f.run()
	f.expect("||r")
	if got, err := future.Result(); got != "color green" || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAutoRespondIsAnsweredInItsPlace(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.post(request("r1"))
	future := f.system.Root.RequestFuture(f.pid, &actor.Touch{}, -1)
	f.post(control("c1"))
	if got := f.stats().Solos; got != 1 {
		t.Errorf("%d solos wait, want 1", got)
	}
	f.run()
	f.expect("||r1", "Touch", "c1||")
	touched, err := future.Result()
	if err != nil {
		t.Fatal(err)
	}
	if got := touched.(*actor.Touched).Who; !got.Equal(f.pid) {
		t.Errorf("touched %v, want %v", got, f.pid)
	}
}

// Touches are bounded as requests are; a poison pill is not.
func TestSolosAreBounded(t *testing.T) {
	f := newFixture(t, mailbox.Options{
		RequestsMax: 1,
		Overloaded:  func(any) any { return "overloaded" },
	})
	f.post(&actor.Touch{})
	future := f.system.Root.RequestFuture(f.pid, &actor.Touch{}, -1)
	if got, err := future.Result(); got != "overloaded" || err != nil {
		t.Errorf("got %v, %v, want overloaded", got, err)
	}
	f.system.Root.Poison(f.pid)
	f.run()
	f.expect("Touch", "Stopping", "Stopped")
}

type messages []any

func (m messages) GetMessages() []any { return m }

// As with Proto.Actor's own mailbox: the elements, and then the batch itself.
func TestProtoActorBatchIsUnpacked(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.post(messages{request("r1"), control("c1")})
	f.run()
	f.expect("c1||r1 mailbox_test.messages")
}

type quiet struct{ message }

func (*quiet) NotInfluenceReceiveTimeout() {}

// A timeout is not simply let fire here, since Proto.Actor has a data race there.
func TestReceiveTimeoutIsPutOffByMessagesThatInfluenceIt(t *testing.T) {
	for name, test := range map[string]struct {
		messages   []any
		influences bool
	}{
		"all do not":     {[]any{&quiet{}, &quiet{}}, false},
		"one does":       {[]any{&quiet{}, request("r")}, true},
		"in an envelope": {[]any{actor.WrapEnvelope(&quiet{})}, true}, // as with Proto.Actor
	} {
		t.Run(name, func(t *testing.T) {
			scheduler, invoker := new(mailbox.Scheduler), new(recordingInvoker)
			m := scheduler.New(mailbox.Options{Classify: classify})()
			m.RegisterHandlers(invoker, nil)
			for _, message := range test.messages {
				m.PostUserMessage(message)
			}
			m.Start()
			scheduler.Run(10)
			if len(invoker.influences) != 1 || invoker.influences[0] != test.influences {
				t.Errorf("got %v, want [%v]", invoker.influences, test.influences)
			}
		})
	}
}

// A recordingInvoker records for each user message if Proto.Actor would take it to influence the
// timeout.
type recordingInvoker struct{ influences []bool }

func (i *recordingInvoker) InvokeUserMessage(message any) {
	_, not := message.(actor.NotInfluenceReceiveTimeout)
	i.influences = append(i.influences, !not)
}
func (*recordingInvoker) InvokeSystemMessage(any)  {}
func (*recordingInvoker) EscalateFailure(any, any) {}

func TestReceiveTimeoutIsDeliveredOnItsOwn(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	f.post(request("r1"), &actor.ReceiveTimeout{}, request("r2"))
	f.run()
	f.expect("||r1", "ReceiveTimeout", "||r2")
}

func TestMiddlewareAndDecoratorsSeeTheBatch(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	var seen []string
	f.pid = f.system.Root.Spawn(actor.PropsFromFunc(f.receive,
		actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
				seen = append(seen, describe(envelope))
				next(ctx, envelope)
			}
		}),
		actor.WithContextDecorator(func(next actor.ContextDecoratorFunc) actor.ContextDecoratorFunc {
			return func(ctx actor.Context) actor.Context {
				return next(struct{ actor.Context }{ctx})
			}
		}),
		actor.WithMailbox(f.scheduler.New(mailbox.Options{Classify: classify}))))
	f.react = func(ctx actor.Context, m any) {
		if mailbox.Of(ctx) == nil {
			t.Error("no mailbox in a decorated context")
		}
	}
	f.post(request("r"))
	f.run()
	f.expect("Started", "||r")
	if got := strings.Join(seen, ","); got != "Started,||r" {
		t.Errorf("middleware has seen %q", got)
	}
}

func TestReenterAfterRunsBetweenBatches(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	future := actor.NewFuture(f.system, -1)
	f.react = func(ctx actor.Context, m any) {
		if describe(m) == "wait" {
			ctx.ReenterAfter(future, func(result any, err error) {
				f.got = append(f.got, fmt.Sprint("reentered with ", result))
			})
		}
	}
	f.post(request("wait"))
	f.run()
	f.expect("||wait")
	f.post(request("r"))
	f.system.Root.Send(future.PID(), "result")
	f.run()
	f.expect("reentered with result", "||r")
}

func TestTurnDoesNotAllocate(t *testing.T) {
	f := newFixture(t, mailbox.Options{})
	pid := f.system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {},
		actor.WithMailbox(f.scheduler.New(mailbox.Options{Classify: classify}))))
	f.run()
	mixed := []any{request("r"), peer("p"), control("c")}
	allocations := testing.AllocsPerRun(1000, func() {
		for _, m := range mixed {
			f.system.Root.Send(pid, m)
		}
		f.scheduler.Run(10)
	})
	if allocations != 0 {
		t.Errorf("%v allocations for 3 messages and a turn, want 0", allocations)
	}
}

func TestOptionsNameEveryFault(t *testing.T) {
	err := mailbox.Options{PeerBytesMax: -1, RequestsMax: -2, BatchBytesMax: -3}.Validate()
	for _, want := range []string{"PeerBytesMax is -1", "RequestsMax is -2", "BatchBytesMax is -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := (mailbox.Options{}).Validate(); err != nil {
		t.Errorf("zero options: %v", err)
	}
	for name, produce := range map[string]func(mailbox.Options) actor.MailboxProducer{
		"New": mailbox.New, "Scheduler.New": new(mailbox.Scheduler).New,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s takes options that are not valid", name)
				}
			}()
			produce(mailbox.Options{RequestsMax: -1})
		}()
	}
}
