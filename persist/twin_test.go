package persist

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"example.com/raftactor/node"
)

// A twin is a member of a store, and beside it a log in memory to which the same is done.
type twin struct {
	name    MemberName
	storage node.Storage
	model   *node.MemoryLog
	// changes are all that has been done, and states how many of them there were at each sync. The first is from before all
	// of them.
	changes []func(node.Log) error
	states  []int
	// durable is the newest of them that is known to be durable. Others may be.
	durable int
	// asked and told count syncs and answers: who asks twice may be told once.
	asked, told uint64
	// err is what was told first.
	err error
	// surprises are broken promises.
	surprises []error
}

// open begins with what is durable.
func (w *twin) open(s *Store) error {
	storage, err := s.Open(w.name.Group, w.name.ID)
	if err != nil {
		return err
	}
	w.storage = storage
	if w.model == nil {
		w.model = node.NewMemoryLog(storage.Log().Incarnation())
		w.changes, w.states = nil, []int{0}
	}
	return nil
}

// at is the log as it was at a sync.
func (w *twin) at(state int) *node.MemoryLog {
	log := node.NewMemoryLog(w.model.Incarnation())
	for _, change := range w.changes[:w.states[state]] {
		if err := change(log); err != nil {
			panic(err) // it has been done before
		}
	}
	return log
}

// reopen begins with one of the states that may be durable: that which is there.
func (w *twin) reopen(s *Store) error {
	if err := w.open(s); err != nil {
		return err
	}
	var found error
	for k := len(w.states) - 1; k >= w.durable; k-- {
		log := w.at(k)
		err := w.equals(log)
		if err == nil {
			w.model, w.changes = log, w.changes[:w.states[k]:w.states[k]]
			w.states, w.durable = []int{len(w.changes)}, 0
			w.asked, w.told, w.err = 0, 0, nil
			return nil
		}
		found = errors.Join(found, fmt.Errorf("state %d of %d to %d: %w", k, w.durable, len(w.states)-1, err))
	}
	return fmt.Errorf("member %v is not as it was at any of the syncs that may be durable: %w", w.name, found)
}

// do does the same to both logs.
func (w *twin) do(change func(node.Log) error) error {
	if err := change(w.storage.Log()); err != nil {
		return err
	}
	if err := change(w.model); err != nil {
		return fmt.Errorf("the log in memory refuses what the durable one takes: %w", err)
	}
	w.changes = append(w.changes, change)
	return nil
}

// sync hands over what is staged. The answer comes later, if it does not come at once.
func (w *twin) sync() {
	w.states = append(w.states, len(w.changes))
	state := len(w.states) - 1
	w.asked++
	seq := w.asked
	if w.storage.Sync(seq, func(seq uint64, err error) { w.answer(seq, state, err) }) {
		w.answer(seq, state, nil)
	}
}

func (w *twin) answer(seq uint64, state int, err error) {
	switch {
	case seq <= w.told && err == nil && w.err == nil: // what is handed over later may be durable before
	case err != nil:
		if w.err == nil {
			w.err = err
		}
	case w.err != nil:
		w.surprises = append(w.surprises, fmt.Errorf("sync %d is acknowledged after an error: %w", seq, w.err))
	default:
		w.durable = max(w.durable, state)
	}
	w.told = max(w.told, seq)
}

// append appends entries of a term, of so many bytes.
func (w *twin) append(term node.Term, lengths ...int) error {
	next := w.model.LastIndex() + 1
	entries := make([]node.Entry, len(lengths))
	for k, length := range lengths {
		i := next + node.Index(k)
		entries[k] = node.Entry{Index: i, Term: term, Kind: node.EntryCommand, Data: payload(i, term, length)}
		if length%5 == 0 {
			entries[k].Kind, entries[k].Data = node.EntryConfiguration, node.Voters(1, node.ID(i+1)).Encode()
		}
	}
	return w.do(func(l node.Log) error { return l.Append(slices.Clone(entries)) })
}

func (w *twin) truncate(from node.Index) error {
	return w.do(func(l node.Log) error { return l.Truncate(from) })
}

// snapshot writes a snapshot.
func (w *twin) snapshot(index node.Index, term node.Term, length int) (node.SnapshotMeta, error) {
	meta := node.SnapshotMeta{Index: index, Term: term, Configuration: node.Voters(1, 2), ConfigurationIndex: 1}
	writer, err := w.storage.CreateSnapshot(meta)
	if err != nil {
		return meta, err
	}
	defer writer.Abort()
	if _, err := writer.Write(payload(index, term, length)); err != nil {
		return meta, err
	}
	meta.Handle, err = writer.Commit()
	return meta, err
}

// compact takes a snapshot at an index, and releases entries.
func (w *twin) compact(index, through node.Index, length int) error {
	term, err := w.model.Term(index)
	if err != nil {
		return err
	}
	meta, err := w.snapshot(index, term, length)
	if err != nil {
		return err
	}
	return w.do(func(l node.Log) error { return l.Compact(meta, through) })
}

func (w *twin) install(index node.Index, term node.Term, length int) error {
	meta, err := w.snapshot(index, term, length)
	if err != nil {
		return err
	}
	return w.do(func(l node.Log) error { return l.Install(meta) })
}

// compare holds the member against its twin.
func (w *twin) compare() error { return w.equals(w.model) }

func (w *twin) equals(want *node.MemoryLog) error {
	got := w.storage.Log()
	switch {
	case got.Incarnation() != want.Incarnation():
		return fmt.Errorf("life %v, want %v", got.Incarnation(), want.Incarnation())
	case got.HardState() != want.HardState():
		return fmt.Errorf("hard state %+v, want %+v", got.HardState(), want.HardState())
	case !got.Founding().Equal(want.Founding()):
		return fmt.Errorf("founding %v, want %v", got.Founding(), want.Founding())
	case !slices.Equal(sortedMet(got), sortedMet(want)):
		return fmt.Errorf("met %v, want %v", got.Met(), want.Met())
	case !reflect.DeepEqual(got.Snapshot(), want.Snapshot()):
		return fmt.Errorf("snapshot %+v, want %+v", got.Snapshot(), want.Snapshot())
	case got.FirstIndex() != want.FirstIndex() || got.LastIndex() != want.LastIndex():
		return fmt.Errorf("entries %d to %d, want %d to %d",
			got.FirstIndex(), got.LastIndex(), want.FirstIndex(), want.LastIndex())
	}
	gotConfigurations, err := got.Configurations()
	wantConfigurations, _ := want.Configurations()
	if err != nil || !equalEntries(gotConfigurations, wantConfigurations) {
		return fmt.Errorf("configurations %v, %w, want %v", gotConfigurations, err, wantConfigurations)
	}
	for i := want.FirstIndex() - 1; i <= want.LastIndex(); i++ {
		gotTerm, err := got.Term(i)
		if wantTerm, _ := want.Term(i); err != nil || gotTerm != wantTerm {
			return fmt.Errorf("term %d of entry %d, %w, want %d", gotTerm, i, err, wantTerm)
		}
	}
	if err := w.sameEntries(want); err != nil {
		return err
	}
	return w.sameState(want.Snapshot())
}

func sortedMet(l node.Log) []node.Acquaintance {
	return slices.SortedFunc(slices.Values(l.Met()), func(a, b node.Acquaintance) int { return int(a.ID) - int(b.ID) })
}

// sameEntries reads all entries, from memory where they are, and else from disk. Reading from disk what is in memory too
// may come too early or too late, but is never wrong.
func (w *twin) sameEntries(want *node.MemoryLog) error {
	last := want.LastIndex()
	for i := want.FirstIndex(); i <= last; {
		got, err := w.storage.Log().Entries(i, last+1, 500)
		inMemory := !errors.Is(err, node.ErrNotInMemory)
		fromDisk, diskErr := w.storage.ReadEntries(i, last+1, 500)
		if diskErr != nil {
			return diskErr
		}
		if !inMemory {
			got, err = fromDisk, nil
		}
		if err != nil || len(got) == 0 {
			return fmt.Errorf("%d entries at %d, %w", len(got), i, err)
		}
		for _, entries := range [][]node.Entry{got, fromDisk} {
			for k, e := range entries {
				expected, _ := want.Entries(i+node.Index(k), i+node.Index(k)+1, 0)
				if !equalEntries([]node.Entry{e}, expected) {
					return fmt.Errorf("entry %d of term %d in the place of %d of term %d",
						e.Index, e.Term, expected[0].Index, expected[0].Term)
				}
			}
		}
		i += node.Index(len(got))
	}
	return nil
}

func (w *twin) sameState(meta node.SnapshotMeta) error {
	if meta.Index == 0 {
		return nil
	}
	state, err := readState(w.storage, meta)
	if err != nil {
		return err
	}
	if !bytes.Equal(state, payload(meta.Index, meta.Term, len(state))) {
		return fmt.Errorf("the snapshot at %d holds another state", meta.Index)
	}
	return nil
}
