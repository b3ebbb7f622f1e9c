package nodetest

import (
	"bytes"
	"fmt"

	"example.com/raftactor/node"
)

// commits looks at what a member takes for committed: a leader makes it so, by what is durable on a
// majority, and everybody else hears of it.
func (k *checker) commits(m *Member, was, v *view) error {
	if v.commit == was.commit {
		return nil
	}
	term, err := m.log.Term(v.commit)
	if err != nil {
		return fmt.Errorf("member %d: commit %d is not in its log: %w", m.id, v.commit, err)
	}
	if c := k.at(v.commit); c != nil {
		if c.entry.Term != term {
			return fmt.Errorf("state machine safety: member %d takes index %d of term %d for committed, and it is of term %d",
				m.id, v.commit, term, c.entry.Term)
		}
		return nil
	}
	if v.role != node.Leader && was.role != node.Leader {
		return fmt.Errorf("member %d takes index %d for committed, and no leader has committed it", m.id, v.commit)
	}
	if term != v.term {
		return fmt.Errorf("member %d commits index %d of term %d by counting, and leads term %d", m.id, v.commit, term, v.term)
	}
	if err := k.isOnQuorum(m, position{v.commit, term}); err != nil {
		return err
	}
	return k.extend(m, v)
}

// isOnQuorum tells whether an entry is durable on a majority of voters.
func (k *checker) isOnQuorum(m *Member, at position) error {
	configuration := m.node.Configuration()
	count := 0
	for _, voter := range configuration.Members {
		if voter.Suffrage != node.Voter {
			continue
		}
		incarnation := known(m.log.durable, voter)
		if voter.ID == m.id {
			incarnation = m.log.Incarnation()
		}
		if s := k.storages[life{voter.ID, incarnation}]; s != nil && holds(s.durable, at) {
			count++
		}
	}
	if count <= configuration.VoterCount()/2 {
		return fmt.Errorf("member %d commits %+v, which is durable on %d voters of %v", m.id, at, count, configuration)
	}
	return nil
}

// extend notes what a leader has committed.
func (k *checker) extend(m *Member, v *view) error {
	for k.end() < v.commit {
		entries, err := m.log.written.Entries(k.end()+1, v.commit+1, 1<<30)
		if err != nil {
			return fmt.Errorf("member %d commits %d without having %d: %w", m.id, v.commit, k.end()+1, err)
		}
		for _, e := range entries {
			if k.dead[position{e.Index, e.Term}] {
				return fmt.Errorf("member %d commits index %d of term %d, which was said to be superseded", m.id, e.Index, e.Term)
			}
			k.commit(e, v.term)
		}
	}
	return nil
}

func (k *checker) commit(e node.Entry, by node.Term) {
	hash := uint64(0)
	if c := k.at(k.end()); c != nil {
		hash = c.hash
	}
	if e.Kind == node.EntryConfiguration {
		k.configurations = append(k.configurations, e.Index)
	}
	k.committed = append(k.committed, commitment{entry: e, by: by, hash: chain(hash, &e)})
}

// acts looks at the actions of a step that concern the machine and the group.
func (k *checker) acts(m *Member, v *view, actions []node.Action) error {
	for _, action := range actions {
		var err error
		switch a := action.(type) {
		case *node.Apply:
			if err = k.applies(m, v, a.Entries); err == nil {
				err = v.hand(a.Entries)
			}
		case *node.RestoreSnapshot:
			if a.Meta.Index < v.applied {
				err = fmt.Errorf("member %d: its machine goes back from %d to a snapshot at %d", m.id, v.applied, a.Meta.Index)
			}
			v.applied = a.Meta.Index
		case *node.TakeSnapshot:
			if a.Meta.Index != v.applied {
				err = fmt.Errorf("member %d takes a snapshot at %d, and has applied %d", m.id, a.Meta.Index, v.applied)
			} else {
				err = k.covered(m.id, a.Meta)
			}
		case *node.LeaderChanged:
			if l, ok := k.leaders[a.Term]; a.Leader != node.None && (!ok || l.id != a.Leader) {
				err = fmt.Errorf("member %d takes %d for the leader of term %d, and that is %d", m.id, a.Leader, a.Term, l.id)
			}
		case *node.MembershipChanged:
			err = k.adopts(m.id, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applies compares entries that are applied with those that are committed (§3.6.3).
func (k *checker) applies(m *Member, v *view, entries []node.Entry) error {
	for i := range entries {
		e := &entries[i]
		c := k.at(e.Index)
		switch {
		case e.Index != v.applied+1:
			return fmt.Errorf("member %d applies index %d after %d", m.id, e.Index, v.applied)
		case c == nil:
			return fmt.Errorf("member %d applies index %d, which is not committed", m.id, e.Index)
		case e.Term != c.entry.Term || e.Kind != c.entry.Kind || !bytes.Equal(e.Data, c.entry.Data):
			return fmt.Errorf("state machine safety: member %d applies %s, and committed is %s", m.id,
				formatEntries(entries[i:i+1]), formatEntries([]node.Entry{c.entry}))
		case !holds(m.log.durable, position{e.Index, e.Term}):
			return fmt.Errorf("member %d applies index %d, which is not durable there", m.id, e.Index)
		}
		v.applied = e.Index
	}
	return nil
}

// What nodes count for an entry beside its data, and how much they hand over unless they are told.
const (
	entryBytesOverhead       = 32
	unappliedBytesMaxDefault = 64 << 20
)

// hand notes entries that are handed over, and finds that it was too much: before the last entry there must
// have been room.
func (v *view) hand(entries []node.Entry) error {
	before := v.unappliedBytes
	for i := range entries {
		before = v.unappliedBytes
		v.unappliedBytes += len(entries[i].Data) + entryBytesOverhead
	}
	v.unapplied = append(v.unapplied, entries...)
	if before >= v.unappliedBytesMax {
		return fmt.Errorf("member %d hands over index %d when %d bytes wait to be applied, and %d may",
			v.life.id, entries[len(entries)-1].Index, before, v.unappliedBytesMax)
	}
	return nil
}

// report notes that the machine has applied everything up to an index.
func (v *view) report(through node.Index) {
	for len(v.unapplied) > 0 && v.unapplied[0].Index <= through {
		v.unappliedBytes -= len(v.unapplied[0].Data) + entryBytesOverhead
		v.unapplied = v.unapplied[1:]
	}
}

// settled compares the machine with that of everybody else at the same index.
func (k *checker) settled(m *Member, v *view) error {
	want := uint64(0)
	if c := k.at(m.machine.Index); c != nil {
		want = c.hash
	}
	if m.machine.Hash != want {
		return fmt.Errorf("member %d: its machine is at index %d with hash %x, want %x",
			m.id, m.machine.Index, m.machine.Hash, want)
	}
	if len(m.jobs) == 0 && m.machine.Index != v.applied {
		return fmt.Errorf("member %d: its machine is at index %d and has nothing to do, and %d was handed over",
			m.id, m.machine.Index, v.applied)
	}
	if v.applied > v.commit {
		return fmt.Errorf("member %d has applied %d, and takes %d for committed", m.id, v.applied, v.commit)
	}
	return nil
}

// adopts looks at a configuration that is told of as committed.
func (k *checker) adopts(id node.ID, a *node.MembershipChanged) error {
	if !a.Committed {
		return nil
	}
	c := k.at(a.Index)
	if c == nil || !bytes.Equal(c.entry.Data, a.Configuration.Encode()) {
		return fmt.Errorf("member %d tells of configuration %v at %d as committed, and it is not", id, a.Configuration, a.Index)
	}
	return nil
}
