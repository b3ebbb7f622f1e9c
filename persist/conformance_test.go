package persist_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/persist"
	"example.com/raftactor/persist/persisttest"
)

// The store keeps the promises that every storage keeps, on a real disk: with segments so small that they go round. On a
// simulated one it is checked with the memory that it has by default, too.
func TestStoreConforms(t *testing.T) {
	opts := persist.Options{SegmentBytes: 1 << 20, RecentBytesMax: 64 << 10}
	persisttest.Run(t, func(t *testing.T) persisttest.Subject { return subject(t, opts) })
}

func subject(t *testing.T, opts persist.Options) persisttest.Subject {
	dir := t.TempDir()
	store := openStore(t, dir, opts)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return persisttest.Subject{
		Store: store,
		Reopen: func() persisttest.Store {
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			store = openStore(t, dir, opts)
			return store
		},
		MemoryBytes: opts.RecentBytesMax,
		Snapshots:   func() int { return snapshotFiles(t, dir) },
	}
}

func openStore(t *testing.T, dir string, opts persist.Options) *persist.Store {
	t.Helper()
	opts.Logger = hclog.NewNullLogger()
	store, err := persist.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// snapshotFiles counts the snapshots in a store's directory, those included that are being written.
func snapshotFiles(t *testing.T, dir string) int {
	files, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	count := 0
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); strings.Contains(".snap.tmp", ext) && ext != "" {
			count++
		}
	}
	return count
}
