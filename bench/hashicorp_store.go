package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	hbolt "github.com/hashicorp/raft-boltdb/v2"
	hwal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

// A hashicorpStore is one way to keep the log of hashicorp/raft.
type hashicorpStore struct {
	name     string
	kinds    []kind
	settings string // for the footnote
	open     func(dir string, cacheEntries int, logger hclog.Logger) (hashicorpLog, error)
}

// A hashicorpLog is what one server keeps.
type hashicorpLog struct {
	entries   hraft.LogStore
	stable    hraft.StableStore
	snapshots hraft.SnapshotStore
	close     func() error
}

// hashicorpCacheEntries is the size of the cache in front of a durable store.
// Consul and Vault have 512 for appends of 64; 512 for appends of 1,024 would
// have followers read from disk what was only just written.
func hashicorpCacheEntries(entriesMax int) int { return 8 * entriesMax }

const hashicorpTCP = "TCP transport (MaxPool 3, 10 s, MaxRPCsInFlight 2 by default) and a LogCache of 8 appends, " +
	"both as in Consul and Vault"

var (
	hashicorpInmem = hashicorpStore{
		name:     "inmem",
		kinds:    []kind{inMemory},
		settings: "its InmemStore and InmemTransport",
		open: func(string, int, hclog.Logger) (hashicorpLog, error) {
			store := hraft.NewInmemStore()
			return hashicorpLog{
				entries:   store,
				stable:    store,
				snapshots: hraft.NewInmemSnapshotStore(),
				close:     func() error { return nil },
			}, nil
		},
	}
	hashicorpWAL = hashicorpStore{
		name:     "wal",
		kinds:    []kind{inProcess, inProcesses},
		settings: "raft-wal v0.4.0 with its defaults; " + hashicorpTCP,
		open: func(dir string, cacheEntries int, logger hclog.Logger) (hashicorpLog, error) {
			store, err := hwal.Open(dir, hwal.WithLogger(logger.Named("wal")))
			if err != nil {
				return hashicorpLog{}, fmt.Errorf("open a raft-wal in %s: %w", dir, err)
			}
			return cachedHashicorpLog(dir, cacheEntries, store, logger)
		},
	}
	hashicorpBolt = hashicorpStore{
		name:     "bolt",
		kinds:    []kind{inProcess, inProcesses},
		settings: "raft-boltdb v2.3.1 with NoFreelistSync, the map freelist and a large first mmap as in Vault; " + hashicorpTCP,
		open: func(dir string, cacheEntries int, logger hclog.Logger) (hashicorpLog, error) {
			store, err := hbolt.New(hbolt.Options{
				Path: filepath.Join(dir, "raft.db"),
				BoltOptions: &bbolt.Options{
					Timeout:         time.Second,
					FreelistType:    bbolt.FreelistMapType,
					NoFreelistSync:  true,
					InitialMmapSize: 4 << 30, // of address space
				},
			})
			if err != nil {
				return hashicorpLog{}, fmt.Errorf("open a raft-boltdb in %s: %w", dir, err)
			}
			return cachedHashicorpLog(dir, cacheEntries, store, logger)
		},
	}
)

// cachedHashicorpLog puts a cache in front of a durable store, and snapshots
// beside it. It owns the store.
func cachedHashicorpLog(dir string, cacheEntries int, store interface {
	hraft.LogStore
	hraft.StableStore
	Close() error
}, logger hclog.Logger,
) (hashicorpLog, error) {
	cache, err := hraft.NewLogCache(cacheEntries, store)
	if err != nil {
		return hashicorpLog{}, errors.Join(err, store.Close())
	}
	snapshots, err := hraft.NewFileSnapshotStoreWithLogger(dir, 2, logger.Named("snapshot"))
	if err != nil {
		return hashicorpLog{}, errors.Join(err, store.Close())
	}
	return hashicorpLog{entries: cache, stable: store, snapshots: snapshots, close: store.Close}, nil
}

// newHashicorpNetwork returns a transport for each replica of this process.
func newHashicorpNetwork(p plan, logger hclog.Logger) (map[uint64]hraft.Transport, error) {
	if p.kind == inMemory {
		return newHashicorpMemory(p), nil
	}
	network := make(map[uint64]hraft.Transport)
	for _, number := range p.here {
		address := p.members[number-1].address
		transport, err := hraft.NewTCPTransportWithConfig(address, nil, &hraft.NetworkTransportConfig{
			Logger:  logger.Named("transport"),
			MaxPool: 3,
			Timeout: hashicorpRoundTrip,
		})
		if err != nil {
			err = fmt.Errorf("listen on %s for hashicorp/raft: %w", address, err)
			for _, other := range network {
				err = errors.Join(err, closeHashicorp(other))
			}
			return nil, err
		}
		network[number] = transport
	}
	return network, nil
}

// newHashicorpMemory connects all replicas with each other.
func newHashicorpMemory(p plan) map[uint64]hraft.Transport {
	network := make(map[uint64]hraft.Transport)
	for _, number := range p.here {
		_, transport := hraft.NewInmemTransportWithTimeout(hashicorpAddress(p, number), hashicorpRoundTrip)
		for _, other := range network {
			transport.Connect(other.LocalAddr(), other)
			other.(*hraft.InmemTransport).Connect(transport.LocalAddr(), transport)
		}
		network[number] = transport
	}
	return network
}

func closeHashicorp(transport hraft.Transport) error {
	if c, ok := transport.(hraft.WithClose); ok {
		return c.Close()
	}
	return nil
}
