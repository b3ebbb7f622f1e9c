package raft

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// A mergingStore syncs on a goroutine of its own: what comes while it is at work is answered by one report, with the
// highest number, and often before Sync has returned.
type mergingStore struct{ Store }

func (s mergingStore) Open(group string, id ID) (Storage, error) {
	storage, err := s.Store.Open(group, id)
	if err != nil {
		return nil, err
	}
	m := &mergingStorage{Storage: storage, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	go m.run()
	return m, nil
}

type mergingStorage struct {
	Storage
	wake, stopped chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	wanted uint64
	done   func(uint64, error)
}

func (m *mergingStorage) Sync(seq uint64, done func(uint64, error)) bool {
	m.mu.Lock()
	m.wanted, m.done = seq, done
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return false
}

func (m *mergingStorage) run() {
	defer close(m.stopped)
	reported := uint64(0)
	for range m.wake {
		m.mu.Lock()
		wanted, done := m.wanted, m.done
		m.mu.Unlock()
		if wanted > reported {
			done(wanted, nil)
			reported = wanted
		}
	}
}

func (m *mergingStorage) Close() error {
	close(m.wake)
	<-m.stopped
	return m.Storage.Close()
}

func TestAStorageMayMergeSyncsOnItsOwnGoroutine(t *testing.T) {
	g := newRealGroup(t, 3)
	g.configure = func(c *Config) { c.Store = mergingStore{c.Store} }
	for _, m := range g.members {
		g.stop(m.ID)
	}
	for _, m := range g.members {
		g.spawn(m.ID)
	}
	client := NewClient(g.system, slices.Collect(maps.Values(g.pids))...)
	defer client.Close()
	const clients, each = 8, 50
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				if _, err := client.Propose(within(t, 20*time.Second), fmt.Append(nil, c, " ", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for id := range g.pids {
		g.waitFor("everything is applied", func() bool { return len(g.machines[id].all()) == clients*each })
	}
}
