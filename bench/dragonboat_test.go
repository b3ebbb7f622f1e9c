package main

import (
	"context"
	"testing"
	"time"
)

func TestDragonboatLosesNothingThatItAcknowledges(t *testing.T) {
	tryAll(t, dragonboatContenders())
}

func TestAnyReplicaOfDragonboatIsMadeToLead(t *testing.T) {
	t.Parallel()
	replicas, err := dragonboatContenders()[0].start(planFor(t, inMemory))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, r := range replicas {
		if err := r.lead(ctx); err != nil {
			t.Error(err)
		}
	}
	for _, r := range replicas {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestEachIdleGroupOfDragonboatHasAPlace(t *testing.T) {
	t.Parallel()
	p := planFor(t, inMemory)
	p.groups = 5
	replicas, err := dragonboatContenders()[0].start(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range replicas {
		host := r.(*dragonboatReplica).host
		for shard := uint64(1); shard <= uint64(p.groups); shard++ {
			if !host.HasNodeInfo(shard, r.(*dragonboatReplica).number) {
				t.Errorf("shard %d has no replica", shard)
			}
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
}
