package raft

import (
	"slices"
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
		leader := c.leaderOf(rejected)
		if leader == nil || leader.Equal(asked) {
			c.moveOn(asked)
			return
		}
		if until := c.errands.silentUntil(leader.Address); until > c.courier.clock.Load() && !isHere(c.system, asked) {
			c.detour.Store(until)
			return
		}
		c.route.CompareAndSwap(asked, leader)
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
	c.detour.Store(0)
	k := c.courier
	for range len(c.members) + len(k.learned) {
		at := k.tried % (len(c.members) + len(k.learned))
		k.tried++
		var next *actor.PID
		if at < len(c.members) {
			next = c.members[at]
		} else {
			next = k.learned[at-len(c.members)]
		}
		if !next.Equal(from) {
			c.route.CompareAndSwap(from, next)
			return
		}
	}
}

// learn takes the word for who leads of a follower in this system, which has passed a request on. It may be called by any
// goroutine. A leader in another system is left to that follower: what members send each other takes the shorter way.
func (c *Client) learn(leader *actor.PID) {
	if leader == nil || c.route.Load().Equal(leader) {
		return
	}
	if known := c.reach(leader); known != nil && isHere(c.system, known) {
		c.route.Store(known)
	}
}

// learnMembers takes note of the members that one in another system has told of.
func (k *courier) learnMembers(s *Status) {
	isKnown := func(id string) bool {
		return slices.ContainsFunc(k.client.members, func(pid *actor.PID) bool { return pid.Id == id })
	}
	k.learned = nil
	for _, m := range s.Members {
		if id := pidName(s.Group, ID(m.Id)); m.Address != "" && !isKnown(id) && len(k.learned) < learnedMax {
			k.learned = append(k.learned, actor.NewPID(m.Address, id))
		}
	}
}

// learnedMax limits the members that a client learns of.
const learnedMax = 1 << 10

// leaderOf is the actor of the leader that a rejection names, if it can be reached.
func (c *Client) leaderOf(rejected *Rejected) *actor.PID {
	if rejected.LeaderPid != nil {
		return c.reach(rejected.LeaderPid)
	}
	if rejected.Leader == 0 {
		return nil
	}
	suffix := "/" + strconv.FormatUint(rejected.Leader, 10)
	for _, known := range [][]*actor.PID{c.members, c.courier.learned} {
		for _, pid := range known {
			if strings.HasSuffix(pid.Id, suffix) {
				return pid
			}
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
	if isHere(c.system, pid) {
		return nil
	}
	return pid
}
