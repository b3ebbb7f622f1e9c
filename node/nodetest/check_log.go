package nodetest

import (
	"bytes"
	"fmt"

	"example.com/raftactor/node"
)

// staged looks at what the step has written: log matching (§3.5), leader append-only, and that
// nothing committed is removed.
func (k *checker) staged(m *Member) error {
	v := k.views[m.id]
	leads := v.role == node.Leader && m.node.Role() == node.Leader && v.term == m.node.Term()
	writes := m.log.unnamed()
	for i := range writes {
		w := &writes[i]
		var err error
		switch w.kind {
		case writeEntries:
			if err = k.appended(v, w); err == nil && leads {
				err = k.reconfigures(m, v, w)
			}
		case writeTruncation:
			v.reconfigured = true
			err = k.truncated(m.id, m.node.Term(), position{w.index, w.term})
		case writeCompaction:
			v.reconfigured = true
			err = k.covered(m.id, w.meta)
		case writeInstallation:
			v.reconfigured = true
			err = k.covered(m.id, w.meta)
		case writeHardState, writeMet:
		}
		if err == nil && leads && (w.kind == writeTruncation || w.kind == writeInstallation) {
			err = fmt.Errorf("member %d removes entries from its log, and leads term %d", m.id, v.term)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) appended(v *view, w *write) error {
	before := w.term
	for i := range w.entries {
		e := &w.entries[i]
		if err := k.wrote(v.life.id, e, before); err != nil {
			return err
		}
		if e.Kind == node.EntryConfiguration {
			v.reconfigured = true
		}
		before = e.Term
	}
	return nil
}

// reconfigures finds a change of membership that a leader begins too early: before it has committed
// in its own term, or before the previous change is committed (§4.1, and Ongaro's note of 2015).
func (k *checker) reconfigures(m *Member, v *view, w *write) error {
	if w.entries[0].Kind != node.EntryConfiguration {
		return nil
	}
	if c := k.at(v.commit); c == nil || c.entry.Term != v.term {
		return fmt.Errorf("member %d changes the membership in term %d before it has committed in it", m.id, v.term)
	}
	if v.configured > v.commit {
		return fmt.Errorf("member %d changes the membership before the change at %d is committed", m.id, v.configured)
	}
	return nil
}

// wrote compares an entry with the one that stands at its place in other logs.
func (k *checker) wrote(id node.ID, e *node.Entry, before node.Term) error {
	at := position{e.Index, e.Term}
	now := content{before: before, kind: e.Kind, sum: sum(e.Data)}
	known, ok := k.entries[at]
	if !ok {
		k.entries[at] = now
		return nil
	}
	if known != now {
		return fmt.Errorf("log matching: member %d has written %+v at %+v, where another has %+v", id, now, at, known)
	}
	return nil
}

// truncated finds the loss of a committed entry. In an earlier term than that in which it was
// committed a member may truncate it: it was not among those that made it committed.
func (k *checker) truncated(id node.ID, term node.Term, from position) error {
	if c := k.at(from.index); c != nil && c.entry.Term == from.term && term >= c.by {
		return fmt.Errorf("member %d truncates its log from %d in term %d, which was committed in term %d",
			id, from.index, term, c.by)
	}
	return nil
}

// covered looks at a snapshot: what it covers is committed, and the configuration is the one there.
func (k *checker) covered(id node.ID, meta node.SnapshotMeta) error {
	c := k.at(meta.Index)
	if c == nil || c.entry.Term != meta.Term {
		return fmt.Errorf("member %d has a snapshot at %d of term %d, which is not committed", id, meta.Index, meta.Term)
	}
	in := node.Index(0)
	for i := len(k.configurations) - 1; i >= 0 && in == 0; i-- {
		if k.configurations[i] <= meta.Index {
			in = k.configurations[i]
		}
	}
	if want := k.at(in); want == nil || meta.ConfigurationIndex != in ||
		!bytes.Equal(meta.Configuration.Encode(), want.entry.Data) {
		return fmt.Errorf("member %d has a snapshot at %d with configuration %v of index %d, and not that of index %d",
			id, meta.Index, meta.Configuration, meta.ConfigurationIndex, in)
	}
	return nil
}

func (k *checker) followsLogIfTouched(m *Member, v *view) error {
	if !v.reconfigured {
		return nil
	}
	return k.followsLog(m)
}

// followsLog compares the configuration in force with the last one in the log (§4.1).
func (k *checker) followsLog(m *Member) error {
	want := m.log.Snapshot().Configuration
	entries, err := m.log.Configurations()
	if err != nil {
		return err
	}
	k.views[m.id].configured = m.log.Snapshot().ConfigurationIndex
	if len(entries) > 0 {
		k.views[m.id].configured = entries[len(entries)-1].Index
		if want, err = node.DecodeConfiguration(entries[len(entries)-1].Data); err != nil {
			return err
		}
	}
	if got := m.node.Configuration(); !got.Equal(want) {
		return fmt.Errorf("member %d goes by configuration %v, and its log says %v", m.id, got, want)
	}
	return nil
}

// holds tells whether an image of a log has the entry, itself or in its snapshot.
func holds(image *node.MemoryLog, at position) bool {
	if at.index < image.FirstIndex() && at.index <= image.Snapshot().Index {
		return true
	}
	if at.index > image.LastIndex() {
		return false
	}
	term, err := image.Term(at.index)
	return err == nil && term == at.term
}
