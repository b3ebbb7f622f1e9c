package raft

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// calls are those that this member has taken and that may not be answered yet, and what they hold. Owned by the raft
// actor.
type calls struct {
	// open has also some that are answered, until they are dropped: when there are dropAt of them, and in each tick.
	open   []*call
	dropAt int
	// own is what this actor holds: also of what it has passed on to a leader, and of what waits for an index. given is
	// what it has ever handed to the applier, and back what the applier has let go of since: what waits for the machine
	// takes room until the machine gets there, however long ago it was answered.
	own, given holding
	back       returns
	// expected is the part of it that is not answered, as of the last drop.
	expected holding
	// admin is how many of the open calls run the group.
	admin int
	// skip is how many are still to be refused before it is looked again for calls that are answered.
	skip int
}

// dropMin is how many calls it is not worth while to look through.
const dropMin = 1024

// A holding counts calls, and what they hold in bytes.
type holding struct{ calls, bytes int64 }

func (t *holding) add(c *call) {
	t.calls++
	t.bytes += int64(c.bytes)
}

func (t *holding) sub(c *call) {
	t.calls--
	t.bytes -= int64(c.bytes)
}

// returns are the calls that the applier has ever let go of. It writes them, and the raft actor reads them.
type returns struct {
	calls, bytes atomic.Int64
	// wanted: the applier has been asked to let go of what is answered, and has not done so yet.
	wanted atomic.Bool
}

// adminMax limits the calls that run the group: changes of members, transfers and snapshots that were asked for. They
// have room of their own, so that also a leader that is overloaded can be told to hand over.
const adminMax = 1024

// admit takes a call in, and sets its deadline. It tells whether there was room.
func (cs *calls) admit(c *call, clock int64, cfg *Config) bool {
	c.bytes = requestBytesMin + len(c.payload)
	if !cs.hasRoom(c, cfg) && !cs.makeRoom(c, cfg) {
		return false
	}
	if len(cs.open) >= max(cs.dropAt, dropMin) {
		cs.drop()
	}
	c.deadline = clock + int64(cfg.ticks(patience(c.timeout, cfg))) + 1 // a part of the first tick is over
	cs.open = append(cs.open, c)
	cs.own.add(c)
	c.owned = true
	if c.runsGroup() {
		cs.admin++
	}
	return true
}

// hasRoom tells whether another call may be taken. One may, whatever it holds, if it is the only one.
func (cs *calls) hasRoom(c *call, cfg *Config) bool {
	pending := cs.pending()
	if c.runsGroup() {
		return cs.admin < adminMax && (c.kind == transferCall || pending.calls < int64(cfg.PendingMax)+adminMax)
	}
	return pending.calls < int64(cfg.PendingMax) &&
		(pending.calls == 0 || pending.bytes+int64(c.bytes) <= int64(cfg.PendingBytesMax))
}

// makeRoom forgets calls that are answered. When that is of no help it refuses some without looking again: to look
// through all of them for each would make a member that is overloaded slow, too.
func (cs *calls) makeRoom(c *call, cfg *Config) bool {
	if cs.skip > 0 {
		cs.skip--
		return false
	}
	cs.drop()
	if cs.hasRoom(c, cfg) {
		return true
	}
	cs.skip = len(cs.open) / 64
	return false
}

// pending is what the calls hold that were taken, and are not answered or wait for the machine still.
func (cs *calls) pending() holding {
	waiting := cs.atMachine()
	return holding{cs.own.calls + waiting.calls, cs.own.bytes + waiting.bytes}
}

// atMachine is the part of it that the applier holds.
func (cs *calls) atMachine() holding {
	return holding{cs.given.calls - cs.back.calls.Load(), cs.given.bytes - cs.back.bytes.Load()}
}

// give says that a call is handed to the applier.
func (cs *calls) give(c *call) {
	cs.disown(c)
	cs.given.add(c)
}

func (cs *calls) disown(c *call) {
	if c.owned {
		c.owned = false
		cs.own.sub(c)
	}
}

// timeoutMax is the longest that anybody waits.
const timeoutMax = 24 * time.Hour

// timeoutOf is what a message says of how long its sender waits.
func timeoutOf(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), timeoutMax.Milliseconds())) * time.Millisecond
}

// drop forgets the calls that are answered.
func (cs *calls) drop() {
	cs.skip, cs.expected = 0, holding{}
	cs.open = slices.DeleteFunc(cs.open, func(c *call) bool {
		if !c.answered.Load() {
			if !c.owned {
				cs.expected.add(c)
			}
			return false
		}
		cs.disown(c)
		if c.runsGroup() {
			cs.admin--
		}
		return true
	})
	cs.dropAt = 2 * len(cs.open) // so that no more are looked at again than are taken until then
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

// isLittered tells whether an eighth of what may be pending is answered, but with the applier still: because its sender
// has given up, or its time was up. What it waits for may never come.
func (cs *calls) isLittered(cfg *Config) bool {
	waiting := cs.atMachine()
	return waiting.calls-cs.expected.calls > int64(cfg.PendingMax)/8 ||
		waiting.bytes-cs.expected.bytes > int64(cfg.PendingBytesMax)/8
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

// prune lets go of queries that are answered, since their time is up: their index may never come.
func (q *queries) prune() {
	for id, batch := range q.waiting {
		q.waiting[id] = slices.DeleteFunc(batch, func(c *call) bool { return c.answered.Load() })
	}
	maps.DeleteFunc(q.waiting, func(_ uint64, batch []*call) bool { return len(batch) == 0 })
}
