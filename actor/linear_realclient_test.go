package raft

import (
	"context"
	"errors"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

// A realClient has its operations done by a [Client], and gives up now and then, as its users do.
type realClient struct {
	*user
	client *Client
	// cancels give up the operations that are under way.
	cancels map[*operation]context.CancelFunc
}

func newRealClient(u *user) *realClient {
	c := &realClient{user: u, cancels: map[*operation]context.CancelFunc{}}
	c.connect()
	return c
}

// connect makes a new Client. It knows one member only where none leaves for ever.
func (c *realClient) connect() {
	var members []*actor.PID
	for _, id := range c.ids {
		members = append(members, copied(c.pids[id]))
	}
	if k := c.rng.IntN(2 * len(members)); c.weather.change == 0 && k < len(members) {
		members = members[k : k+1]
	}
	system := c.system
	if c.remoting != nil && c.id%2 == 0 && !c.sessionless { // without a session it may wait for a minute
		system = c.abroad
		c.counts["Clients in another system"]++
	}
	c.client = newClient(system, ClientConfig{
		Members: members, NoSession: c.sessionless, InFlightMax: pick(c.rng, 1, 2, 8),
		Timer: c.clock, scheduler: c.scheduler, seed: c.rng.Uint64(),
	})
	c.counts["Clients made"]++
}

func (c *realClient) step() {
	for _, o := range c.open {
		if o.fate == open && c.chance(c.weather.abandon/4) {
			c.counts["operations of Clients canceled"]++
			c.cancels[o]()
		}
	}
	if c.chance(c.weather.abandon / 8) {
		c.counts["Clients closed"]++
		c.client.Close()
		c.connect()
	}
	if o := c.next(); o != nil {
		c.begin(o)
	}
}

func (c *realClient) begin(o *operation) {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancels[o] = cancel
	ends := 0
	done := func(r Result, err error) {
		if ends++; ends > 1 {
			c.find("replies", "an operation of a Client ends twice: %v", o)
		}
		c.note("client %d is told of operation %d: %v, %v", c.id, o.number, r, err)
		c.ended(o, r, err)
	}
	var err error
	if o.verb == get {
		read := &op{
			call: call{kind: queryCall, local: c.hooks.consistency == Consistency_LOCAL}, payload: []byte(o.key),
			client: c.client, flight: &c.client.others, ctx: ctx, done: done,
		}
		err = c.client.begin(read, nil, false)
	} else {
		err = c.client.TryProposeAsync(ctx, o.encode(), done)
	}
	if err != nil {
		done(Result{}, err)
	}
}

// ended learns what has become of an operation. It may be called within a turn.
func (c *realClient) ended(o *operation, r Result, err error) {
	c.cancels[o]()
	delete(c.cancels, o)
	isUnknown, gaveUp := errors.Is(err, ErrUnknown), errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed)
	switch {
	case isUnknown && !gaveUp && c.hooks.insist:
		c.begin(o)
	case err == nil:
		c.counts["operations of Clients answered"]++
		c.answer(o, string(r.Data), r.Index, r.Term)
	case isUnknown == errors.Is(err, ErrNotApplied) || isUnknown && o.verb == get:
		c.find("outcomes", "an operation of a Client, %v, ends with %v", o, err)
	case isUnknown:
		c.counts["operations of Clients of unknown outcome"]++
		if errors.Is(err, ErrSessionExpired) && !c.weather.sessionsExpire() {
			c.find("outcomes", "an operation of a Client, %v, ends with %v, and no session has to expire", o, err)
		}
		o.fate = unknown
		if errors.Is(err, ErrSessionExpired) && !gaveUp {
			c.counts["operations of Clients whose session expired in doubt"]++
			o.end = c.now // from here on it is not applied any more
		}
	case errors.Is(err, errNoRoom):
		c.counts["operations that a Client had no room for"]++
		o.fate, o.end = never, c.now
	default:
		c.counts["operations of Clients not applied"]++
		o.fate, o.end = never, c.now
	}
}

// watchAttempts counts the attempts of Clients as members take them.
func (t *trial) watchAttempts(message any) {
	batch, ok := message.(*mailbox.Batch)
	if !ok {
		return
	}
	for _, m := range batch.Requests {
		c, ok := m.(*call)
		if !ok {
			continue
		}
		o, ok := c.asker.(*op)
		if !ok || c == &o.call {
			continue
		}
		t.counts["attempts of Clients after the first"]++
		if last := o.last.Load(); last != nil && strings.HasSuffix(last.Detail, "has not answered") {
			t.counts["attempts of Clients after one that was overdue"]++
		}
		if before, _ := parseFrame(o.call.payload); before.session != 0 && before.session != o.place.session {
			t.counts["attempts of Clients in another session"]++
		}
	}
}
