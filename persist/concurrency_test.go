package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
	"example.com/raftactor/persist/persisttest"
)

// withWriter are options of a small store with a writer of its own.
func withWriter(disk *simfs.FS, seed uint64) Options {
	opts := onDisk(disk, 1)
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 3))
	opts.random = func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return rng.Uint64()
	}
	opts.inline = false
	return opts
}

// withoutChores opens a store whose segments are so large that no test needs a second one: so the writer is the only one
// who writes.
func withoutChores(t *testing.T, disk *simfs.FS) *Store {
	opts := withWriter(disk, 1)
	opts.SegmentBytes = 4 << 20
	s := mustOpen(t, useDir, opts)
	s.chores.wait()
	return s
}

// noneLeft fails the test if it leaves goroutines.
func noneLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// waitSync waits until what is staged is durable, or never will be.
func waitSync(m node.Storage) error {
	told := make(chan error, 1)
	if m.Sync(1, func(_ uint64, err error) { told <- err }) {
		return nil
	}
	return <-told
}

func TestTheStoreConformsOnASimulatedDisk(t *testing.T) {
	for name, recentBytes := range map[string]int{"little memory": recentBytesMin, "much memory": 0} {
		t.Run(name, func(t *testing.T) {
			persisttest.Run(t, func(t *testing.T) persisttest.Subject { return simulated(t, recentBytes) })
		})
	}
}

// simulated is a store with a writer of its own, and so much memory for the end of a log.
func simulated(t *testing.T, recentBytes int) persisttest.Subject {
	noneLeft(t)
	disk, opened := simfs.New(), uint64(0)
	open := func() *Store {
		opened++
		opts := withWriter(disk, opened)
		opts.RecentBytesMax = recentBytes
		return mustOpen(t, useDir, opts)
	}
	store := open()
	t.Cleanup(func() { must(t, store.Close()) })
	return persisttest.Subject{
		Store: store,
		Reopen: func() persisttest.Store {
			must(t, store.Close())
			store = open()
			return store
		},
		MemoryBytes: recentBytes,
		Snapshots: func() int {
			names, _ := disk.ReadDir(filepath.Join(useDir, snapshotsDir))
			return len(names)
		},
		Seed: 7,
	}
}

// Members that are written to, read, compacted, closed and opened again, each by a goroutine of its own, while another one
// reads what they have, and all is read back.
func TestMembersOnManyGoroutines(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	s := mustOpen(t, useDir, withWriter(disk, 1))
	twins := make([]*twin, 8)
	var work sync.WaitGroup
	faults := make(chan error, 2*len(twins))
	for k := range twins {
		m := &twin{name: MemberName{"g", node.ID(k + 1)}}
		twins[k] = m
		work.Go(func() { faults <- busy(s, m, uint64(k)) })
	}
	work.Wait()
	close(faults)
	for err := range faults {
		must(t, err)
	}
	must(t, s.Close())
	s = mustOpen(t, useDir, withWriter(disk, 2))
	for _, m := range twins {
		must(t, m.reopen(s))
	}
	must(t, s.Close())
}

// busy uses a member for a while. Its twin is only touched by this goroutine: it waits for each sync.
func busy(s *Store, m *twin, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 4))
	if err := m.open(s); err != nil {
		return err
	}
	for round := range 40 {
		term := node.Term(round + 1)
		if err := m.append(term, rng.IntN(3000), rng.IntN(3000), 8001); err != nil {
			return err
		}
		if last := m.model.LastIndex(); round%5 == 4 && last > m.model.Snapshot().Index+1 {
			if err := m.truncate(last); err != nil {
				return err
			}
		}
		last := m.model.LastIndex()
		if round%8 == 7 {
			if err := m.compact(last-1, last-2, 2000); err != nil {
				return err
			}
		}
		reading := make(chan error, 1)
		go func(lo, hi node.Index) {
			_, err := m.storage.ReadEntries(lo, hi, 10_000)
			reading <- err
		}(m.model.FirstIndex(), last+1)
		m.states = append(m.states, len(m.changes))
		if err := errors.Join(waitSync(m.storage), <-reading); err != nil {
			return err
		}
		m.durable = len(m.states) - 1
		_ = m.storage.Stats()
		if err := m.compare(); err != nil {
			return err
		}
		if round%10 == 9 {
			if err := m.storage.Close(); err != nil {
				return err
			}
			if err := m.reopen(s); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
	}
	return m.storage.Close()
}

// A gate stops the operations of a kind, each until it is let through.
type gate struct {
	kind    simfs.Kind
	arrived chan struct{}
	let     chan struct{}
}

func newGate(disk *simfs.FS, kind simfs.Kind) *gate {
	g := &gate{kind: kind, arrived: make(chan struct{}), let: make(chan struct{})}
	disk.OnOperation(func(op simfs.Op) {
		if op.Kind == g.kind && !op.Done {
			g.arrived <- struct{}{}
			<-g.let
		}
	})
	return g
}

// open lets everything through from now on.
func (g *gate) open(disk *simfs.FS) {
	disk.OnOperation(nil)
	close(g.let)
}

// What is handed over while a write is under way goes into the next one, all of it.
func TestWhatArrivesDuringASyncSharesTheNext(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	s := withoutChores(t, disk)
	var members []node.Storage
	for id := range 10 {
		members = append(members, mustMember(t, s, "g", node.ID(id+1)))
	}
	before := batches(s)
	g := newGate(disk, simfs.Sync)
	told := make(chan error, len(members))
	for k, m := range members {
		appendSome(t, m, 1, 1, 100, node.EntryCommand)
		if m.Sync(1, func(_ uint64, err error) { told <- err }) {
			t.Error("what has not been written is durable")
		}
		if k == 0 {
			<-g.arrived // the writer is at the first one
		}
		select {
		case err := <-told:
			t.Errorf("told of %v, though nothing is durable", err)
		default:
		}
	}
	// A member that is closed can be opened again when its write is through.
	must(t, members[0].Close())
	if _, err := s.Open("g", 1); !errors.Is(err, node.ErrInUse) {
		t.Errorf("opened while it is written: got %v", err)
	}
	g.open(disk)
	for range members {
		must(t, <-told)
	}
	mustMember(t, s, "g", 1)
	must(t, s.Close())
	if n := batches(s) - before; n != 3 { // the first, the other nine, and what vouches for them
		t.Errorf("%d batches were written, want 3", n)
	}
}

// Nothing is staged, but what was is not durable yet.
func TestASyncOfNothingWaitsForWhatIsOnItsWay(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	s := withoutChores(t, disk)
	m := mustMember(t, s, "g", 1)
	g := newGate(disk, simfs.Sync)
	told := make(chan uint64, 3)
	done := func(seq uint64, err error) {
		must(t, err)
		told <- seq
	}
	appendSome(t, m, 1, 1, 100, node.EntryCommand)
	m.Sync(1, done)
	<-g.arrived
	for seq := range uint64(2) {
		if m.Sync(seq+2, done) {
			t.Errorf("what has not been written is durable, says sync %d", seq+2)
			told <- seq + 2
		}
	}
	if n := len(told); n > 0 {
		t.Errorf("%d were told, though nothing is durable", n)
	}
	g.open(disk)
	for seq := uint64(0); seq < 3; {
		seq = <-told
	}
	if !m.Sync(4, done) {
		t.Error("all is durable, and it is not said")
	}
	must(t, s.Close())
}

// The store may fail while the writer is at a batch: by a snapshot that cannot be written, or a spare. What is handed over
// then is refused. What is being written is not touched: it may become durable, and is told so.
func TestAFailureDuringAWriteLeavesTheWriteAlone(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	s := withoutChores(t, disk)
	m, other := mustMember(t, s, "g", 1), mustMember(t, s, "g", 2)
	g := newGate(disk, simfs.Sync)
	type answer struct {
		seq uint64
		err error
	}
	told := make(chan answer, 4)
	done := func(seq uint64, err error) { told <- answer{seq, err} }
	appendSome(t, m, 1, 1, 100, node.EntryCommand)
	m.Sync(1, done)
	<-g.arrived
	appendSome(t, m, 1, 1, 100, node.EntryCommand)
	appendSome(t, other, 1, 1, 100, node.EntryCommand)
	s.fail(fmt.Errorf("a snapshot: %w", syscall.EIO))
	m.Sync(2, done)
	if got := <-told; got.seq != 2 || !errors.Is(got.err, syscall.EIO) {
		t.Errorf("told %v, want an error of 2", got)
	}
	other.Sync(9, done)
	if got := <-told; got.seq != 9 || !errors.Is(got.err, syscall.EIO) {
		t.Errorf("told %v, want an error of 9", got)
	}
	g.open(disk)
	if got := <-told; got.seq != 1 || got.err != nil {
		t.Errorf("told %v, want that 1 is durable", got)
	}
	if err := s.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close: got %v", err)
	}
	s = mustOpen(t, useDir, withWriter(disk, 2))
	if last := mustMember(t, s, "g", 1).Log().LastIndex(); last != 1 {
		t.Errorf("there are entries up to %d, want 1", last)
	}
	must(t, s.Close())
}

func TestAllMembersAreToldThatTheStoreHasFailed(t *testing.T) {
	for _, kind := range []simfs.Kind{simfs.Write, simfs.Sync} {
		t.Run(kind.String(), func(t *testing.T) {
			noneLeft(t)
			disk := simfs.New()
			s := withoutChores(t, disk)
			var members []node.Storage
			for id := range 10 {
				members = append(members, mustMember(t, s, "g", node.ID(id+1)))
			}
			g := newGate(disk, simfs.Write)
			told := make(chan error, len(members)+1)
			for k, m := range members {
				appendSome(t, m, 1, 1, 100, node.EntryCommand)
				m.Sync(1, func(_ uint64, err error) { told <- err })
				if k == 0 {
					<-g.arrived
				}
			}
			disk.Inject(failing(syscall.EIO, "", kind))
			g.open(disk)
			for range members {
				if err := <-told; !errors.Is(err, syscall.EIO) {
					t.Errorf("told %v", err)
				}
			}
			for _, m := range members {
				if err := waitSync(m); !errors.Is(err, syscall.EIO) {
					t.Errorf("told %v later", err)
				}
				must(t, m.Close())
			}
			if err := errors.Join(s.Close()); !errors.Is(err, syscall.EIO) {
				t.Errorf("Close: got %v", err)
			}
		})
	}
}

// Close may be called from anywhere, also while members write: each write is durable, or is refused.
func TestCloseWhileMembersWrite(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	s := mustOpen(t, useDir, withWriter(disk, 1))
	durable := make([]node.Index, 6)
	started := make(chan struct{}, len(durable))
	var work sync.WaitGroup
	for k := range durable {
		m := mustMember(t, s, "g", node.ID(k+1))
		work.Go(func() {
			for i := node.Index(1); ; i++ {
				if m.Log().Append([]node.Entry{{Index: i, Term: 1, Data: payload(i, 1, 300)}}) != nil || waitSync(m) != nil {
					return
				}
				durable[k] = i
				if i == 5 {
					started <- struct{}{}
				}
			}
		})
	}
	for range durable {
		<-started
	}
	closed := make(chan error, 3)
	for range cap(closed) {
		go func() { closed <- s.Close() }()
	}
	for range cap(closed) {
		must(t, <-closed)
	}
	work.Wait()
	s = mustOpen(t, useDir, withWriter(disk.PowerLoss(simfs.Choice{}), 2))
	for k, i := range durable {
		if last := mustMember(t, s, "g", node.ID(k+1)).Log().LastIndex(); last < i || last > i+1 {
			t.Errorf("member %d has entries up to %d, and was told of %d", k+1, last, i)
		}
	}
	must(t, s.Close())
}

// Who drops a snapshot need not know that the store is being closed.
func TestCloseWhileSnapshotsAreDropped(t *testing.T) {
	noneLeft(t)
	disk := simfs.New()
	s := mustOpen(t, useDir, withWriter(disk, 1))
	m := mustMember(t, s, "g", 1)
	var work sync.WaitGroup
	for i := range 20 {
		meta := makeSnapshot(t, m, node.Index(i+1), 1, 10)
		work.Go(func() { m.DropSnapshot(meta.Handle) })
	}
	must(t, s.Close())
	work.Wait()
}

func TestOpenMembersAtOnce(t *testing.T) {
	noneLeft(t)
	s := mustOpen(t, useDir, withWriter(simfs.New(), 1))
	got := make(chan error, 8)
	for range cap(got) {
		go func() {
			_, err := s.Open("g", 1)
			got <- err
		}()
	}
	var errs []error
	for range cap(got) {
		if err := <-got; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) != cap(got)-1 || slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, node.ErrInUse) }) {
		t.Errorf("of %d, %d did not get the member: %v", cap(got), len(errs), errs)
	}
	must(t, s.Close())
}
