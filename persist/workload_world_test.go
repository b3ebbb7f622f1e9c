package persist

import (
	"fmt"
	"maps"
	"slices"

	"example.com/raftactor/node"
)

// What a store must not forget, kept by the tests beside it: what they compare a store with that has been opened again.

// A world is all that a store holds. It is never changed: a change makes another one.
type world struct {
	cluster string
	members map[MemberName]*view
}

// A view is all that one member holds. It is never changed.
type view struct {
	life     node.Incarnation
	founding node.Configuration
	hard     node.HardState
	met      []node.Acquaintance // by id
	snapshot node.SnapshotMeta
	content  string // of the snapshot
	first    node.Index
	before   node.Term // of the entry in front of first
	entries  []node.Entry
}

func (v *view) last() node.Index { return v.first + node.Index(len(v.entries)) - 1 }

// term is that of an entry that is held, or of the one in front of them.
func (v *view) term(i node.Index) node.Term {
	if i < v.first {
		return v.before
	}
	return v.entries[i-v.first].Term
}

// with is the world in which a member is another one. Nil: it is not there.
func (w *world) with(name MemberName, v *view) *world {
	changed := &world{cluster: w.cluster, members: maps.Clone(w.members)}
	if v == nil {
		delete(changed.members, name)
	} else {
		changed.members[name] = v
	}
	return changed
}

// withCluster is the world that belongs to a cluster.
func (w *world) withCluster(cluster string) *world {
	return &world{cluster: cluster, members: w.members}
}

// names lists the members, in order.
func (w *world) names() []MemberName {
	return slices.SortedFunc(maps.Keys(w.members), MemberName.compare)
}

// differs says what is not the same in another world: found, where w is expected. It is empty if all is.
func (w *world) differs(found *world) string {
	if found.cluster != w.cluster {
		return fmt.Sprintf("cluster %q, not %q", found.cluster, w.cluster)
	}
	for name := range found.members {
		if w.members[name] == nil {
			return fmt.Sprintf("member %v is there, and should not be", name)
		}
	}
	for name, v := range w.members {
		other := found.members[name]
		if other == nil {
			return fmt.Sprintf("member %v is not there", name)
		}
		if text := v.differs(other); text != "" {
			return fmt.Sprintf("member %v: %s", name, text)
		}
	}
	return ""
}

func (v *view) differs(found *view) string {
	switch {
	case found.life != v.life:
		return fmt.Sprintf("life %x, not %x", found.life, v.life)
	case !found.founding.Equal(v.founding):
		return fmt.Sprintf("founding members %v, not %v", found.founding, v.founding)
	case found.hard != v.hard:
		return fmt.Sprintf("hard state %+v, not %+v", found.hard, v.hard)
	case !slices.Equal(found.met, v.met):
		return fmt.Sprintf("met %v, not %v", found.met, v.met)
	case !equalMeta(found.snapshot, v.snapshot):
		return fmt.Sprintf("snapshot %+v, not %+v", found.snapshot, v.snapshot)
	case found.content != v.content:
		return fmt.Sprintf("the snapshot at %d holds %q, not %q", v.snapshot.Index, found.content, v.content)
	case found.first != v.first || found.before != v.before || len(found.entries) != len(v.entries):
		return fmt.Sprintf("entries %d to %d behind term %d, not %d to %d behind term %d",
			found.first, found.last(), found.before, v.first, v.last(), v.before)
	}
	for i, e := range v.entries {
		if f := found.entries[i]; f.Index != e.Index || f.Term != e.Term || f.Kind != e.Kind || string(f.Data) != string(e.Data) {
			return fmt.Sprintf("entry %d: %v of term %d with %.40q, not entry %d: %v of term %d with %.40q",
				f.Index, f.Kind, f.Term, f.Data, e.Index, e.Kind, e.Term, e.Data)
		}
	}
	return ""
}

func equalMeta(a, b node.SnapshotMeta) bool {
	return a.Index == b.Index && a.Term == b.Term && a.ConfigurationIndex == b.ConfigurationIndex &&
		a.Handle == b.Handle && a.Configuration.Equal(b.Configuration)
}

// readWorld reads all that a store holds, every entry from disk. It opens the members that are not open, and leaves
// them so in open.
func readWorld(s *Store, open map[MemberName]node.Storage) (*world, error) {
	w := &world{cluster: s.clusterID(), members: map[MemberName]*view{}}
	for _, name := range s.Members() {
		if open[name] == nil {
			m, err := s.Open(name.Group, name.ID)
			if err != nil {
				return nil, err
			}
			open[name] = m
		}
		v, err := readView(open[name])
		if err != nil {
			return nil, fmt.Errorf("member %v: %w", name, err)
		}
		w.members[name] = v
	}
	return w, nil
}

func readView(m node.Storage) (*view, error) {
	log := m.Log()
	v := &view{
		life: log.Incarnation(), founding: log.Founding(), hard: log.HardState(), met: log.Met(),
		snapshot: log.Snapshot(), first: log.FirstIndex(),
	}
	slices.SortFunc(v.met, func(a, b node.Acquaintance) int { return int(a.ID) - int(b.ID) })
	var err error
	if v.before, err = log.Term(v.first - 1); err != nil {
		return nil, err
	}
	if last := log.LastIndex(); last >= v.first {
		if v.entries, err = m.ReadEntries(v.first, last+1, 1<<30); err != nil {
			return nil, err
		}
		if n := len(v.entries); n != int(last+1-v.first) {
			return nil, fmt.Errorf("%d entries can be read of %d to %d", n, v.first, last)
		}
	}
	if err := v.checkIndexes(log); err != nil {
		return nil, err
	}
	if v.snapshot.Index > 0 {
		v.content, err = readSnapshot(m, v.snapshot)
	}
	return v, err
}

// checkIndexes holds what the log knows of its entries without reading them against what has been read.
func (v *view) checkIndexes(log node.Log) error {
	configurations, err := log.Configurations()
	if err != nil {
		return err
	}
	for _, e := range v.entries {
		if term, err := log.Term(e.Index); err != nil || term != e.Term {
			return fmt.Errorf("the term of entry %d is said to be %d, and is %d: %w", e.Index, term, e.Term, err)
		}
		if e.Kind != node.EntryConfiguration || e.Index <= v.snapshot.Index {
			continue
		}
		if len(configurations) == 0 || configurations[0].Index != e.Index || string(configurations[0].Data) != string(e.Data) {
			return fmt.Errorf("the configuration in entry %d is not known", e.Index)
		}
		configurations = configurations[1:]
	}
	if len(configurations) > 0 {
		return fmt.Errorf("a configuration is known in entry %d, where there is none", configurations[0].Index)
	}
	return nil
}

func readSnapshot(m node.Storage, meta node.SnapshotMeta) (string, error) {
	r, err := m.OpenSnapshot(meta)
	if err != nil {
		return "", err
	}
	content := make([]byte, r.Size())
	if _, err := r.ReadAt(content, 0); err != nil && len(content) > 0 {
		r.Close()
		return "", err
	}
	return string(content), r.Close()
}
