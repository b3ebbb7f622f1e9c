package persist

import (
	"fmt"
	"slices"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
)

// A state is what the log says of a member: what reading its records in order gives. The writer keeps it up to
// date by the same method as recovery, so that both know the same.
type state struct {
	key node.Incarnation
	// last is the index of the last entry, and entries are where those behind through lie. Only during recovery can some at
	// their start be missing.
	last    node.Index
	entries runs
	name    MemberName

	founding node.Configuration
	hard     node.HardState
	met      []node.Acquaintance
	snapshot node.SnapshotMeta
	// through and throughTerm are index and term of the last entry that is released.
	through     node.Index
	throughTerm node.Term
	// configurations are the configuration entries behind the snapshot.
	configurations []node.Entry
	// known: the record that makes the member known is there. deleted: the one that ends it is.
	known, deleted bool

	// cluster is set where the key is zero: then the state is the store's own.
	cluster string
}

// place is where a record begins.
type place struct {
	segment *logSegment
	offset  int64
}

// apply takes a record over. An error means that the record cannot follow those before it.
func (s *state) apply(r format.Record, at place) error {
	if s.deleted {
		return fmt.Errorf("a record of kind %v of a member that has been deleted", r.Kind)
	}
	switch r.Kind {
	case format.KindMember:
		m, err := r.Member()
		if name := (MemberName{m.Group, m.ID}); err == nil && name != s.name {
			err = fmt.Errorf("the key of %v is said to be that of %v", s.name, name)
		}
		s.known = true
		return err
	case format.KindEntry:
		return s.append(r, at)
	case format.KindTruncate:
		return s.truncate(r)
	case format.KindHardState:
		hard, err := r.HardState()
		s.hard = hard
		return err
	case format.KindMet:
		a, err := r.Met()
		s.met = withMet(s.met, a)
		return err
	case format.KindFounding:
		founding, err := r.Founding()
		s.founding = founding
		return err
	case format.KindCompact:
		return s.compact(r)
	case format.KindInstall:
		return s.install(r)
	case format.KindCheckpoint:
		return s.checkpoint(r)
	case format.KindCluster:
		s.cluster = r.Cluster()
		return nil
	case format.KindDelete:
		s.deleted = true
		s.entries, s.configurations = nil, nil
		return nil
	default:
		return fmt.Errorf("a record of the unknown kind %v", r.Kind)
	}
}

func (s *state) append(r format.Record, at place) error {
	e, err := r.Entry()
	if err != nil {
		return err
	}
	if err := s.appendRun(e.Index, 1, e.Term, at, int64(format.RecordHeaderBytes+len(r.Body))); err != nil {
		return err
	}
	if e.Kind == node.EntryConfiguration {
		e.Data = slices.Clone(e.Data)
		s.configurations = append(s.configurations, e)
	}
	return nil
}

// appendRun takes over entries of one term, none a configuration, whose records lie one behind the other.
func (s *state) appendRun(first, entries node.Index, term node.Term, at place, bytes int64) error {
	if first != s.last+1 {
		return fmt.Errorf("entry %d follows entry %d", first, s.last)
	}
	s.last += entries
	s.entries.append(first, term, at, bytes)
	return nil
}

func (s *state) truncate(r format.Record) error {
	from, err := r.Truncate()
	if err != nil {
		return err
	}
	if from <= s.through || from <= s.snapshot.Index || from > s.last {
		return fmt.Errorf("truncation from %d, with entries %d to %d and a snapshot at %d",
			from, s.through+1, s.last, s.snapshot.Index)
	}
	s.last = from - 1
	s.entries.truncate(from)
	if s.last == s.through {
		s.entries = nil // what is left of a run has been released
	}
	s.configurations = withoutFrom(s.configurations, from)
	return nil
}

func (s *state) compact(r format.Record) error {
	c, err := r.Compaction()
	if err != nil {
		return err
	}
	if c.Through < s.through || c.Through > c.Snapshot.Index || c.Snapshot.Index > s.last {
		return fmt.Errorf("release through %d behind a snapshot at %d, with entries %d to %d",
			c.Through, c.Snapshot.Index, s.through+1, s.last)
	}
	s.setSnapshot(c.Snapshot)
	s.entries.release(c.Through, s.last)
	s.through, s.throughTerm = c.Through, c.ThroughTerm
	return nil
}

func (s *state) install(r format.Record) error {
	meta, err := r.Install()
	if err != nil {
		return err
	}
	if meta.Index < s.snapshot.Index {
		return fmt.Errorf("a snapshot at %d in the place of one at %d", meta.Index, s.snapshot.Index)
	}
	s.setSnapshot(meta)
	s.configurations, s.entries = nil, nil
	s.through, s.throughTerm, s.last = meta.Index, meta.Term, meta.Index
	return nil
}

func (s *state) setSnapshot(meta node.SnapshotMeta) {
	s.snapshot = meta
	s.configurations = withoutThrough(s.configurations, meta.Index)
}

// checkpoint takes over how far a member's log reached at the start of a segment, or holds it against what is
// known from the segments in front of it.
func (s *state) checkpoint(r format.Record) error {
	c, err := r.Checkpoint()
	if err != nil {
		return err
	}
	if s.last == 0 && s.through == 0 && s.snapshot.Index == 0 {
		s.through, s.throughTerm, s.last, s.snapshot = c.Through, c.ThroughTerm, c.Last, c.Snapshot
		return nil
	}
	if c.Through != s.through || c.Last != s.last ||
		c.Snapshot.Index != s.snapshot.Index || c.Snapshot.Handle != s.snapshot.Handle {
		return fmt.Errorf("a segment begins with entries %d to %d and a snapshot at %d, "+
			"and those before it end with %d to %d and %d",
			c.Through+1, c.Last, c.Snapshot.Index, s.through+1, s.last, s.snapshot.Index)
	}
	return nil
}

// missing returns the last index of those entries at the start that are not there, or zero.
func (s *state) missing() node.Index {
	switch {
	case s.last == s.through:
		return 0
	case len(s.entries) == 0:
		return s.last
	case s.entries.first() > s.through+1:
		return s.entries.first() - 1
	default:
		return 0
	}
}

// withMet returns the acquaintances with one replaced, added or, if its incarnation is zero, taken out.
func withMet(met []node.Acquaintance, a node.Acquaintance) []node.Acquaintance {
	met = slices.DeleteFunc(met, func(other node.Acquaintance) bool { return other.ID == a.ID })
	if a.Incarnation != 0 {
		met = append(met, a)
	}
	return met
}

// withoutFrom returns the entries in front of from, of those in order.
func withoutFrom(entries []node.Entry, from node.Index) []node.Entry {
	n := len(entries)
	for n > 0 && entries[n-1].Index >= from {
		n--
	}
	return entries[:n]
}

// withoutThrough returns the entries behind through.
func withoutThrough(entries []node.Entry, through node.Index) []node.Entry {
	return slices.DeleteFunc(entries, func(e node.Entry) bool { return e.Index <= through })
}
