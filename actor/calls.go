package raft

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// calls are those that this member has taken and that may not be answered yet. Owned by the raft actor.
type calls struct {
	open []*call
	// skip is how many are still to be refused before it is looked again for calls that are answered.
	skip int
}

// admit takes a call in, and sets its deadline. It tells whether there was room. There always is for what
// runs the group: also a leader that is overloaded can be told to hand over.
func (cs *calls) admit(c *call, clock int64, cfg Config) bool {
	bounded := c.kind == proposeCall || c.kind == openCall || c.kind == queryCall
	if bounded && len(cs.open) >= cfg.PendingMax && !cs.makeRoom(cfg.PendingMax) {
		return false
	}
	timeout := c.timeout
	if timeout <= 0 {
		timeout = cfg.RequestTimeout
	}
	c.deadline = clock + int64(cfg.ticks(min(timeout, timeoutMax))) + 1 // a part of the first tick is over
	cs.open = append(cs.open, c)
	return true
}

// makeRoom forgets calls that are answered. When there are none it refuses some without looking again: to
// look through all of them for each would make a member that is overloaded slow, too.
func (cs *calls) makeRoom(pendingMax int) bool {
	if cs.skip > 0 {
		cs.skip--
		return false
	}
	cs.drop()
	if len(cs.open) < pendingMax {
		return true
	}
	cs.skip = pendingMax / 64
	return false
}

// timeoutMax is the longest that anybody waits.
const timeoutMax = 24 * time.Hour

// drop forgets the calls that are answered.
func (cs *calls) drop() {
	cs.skip = 0
	cs.open = slices.DeleteFunc(cs.open, func(c *call) bool { return c.answered.Load() })
}

// expire answers those whose time is up.
func (cs *calls) expire(system *actor.ActorSystem, clock int64) {
	cs.drop()
	for _, c := range cs.open {
		if c.deadline <= clock {
			c.reject(system, pastDeadline(c))
		}
	}
}

// lose answers those that were passed on to a leader that cannot be reached.
func (cs *calls) lose(system *actor.ActorSystem, leader ID) {
	for _, c := range cs.open {
		if c.via == leader {
			c.reject(system, rejectUnreachable())
		}
	}
}

// rejectAll answers all, since the member stops.
func (cs *calls) rejectAll(system *actor.ActorSystem) {
	for _, c := range cs.open {
		c.reject(system, rejectStopped(c))
	}
	cs.open = nil
}

// queries are those that wait for an index to be read at. Owned by the raft actor.
type queries struct {
	local, batch []*call
	// waiting are the batches that the node has been asked about, by the ID of the ReadIndex.
	waiting map[uint64][]*call
	id      uint64
}

func (q *queries) add(c *call) {
	if c.local {
		q.local = append(q.local, c)
		return
	}
	q.batch = append(q.batch, c)
}

func (q *queries) takeLocal() []*call {
	local := q.local
	q.local = nil
	return local
}

// takeBatch gives what has been gathered an ID.
func (q *queries) takeBatch() (id uint64, ok bool) {
	if len(q.batch) == 0 {
		return 0, false
	}
	if q.waiting == nil {
		q.waiting = map[uint64][]*call{}
	}
	q.id++
	q.waiting[q.id], q.batch = q.batch, nil
	return q.id, true
}

// finish returns the queries of an ID, which is done with.
func (q *queries) finish(id uint64) []*call {
	batch := q.waiting[id]
	delete(q.waiting, id)
	return batch
}
