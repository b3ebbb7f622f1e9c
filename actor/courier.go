package raft

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/timer"
)

// A courier is the actor of a client. It makes every attempt but the first, opens sessions, minds the time, and calls
// back. Its fields belong to its mailbox's goroutine, but where said otherwise.
type courier struct {
	client *Client
	self   *actor.PID
	timer  timer.Source
	random *rand.Rand

	// clock counts ticks. Written by the courier only. passed are those that it has not taken note of.
	clock, passed atomic.Int64
	// timing: the courier gets ticks. It does while there is something under way, and for a while after.
	timing atomic.Bool
	ticks  *timer.Subscription
	idle   int

	// pausing are the ops between two attempts, in the order in which they came to be.
	pausing []pausing
	// opening is what opens a session, or nil.
	opening *op
	// opened is when a session was opened last, and robbed counts those in a row that were lost soon after that.
	opened int64
	robbed int32
	// jitter is the part by which the pauses that begin in this turn are longer: one for all, so that they keep their
	// order. But those for which there is no room each have their own.
	jitter float64
	// tried counts members that were turned to.
	tried int
	// learned are members that a member in another system has told of, beside those that the client was given.
	// statusErrand asks for them, since statusAsked of the clock.
	learned      []*actor.PID
	statusErrand uint32
	statusAsked  int64
	// looked are the ops of lookAfterAll. Reused.
	looked []*op
}

// A pausing op is tried again when the clock is due.
type pausing struct {
	op  *op
	due int64
}

// What a client tells its courier, besides ops whose attempts were answered.
type (
	sessionWanted struct{}
	// timeWanted: something is under way, and there are no ticks.
	timeWanted   struct{}
	clientTicked struct{}
)

const (
	clientTick = 10 * time.Millisecond
	// idleTicks is how long the courier gets ticks for nothing.
	idleTicks = 100
	// overdueTicks is how long an attempt is waited for. The member's time for it is up before that.
	overdueTicks = int64((attemptMax + attemptMax/4) / clientTick)
	// pauseTicksMin and pauseTicksMax are the shortest and the longest pause that the client makes on its own account.
	pauseTicksMin, pauseTicksMax = 1, 10
	// lookAroundTicks is how often it is asked who the members are.
	lookAroundTicks = 1000
	// soonTicks is what a session lasts at least that is not opened in vain.
	soonTicks = 100
)

func newCourier(c *Client, cfg ClientConfig) *courier {
	k := &courier{client: c, timer: cfg.Timer, random: rand.New(rand.NewPCG(cfg.seed, cfg.seed))}
	options := mailbox.Options{ // nothing is refused: the flights bound what can arrive
		Classify: func(any) (mailbox.Lane, int) { return mailbox.Control, 0 },
	}
	boxes := mailbox.New
	if cfg.scheduler != nil {
		boxes = cfg.scheduler.New
	}
	props := actor.PropsFromProducer(func() actor.Actor { return k }, actor.WithMailbox(boxes(options)))
	k.self = c.system.Root.SpawnPrefix(props, "raft-client")
	return k
}

// post sends the courier a message. Safe for any goroutine, as is keepTime.
func (k *courier) post(message any) { k.client.system.Root.Send(k.self, message) }

// keepTime sees to it that the courier gets ticks.
func (k *courier) keepTime() {
	if !k.timing.Load() {
		k.post(timeWanted{})
	}
}

// Receive takes a turn.
func (k *courier) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *mailbox.Batch:
		k.jitter = k.random.Float64()
		for _, message := range m.Control {
			k.take(message)
		}
	case *actor.Stopping:
		k.stop()
	}
}

func (k *courier) take(message any) {
	switch m := message.(type) {
	case *op:
		k.attemptEnded(m)
	case clientTicked:
		k.tick(k.passed.Swap(0))
	case timeWanted:
		k.startTime()
	case sessionWanted:
		k.openSession()
	case *Status:
		k.learnMembers(m)
	}
}

// attemptEnded sees to an op that comes back from an attempt.
func (k *courier) attemptEnded(o *op) {
	switch {
	case o.ended.Load():
	case o.reply.rejected != nil:
		k.rejected(o)
	case o == k.opening:
		k.sessionOpened(uint64(o.reply.index))
	default:
		k.end(o, nil)
	}
}

// rejected decides whether an op is tried again.
func (k *courier) rejected(o *op) {
	rejected := o.reply.rejected
	o.current.Store(nil)
	o.last.Store(rejected)
	unknown := rejected.Outcome != Outcome_NOT_APPLIED
	if unknown {
		o.doubt.Store(inDoubt)
	} else {
		o.doubt.CompareAndSwap(attempted, notApplied)
	}
	if o.fixed == nil {
		k.client.follow(o.target, rejected)
	}
	switch {
	case o == k.opening && !k.client.proposals.isSessionWanted(rejected):
		k.opening = nil
	case rejected.Code == Code_SESSION_EXPIRED:
		k.sessionLost(o)
	case !mayHelp(o, rejected.Code) || (unknown && !o.isRepeatable()):
		k.giveUp(o)
	default:
		k.retry(o, rejected)
	}
}

// mayHelp tells whether another attempt may have another answer.
func mayHelp(o *op, code Code) bool {
	switch code {
	case Code_STOPPED:
		return o.fixed == nil || o.call.kind == readyCall
	case Code_NOT_LEADER, Code_OVERLOADED, Code_TRANSFERRING, Code_CHANGE_IN_PROGRESS, Code_SUPERSEDED, Code_DEADLINE,
		Code_SNAPSHOT_COVERS, Code_UNREACHABLE:
		return true
	default:
		return false
	}
}

// retry tries again: at once if that is the first time that the leader is named, and after a pause otherwise.
func (k *courier) retry(o *op, rejected *Rejected) {
	if rejected.Code == Code_NOT_LEADER && rejected.Leader != 0 && !o.redirected {
		o.redirected = true
		o.launch(o.next())
		return
	}
	hint := int64(time.Duration(rejected.RetryAfterMs) * time.Millisecond / clientTick)
	o.refused = o.refused || rejected.Code == Code_OVERLOADED
	if rejected.Code == Code_OVERLOADED && hint > 0 {
		// All at once would find the same room full again, and who has waited for long must not wait for longer.
		k.pause(o, hint, k.random.Float64())
		return
	}
	k.pause(o, max(pauseTicks(o.retries), hint), k.jitter)
}

// pauseTicks is the pause after as many as were made before.
func pauseTicks(before int32) int64 { return min(int64(pauseTicksMin)<<min(before, 16), pauseTicksMax) }

// pause has an op wait for its next attempt.
func (k *courier) pause(o *op, ticks int64, jitter float64) {
	o.retries++
	k.pausing = append(k.pausing, pausing{o, k.clock.Load() + ticks + int64(jitter*float64(ticks+1))})
}

// giveUp ends an op because of its last rejection.
func (k *courier) giveUp(o *op) {
	if o != k.opening {
		k.end(o, o.failure(nil))
		return
	}
	k.opening = nil
	for _, waiting := range k.client.proposals.unparkAll() {
		waiting.last.CompareAndSwap(nil, o.last.Load()) // it came after the others were told
		k.end(waiting, waiting.failure(nil))
	}
}

// end ends an op, unless it has ended.
func (k *courier) end(o *op, err error) {
	if !o.ended.CompareAndSwap(false, true) {
		return
	}
	o.err = err
	if o.wake != nil {
		o.wake <- struct{}{}
		return
	}
	if o.flight != nil { // first: the callback may want the room
		o.exit()
	}
	if o.done != nil {
		k.callBack(o)
	}
}

func (k *courier) callBack(o *op) {
	defer func() {
		if p := recover(); p != nil {
			k.client.logger.Error("callback panicked", "error", fmt.Errorf("%v\n%s", p, debug.Stack()))
		}
	}()
	if o.err != nil {
		o.done(Result{}, o.err)
		return
	}
	o.done(o.result(), nil)
}

// openSession opens a session for those that wait for one.
func (k *courier) openSession() {
	if k.opening == nil {
		k.opening = newOpening(k.client)
		k.opening.launch(&k.opening.call)
	}
}

func (k *courier) sessionOpened(session uint64) {
	k.opening, k.opened = nil, k.clock.Load()
	for {
		waiting := k.client.proposals.opened(session)
		if len(waiting) == 0 {
			return
		}
		for _, o := range waiting {
			k.proposeAnew(o)
		}
	}
}

// sessionLost has an op that has certainly not been applied proposed in another session.
func (k *courier) sessionLost(o *op) {
	if o.doubt.Load() != notApplied {
		k.giveUp(o)
		return
	}
	there, wanted := o.flight.readmit(o)
	if there {
		k.proposeAnew(o)
	}
	if wanted {
		k.reopenSession()
	}
}

// reopenSession opens a session in place of one that was lost. If there are more clients than the group keeps sessions,
// each opening costs another client its own: so there is a pause before it, which grows as long as that goes on.
func (k *courier) reopenSession() {
	if k.opening != nil {
		return
	}
	if k.clock.Load()-k.opened > soonTicks {
		k.robbed = 0
	}
	k.opening = newOpening(k.client)
	k.pause(k.opening, pauseTicks(k.robbed), k.jitter)
	k.robbed++
}

// proposeAnew makes the first attempt in a session.
func (k *courier) proposeAnew(o *op) {
	f, _ := parseFrame(o.payload)
	o.frame(f.command)
	o.launch(o.next())
}

// tick lets time pass.
func (k *courier) tick(elapsed int64) {
	now := k.clock.Add(elapsed)
	kept := k.pausing[:0]
	for _, p := range k.pausing {
		switch {
		case p.op.ended.Load():
		case p.due <= now:
			p.op.launch(p.op.next()) // an answer that comes at once is for the next turn
		default:
			kept = append(kept, p)
		}
	}
	clear(k.pausing[len(kept):])
	k.pausing = kept
	k.lookAfterAll(now)
	k.lookAround(now)
	k.stopTimeIfIdle()
}

// lookAround asks now and then who the members are, where they are in other systems and are all there is to go on with.
func (k *courier) lookAround(now int64) {
	route := k.client.route.Load()
	if route == nil || isHere(k.client.system, route) || (k.statusAsked != 0 && now-k.statusAsked < lookAroundTicks) {
		return
	}
	errands := &k.client.errands
	errands.forget(k.statusErrand)
	k.statusAsked = now
	k.statusErrand = errands.askStatus(route, func(s *Status, _ *Rejected) {
		if s != nil && pidName(s.Group, ID(s.Id)) == route.Id {
			k.post(s)
		}
	})
}

// lookAfterAll ends the ops that nobody waits for and whose context is done, and the attempts that take too long.
func (k *courier) lookAfterAll(now int64) {
	k.looked = k.client.others.all(k.client.proposals.all(k.looked[:0]))
	if k.opening != nil {
		k.looked = append(k.looked, k.opening)
	}
	for _, o := range k.looked {
		switch {
		case o.ended.Load():
		case o.wake == nil && o.ctx.Err() != nil:
			o.abandon()
			k.end(o, o.failure(o.ctx.Err()))
		default:
			k.overdue(o, now)
		}
	}
	clear(k.looked)
}

// overdue gives an attempt up if the member has long been to answer.
func (k *courier) overdue(o *op, now int64) {
	c := o.current.Load()
	if c == nil {
		return
	}
	limit := overdueTicks
	if !o.isRepeatable() {
		if c.errand == 0 {
			return // a member in this system has minded the time
		}
		limit = int64((c.timeout + c.timeout/4) / clientTick)
	}
	if now-o.since < limit || !c.answered.CompareAndSwap(false, true) {
		return
	}
	if c.errand != 0 {
		k.client.errands.forget(c.errand)
		k.client.errands.noteSilence(o.target.Address)
	}
	outcome := Outcome_NOT_APPLIED
	if c.hasEffect() {
		outcome = Outcome_UNKNOWN
	}
	o.reply = reply{rejected: &Rejected{
		Code: Code_DEADLINE, Outcome: outcome, Detail: fmt.Sprintf("%s has not answered", o.target.GetId()),
	}}
	k.rejected(o)
}

// startTime subscribes to ticks.
func (k *courier) startTime() {
	if k.timing.Load() {
		return
	}
	k.idle = 0
	k.timing.Store(true)
	k.ticks = k.timer.Subscribe(clientTick, func(elapsed int) {
		if k.passed.Add(int64(elapsed)) == int64(elapsed) {
			k.post(clientTicked{})
		}
	})
}

// stopTimeIfIdle ends the subscription to ticks when nothing has been under way for a while.
func (k *courier) stopTimeIfIdle() {
	if !k.timing.Load() || !k.isIdle() {
		k.idle = 0
		return
	}
	if k.idle++; k.idle < idleTicks {
		return
	}
	k.ticks.Cancel()
	k.timing.Store(false)
	if !k.isIdle() { // somebody has begun and taken it that there are ticks
		k.startTime()
	}
}

func (k *courier) isIdle() bool {
	return k.opening == nil && k.client.proposals.isEmpty() && k.client.others.isEmpty()
}

// stop ends all that is under way. The flights are closed.
func (k *courier) stop() {
	if k.timing.Load() {
		k.ticks.Cancel()
	}
	for _, o := range k.client.others.all(k.client.proposals.all(nil)) {
		o.abandon()
		k.end(o, o.failure(ErrClosed))
	}
	if k.opening != nil {
		k.opening.abandon()
	}
	k.opening, k.pausing = nil, nil
}
