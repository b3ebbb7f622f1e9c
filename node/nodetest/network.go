package nodetest

import (
	"fmt"

	"example.com/raftactor/node"
)

// A Flight is a message on its way, or the state of a snapshot that its receiver has accepted.
type Flight struct {
	// Number tells flights apart, in the order in which they began.
	Number   uint64
	From, To node.ID
	Message  node.Message
	// Payload is nil for a message. The state of a snapshot is durable at the receiver when it
	// arrives; Message is then the offer that was accepted.
	Payload *State
}

// link is one direction between two members.
type link struct{ from, to node.ID }

func (c *Cluster) put(f *Flight) {
	c.sent++
	f.Number = c.sent
	c.network = append(c.network, f)
}

// Network is what is in flight, oldest first. It must not be changed.
func (c *Cluster) Network() []*Flight { return c.network }

// Inject puts a message on the network that nobody has sent.
func (c *Cluster) Inject(message node.Message) {
	h := message.Head()
	c.put(&Flight{From: h.From, To: h.To, Message: message})
}

// Deliver lets the i-th flight arrive. It is lost if its link is cut or its receiver is down, and
// stays where it is if its receiver is paused. Deliver tells whether it has arrived.
func (c *Cluster) Deliver(i int) bool {
	f := c.flight(i)
	m := c.find(f.To)
	if m != nil && m.paused {
		return false
	}
	if m == nil || !m.Up() || c.cuts[link{f.From, f.To}] {
		c.Drop(i)
		return false
	}
	c.remove(i)
	if f.Payload == nil {
		c.Step(f.To, &node.Receive{Message: f.Message})
		return true
	}
	offer, _ := f.Message.(*node.InstallSnapshot)
	c.Step(f.To, &node.SnapshotReceived{Message: offer, Handle: c.store(f.Payload)})
	c.endTransfer(f, true)
	return true
}

// Drop loses the i-th flight. If it was the state of a snapshot, or its offer, then its sender is
// told.
func (c *Cluster) Drop(i int) {
	f := c.flight(i)
	c.tracef("drop #%d", f.Number)
	c.remove(i)
	c.endTransfer(f, false)
}

// Duplicate puts a copy of the i-th flight behind all others.
func (c *Cluster) Duplicate(i int) {
	f := *c.flight(i)
	f.Message = node.Clone(f.Message)
	c.put(&f)
}

// endTransfer has the sender of a snapshot report how that ended, once.
func (c *Cluster) endTransfer(f *Flight, ok bool) {
	offer, isOffer := f.Message.(*node.InstallSnapshot)
	m := c.find(f.From)
	if !isOffer || m == nil || m.node == nil {
		return
	}
	for i, t := range m.transfers {
		if t.to == f.To && t.message.Term == offer.Term && t.message.Meta.Index == offer.Meta.Index {
			c.EndTransfer(f.From, i, ok)
			return
		}
	}
}

// Transfers tells how many snapshots the member is sending, by the fate of which it has not been
// told.
func (c *Cluster) Transfers(id node.ID) int { return len(c.running(id).transfers) }

// EndTransfer decides that the i-th of the snapshots that the member is sending has arrived or not.
// To tell the member so becomes one of its tasks. What is in flight may arrive nevertheless.
func (c *Cluster) EndTransfer(id node.ID, i int, ok bool) {
	m := c.running(id)
	t := m.transfers[i]
	m.transfers = append(m.transfers[:i:i], m.transfers[i+1:]...)
	m.addTask(Task{Kind: TaskReport, To: t.to, OK: ok, Meta: t.message.Meta})
}

// Cut loses everything that is to arrive at to from from, until [Cluster.Heal].
func (c *Cluster) Cut(from, to node.ID) { c.cuts[link{from, to}] = true }

// Isolate cuts all links of a member, both ways.
func (c *Cluster) Isolate(id node.ID) {
	for _, m := range c.members {
		if m.id != id {
			c.Cut(id, m.id)
			c.Cut(m.id, id)
		}
	}
}

// Heal mends all links.
func (c *Cluster) Heal() { clear(c.cuts) }

func (c *Cluster) flight(i int) *Flight {
	if i < 0 || i >= len(c.network) {
		panic(fmt.Sprintf("nodetest: there is no flight %d among %d", i, len(c.network)))
	}
	return c.network[i]
}

func (c *Cluster) remove(i int) {
	copy(c.network[i:], c.network[i+1:])
	c.network[len(c.network)-1] = nil
	c.network = c.network[:len(c.network)-1]
}

// find returns the member with the id, or nil.
func (c *Cluster) find(id node.ID) *Member {
	for _, m := range c.members {
		if m.id == id {
			return m
		}
	}
	return nil
}
