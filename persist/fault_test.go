package persist

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

// A shift is a workload on a disk that fails: two members and one that comes and goes, in a store that is closed and
// opened again on the way.
type shift struct {
	disk  *simfs.FS
	store *Store
	twins []*twin
	// brief is a member that is deleted in every third round.
	brief *twin
	// fired is the operation that failed, or nil.
	fired *simfs.Op
	term  node.Term
}

const shiftDir = "store"

func (w *shift) options() Options {
	opts := onDisk(w.disk, uint64(w.term)+7)
	opts.SegmentBytes, opts.RecentBytesMax = 1<<14, 1
	return opts
}

func newShift(inject func(simfs.Op) *simfs.Fault) *shift {
	w := &shift{disk: simfs.New(), twins: []*twin{{name: MemberName{"a", 1}}, {name: MemberName{"b", 2}}}}
	w.disk.Inject(func(op simfs.Op) *simfs.Fault {
		fault := inject(op)
		if fault != nil {
			w.fired = &op
		}
		return fault
	})
	return w
}

// run does all rounds, up to the first error.
func (w *shift) run(rounds int) error {
	if err := w.open(); err != nil {
		return err
	}
	for round := range rounds {
		if round%10 == 9 {
			if err := w.reopen(); err != nil {
				return err
			}
		}
		if err := w.round(round); err != nil {
			return err
		}
	}
	return w.store.Close()
}

func (w *shift) open() error {
	w.store, w.brief = nil, nil
	s, err := Open(shiftDir, w.options())
	if err != nil {
		return err
	}
	w.store = s
	if err := s.Claim("a cluster"); err != nil {
		return err
	}
	for _, m := range w.twins {
		if err := m.reopen(s); err != nil {
			return err
		}
	}
	return nil
}

func (w *shift) reopen() error {
	for _, m := range w.twins {
		if err := m.storage.Close(); err != nil {
			return err
		}
	}
	if err := w.store.Close(); err != nil {
		return err
	}
	return w.open()
}

// round writes for each member, and now and then takes a snapshot, changes the end of a log, or deletes a member.
func (w *shift) round(round int) error {
	w.term++
	for k, m := range w.twins {
		if err := w.write(m, round+3*k); err != nil {
			return err
		}
		m.sync()
	}
	w.settle()
	if round%3 == 0 {
		if err := w.comeAndGo(); err != nil {
			return err
		}
	}
	for _, m := range w.twins {
		if m.err != nil {
			return m.err
		}
	}
	return nil
}

func (w *shift) write(m *twin, round int) error {
	hard := node.HardState{Term: w.term, Vote: node.ID(round%3 + 1), Commit: node.Index(round)}
	if err := m.do(func(l node.Log) error { return l.SetHardState(hard) }); err != nil {
		return err
	}
	last := m.model.LastIndex()
	switch {
	case round%7 == 6 && last > m.model.FirstIndex()+2:
		return m.compact(last, last-2, 3000)
	case round%11 == 10:
		return m.install(last+10, w.term, 2000)
	case round%4 == 3 && last > m.model.Snapshot().Index+2 && last > m.model.FirstIndex():
		if err := m.truncate(last); err != nil {
			return err
		}
	}
	return m.append(w.term, 100, 900, 1200+round)
}

// settle lets the writer do what there is to do.
func (w *shift) settle() {
	for w.store.commit() {
	}
}

// comeAndGo makes a member, and deletes it.
func (w *shift) comeAndGo() error {
	m := &twin{name: MemberName{"brief", 1}}
	w.brief = m
	if err := m.open(w.store); err != nil {
		return err
	}
	if m.model.LastIndex() != m.storage.Log().LastIndex() {
		return fmt.Errorf("a member that has been deleted still has entries up to %d", m.storage.Log().LastIndex())
	}
	if err := m.append(w.term, 10, 20); err != nil {
		return err
	}
	m.sync()
	w.settle()
	if err := errors.Join(m.err, m.storage.Close()); err != nil {
		return err
	}
	return w.store.Delete("brief", 1)
}

// afterwards checks a store that has failed: everybody is told, and nothing is acknowledged any more.
func (w *shift) afterwards(t *testing.T, cause, first error) {
	t.Helper()
	all := slices.Clone(w.twins)
	if w.brief != nil {
		all = append(all, w.brief)
	}
	all = slices.DeleteFunc(all, func(m *twin) bool { return m.storage == nil })
	durable := map[*twin]int{}
	for _, m := range all {
		w.afterwardsOf(t, m, cause)
		durable[m] = m.durable
		m.sync() // though nothing has been staged
		m.sync()
	}
	s := w.store
	_, openErr := s.Open("new", 1)
	for what, err := range map[string]error{
		"what failed first": first, "Open of a member": openErr, "Delete": s.Delete("a", 1), "Claim": s.Claim("a cluster"),
	} {
		w.isFinal(t, what, err, cause)
	}
	if err := s.Close(); !errors.Is(err, cause) {
		t.Errorf("%v: Close: got %v", w.fired, err)
	}
	for _, m := range all {
		m.sync()
		w.isFinal(t, "Sync of "+m.name.String(), m.err, cause)
		if m.told != m.asked || m.durable != durable[m] {
			t.Errorf("%v: member %v asked for %d syncs, and was told of %d, of which some have been acknowledged: %v",
				w.fired, m.name, m.asked, m.told, m.durable != durable[m])
		}
		for _, err := range m.surprises {
			t.Errorf("%v: member %v: %v", w.fired, m.name, err)
		}
	}
}

func (w *shift) afterwardsOf(t *testing.T, m *twin, cause error) {
	t.Helper()
	log := m.storage.Log()
	_, snapshotErr := m.storage.CreateSnapshot(node.SnapshotMeta{Index: 1, Term: 1})
	for what, err := range map[string]error{
		"Append":         log.Append([]node.Entry{{Index: log.LastIndex() + 1, Term: 99}}),
		"Truncate":       log.Truncate(log.LastIndex()),
		"SetHardState":   log.SetHardState(node.HardState{Term: 99}),
		"SetMet":         log.SetMet(node.Acquaintance{ID: 1}),
		"SetFounding":    log.SetFounding(node.Voters(1)),
		"Compact":        log.Compact(node.SnapshotMeta{Index: 1, Handle: "x.snap"}, 0),
		"Install":        log.Install(node.SnapshotMeta{Index: 99, Handle: "x.snap"}),
		"CreateSnapshot": snapshotErr,
	} {
		w.isFinal(t, what+" of "+m.name.String(), err, cause)
	}
}

func (w *shift) isFinal(t *testing.T, what string, err, cause error) {
	t.Helper()
	text := fmt.Sprint(err)
	named := strings.Contains(text, filepath.Base(w.fired.Name)) || strings.Contains(text, shiftDir)
	if !errors.Is(err, cause) || !named {
		t.Errorf("%v: %s: got %v, want %v", w.fired, what, err, cause)
	}
}

// recovers opens the store again, when the disk has been put right: what was acknowledged is there, and it goes on.
func (w *shift) recovers(t *testing.T, disk *simfs.FS, how string) {
	t.Helper()
	again := &shift{disk: disk, term: w.term + 100, fired: w.fired}
	for _, m := range w.twins {
		c := *m
		again.twins = append(again.twins, &c)
	}
	err := again.goOn()
	if err != nil {
		t.Errorf("%v: %s: %v", w.fired, how, err)
	}
}

func (w *shift) goOn() error {
	for range 2 {
		for _, m := range w.twins {
			if m.model == nil { // it was never there
				m.states = nil
			}
		}
		if err := w.open(); err != nil {
			return err
		}
		if err := w.store.Delete("brief", 1); err != nil { // it may be there, or not
			return err
		}
		if t := w.store.Recovery().TailDropped; t != nil && t.Bytes <= 0 {
			return fmt.Errorf("the tail that was dropped has %d bytes", t.Bytes)
		}
		if err := w.round(3); err != nil {
			return err
		}
		for _, m := range w.twins {
			if err := errors.Join(m.compare(), m.storage.Close()); err != nil {
				return err
			}
		}
		if err := w.store.Close(); err != nil {
			return err
		}
	}
	return nil
}

const shiftRounds = 40

// faultsOf are the ways in which the nth operation of a kind fails: with either error, and of a write a part has been
// written then, each time another.
func faultsOf(kind simfs.Kind, n int) []simfs.Fault {
	both := []simfs.Fault{{Err: syscall.EIO}, {Err: syscall.ENOSPC}}
	switch kind {
	case simfs.Write:
		written := []int{0, 700, 1, 4096, 1 << 30}
		for i := range both {
			both[i].Written = written[(n+i)%len(written)]
		}
		return both
	case simfs.Sync:
		return both
	default:
		return both[n%2:][:1]
	}
}

func TestAFailedWriteOrSyncIsFinalAndNothingIsLost(t *testing.T) {
	collectRarely(t)
	clean := newShift(func(simfs.Op) *simfs.Fault { return nil })
	must(t, clean.run(shiftRounds))
	for _, kind := range []simfs.Kind{
		simfs.MkdirAll, simfs.Create, simfs.Write, simfs.Truncate, simfs.Sync, simfs.Rename, simfs.Remove,
		simfs.SyncDir, simfs.Lock,
	} {
		count := min(clean.disk.Operations(kind), 200)
		if count == 0 || (kind == simfs.Write || kind == simfs.Sync) && count < 200 {
			t.Errorf("the workload has %d operations of kind %v", count, kind)
		}
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			tried := 0
			for n := 1; n <= count && !t.Failed(); n += faultStride {
				for _, fault := range faultsOf(kind, n) {
					failAt(t, kind, n, fault)
					tried++
				}
			}
			t.Logf("%d faults in %d operations", tried, count)
		})
	}
}

// failAt runs the workload, which fails at an operation, and recovers from it.
func failAt(t *testing.T, kind simfs.Kind, n int, fault simfs.Fault) {
	t.Helper()
	w := newShift(simfs.FailNth(kind, n, fault))
	err := w.run(shiftRounds)
	if w.fired == nil {
		t.Fatalf("%v %d never happened", kind, n)
	}
	w.disk.Inject(nil)
	tolerated := kind == simfs.Remove && filepath.Ext(w.fired.Name) == snapshotEnding
	switch {
	case tolerated && err != nil:
		t.Errorf("%v: a snapshot that cannot be removed stops the store: %v", w.fired, err)
	case tolerated:
	case err == nil:
		t.Errorf("%v: nobody was told", w.fired)
	case w.store == nil: // in Open
		w.isFinal(t, "Open", err, fault.Err)
	default:
		w.afterwards(t, fault.Err, err)
	}
	switch n % 3 {
	case 0:
		w.recovers(t, w.disk.Kill(), "killed")
	case 1:
		w.recovers(t, w.disk.PowerLoss(simfs.Choice{}), "power loss that takes what it can")
	case 2:
		w.recovers(t, w.disk.PowerLoss(simfs.Everything(simfs.Newest)), "power loss that takes nothing")
	}
	w.recovers(t, w.disk, "at once")
}
