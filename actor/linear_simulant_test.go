package raft

import (
	"math"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A try is one request of a simulant for an operation.
type try struct {
	number  int
	session uint64
	// reply is what the client has been told, and outcome what follows from it.
	reply   any
	outcome Outcome
}

// certain tells whether no try can have had an effect, as far as the client knows.
func (o *operation) certain() bool {
	return !slices.ContainsFunc(o.tries, func(y *try) bool { return y.outcome != Outcome_NOT_APPLIED })
}

// waiting tells whether the client has not been told anything about a try.
func (o *operation) waiting() bool {
	return slices.ContainsFunc(o.tries, func(y *try) bool { return y.reply == nil })
}

// A simulant does its operations with plain messages: it asks any member, gives some time to each try, and tries
// again as the outcomes allow.
type simulant struct {
	*user
	session, sequence uint64
	openDue           int64
	// hint is the member that it was told to ask, or zero.
	hint ID
}

// step does what is due, and begins an operation if there is room for one more.
func (c *simulant) step() {
	for _, o := range slices.Clone(c.open) {
		if o.fate == open && o.due <= c.ticks() {
			c.goOn(o)
		}
	}
	if o := c.next(); o != nil {
		c.goOn(o)
	}
	if !c.sessionless && c.session == 0 && c.openDue <= c.ticks() {
		c.openSession()
	}
}

// patience is when a client tries again that gets no answer.
func (c *simulant) patience() int64 { return c.ticks() + 1 + int64(c.rng.IntN(c.weather.patienceMax)) }

// goOn tries an operation, or gives it up.
func (c *simulant) goOn(o *operation) {
	switch {
	case o.verb == get:
		c.read(o)
	case len(o.tries) > 0 && c.chance(c.weather.abandon):
		c.giveUp(o, "operations abandoned")
	case c.sessionless && o.waiting():
		c.giveUp(o, "operations without a session that timed out")
	case c.sessionless:
		c.propose(o)
	case o.expired && o.waiting() && !o.gracious:
		o.gracious, o.due = true, c.patience()
	case o.expired && !o.certain():
		c.giveUp(o, "operations unknown since their session expired")
	case o.expired:
		c.counts["operations begun again in another session"]++
		o.session, o.expired, o.gracious = 0, false, false
		c.goOn(o)
	case o.session != 0:
		c.propose(o)
	case c.session != 0:
		c.sequence++
		o.session, o.sequence = c.session, c.sequence
		c.propose(o)
	}
}

// giveUp ends an operation without an answer. An answer may come yet.
func (c *simulant) giveUp(o *operation, why string) {
	c.counts[why]++
	o.fate = unknown
	if o.expired {
		o.end = c.now // from here on it is not applied any more
	}
	if o.certain() {
		c.counts["operations given up that were not applied"]++
		o.fate, o.end = never, c.now
	}
	c.note("client %d gives up %v: %v", c.id, o.number, why)
}

func (c *simulant) openSession() {
	c.openDue = c.patience()
	c.send(c.member(), &OpenSession{TimeoutMs: c.timeout()}, func(reply any) {
		if m, ok := reply.(*SessionOpened); ok && c.session == 0 {
			c.session, c.sequence = m.Session, 0
			c.counts["sessions opened"]++
			return
		}
		c.openDue = min(c.openDue, c.ticks()+1)
	})
}

func (c *simulant) read(o *operation) {
	y := c.try(o)
	query := &Query{Payload: []byte(o.key), Consistency: c.hooks.consistency, TimeoutMs: c.timeout()}
	c.send(c.member(), query, func(reply any) { c.hear(o, y, reply) })
}

func (c *simulant) propose(o *operation) {
	y := c.try(o)
	o.attempt = y.number
	m := &Propose{Command: o.encode(), TimeoutMs: c.timeout()}
	if !c.sessionless {
		m.Session, m.Sequence, m.LowestUnanswered = o.session, o.sequence, c.lowest(o.session)
		y.session = o.session
	}
	c.send(c.member(), m, func(reply any) { c.hear(o, y, reply) })
}

// try notes that an operation is tried once more.
func (c *simulant) try(o *operation) *try {
	if o.waiting() {
		c.counts["tries while an earlier one was on its way"]++
	}
	y := &try{number: len(o.tries) + 1}
	o.tries = append(o.tries, y)
	o.due = c.patience()
	return y
}

// lowest is the lowest sequence of a session that the client waits for.
func (c *simulant) lowest(session uint64) uint64 {
	lowest := c.sequence + 1
	if session != c.session {
		lowest = math.MaxUint64
	}
	for _, o := range c.open {
		if o.fate == open && o.session == session {
			lowest = min(lowest, o.sequence)
		}
	}
	return lowest
}

// member is the one that the client asks next.
func (c *simulant) member() ID {
	switch {
	case c.lure != 0 && c.chance(500):
		return c.lure
	case c.hint != 0 && c.chance(c.weather.follow):
		return c.hint
	default:
		return c.someone()
	}
}

// timeout is how long whoever asks says that it waits.
func (t *trial) timeout() int64 {
	return pick[int64](t.rng, 0, 0, 0, 100, 500, longTimeout.Milliseconds())
}

// longTimeout is longer than most troubles.
const longTimeout = 20 * time.Second

// hear learns what has become of a try.
func (c *simulant) hear(o *operation, y *try, reply any) {
	y.reply, y.outcome = reply, Outcome_OUTCOME_UNSPECIFIED
	switch m := reply.(type) {
	case *Proposed:
		c.proposed(o, m)
	case *Answer:
		if o.fate == open {
			c.answer(o, string(m.Result), Index(m.Index), 0)
		}
	case *actor.DeadLetterResponse:
		y.outcome = Outcome_NOT_APPLIED
		c.tryAgain(o, y)
	case *Rejected:
		c.hint, y.outcome = ID(m.Leader), m.Outcome
		if m.Code == Code_SESSION_EXPIRED {
			c.expire(o, y, m)
		}
		c.tryAgain(o, y)
	default:
		c.fail("replies", "%v is answered with %T{%v}", o, reply, reply)
	}
}

func (c *simulant) proposed(o *operation, m *Proposed) {
	switch o.fate {
	case answered:
		if o.index != Index(m.Index) || o.term != Term(m.Term) || o.result != string(m.Result) {
			c.fail("replies", "client %d: operation %d %v had %q at %d, and now %v", c.id, o.number, o, o.result, o.index, m)
		}
		return
	case open:
		if slices.ContainsFunc(o.tries, func(y *try) bool { return y.outcome == Outcome_UNKNOWN }) {
			c.counts["operations answered after an unknown outcome"]++
		}
		if len(o.tries) > 1 {
			c.counts["operations answered after several tries"]++
		}
	case never:
		c.fail("replies", "client %d: no try of operation %d %v has had an effect, and now %v", c.id, o.number, o, m)
	case unknown:
		c.counts["answers after giving up"]++
	}
	c.answer(o, string(m.Result), Index(m.Index), Term(m.Term))
}

// expire notes that a session is not known any more: from here on no try in it has an effect. What the client still
// waits for is not given up.
func (c *simulant) expire(o *operation, y *try, m *Rejected) {
	if o.fate == open && (m.Outcome == Outcome_UNKNOWN || !c.weather.sessionsExpire()) {
		c.fail("outcomes", "client %d waits for operation %d %v, and is told %v", c.id, o.number, o, m)
	}
	if m.Outcome == Outcome_UNKNOWN {
		return
	}
	if c.session == y.session {
		c.session = 0
		c.counts["sessions expired"]++
	}
	o.expired = o.expired || o.session == y.session
}

// tryAgain sees to an operation one of whose tries has failed.
func (c *simulant) tryAgain(o *operation, y *try) {
	if o.fate != open {
		return
	}
	if c.sessionless && o.verb != get && y.outcome != Outcome_NOT_APPLIED {
		c.giveUp(o, "operations without a session of unknown outcome")
		return
	}
	if y.outcome == Outcome_NOT_APPLIED {
		c.counts["tries that were not applied"]++
	} else {
		c.counts["tries of unknown outcome"]++
	}
	o.due = min(o.due, c.ticks()+pick[int64](c.rng, 0, 1, 2, 5))
}
