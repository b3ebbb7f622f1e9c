package persist

import (
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist/internal/format"
)

// nothing is a machine that does nothing.
type nothing struct{}

func (nothing) Apply(raft.Command) ([]byte, error) { return nil, nil }
func (nothing) Query([]byte) ([]byte, error)       { return nil, nil }
func (nothing) Snapshot() (raft.View, error)       { return nothing{}, nil }
func (nothing) Restore(io.Reader) error            { return nil }
func (nothing) WriteTo(io.Writer) (int64, error)   { return 0, nil }
func (nothing) Release()                           {}

// benchClient proposes to a group of one member on a store.
func benchClient(b *testing.B, s *Store) *raft.Client {
	b.Helper()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	pid, err := raft.Spawn(system, raft.Config{
		Group: "bench", ID: 1, Members: []raft.Member{{ID: 1}}, Store: s,
		Transport: raft.NewMemoryTransport(), Logger: hclog.NewNullLogger(),
	}, nothing{})
	if err != nil {
		b.Fatal(err)
	}
	client := raft.NewClient(system, pid)
	b.Cleanup(func() {
		client.Close()
		_ = system.Root.StopFuture(pid).Wait()
		system.Shutdown()
	})
	return client
}

// BenchmarkProposals goes the whole way: from the client through the raft actor to the disk, the machine and back. The
// floor is a block of 4 KiB for one at a time, and for many at a time the same bytes in as many batches.
func BenchmarkProposals(b *testing.B) {
	b.Run("inflight=1", func(b *testing.B) {
		const writes = 100
		client, f := benchClient(b, benchStore(b)), newFloor(b)
		inTurns(b, writes,
			func() time.Duration { return timed(func() { propose(b, client, writes) }) },
			func() time.Duration { return f.run(b, writes, format.BlockBytes) })
	})
	b.Run("inflight=1024", func(b *testing.B) {
		const writers, each = 1024, 16
		s := benchStore(b)
		client, f := benchClient(b, s), newFloor(b)
		var batches, bytes int
		inTurns(b, writers*each, func() time.Duration {
			before, offset := s.wal.position.Sequence, s.wal.offset
			took := timed(func() {
				var running sync.WaitGroup
				for range writers {
					running.Go(func() { propose(b, client, each) })
				}
				running.Wait()
			})
			batches, bytes = int(s.wal.position.Sequence-before), max(int(s.wal.offset-offset), format.BlockBytes)
			return took
		}, func() time.Duration { return f.run(b, batches, bytes/batches) })
		b.ReportMetric(writers*each/float64(batches), "entries/sync")
	})
}

func propose(b *testing.B, client *raft.Client, n int) {
	command := make([]byte, 16)
	for range n {
		if _, err := client.Propose(b.Context(), command); err != nil {
			b.Error(err)
			return
		}
	}
}
