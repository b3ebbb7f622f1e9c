package raft

import (
	"math/rand/v2"
	"slices"
)

// A chaos runs a fixture by chance: who has a turn, and what becomes of what is on its way. All of it is drawn from
// rng.
type chaos struct {
	*fixture
	rng *rand.Rand
	// How likely it is, in thousandths, that a delivery is lost, that it is made again some time, and that it is not
	// that of the oldest envelope.
	lose, repeat, reorder int
	// late are the ways, from and to, on which everything waits.
	late map[[2]ID]bool
	// lost, repeated and overtaken count envelopes, and forwardsLost the requests in them.
	lost, repeated, overtaken, forwardsLost int
}

func newChaos(f *fixture, seed uint64) *chaos {
	f.seed = seed
	return &chaos{fixture: f, rng: rand.New(rand.NewPCG(seed, 42)), late: map[[2]ID]bool{}}
}

// chance is true that many times in a thousand.
func (c *chaos) chance(thousandths int) bool { return c.rng.IntN(1000) < thousandths }

// pick draws one of the values.
func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// turn runs one turn of anybody who is not held, or delivers something. It tells whether there was anything to do.
func (c *chaos) turn() bool {
	var free []int
	for k, pid := range c.scheduler.Runnable() {
		if !c.held[pid.Id] {
			free = append(free, k)
		}
	}
	if len(free) == 0 {
		return c.deliverOne()
	}
	c.scheduler.Step(free[c.rng.IntN(len(free))])
	return true
}

// deliverOne delivers, loses or repeats an envelope that is on its way and not late, if there is one.
func (c *chaos) deliverOne() bool {
	queue := c.network.queue
	k := slices.IndexFunc(queue, c.isDue)
	if k < 0 {
		return false
	}
	if c.chance(c.reorder) {
		if other := c.rng.IntN(len(queue)); c.isDue(queue[other]) && other > k {
			c.overtaken++
			k = other
		}
	}
	e := queue[k]
	if c.chance(c.repeat) {
		c.repeated++
	} else {
		c.network.queue = append(queue[:k:k], queue[k+1:]...)
	}
	if c.chance(c.lose) {
		c.lost++
		c.forwardsLost += len(e.Forwards)
		if c.rng.IntN(2) == 0 {
			c.network.lose(e)
		}
		return true
	}
	if c.network.cut[[2]ID{e.From, e.To}] {
		c.forwardsLost += len(e.Forwards)
	}
	c.network.arrive(e)
	return true
}

func (c *chaos) isDue(e *PeerEnvelope) bool { return !c.late[[2]ID{e.From, e.To}] }

// likelyLeader is the last that was announced, or otherwise.
func (c *chaos) likelyLeader(otherwise ID) ID {
	for k := len(c.events) - 1; k >= 0; k-- {
		if e, ok := c.events[k].(*LeaderChanged); ok && e.Leader != 0 {
			return e.Leader
		}
	}
	return otherwise
}
