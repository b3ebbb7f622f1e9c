package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/simfs"
)

// A disk fails at some moment, for the writer, a chore or a snapshot, while members are written to, compacted, closed,
// opened and deleted on many goroutines. Everybody gets an answer, Close returns, and what was acknowledged is there.
func TestAFailureAtAnyMomentIsToldToEverybody(t *testing.T) {
	noneLeft(t)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		disk := simfs.New()
		s := mustOpen(t, useDir, withWriter(disk, seed))
		var left atomic.Int64
		left.Store(rng.Int64N(300))
		kind := []simfs.Kind{simfs.Write, simfs.Sync, simfs.Create, simfs.Rename, simfs.SyncDir}[seed%5]
		disk.Inject(func(op simfs.Op) *simfs.Fault {
			if op.Kind == kind && left.Add(-1) < 0 {
				return &simfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		durable := make([]node.Index, 5)
		var work sync.WaitGroup
		for k := range durable {
			work.Go(func() { durable[k] = untilItFails(t, s, node.ID(k+1), rand.New(rand.NewPCG(seed, uint64(k)))) })
		}
		work.Wait()
		if err := s.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("seed %d: Close: got %v", seed, err)
		}
		disk.Inject(nil)
		s = mustOpen(t, useDir, withWriter(disk.PowerLoss(simfs.Choice{}), seed+1))
		for k, i := range durable {
			m := mustMember(t, s, "g", node.ID(k+1))
			if last := m.Log().LastIndex(); last < i {
				t.Errorf("seed %d: member %d has entries up to %d, and was told of %d", seed, k+1, last, i)
			}
			readAll(t, m)
		}
		must(t, s.Close())
	}
}

// untilItFails uses a member until the store has failed, and returns the last index that was acknowledged.
func untilItFails(t *testing.T, s *Store, id node.ID, rng *rand.Rand) (durable node.Index) {
	expect := func(what string, err error) bool {
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Errorf("member %d: %s: %v", id, what, err)
		}
		return err == nil
	}
	m, err := s.Open("g", id)
	if !expect("Open", err) {
		return 0
	}
	for round := 0; ; round++ {
		next := m.Log().LastIndex() + 1
		entries := []node.Entry{{Index: next, Term: 1, Data: payload(next, 1, rng.IntN(9000))}}
		if !expect("Append", m.Log().Append(entries)) || !expect("Sync", waitSync(m)) {
			return durable
		}
		durable = next
		switch rng.IntN(12) {
		case 0:
			if !expect("compacting", compactTo(m, next)) {
				return durable
			}
		case 1:
			must(t, m.Close())
			if m, err = s.Open("g", id); !expect("opening again", err) {
				return durable
			}
		case 2:
			if round%3 > 0 {
				continue
			}
			must(t, m.Close())
			if !expect("Delete", s.Delete("g", id)) {
				return 0 // it may be there still, or not
			}
			durable = 0
			if m, err = s.Open("g", id); !expect("opening anew", err) {
				return 0
			}
		}
	}
}

// compactTo takes a snapshot, and releases most entries.
func compactTo(m node.Storage, index node.Index) error {
	meta := node.SnapshotMeta{Index: index, Term: 1, Configuration: node.Voters(1), ConfigurationIndex: 1}
	w, err := m.CreateSnapshot(meta)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(w, "state of ", index); err != nil {
		w.Abort()
		return err
	}
	if meta.Handle, err = w.Commit(); err != nil {
		return err
	}
	if err := m.Log().Compact(meta, index-1); err != nil {
		return err
	}
	return waitSync(m)
}
