package raft

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// Changes of members say how things shall be, and are accepted as they are if that is the case already. So they are
// sent again until there is an answer. If several clients change the same member at the same time, a change may be made
// again after another one has undone it: have one at a time do that.

// AddMember adds a learner to the group. Start its actor, with no Config.Members, before or after.
func (c *Client) AddMember(ctx context.Context, id ID, address string) error {
	return c.change(ctx, &node.AddMember{ID: id, Address: address})
}

// AddIncarnation adds a learner whose storage is known: one of another incarnation is not taken for it. Its Status
// tells the incarnation, also when the group has disowned it. Zero is the first that the group meets, as with AddMember.
func (c *Client) AddIncarnation(ctx context.Context, id ID, address string, incarnation uint64) error {
	return c.change(ctx, &node.AddMember{ID: id, Address: address, Incarnation: node.Incarnation(incarnation)})
}

// Promote makes a learner that has caught up a voter. As long as it has not, that is [ErrRefused].
func (c *Client) Promote(ctx context.Context, id ID) error {
	return c.change(ctx, &node.Promote{ID: id})
}

// Demote makes a voter a learner.
func (c *Client) Demote(ctx context.Context, id ID) error {
	return c.change(ctx, &node.Demote{ID: id})
}

// RemoveMember removes a member from the group. Its actor goes on until it is stopped.
func (c *Client) RemoveMember(ctx context.Context, id ID) error {
	return c.change(ctx, &node.RemoveMember{ID: id})
}

func (c *Client) change(ctx context.Context, change node.Event) error {
	_, err := c.ask(ctx, &op{call: call{kind: changeCall, change: change}})
	return err
}

// TransferLeadership has the leader hand over to a voter, and returns when that leads. If that is [ErrUnknown] it may
// still come to lead; it is not tried again, since somebody else may have been given leadership meanwhile.
func (c *Client) TransferLeadership(ctx context.Context, target ID) error {
	_, err := c.ask(ctx, &op{call: call{kind: transferCall, change: &node.TransferLeadership{Target: target}}})
	return err
}

// TakeSnapshot has a member take a snapshot now, and returns its index.
func (c *Client) TakeSnapshot(ctx context.Context, member *actor.PID) (Index, error) {
	return c.askMember(ctx, member, snapshotCall, &node.RequestSnapshot{})
}

// Status tells how a member sees the group. It needs no leader.
func (c *Client) Status(ctx context.Context, member *actor.PID) (*Status, error) {
	if member == nil {
		return nil, fmt.Errorf("raft: asking for a status: the member's PID is nil: %w", ErrNotApplied)
	}
	if !isHere(c.system, member) {
		return c.statusOf(ctx, member)
	}
	asked := &statusCall{status: make(chan *Status, 1)}
	c.system.Root.Send(member, asked)
	select {
	case s := <-asked.status:
		if s == nil {
			return nil, fmt.Errorf("raft: asking %v for its status: the actor has stopped: %w: %w", member, ErrNotApplied, ErrStopped)
		}
		return s, nil
	case <-c.closed: // whoever would have told of an actor that is gone
		return nil, fmt.Errorf("raft: asking %v for its status: %w", member, ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("raft: asking %v for its status: %w: %w", member, ErrNotApplied, ctx.Err())
	}
}

// statusOf asks a member in another system, as often as it takes: a request may be lost, and so may its reply.
func (c *Client) statusOf(ctx context.Context, member *actor.PID) (*Status, error) {
	failed := func(err error) (*Status, error) {
		return nil, fmt.Errorf("raft: asking %s at %s for its status: %w", member.Id, member.Address, err)
	}
	for {
		type answer struct {
			status   *Status
			rejected *Rejected
		}
		answered := make(chan answer, 1)
		number := c.errands.askStatus(member, func(s *Status, r *Rejected) { answered <- answer{s, r} })
		again := time.NewTimer(attemptMax)
		var err error
		select {
		case a := <-answered:
			again.Stop()
			if a.rejected != nil {
				return failed(a.rejected.err())
			}
			return a.status, nil
		case <-again.C:
		case <-c.closed:
			err = ErrClosed
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", ErrNotApplied, ctx.Err())
		}
		again.Stop()
		c.errands.forget(number)
		if err != nil {
			return failed(err)
		}
	}
}

// Ready waits until a member is up to date: it knows a leader, and its machine has applied everything that was
// acknowledged to anybody before the call. It returns the index up to which the machine had applied then.
func (c *Client) Ready(ctx context.Context, member *actor.PID) (Index, error) {
	return c.askMember(ctx, member, readyCall, nil)
}

// askMember asks that member, and no other.
func (c *Client) askMember(ctx context.Context, member *actor.PID, kind callKind, change node.Event) (Index, error) {
	o := &op{call: call{kind: kind, change: change}, fixed: member}
	if member == nil {
		return 0, fmt.Errorf("raft: %s: the member's PID is nil: %w", o.doing(), ErrNotApplied)
	}
	r, err := c.ask(ctx, o)
	return r.Index, err
}

// Ready waits until the member is up to date: it knows a leader, and its machine has applied everything that was
// acknowledged to anybody before the call. It returns the index up to which the machine had applied then. Until ctx is
// done it is tried again, also when there is no such actor yet. So a process that comes back spawns its members, waits
// for them with a context that ends when that takes too long, and then tells whoever sends it requests that it is there:
//
//	pid, err := raft.Spawn(system, cfg, machine)
//	...
//	if _, err := raft.Ready(ctx, system, pid); err != nil {
//		return err
//	}
//
// A member that has not been added to its group never is.
func Ready(ctx context.Context, system *actor.ActorSystem, member *actor.PID) (Index, error) {
	c := NewClient(system, member)
	defer c.Close()
	return c.Ready(ctx, member)
}

// newOpening opens a session, for all who wait for one.
func newOpening(c *Client) *op {
	return &op{call: call{kind: openCall}, client: c, ctx: context.Background()}
}
