package persist

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

var modelSeed = flag.Uint64("modelseed", 0, "the one seed that TestTheStoreIsLikeLogsInMemory runs; 0 is all of them")

const modelDir = "store"

// A life is a store that random things are done to, and whose members have twins in memory.
type life struct {
	rng   *rand.Rand
	disk  *simfs.FS
	store *Store
	twins []*twin
	// gone are the lives of members that have been deleted.
	gone map[node.Incarnation]bool
	done []string
}

func newLife(seed uint64) (*life, error) {
	w := &life{rng: rand.New(rand.NewPCG(seed, 2)), disk: simfs.New(), gone: map[node.Incarnation]bool{}}
	for i := range 1 + w.rng.IntN(3) {
		w.twins = append(w.twins, &twin{name: MemberName{Group: "g", ID: node.ID(i + 1)}})
	}
	return w, w.openStore()
}

// openStore opens the store with options that are not the same each time.
func (w *life) openStore() error {
	opts := onDisk(w.disk, w.rng.Uint64())
	opts.SegmentBytes = 4096 * int64(4+w.rng.IntN(20))
	opts.RecentBytesMax, opts.BatchBytesMax = 1, 1+w.rng.IntN(20_000)
	opts.SegmentsMax = 1 + w.rng.IntN(4)
	s, err := Open(modelDir, opts)
	if err != nil {
		return err
	}
	w.store = s
	for _, m := range w.twins {
		if err := m.reopen(s); err != nil {
			return err
		}
	}
	if t := s.Recovery().TailDropped; t != nil {
		return fmt.Errorf("a tail was dropped: %+v", t)
	}
	return nil
}

// A deed is one of the things that are done, with how often.
type deed struct {
	name  string
	often int
	do    func(*life, *twin) error
}

var deeds = []deed{
	{"append", 30, (*life).append},
	{"truncate", 8, (*life).truncate},
	{"back and forth", 4, (*life).backAndForth},
	{"metadata", 6, (*life).metadata},
	{"sync", 20, func(_ *life, m *twin) error { m.sync(); return nil }},
	{"commit", 20, func(w *life, _ *twin) error { w.store.commit(); return nil }},
	{"compact", 4, (*life).compact},
	{"install", 1, (*life).install},
	{"vouch", 2, func(w *life, _ *twin) error { w.store.vouch(); return nil }},
	{"reopen member", 3, (*life).reopenMember},
	{"reopen store", 2, (*life).reopenStore},
	{"kill", 2, (*life).kill},
	{"delete", 1, (*life).delete},
	{"compare", 10, func(_ *life, m *twin) error { return m.compare() }},
}

func (w *life) step() error {
	total := 0
	for _, d := range deeds {
		total += d.often
	}
	n := w.rng.IntN(total)
	for _, d := range deeds {
		if n -= d.often; n < 0 {
			m := w.twins[w.rng.IntN(len(w.twins))]
			w.done = append(w.done, fmt.Sprintf("%s %v", d.name, m.name))
			return d.do(w, m)
		}
	}
	panic("unreachable")
}

func (w *life) append(m *twin) error {
	var lengths []int
	for range 1 + w.rng.IntN(6) {
		lengths = append(lengths, w.rng.IntN(40))
		if w.rng.IntN(2) == 0 {
			lengths[len(lengths)-1] = w.rng.IntN(7000)
		}
	}
	return m.append(node.Term(1+w.rng.IntN(3)), lengths...)
}

// from draws an index from which the log of a member can be truncated, or zero.
func (w *life) from(m *twin) node.Index {
	lowest := max(m.model.FirstIndex(), m.model.Snapshot().Index+1)
	if m.model.LastIndex() < lowest {
		return 0
	}
	reach := min(m.model.LastIndex()-lowest+1, 1+node.Index(w.rng.IntN(40)))
	return m.model.LastIndex() + 1 - reach
}

func (w *life) truncate(m *twin) error {
	if from := w.from(m); from > 0 {
		return m.truncate(from)
	}
	return nil
}

// backAndForth replaces the end of a log, and then replaces it with what was there before. What becomes durable of the
// first must not be taken for the last.
func (w *life) backAndForth(m *twin) error {
	from := w.from(m)
	if from == 0 {
		return nil
	}
	var lengths []int
	for range 12 {
		lengths = append(lengths, 5001)
	}
	for _, term := range []node.Term{1, 2, 1} {
		if err := errors.Join(m.truncate(from), m.append(term, lengths...)); err != nil {
			return err
		}
		if w.rng.IntN(2) == 0 {
			m.sync()
		}
		if w.rng.IntN(2) == 0 {
			w.store.commit()
		}
		if err := m.compare(); err != nil {
			return err
		}
	}
	return nil
}

func (w *life) metadata(m *twin) error {
	switch w.rng.IntN(4) {
	case 0:
		met := node.Acquaintance{ID: node.ID(1 + w.rng.IntN(3)), Incarnation: node.Incarnation(w.rng.IntN(3))}
		return m.do(func(l node.Log) error { return l.SetMet(met) })
	case 1:
		founding := node.Voters(1, node.ID(2+w.rng.IntN(9)))
		return m.do(func(l node.Log) error { return l.SetFounding(founding) })
	default:
		hard := node.HardState{Term: node.Term(w.rng.Uint64()), Vote: node.ID(w.rng.IntN(4)), Commit: node.Index(w.rng.IntN(99))}
		return m.do(func(l node.Log) error { return l.SetHardState(hard) })
	}
}

func (w *life) compact(m *twin) error {
	first, last, snapshot := m.model.FirstIndex(), m.model.LastIndex(), m.model.Snapshot().Index
	lowest := max(first, snapshot)
	if lowest > last || lowest == 0 {
		return nil
	}
	index := lowest + node.Index(w.rng.IntN(int(last-lowest+1)))
	through := first - 1 + node.Index(w.rng.IntN(int(index-first+2)))
	return m.compact(index, through, w.rng.IntN(5000))
}

func (w *life) install(m *twin) error {
	index := max(m.model.Snapshot().Index, 1) + node.Index(w.rng.IntN(50))
	return m.install(index, 2, w.rng.IntN(5000))
}

// reopenMember closes a member with what has been staged on its way. It can be opened again when that has arrived.
func (w *life) reopenMember(m *twin) error {
	m.sync()
	if w.rng.IntN(2) == 0 {
		w.store.commit()
	}
	if err := m.storage.Close(); err != nil {
		return err
	}
	underWay := m.told < m.asked
	_, err := w.store.Open(m.name.Group, m.name.ID)
	if underWay != errors.Is(err, node.ErrInUse) {
		return fmt.Errorf("opened while writes are under way: %v: %w", underWay, err)
	}
	if err == nil {
		if err := m.storage.Close(); err != nil { // both are the same
			return err
		}
	}
	w.settle()
	return m.reopen(w.store)
}

func (w *life) settle() {
	for w.store.commit() {
	}
}

// reopenStore ends the store in an orderly way: what has been synced is there.
func (w *life) reopenStore(*twin) error {
	for _, m := range w.twins {
		if w.rng.IntN(2) == 0 {
			m.sync()
		}
		if err := m.storage.Close(); err != nil {
			return err
		}
		m.states = append(m.states, len(m.changes)) // it is handed over when the member is closed
	}
	if err := w.store.Close(); err != nil {
		return err
	}
	for _, m := range w.twins {
		if m.told != m.asked || m.err != nil {
			return fmt.Errorf("member %v was told of sync %d of %d, %w", m.name, m.told, m.asked, m.err)
		}
	}
	return w.openStore()
}

// kill ends the process: what has been acknowledged is there.
func (w *life) kill(*twin) error {
	w.disk = w.disk.Kill()
	return w.openStore()
}

// delete forgets a member. The next one of its name has nothing of it.
func (w *life) delete(m *twin) error {
	if err := w.store.Delete(m.name.Group, m.name.ID); !errors.Is(err, node.ErrInUse) {
		return fmt.Errorf("deleting a member that is open: got %v", err)
	}
	if err := m.storage.Close(); err != nil {
		return err
	}
	w.settle()
	if err := w.store.Delete(m.name.Group, m.name.ID); err != nil {
		return err
	}
	w.gone[m.model.Incarnation()] = true
	*m = twin{name: m.name, surprises: m.surprises}
	if err := m.open(w.store); err != nil {
		return err
	}
	if w.gone[m.model.Incarnation()] {
		return fmt.Errorf("member %v has the life of one that was deleted", m.name)
	}
	return m.compare()
}

// check compares what must hold at any time.
func (w *life) check() error {
	for _, m := range w.twins {
		if len(m.surprises) > 0 {
			return errors.Join(m.surprises...)
		}
		if got, want := m.storage.Stats().PinnedBytes, w.pinned(m); got != want {
			return fmt.Errorf("member %v pins %d bytes, and its entries are in files of %d", m.name, got, want)
		}
	}
	if n := len(w.store.spares.ready); n > sparesMax {
		return fmt.Errorf("there are %d spares", n)
	}
	return w.checkFiles()
}

// pinned is the size of the segments from the first one with entries of a member on, without the newest.
func (w *life) pinned(m *twin) (bytes int64) {
	entries := stateOf(w.store.members[m.name]).entries
	if len(entries) == 0 {
		return 0
	}
	segments := w.store.wal.segments
	for _, g := range segments[:len(segments)-1] {
		if g.number >= entries.oldest().number {
			bytes += g.size
		}
	}
	return bytes
}

// checkFiles compares the files that are there with those that are known.
func (w *life) checkFiles() error {
	names, err := w.disk.ReadDir(modelDir)
	if err != nil {
		return err
	}
	segments, spares := 0, 0
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			segments++
		}
		if strings.HasSuffix(name, spareEnding) {
			spares++
		}
	}
	if segments != len(w.store.wal.segments) || spares != len(w.store.spares.ready) {
		return fmt.Errorf("there are %d segments and %d spares, and known are %d and %d: %v",
			segments, spares, len(w.store.wal.segments), len(w.store.spares.ready), names)
	}
	return nil
}

func runLife(seed uint64, steps int) (err error) {
	w, err := newLife(seed)
	for range steps {
		if err == nil {
			err = w.step()
		}
		if err == nil {
			err = w.check()
		}
	}
	if err == nil {
		err = w.reopenStore(nil)
	}
	if err != nil {
		return fmt.Errorf("%w\nafter %s\nrepeat with: go test ./persist -run TestTheStoreIsLikeLogsInMemory -modelseed %d",
			err, strings.Join(w.done[max(0, len(w.done)-12):], ", "), seed)
	}
	return nil
}

func TestTheStoreIsLikeLogsInMemory(t *testing.T) {
	collectRarely(t)
	first, last := uint64(1), uint64(max(150/faultStride, 3))
	if *modelSeed > 0 {
		first, last = *modelSeed, *modelSeed
	}
	for seed := first; seed <= last; seed++ {
		if err := runLife(seed, 200); err != nil {
			t.Fatal(err)
		}
	}
}
