package persist

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
	"example.com/raftactor/persist/internal/format"
	"example.com/raftactor/persist/internal/snapfile"
)

// A Store keeps the members of one actor system in a directory: their logs, which share one write-ahead log and so
// one stream of syncs, and their snapshots. It satisfies the Store interface of package raft. It is safe for
// concurrent use.
type Store struct {
	dir       string
	opts      Options
	logger    hclog.Logger
	lock      io.Closer
	snapshots *snapshotDir
	spares    *spares
	recovery  Recovery

	// queue is what the writer has not got to.
	queue queue
	// wal, taken, vouched and prepared belong to the writer: what it is writing, that nothing is left to vouch for, and that
	// the next segment has been seen to.
	wal               *wal
	taken             *shipment
	vouched, prepared bool
	// arrivals is the goroutine that tells who waited for a batch, beside the next one. Who else waits is told after it.
	arrivals sync.WaitGroup
	// cutoff is the number of the oldest segment that may stay for long. It belongs to the writer.
	cutoff uint64

	// system has the records that are the store's own: its state holds the cluster. claims is held by who claims.
	system *member
	claims sync.Mutex

	mu sync.Mutex
	// members are those that have not been deleted. Guarded by mu.
	members map[MemberName]*member
	// closing: nothing new is taken. Guarded by mu.
	closing bool

	// ending is done by the first Close, and ended is what that says.
	ending sync.Once
	ended  error

	// failed is why nothing can be written any more, or nil.
	failed atomic.Pointer[error]
	// live counts the members that are there, for their shares of the memory.
	live atomic.Int64
	// newest is the segment that is being written.
	newest atomic.Pointer[logSegment]

	// wake tells the writer that the queue is not empty, and done that it has ended.
	wake, done chan struct{}
	chores     chores
}

// Open opens the store in a directory, and makes it if there is none. It has recovered everything before it
// returns: what was durable is there, and what it hands out is durable. The directory belongs to the store
// until Close; [ErrLocked] says that it belongs to another one, and [ErrOtherCluster] that its cluster is not
// that of the options. A [*DamageError] says that something that was durable is not as it was written.
// Nothing of the store has been changed then, nor by [ErrVersion] and what could not be read.
func Open(dir string, opts Options) (*Store, error) {
	s, err := open(dir, opts)
	if err != nil {
		return nil, err
	}
	if !s.opts.inline {
		go s.run()
		// Neither the next segment nor the next opening waits for zeros then.
		s.prepareSpare()
	}
	if s.opts.ClusterID != "" {
		if err := s.Claim(s.opts.ClusterID); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Recovery says what was found when the store was opened.
func (s *Store) Recovery() Recovery { return s.recovery }

// ID names the store, from its first opening on: a copy of its directory has the same, and one that was emptied has another.
func (s *Store) ID() uint64 { return s.wal.storeID }

// Members lists the members that the store has, in order.
func (s *Store) Members() []MemberName {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]MemberName, 0, len(s.members))
	for name := range s.members {
		names = append(names, name)
	}
	slices.SortFunc(names, MemberName.compare)
	return names
}

// Open hands out the storage of a member, new if there is none: then it waits until that is durable. A member
// that is open already, or whose writes have not completed since it was closed, is [node.ErrInUse].
func (s *Store) Open(group string, id node.ID) (node.Storage, error) {
	name := MemberName{group, id}
	if !snapfile.IsGroup(group) || id == node.None {
		return nil, fmt.Errorf("persist: opening member %v: a group is named by 1 to 128 letters, digits, dots, hyphens and "+
			"underscores, and a member's id is not 0", name)
	}
	if err := s.failure(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	m := s.members[name]
	if m != nil {
		s.mu.Unlock()
		if err := m.take(); err != nil {
			return nil, err
		}
		return m, nil
	}
	m = newMember(s, node.Incarnation(s.opts.draw()), name)
	if err := m.take(); err != nil { // nobody else can find it before
		s.mu.Unlock()
		return nil, err
	}
	s.members[name] = m
	s.live.Add(1)
	s.mu.Unlock()
	if err := m.write(func(b []byte) []byte { return appendMember(b, &m.state) }); err != nil {
		return nil, err
	}
	return m, nil
}

// Delete forgets a member, its log and its snapshots. If it is opened again, it is a new one. A member that is
// open is [node.ErrInUse]; one that is not there is no error.
func (s *Store) Delete(group string, id node.ID) error {
	if err := s.failure(); err != nil {
		return err
	}
	s.mu.Lock()
	m := s.members[MemberName{group, id}]
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	if err := m.take(); err != nil {
		return err
	}
	return m.write(func(b []byte) []byte { return format.AppendDelete(b, m.state.key) })
}

// Claim says to which cluster the store belongs: the first one that claims it. It is [ErrOtherCluster] if that was
// another one.
func (s *Store) Claim(cluster string) error {
	s.claims.Lock()
	defer s.claims.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	if err := s.foreign(cluster); err != nil || s.clusterID() == cluster {
		return err
	}
	return s.system.write(func(b []byte) []byte { return format.AppendCluster(b, cluster) })
}

// foreign is [ErrOtherCluster] if the store belongs to another cluster.
func (s *Store) foreign(cluster string) error {
	if belongs := s.clusterID(); belongs != "" && belongs != cluster {
		return fmt.Errorf("%w: %s belongs to %q, and not to %q; give it another directory, or the name of its cluster",
			ErrOtherCluster, s.dir, belongs, cluster)
	}
	return nil
}

func (s *Store) clusterID() string {
	s.system.mu.Lock()
	defer s.system.mu.Unlock()
	s.system.settle()
	return s.system.state.cluster
}

// Close ends the store. What has been handed over by Sync is written before; what comes later is [ErrClosed].
// Stop the members that use it first. Again it says what it said the first time.
func (s *Store) Close() error {
	s.ending.Do(func() { s.ended = s.close() })
	return s.ended
}

func (s *Store) close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	if s.opts.inline {
		s.end()
	} else {
		s.nudge()
	}
	<-s.done
	defer s.spares.await()()
	s.chores.end()
	var faults []error
	if err := s.failure(); err != nil && !errors.Is(err, ErrClosed) {
		faults = append(faults, err)
	}
	for _, g := range s.wal.segments {
		faults = append(faults, g.release())
	}
	return errors.Join(append(faults, s.lock.Close())...)
}

// failure is why nothing can be written any more, or nil.
func (s *Store) failure() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// fail makes a failed write final, for all members.
func (s *Store) fail(err error) {
	if err == nil {
		return
	}
	err = fmt.Errorf("%w; the store in %s takes nothing more: put right what is wrong with the disk, and start again",
		err, s.dir)
	if s.failed.CompareAndSwap(nil, &err) {
		s.logger.Error("the store has failed", "dir", s.dir, "error", err)
		s.nudge()
	}
}

// recentBytes is a member's share of the memory for the ends of logs.
func (s *Store) recentBytes() int {
	return max(s.opts.RecentBytesMax/int(max(s.live.Load(), 1)), recentBytesMin)
}

const recentBytesMin = 64 << 10

// dropSnapshots removes snapshots that nobody needs.
func (s *Store) dropSnapshots(names []string) {
	s.chores.do(func() {
		for _, name := range names {
			if err := s.snapshots.remove(name); err != nil {
				s.logger.Warn("a snapshot that nobody needs cannot be removed", "file", name, "error", err)
			}
		}
	})
}

// idleTime is how long nothing is written before the newest batch is vouched for.
const idleTime = time.Second
