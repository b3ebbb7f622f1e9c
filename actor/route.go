package raft

import (
	"strconv"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
)

// How a client finds the leader, and follows it. Many ops may be told the same at once, so what one of them was told
// counts only as long as the client still asks whom that op had asked.

// follow takes note of why the one that was asked has not done it.
func (c *Client) follow(asked *actor.PID, rejected *Rejected) {
	switch rejected.Code {
	case Code_NOT_LEADER:
		if leader := c.leaderOf(rejected); leader != nil && !leader.Equal(asked) {
			c.route.CompareAndSwap(asked, leader)
			return
		}
		c.moveOn(asked)
	case Code_STOPPED, Code_UNREACHABLE, Code_DEADLINE:
		c.moveOn(asked)
	}
}

// moveOn turns to another member, unless somebody has done so already: if each of many moved on, all might pass over
// the one member that is there, again and again.
func (c *Client) moveOn(from *actor.PID) {
	if !c.route.Load().Equal(from) {
		return
	}
	for range c.members {
		next := c.members[c.courier.tried%len(c.members)]
		c.courier.tried++
		if !next.Equal(from) {
			c.route.CompareAndSwap(from, next)
			return
		}
	}
}

// learn takes a follower's word for who leads. It may be called by any goroutine.
func (c *Client) learn(leader *actor.PID) {
	if leader == nil || c.route.Load().Equal(leader) {
		return
	}
	if known := c.reach(leader); known != nil {
		c.route.Store(known)
	}
}

// leaderOf is the actor of the leader that a rejection names, if it can be reached.
func (c *Client) leaderOf(rejected *Rejected) *actor.PID {
	if rejected.LeaderPid != nil {
		return c.reach(rejected.LeaderPid)
	}
	if rejected.Leader == 0 {
		return nil
	}
	suffix := "/" + strconv.FormatUint(rejected.Leader, 10)
	for _, pid := range c.members {
		if strings.HasSuffix(pid.Id, suffix) {
			return pid
		}
	}
	return nil
}

// reach is a PID under which a member can be reached: that of one that the client knows or that lives in its
// actor system, or one of another system.
func (c *Client) reach(pid *actor.PID) *actor.PID {
	for _, known := range c.members {
		if known.Id == pid.Id {
			return known
		}
	}
	if _, here := c.system.ProcessRegistry.GetLocal(pid.Id); here {
		return actor.NewPID(c.system.Address(), pid.Id)
	}
	if pid.Address == c.system.Address() {
		return nil
	}
	return pid
}
