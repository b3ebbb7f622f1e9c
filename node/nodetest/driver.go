package nodetest

import (
	"fmt"

	"example.com/raftactor/node"
)

// A Task is something that a member's driver has been asked for, and that is not done.
type Task struct {
	// Kind tells tasks apart.
	Kind TaskKind
	// Number tells the tasks of one member apart, in the order in which they were asked for.
	Number uint64
	// Read is what was asked for by a [TaskRead].
	Read node.ReadEntries
	// Meta is that of the snapshot to take, or restored, or sent.
	Meta node.SnapshotMeta
	// To is whom the snapshot is sent to, and OK whether it has arrived.
	To node.ID
	OK bool

	early []node.Entry // what the log held when the read was asked for
	state *State
}

// TaskKind is a kind of [Task].
type TaskKind uint8

const (
	// TaskRead answers a [node.ReadEntries] with [node.EntriesRead].
	TaskRead TaskKind = iota
	// TaskTake answers a [node.TakeSnapshot] with [node.Snapshotted]. What is to be taken has been
	// captured by the machine.
	TaskTake
	// TaskRestore answers a [node.RestoreSnapshot] with [node.Restored].
	TaskRestore
	// TaskReport answers a [node.SendSnapshot], whose end is known, with [node.SnapshotSent].
	TaskReport
)

func (k TaskKind) String() string { return [...]string{"read", "take", "restore", "report"}[k] }

// transfer is a snapshot that a member is sending.
type transfer struct {
	to      node.ID
	message *node.InstallSnapshot
}

// carryOut does what a node asks for: at once what can be done at once, and the rest as tasks.
func (c *Cluster) carryOut(m *Member, actions []node.Action) {
	barrier := uint64(0)
	for _, action := range actions {
		c.traceAction(m.id, action)
		switch a := action.(type) {
		case *node.Send:
			c.send(m, node.Clone(a.Message), barrier)
		case *node.Sync:
			barrier = a.Seq
			m.log.Sync(a.Seq)
			if n := len(m.syncs); a.Seq > m.log.synced && (n == 0 || m.syncs[n-1] < a.Seq) {
				m.syncs = append(m.syncs, a.Seq)
			}
		case *node.Apply:
			m.jobs = append(m.jobs, job{kind: applyJob, entries: a.Entries})
		case *node.ReadEntries:
			m.addTask(Task{Kind: TaskRead, Read: *a, early: m.log.Read(a.Lo, a.Hi, a.BytesMax)})
		case *node.TakeSnapshot:
			m.jobs = append(m.jobs, job{kind: takeJob, meta: a.Meta})
		case *node.RestoreSnapshot:
			m.jobs = append(m.jobs, job{kind: restoreJob, meta: a.Meta})
		case *node.SendSnapshot:
			message, _ := node.Clone(a.Message).(*node.InstallSnapshot)
			m.transfers = append(m.transfers, &transfer{to: a.To, message: message})
			c.leave(m, message)
		case *node.AcceptSnapshot:
			message, _ := node.Clone(a.Message).(*node.InstallSnapshot)
			c.put(&Flight{From: message.From, To: m.id, Message: message, Payload: c.state(message.Meta.Handle)})
		}
	}
	if !m.slow {
		c.work(m, len(m.jobs))
	}
}

// send puts a message on the network, or holds it back for the sync that it stands behind.
func (c *Cluster) send(m *Member, message node.Message, barrier uint64) {
	if barrier > m.log.synced {
		m.held = append(m.held, heldMessage{barrier, message})
		return
	}
	c.leave(m, message)
}

func (c *Cluster) leave(m *Member, message node.Message) {
	c.check(c.checker.left(m, message))
	c.put(&Flight{From: m.id, To: message.Head().To, Message: message})
}

func (m *Member) addTask(t Task) {
	m.asked++
	t.Number = m.asked
	m.tasks = append(m.tasks, &t)
}

// CompleteSync tells a member that everything is durable that it had staged up to seq, and lets the
// messages go that waited for it.
func (c *Cluster) CompleteSync(id node.ID, seq uint64) {
	m := c.running(id)
	if c.err != nil || m.paused || m.failed != nil {
		return
	}
	m.log.Complete(seq)
	c.check(c.checker.completed(m))
	for len(m.syncs) > 0 && m.syncs[0] <= seq {
		m.syncs = m.syncs[1:]
	}
	kept := m.held[:0]
	for _, h := range m.held {
		if h.seq > seq {
			kept = append(kept, h)
			continue
		}
		c.leave(m, h.message)
	}
	m.held = kept
	c.Step(id, &node.Synced{Seq: seq})
}

// CompleteAll completes all syncs of a member that are under way, merged into one. It tells whether
// there were any.
func (c *Cluster) CompleteAll(id node.ID) bool {
	syncs := c.running(id).syncs
	if len(syncs) == 0 {
		return false
	}
	c.CompleteSync(id, syncs[len(syncs)-1])
	return true
}

// CrashDurable is [Cluster.Crash] at a moment when the disk has done its part up to seq, and the
// member has not been told.
func (c *Cluster) CrashDurable(id node.ID, seq uint64) {
	m := c.running(id)
	m.log.Complete(seq)
	c.check(c.checker.completed(m))
	c.Crash(id)
}

// CrashTorn is [Cluster.Crash] when the disk has done the oldest writes of those under way, which may be
// a part only of what one step has staged.
func (c *Cluster) CrashTorn(id node.ID, writes int) {
	m := c.running(id)
	m.log.Tear(writes)
	c.check(c.checker.completed(m))
	c.Crash(id)
}

// Do lets the member's i-th task happen: a read finds what the log holds now, and a snapshot becomes
// durable.
func (c *Cluster) Do(id node.ID, i int) { c.finish(id, i, true) }

// Fail lets the member's i-th task go wrong: a snapshot cannot be taken. A read that goes wrong finds
// what the log held when it was asked for.
func (c *Cluster) Fail(id node.ID, i int) { c.finish(id, i, false) }

func (c *Cluster) finish(id node.ID, i int, well bool) {
	m := c.running(id)
	if i < 0 || i >= len(m.tasks) {
		panic(fmt.Sprintf("nodetest: member %d has no task %d", id, i))
	}
	if c.err != nil || m.paused || m.failed != nil {
		return
	}
	t := m.tasks[i]
	m.tasks = append(m.tasks[:i:i], m.tasks[i+1:]...)
	switch t.Kind {
	case TaskRead:
		entries := t.early
		if well {
			entries = m.log.Read(t.Read.Lo, t.Read.Hi, t.Read.BytesMax)
		}
		c.Step(id, &node.EntriesRead{For: t.Read.For, Lo: t.Read.Lo, Hi: t.Read.Hi, Entries: entries})
	case TaskTake:
		if !well {
			c.Step(id, &node.SnapshotFailed{Index: t.Meta.Index})
			return
		}
		meta := t.Meta
		meta.Handle = c.store(t.state)
		c.Step(id, &node.Snapshotted{Meta: meta})
	case TaskRestore:
		c.Step(id, &node.Restored{Index: t.Meta.Index})
	case TaskReport:
		c.Step(id, &node.SnapshotSent{Peer: t.To, OK: t.OK})
	}
}

// store keeps a state and returns its handle.
func (c *Cluster) store(s *State) any {
	c.states = append(c.states, s)
	return len(c.states)
}

// state finds the state of a handle. A handle that a test made up stands for the empty state.
func (c *Cluster) state(handle any) *State {
	if at, ok := handle.(int); ok && at > 0 && at <= len(c.states) {
		return c.states[at-1]
	}
	return &State{}
}
