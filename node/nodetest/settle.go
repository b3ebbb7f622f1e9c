package nodetest

import (
	"fmt"

	"example.com/raftactor/node"
)

// settleStepsMax is how long a cluster may take to come to rest before that counts as a failure.
const settleStepsMax = 200_000

// Settle delivers and completes everything, and lets every task happen, until nothing is left to
// do but the jobs of slow machines. No time passes. What paused members would get stays where it is.
func (c *Cluster) Settle() {
	start := c.steps
	for c.settleOnce() {
		if c.steps-start > settleStepsMax {
			c.fail(fmt.Errorf("still not at rest after %d steps", c.steps-start))
			return
		}
	}
}

// settleOnce does one more thing, and tells whether there was one.
func (c *Cluster) settleOnce() bool {
	if c.err != nil {
		return false
	}
	for _, m := range c.members {
		if !m.Up() {
			continue
		}
		if c.CompleteAll(m.id) {
			return true
		}
		if len(m.tasks) > 0 {
			c.Do(m.id, 0)
			return true
		}
		if m.Behind() && !m.slow {
			c.Work(m.id, 0)
			return true
		}
	}
	for i, f := range c.network {
		if m := c.find(f.To); m == nil || !m.paused {
			c.Deliver(i)
			return true
		}
	}
	for _, m := range c.members {
		if m.Up() && len(m.transfers) > 0 {
			c.EndTransfer(m.id, 0, false) // nobody wants it any more
			return true
		}
	}
	return false
}

// Run lets time pass: each tick reaches every member, and then everything settles.
func (c *Cluster) Run(ticks int) {
	for range ticks {
		for _, m := range c.members {
			if m.node != nil {
				c.Tick(m.id, 1)
			}
		}
		c.Settle()
	}
}

// Tick lets ticks pass for one member, in one event. A paused member gets them with the first tick
// after it was resumed.
func (c *Cluster) Tick(id node.ID, ticks int) {
	m := c.running(id)
	if m.paused {
		m.missed += ticks
		return
	}
	ticks, m.missed = ticks+m.missed, 0
	c.Step(id, &node.Tick{Elapsed: ticks})
}

// Elect has a member campaign, and settles.
func (c *Cluster) Elect(id node.ID) {
	c.Step(id, &node.Campaign{})
	c.Settle()
}

// Propose gives a member commands in one batch.
func (c *Cluster) Propose(id node.ID, commands ...string) []node.Action {
	batch := make([][]byte, len(commands))
	for i := range commands {
		batch[i] = []byte(commands[i])
	}
	return c.Step(id, &node.Propose{Commands: batch})
}

// Leader returns the running leader of the highest term, or nil.
func (c *Cluster) Leader() *Member {
	var leader *Member
	for _, m := range c.members {
		if m.Up() && m.node.Role() == node.Leader && (leader == nil || m.node.Term() > leader.node.Term()) {
			leader = m
		}
	}
	return leader
}
