package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"example.com/raftactor/node"
)

// Client asks a group on behalf of goroutines. It knows some of the group's raft actors, finds the leader
// from any of them, and follows it. It is safe for concurrent use. Close it when it is not needed any
// more.
//
// Every method waits until its context is done at the longest. What was certainly not done is tried
// again until then. An error matches [ErrNotApplied] if the request had no effect, and [ErrUnknown] if it
// may have had one, or may yet have it; the latter is not tried again, since it could happen twice.
type Client struct {
	system      *actor.ActorSystem
	members     []*actor.PID
	leader      atomic.Pointer[actor.PID]
	next        atomic.Uint64
	deadLetters *eventstream.Subscription
}

// NewClient makes a client of the group to which the raft actors belong. One is enough; with more of
// them it finds a leader when that one is gone. The leader must be reached from system: as long as
// followers do not forward, and without remoting, that is a leader in the same actor system. One client
// serves any number of goroutines.
func NewClient(system *actor.ActorSystem, members ...*actor.PID) *Client {
	c := &Client{system: system, members: slices.Clone(members)}
	c.deadLetters = system.EventStream.Subscribe(func(event any) {
		letter, ok := event.(*actor.DeadLetterEvent)
		if !ok {
			return
		}
		switch m := letter.Message.(type) {
		case *call:
			m.reject(system, &Rejected{
				Code: Code_STOPPED, Outcome: Outcome_NOT_APPLIED,
				Detail: fmt.Sprintf("there is no actor %s any more", letter.PID.GetId()),
			})
		case *statusCall:
			m.answer(nil)
		}
	})
	return c
}

// Close frees what the client holds. Calls that are under way are not ended.
func (c *Client) Close() { c.system.EventStream.Unsubscribe(c.deadLetters) }

// Result is what became of a command.
type Result struct {
	// Index and Term are where it stands in the log.
	Index Index
	Term  Term
	// Data is what the machine returned.
	Data []byte
}

// Propose has a command applied by the machines of all members, and returns what the machine of the
// leader returned. The command must not be changed afterwards.
func (c *Client) Propose(ctx context.Context, command []byte) (Result, error) {
	r, err := c.retry(ctx, "proposing", func() *call { return &call{kind: proposeCall, payload: frameCommand(command)} })
	return Result{Index: r.index, Term: r.term, Data: r.result}, err
}

// Query asks the machine of a member. The answer sees everything that was acknowledged to anybody before
// the call (linearizable).
func (c *Client) Query(ctx context.Context, payload []byte) ([]byte, error) {
	r, err := c.retry(ctx, "querying", func() *call { return &call{kind: queryCall, payload: payload} })
	return r.result, err
}

// QueryLocal asks the machine of a member about what that member has applied, at least up to minIndex. The
// answer may be out of date.
func (c *Client) QueryLocal(ctx context.Context, payload []byte, minIndex Index) ([]byte, error) {
	r, err := c.retry(ctx, "querying", func() *call {
		return &call{kind: queryCall, payload: payload, local: true, min: minIndex}
	})
	return r.result, err
}

// AddMember adds a learner to the group. Start its actor, with no Config.Members, before or after.
func (c *Client) AddMember(ctx context.Context, id ID, address string) error {
	return c.change(ctx, "adding a member", func() node.Event { return &node.AddMember{ID: id, Address: address} })
}

// Promote makes a learner that has caught up a voter. As long as it has not, it is refused.
func (c *Client) Promote(ctx context.Context, id ID) error {
	return c.change(ctx, "promoting a member", func() node.Event { return &node.Promote{ID: id} })
}

// Demote makes a voter a learner.
func (c *Client) Demote(ctx context.Context, id ID) error {
	return c.change(ctx, "demoting a member", func() node.Event { return &node.Demote{ID: id} })
}

// RemoveMember removes a member from the group. Its actor goes on until it is stopped.
func (c *Client) RemoveMember(ctx context.Context, id ID) error {
	return c.change(ctx, "removing a member", func() node.Event { return &node.RemoveMember{ID: id} })
}

func (c *Client) change(ctx context.Context, doing string, change func() node.Event) error {
	_, err := c.retry(ctx, doing, func() *call { return &call{kind: changeCall, change: change()} })
	return err
}

// TransferLeadership has the leader hand over to a voter.
func (c *Client) TransferLeadership(ctx context.Context, target ID) error {
	_, err := c.retry(ctx, "transferring leadership", func() *call {
		return &call{kind: transferCall, change: &node.TransferLeadership{Target: target}}
	})
	return err
}

// TakeSnapshot has the first of the client's members take a snapshot now, and returns its index.
func (c *Client) TakeSnapshot(ctx context.Context) (Index, error) {
	if len(c.members) == 0 {
		return 0, errors.New("raft: taking a snapshot: the client was given no members")
	}
	r, err := c.ask(ctx, c.members[0], &call{kind: snapshotCall, change: &node.RequestSnapshot{}})
	if err != nil {
		return 0, fmt.Errorf("raft: taking a snapshot: %w", err)
	}
	return r.index, nil
}

// Status tells how a member sees the group. It needs no leader.
func (c *Client) Status(ctx context.Context, member *actor.PID) (*Status, error) {
	asked := &statusCall{status: make(chan *Status, 1)}
	c.system.Root.Send(member, asked)
	select {
	case s := <-asked.status:
		if s == nil {
			return nil, fmt.Errorf("raft: asking %v for its status: the actor has stopped", member)
		}
		return s, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("raft: asking %v for its status: %w", member, ctx.Err())
	}
}

// retry asks until there is an answer, or it is not safe or not sensible to ask again.
func (c *Client) retry(ctx context.Context, doing string, newCall func() *call) (reply, error) {
	if len(c.members) == 0 {
		return reply{}, fmt.Errorf("raft: %s: the client was given no members", doing)
	}
	pause := pauseMin
	for {
		r, err := c.ask(ctx, c.target(), newCall())
		var rejected *RejectedError
		if err == nil {
			return r, nil
		}
		if !errors.As(err, &rejected) || rejected.Outcome != Outcome_NOT_APPLIED || !c.follow(r.rejected) {
			return r, fmt.Errorf("raft: %s: %w", doing, err)
		}
		if rejected.Code == Code_NOT_LEADER && rejected.Leader != node.None {
			if pause == pauseMin { // the first hint is worth following at once
				pause = 2 * pauseMin
				continue
			}
		}
		if !wait(ctx, max(pause, rejected.RetryAfter)) {
			return r, fmt.Errorf("raft: %s: %w (%w)", doing, err, ctx.Err())
		}
		pause = min(2*pause, pauseMax)
	}
}

// Pauses between attempts.
const (
	pauseMin = 5 * time.Millisecond
	pauseMax = 200 * time.Millisecond
)

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// target is the leader as far as it is known, or one member after the other.
func (c *Client) target() *actor.PID {
	if leader := c.leader.Load(); leader != nil {
		return leader
	}
	return c.members[c.next.Load()%uint64(len(c.members))]
}

// follow takes note of a rejection, and tells whether asking again may help.
func (c *Client) follow(rejected *Rejected) bool {
	switch rejected.Code {
	case Code_NOT_LEADER:
		if leader := c.memberOf(rejected); leader != nil {
			c.leader.Store(leader)
			return true
		}
		c.tryNext()
	case Code_STOPPED, Code_UNREACHABLE:
		c.tryNext()
	case Code_OVERLOADED, Code_TRANSFERRING, Code_CHANGE_IN_PROGRESS, Code_SUPERSEDED:
	case Code_DEADLINE: // of the member: the caller's is its context's
	default:
		return false
	}
	return true
}

// tryNext turns to the next member.
func (c *Client) tryNext() {
	c.leader.Store(nil)
	c.next.Add(1)
}

// memberOf finds the actor of the leader that a rejection names: among those that the client knows, or
// else the one named.
func (c *Client) memberOf(rejected *Rejected) *actor.PID {
	if rejected.Leader == 0 {
		return nil
	}
	suffix := "/" + strconv.FormatUint(rejected.Leader, 10)
	for _, pid := range c.members {
		if strings.HasSuffix(pid.Id, suffix) {
			return pid
		}
	}
	return rejected.LeaderPid
}

// ask makes one attempt. It returns the rejection in the reply, too.
func (c *Client) ask(ctx context.Context, target *actor.PID, asked *call) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrNotApplied, err)
	}
	w := &waiter{done: make(chan struct{})}
	asked.asker = w
	if deadline, ok := ctx.Deadline(); ok {
		asked.timeout = max(time.Until(deadline), time.Millisecond)
	}
	c.system.Root.Send(target, asked)
	select {
	case <-w.done:
	case <-ctx.Done():
		if !asked.answered.CompareAndSwap(false, true) {
			<-w.done // the answer came at the same moment
			break
		}
		if asked.kind == queryCall {
			return reply{}, fmt.Errorf("%w: %w", ErrNotApplied, ctx.Err())
		}
		return reply{}, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
	if w.reply.rejected != nil {
		return w.reply, w.reply.rejected.Err()
	}
	return w.reply, nil
}

// A waiter is a goroutine that waits for a reply.
type waiter struct {
	done  chan struct{} // closed when reply is set
	reply reply
}

func (w *waiter) answered(_ *call, r reply) {
	w.reply = r
	close(w.done)
}

func (w *waiter) forwarded(*actor.PID) {}
