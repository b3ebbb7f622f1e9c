package nodetest

import (
	"hash/fnv"

	"example.com/raftactor/node"
)

// job is something that a machine has to do. Machines do their jobs in order.
type job struct {
	kind    jobKind
	entries []node.Entry
	meta    node.SnapshotMeta
}

type jobKind uint8

const (
	applyJob jobKind = iota
	takeJob
	restoreJob
)

// Slow makes a member's machine slow, or fast again. A fast machine, which they all are at first, has done its
// jobs before anything else happens. A slow one does them only when [Cluster.Work] says so, and
// [Cluster.Settle] does not wait for it.
func (c *Cluster) Slow(id node.ID, slow bool) {
	m := c.running(id)
	m.slow = slow
	if !slow {
		c.work(m, len(m.jobs))
	}
}

// Work lets a member's machine do the oldest of its jobs, so many or as many as there are, and has it report
// how far it is, if that is news. What fast machines have done is reported by this too, or by [Cluster.Settle].
func (c *Cluster) Work(id node.ID, jobs int) {
	m := c.running(id)
	if c.err != nil || m.paused || m.failed != nil {
		return
	}
	c.work(m, min(jobs, len(m.jobs)))
	if m.machine.Index > m.reported {
		m.reported = m.machine.Index
		c.Step(id, &node.MachineApplied{Index: m.reported})
	}
}

func (c *Cluster) work(m *Member, jobs int) {
	for _, j := range m.jobs[:jobs] {
		switch j.kind {
		case applyJob:
			for _, e := range j.entries {
				m.machine.apply(e)
			}
		case takeJob:
			m.addTask(Task{Kind: TaskTake, Meta: j.meta, state: m.machine.capture()})
		case restoreJob:
			m.machine = c.state(j.meta.Handle).capture()
			m.reported = max(m.reported, m.machine.Index) // by the task
			m.addTask(Task{Kind: TaskRestore, Meta: j.meta})
		}
	}
	m.jobs = append(m.jobs[:0], m.jobs[jobs:]...)
}

// State is what a member's machine holds: all that it has applied. A State that was captured shares
// what it has in common with later ones, and never changes.
type State struct {
	// Index is that of the last entry applied.
	Index node.Index
	// Entries are all that was applied, of every kind, from index 1 on.
	Entries []node.Entry
	// Hash is over Entries.
	Hash uint64
}

// apply takes one more entry in.
func (s *State) apply(e node.Entry) {
	s.Index = e.Index
	s.Entries = append(s.Entries, e)
	s.Hash = chain(s.Hash, &e)
}

// capture returns the state as it is now.
func (s *State) capture() *State {
	c := *s
	c.Entries = c.Entries[:len(c.Entries):len(c.Entries)]
	return &c
}

// Commands returns the commands applied, in order.
func (s *State) Commands() [][]byte {
	var commands [][]byte
	for i := range s.Entries {
		if s.Entries[i].Kind == node.EntryCommand {
			commands = append(commands, s.Entries[i].Data)
		}
	}
	return commands
}

// chain continues a hash over entries.
func chain(hash uint64, e *node.Entry) uint64 {
	for _, v := range [...]uint64{uint64(e.Index), uint64(e.Term), uint64(e.Kind), sum(e.Data)} {
		hash = (hash ^ v) * 0x9e3779b97f4a7c15
		hash ^= hash >> 29
	}
	return hash
}

func sum(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data)
	return h.Sum64()
}
