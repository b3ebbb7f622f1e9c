package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
	"example.com/raftactor/timer"
)

// Client asks a group on behalf of goroutines. It knows some of the group's raft actors, finds the leader
// from any of them, and follows it. It is safe for concurrent use, and has one goroutine however many requests
// are under way. Close it when it is not needed any more.
//
// The raft actors may live in other actor systems, which then need not have a member of their own: the client asks them
// over Proto.Actor's remoting. It asks such a one itself for the other members, and goes on with them when those are gone
// that it was given. A member of its own system passes requests on to the leader, wherever that is.
//
// Commands are proposed in a session, which the first of them opens: each is applied once at most, however
// often it has to be sent. So a request is sent again, after a pause and to another member if need be, until
// it has an answer or its context is done. A context that is never done has it tried for ever.
//
// An error matches [ErrNotApplied] if the request had no effect and will have none, and [ErrUnknown] if it may
// have had one, or may yet have it. If the group has said why, it is a [*RejectedError], too.
//
// Requests that are under way at the same time may be carried out in any order: those of one goroutine are
// sent in the order of the calls, but one that has to be sent again is late.
type Client struct {
	system  *actor.ActorSystem
	members []*actor.PID
	logger  hclog.Logger
	// route is the raft actor to ask: the leader as far as it is known. Nil if there are no members.
	route atomic.Pointer[actor.PID]
	// proposals are under way in sessions, or without; other requests are apart from them, so that the lowest
	// unanswered sequence waits for proposals only.
	proposals, others flight
	courier           *courier
	// errands are the requests to members in other actor systems.
	errands errands
	// detour is until when, by the courier's clock, followers are to pass requests on to a leader that this system does
	// not reach.
	detour  atomic.Int64
	events  *eventstream.Subscription
	closing sync.Once
	closed  chan struct{} // closed by Close
}

// ClientConfig says how a client behaves. The zero value of a field means its default.
type ClientConfig struct {
	// Members are raft actors of the group. One is enough; with more of them the client finds a leader when
	// that one is gone. Required.
	Members []*actor.PID
	// NoSession has commands proposed without a session: one whose outcome is unknown is not sent again, since
	// it could be applied twice.
	NoSession bool
	// InFlightMax limits the proposals under way, and as many other requests. Who wants more waits for room.
	// Default 4,096, at most 65,535.
	InFlightMax int
	// InFlightBytesMax limits what the commands of the proposals under way take, and what other requests do. One that
	// is larger goes alone. Who wants more waits for room. Default 64 MiB.
	InFlightBytesMax int
	// Timer is the source of ticks. Default: one for all of the process.
	Timer timer.Source
	// Logger gets what the client has to say. Default: the actor system's own logger.
	Logger hclog.Logger

	// seed of the pauses between attempts. Zero: drawn at random.
	seed uint64
	// scheduler runs the client's courier under a test's control. Nil: a goroutine does.
	scheduler *mailbox.Scheduler
}

// Defaults of [ClientConfig].
const (
	inFlightMaxDefault      = 1 << 12
	inFlightBytesMaxDefault = 64 << 20
)

// Validate reports every fault of the configuration, and changes nothing.
func (c ClientConfig) Validate() error {
	var faults []error
	if len(c.Members) == 0 {
		faults = append(faults, errors.New("raft: client config: Members is empty: name a raft actor of the group, as Spawn returns it"))
	}
	if slices.Contains(c.Members, nil) {
		faults = append(faults, errors.New("raft: client config: Members has a nil PID"))
	}
	if c.InFlightMax < 0 || c.InFlightMax >= sessionWindow {
		faults = append(faults, fmt.Errorf("raft: client config: InFlightMax is %d: it takes 1 to %d; 0 means the default",
			c.InFlightMax, sessionWindow-1))
	}
	if c.InFlightBytesMax < 0 {
		faults = append(faults, fmt.Errorf("raft: client config: InFlightBytesMax is %d: it must not be negative; 0 means the default",
			c.InFlightBytesMax))
	}
	return errors.Join(faults...)
}

// NewClient makes a client of the group to which the raft actors belong, with the defaults of [ClientConfig].
// A client that is given no members is of no use: all it does is an error.
func NewClient(system *actor.ActorSystem, members ...*actor.PID) *Client {
	return newClient(system, ClientConfig{Members: members})
}

// NewClientWithConfig makes a client of a group. An error names every fault of cfg.
func NewClientWithConfig(system *actor.ActorSystem, cfg ClientConfig) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return newClient(system, cfg), nil
}

func newClient(system *actor.ActorSystem, cfg ClientConfig) *Client {
	if cfg.InFlightMax == 0 {
		cfg.InFlightMax = inFlightMaxDefault
	}
	if cfg.InFlightBytesMax == 0 {
		cfg.InFlightBytesMax = inFlightBytesMaxDefault
	}
	if cfg.seed == 0 {
		cfg.seed = rand.Uint64()
	}
	if cfg.Timer == nil {
		cfg.Timer = sharedTimer()
	}
	if cfg.Logger == nil {
		cfg.Logger = NewHclogLogger(system.Logger())
	}
	isNobody := func(pid *actor.PID) bool { return pid == nil }
	c := &Client{
		system: system, members: slices.DeleteFunc(slices.Clone(cfg.Members), isNobody), logger: cfg.Logger.Named("raft").Named("client"),
		closed:    make(chan struct{}),
		proposals: newFlight(cfg.InFlightMax, cfg.InFlightBytesMax, !cfg.NoSession),
		others:    newFlight(cfg.InFlightMax, cfg.InFlightBytesMax, false),
	}
	if len(c.members) > 0 {
		c.route.Store(c.members[0])
	}
	c.errands.client = c
	c.courier = newCourier(c, cfg)
	c.events = system.EventStream.Subscribe(c.hear)
	return c
}

// hear answers what was sent to an actor of this system that is gone, and takes note of addresses that are.
func (c *Client) hear(event any) {
	switch event := event.(type) {
	case *actor.DeadLetterEvent:
		switch m := event.Message.(type) {
		case *call:
			m.reject(c.system, &Rejected{
				Code: Code_STOPPED, Outcome: Outcome_NOT_APPLIED,
				Detail: fmt.Sprintf("there is no actor %s any more", event.PID.GetId()),
			})
		case *statusCall:
			m.answer(nil)
		}
	case *node.AddressUnreachable:
		c.errands.unreachable(event.Address)
	}
}

// Close ends the client. What is under way ends with [ErrClosed], as soon as callbacks let it; Close does not
// wait for that. It may be called again, and from a callback.
func (c *Client) Close() {
	c.closing.Do(func() {
		close(c.closed)
		c.proposals.close()
		c.others.close()
		c.system.EventStream.Unsubscribe(c.events)
		c.errands.close()
		c.system.Root.Stop(c.courier.self)
	})
}

// Result is what became of a command, or the answer to a query.
type Result struct {
	// Index is where the command stands in the log, and for a query the index up to which the machine had
	// applied: a query of any member with that as its least index sees at least the same.
	Index Index
	// Term is that of the command.
	Term Term
	// Data is what the machine returned. It may be shared, and must not be changed.
	Data []byte
}

// Propose has a command applied by the machines of all members, and returns what the machine returned. The
// command is copied.
func (c *Client) Propose(ctx context.Context, command []byte) (Result, error) {
	o := &op{call: call{kind: proposeCall}, client: c, flight: &c.proposals, ctx: ctx}
	return c.do(o, command)
}

// ProposeAsync has a command applied, and does not wait for that: done is called with what Propose would return,
// exactly once, unless ProposeAsync returns an error. Then nothing was proposed, and done is not called.
//
// It waits for room as long as InFlightMax proposals are under way, which keeps a fast producer in check. The
// command is copied.
//
// All calls of done come from one goroutine of the client, one at a time, in the order of the answers. They must
// not block, or no answer goes on: in particular they propose with [Client.TryProposeAsync]. A panic in one is
// logged and otherwise ignored. When ctx is done, done is called within some 10 ms.
func (c *Client) ProposeAsync(ctx context.Context, command []byte, done func(Result, error)) error {
	return c.proposeAsync(ctx, command, done, true)
}

// TryProposeAsync is ProposeAsync for those who must not wait: if there is no room, it returns an error that
// matches [ErrOverloaded]. The proposal that a callback is called for takes no room any more, but somebody who waits
// may have got it.
func (c *Client) TryProposeAsync(ctx context.Context, command []byte, done func(Result, error)) error {
	return c.proposeAsync(ctx, command, done, false)
}

func (c *Client) proposeAsync(ctx context.Context, command []byte, done func(Result, error), wait bool) error {
	o := &op{call: call{kind: proposeCall}, client: c, flight: &c.proposals, ctx: ctx, done: done}
	return c.begin(o, command, wait)
}

// Query asks the machine of a member. The answer sees everything that was acknowledged to anybody before
// the call (linearizable).
func (c *Client) Query(ctx context.Context, payload []byte) (Result, error) {
	return c.ask(ctx, &op{call: call{kind: queryCall}, payload: payload})
}

// QueryLocal asks the machine of a member about what that member has applied, at least up to minIndex. The
// answer may be out of date.
func (c *Client) QueryLocal(ctx context.Context, payload []byte, minIndex Index) (Result, error) {
	return c.ask(ctx, &op{call: call{kind: queryCall, local: true, min: minIndex}, payload: payload})
}

// ask makes a request that is no proposal.
func (c *Client) ask(ctx context.Context, o *op) (Result, error) {
	o.client, o.flight, o.ctx = c, &c.others, ctx
	return c.do(o, nil)
}

// do begins a request, and waits for its end.
func (c *Client) do(o *op, command []byte) (Result, error) {
	o.wake = wakes.Get().(chan struct{})
	defer wakes.Put(o.wake)
	if err := c.begin(o, command, true); err != nil {
		return Result{}, err
	}
	o.await()
	o.exit()
	if o.err != nil {
		return Result{}, o.err
	}
	return o.result(), nil
}

// begin takes a request in, and makes its first attempt if it need not wait for a session.
func (c *Client) begin(o *op, command []byte, wait bool) error {
	var err error
	switch {
	case len(c.members) == 0 && o.fixed == nil:
		err = errNoMembers
	case o.ctx.Err() != nil:
		err = o.ctx.Err()
	default:
		err = o.flight.enter(o, command, wait)
	}
	if err != nil {
		return fmt.Errorf("raft: %s: %w: %w", o.doing(), ErrNotApplied, err)
	}
	if o.wantsSession {
		c.courier.post(sessionWanted{})
	}
	if o.direct {
		o.frame(command)
		o.launch(&o.call)
	}
	c.courier.keepTime()
	return nil
}
