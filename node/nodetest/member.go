package nodetest

import "example.com/raftactor/node"

// A Member is one member of a [Cluster]: its storage, and while it is up a node, a machine and the
// work that its driver has to do.
type Member struct {
	id      node.ID
	config  node.Config
	log     *Log
	founder bool

	// node is nil while the member is down.
	node   *node.Node
	failed error
	paused bool
	// missed are the ticks of its pause.
	missed  int
	machine *State
	// jobs are what the machine has to do, in order. They wait if it is slow.
	jobs []job
	slow bool
	// reported is how far the node knows the machine to be.
	reported node.Index
	tasks    []*Task
	// asked is the number of the newest task.
	asked     uint64
	syncs     []uint64
	held      []heldMessage
	transfers []*transfer
}

// heldMessage leaves when seq has been completed.
type heldMessage struct {
	seq     uint64
	message node.Message
}

func (m *Member) up(n *node.Node) {
	m.node, m.machine = n, &State{}
	m.failed, m.paused, m.missed = nil, false, 0
	m.slow, m.reported = false, 0
	m.forget()
}

func (m *Member) down() {
	m.node, m.machine, m.failed, m.paused = nil, nil, nil, false
	m.forget()
}

// forget drops what lives in memory only.
func (m *Member) forget() {
	m.jobs, m.tasks, m.syncs, m.held, m.transfers = nil, nil, nil, nil, nil
}

// ID is the member's.
func (m *Member) ID() node.ID { return m.id }

// Node is the running node, or nil while the member is down.
func (m *Member) Node() *node.Node { return m.node }

// Up tells whether the member takes events: it is not down, failed or paused.
func (m *Member) Up() bool { return m.node != nil && m.failed == nil && !m.paused }

// Paused tells whether the member's process stands still.
func (m *Member) Paused() bool { return m.paused }

// Failed is the error that its node stopped with, or nil.
func (m *Member) Failed() error { return m.failed }

// Log is the member's storage.
func (m *Member) Log() *Log { return m.log }

// Machine is what has been applied, or nil while the member is down. It must not be changed.
func (m *Member) Machine() *State { return m.machine }

// Jobs is how many jobs wait for the member's machine: runs to apply, snapshots to take or restore.
func (m *Member) Jobs() int { return len(m.jobs) }

// Behind tells whether jobs wait for the member's machine, or the node does not know of all that it has done.
func (m *Member) Behind() bool {
	return len(m.jobs) > 0 || (m.machine != nil && m.machine.Index > m.reported)
}

// Config changes the configuration of the member's next starts.
func (m *Member) Config(change func(*node.Config)) { change(&m.config) }

// Syncs are the numbers of the syncs under way, in ascending order.
func (m *Member) Syncs() []uint64 { return m.syncs }

// Tasks is the work that the member's driver has to do. The order is that in which it was asked for.
func (m *Member) Tasks() []*Task { return m.tasks }

// Held are the messages that wait for a sync, in the order in which they were sent.
func (m *Member) Held() []node.Message {
	messages := make([]node.Message, len(m.held))
	for i := range m.held {
		messages[i] = m.held[i].message
	}
	return messages
}
