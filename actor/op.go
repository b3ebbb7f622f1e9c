package raft

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// An op is one request of a client, from its beginning to its one end, through any number of attempts, each of
// which is a call. There is one attempt at a time: whoever has made the last one is asked about it before the next
// is made. The first is made by the goroutine that begins the op, and all others by the courier, to which each
// rejection goes.
//
// An op of a goroutine that waits has wake, which the success of an attempt, the courier or the context brings: the
// first ends it. Any other op is ended by the courier.
type op struct {
	// call is the first attempt. Its kind, change, local and min are those of all.
	call   call
	client *Client
	flight *flight
	// fixed is whom alone to ask, or nil.
	fixed *actor.PID

	// ctx is the asker's. wake gets a token when the op has ended. An op that nobody waits for has done instead, or
	// neither.
	ctx  context.Context
	wake chan struct{}
	done func(Result, error)

	// number is the place in the flight, and the sequence in a session. Guarded by flight.mu; it changes only where there
	// are no sessions.
	number uint64
	// bytes is what the command or the question takes. Constant once the op has been let in.
	bytes int

	// What follows is handed on with the op: by the one who begins it to whoever answers, from there to the courier, and
	// so on. current publishes it, for the courier's look at attempts that take too long.

	// place is the one in the session in which it is proposed.
	place sessionPlace
	// payload is the frame of a command, or the question.
	payload []byte
	// target is the actor that was asked, and since the courier's clock at that time.
	target *actor.PID
	since  int64
	reply  reply
	err    error

	// current is the attempt that is out.
	current atomic.Pointer[call]
	// last is why the last attempt has failed.
	last atomic.Pointer[Rejected]

	// Small fields stand together, as in a call.

	doubt atomic.Uint32
	ended atomic.Bool
	// left: it has left the flight.
	left atomic.Bool
	// retries counts pauses. Handed on with the op, as are the next two.
	retries int32
	// refused: there was no room for an attempt.
	refused bool
	// redirected: a hint to the leader has been followed without a pause.
	redirected bool
	// direct: there was a session, or none is needed, so that whoever began it makes the first attempt. Constant once the
	// op has been let in, as is the next.
	direct bool
	// wantsSession: it is the first that waits for one.
	wantsSession bool
	// parked: it waits for a session. Guarded by flight.mu.
	parked bool
}

// Values of op.doubt.
const (
	// notApplied: no attempt was made, or each has certainly had no effect.
	notApplied uint32 = iota
	// attempted: an attempt is out, and all before have certainly had no effect.
	attempted
	// inDoubt: what became of an attempt is not known, and never will be by that attempt.
	inDoubt
)

var _ asker = (*op)(nil)

// wakes are channels with room for a token, all empty.
var wakes = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// attemptMax is how long a member may take over an attempt that can be repeated. It keeps a member that hangs from
// holding a request for ever.
const attemptMax = 2 * time.Second

// errandMax is how long a member of another actor system may take over an attempt that cannot be repeated, if the context
// sets no deadline.
const errandMax = time.Minute

// IgnoreDeadLetterLogging keeps commands out of Proto.Actor's logs.
func (*op) IgnoreDeadLetterLogging() {}

// isRepeatable tells whether an attempt of which nobody knows what became may be followed by another. In a session
// it is the same command. A query has no effect. A change of members asks for how things shall be, not for a step:
// it is accepted as it is when it is the case already. A session that was opened for nobody is forgotten.
func (o *op) isRepeatable() bool {
	switch o.call.kind {
	case proposeCall:
		return o.flight.sessions
	case queryCall, readyCall, changeCall, openCall:
		return true
	default:
		return false
	}
}

// frame makes the entry of the log from a command. The courier does it again when the session has changed.
func (o *op) frame(command []byte) {
	switch {
	case o.call.kind != proposeCall:
	case o.flight.sessions:
		o.payload = frameSessionCommand(o.place, command)
	default:
		o.payload = frameCommand(command)
	}
}

// timeout is how long an attempt may take that begins now. Zero: as long as the member thinks right.
func (o *op) timeout() (timeout time.Duration) {
	if deadline, ok := o.ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	if o.isRepeatable() && (timeout == 0 || timeout > attemptMax) {
		timeout = attemptMax
	}
	return timeout
}

// next makes the call of another attempt: an earlier one may still be in the hands of a member.
func (o *op) next() *call {
	return &call{kind: o.call.kind, change: o.call.change, local: o.call.local, min: o.call.min, again: o.refused}
}

// launch makes an attempt.
func (o *op) launch(c *call) {
	o.target = o.fixed
	if o.target == nil {
		o.target = o.client.route.Load()
	}
	c.asker, c.payload, c.timeout = o, o.payload, o.timeout()
	o.since = o.client.courier.clock.Load()
	isAway := !isHere(o.client.system, o.target)
	if isAway {
		o.address(c)
	}
	o.doubt.CompareAndSwap(notApplied, attempted)
	o.current.Store(c)
	switch {
	case o.ended.Load(): // whoever has ended it may have seen that nothing was out
		o.client.errands.forget(c.errand)
	case !isAway:
		o.client.system.Root.Send(o.target, c)
	case c.errand != 0: // or the client is closed
		o.client.errands.send(o.target, c.errand, c.request())
	}
}

// address makes an errand of an attempt. Its end is certain, since replies can be lost. It is for the leader itself, unless
// that is not reached from here: what another member passes on may be in doubt for no good reason.
func (o *op) address(c *call) {
	if c.timeout == 0 {
		c.timeout = errandMax
	}
	c.direct = !o.isRepeatable() || o.since >= o.client.detour.Load()
	c.errand = o.client.errands.add(&errand{to: o.target, call: c})
}

// answered implements asker.
func (o *op) answered(_ *call, r reply) {
	if r.rejected != nil || o.wake == nil {
		if !o.ended.Load() {
			o.reply = r
			o.client.courier.post(o)
		}
		return
	}
	if o.ended.CompareAndSwap(false, true) {
		o.reply = r
		o.wake <- struct{}{}
	}
}

// forwarded implements asker.
func (o *op) forwarded(leader *actor.PID) {
	if o.fixed == nil {
		o.client.learn(leader)
	}
}

// await waits for the end, or brings it when the context is done.
func (o *op) await() {
	over := o.ctx.Done()
	if over == nil {
		<-o.wake
		return
	}
	select {
	case <-o.wake:
	case <-over:
		if !o.ended.CompareAndSwap(false, true) {
			<-o.wake
			return
		}
		o.abandon()
		o.err = o.failure(o.ctx.Err())
	}
}

// exit has an op that has ended leave.
func (o *op) exit() {
	if o.err != nil {
		o.flight.unpark(o)
	}
	o.flight.leave(o)
}

// abandon tells the member that is at it that nobody waits any more.
func (o *op) abandon() {
	if c := o.current.Load(); c != nil {
		c.answered.CompareAndSwap(false, true)
		o.client.errands.forget(c.errand)
	}
}

func (o *op) result() Result {
	return Result{Index: o.reply.index, Term: o.reply.term, Data: o.reply.result}
}

// failure is the error of an op that ends because of cause, or because of the last rejection.
func (o *op) failure(cause error) error {
	outcome, sentinel := Outcome_NOT_APPLIED, ErrNotApplied
	if o.doubt.Load() != notApplied && o.call.hasEffect() {
		outcome, sentinel = Outcome_UNKNOWN, ErrUnknown
	}
	last := o.last.Load()
	if last == nil {
		return fmt.Errorf("raft: %s: %w: %w", o.doing(), sentinel, cause)
	}
	rejected := last.err()
	rejected.Outcome = outcome // of all attempts
	if cause == nil {
		return fmt.Errorf("raft: %s: %w", o.doing(), rejected)
	}
	return fmt.Errorf("raft: %s: %w; the last answer: %w", o.doing(), cause, rejected)
}

// doing is what the op does, for errors.
func (o *op) doing() string {
	switch o.call.kind {
	case proposeCall, openCall:
		return "proposing"
	case queryCall:
		return "querying"
	case readyCall:
		return "waiting for a member to be ready"
	case changeCall:
		return "changing members"
	case transferCall:
		return "transferring leadership"
	default:
		return "taking a snapshot"
	}
}
