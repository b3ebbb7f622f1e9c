package raft

import (
	"errors"
	"strings"
	"testing"
)

// TestOtherFoundingMembersAreRefusedBySpawn: nothing has been started then, and the store is free for a start with the
// right ones.
func TestOtherFoundingMembersAreRefusedBySpawn(t *testing.T) {
	f, _ := newGroup(t)
	f.stop(3)
	cfg := f.config(3)
	cfg.Members = []Member{{ID: 1}, {ID: 3}}
	_, err := Spawn(f.system, cfg, &journal{})
	var refused *FoundingError
	if !errors.Is(err, ErrFounding) || !errors.As(err, &refused) {
		t.Fatalf("got %v, want a FoundingError", err)
	}
	for _, want := range []string{"member 3", "{1 3}", "{1 2 3}"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	f.expectGone(3)
	f.spawn(3, &journal{})
	f.stop(3)
	cfg = f.config(3)
	cfg.Members = nil
	if _, err := Spawn(f.system, cfg, &journal{}); err != nil {
		t.Errorf("without founding members: %v", err)
	}
}

func TestAJoinerThatComesBackAsAFounderIsRefusedBySpawn(t *testing.T) {
	f, leader := newGroup(t)
	f.spawnJoiner(4, &journal{})
	done[*MembersChanged](f, leader, addLearner(4, "host-4"))
	f.pass(5)
	f.stop(4)
	cfg := f.config(4)
	cfg.Members = append(cfg.Members, Member{ID: 4})
	if _, err := Spawn(f.system, cfg, &journal{}); !errors.Is(err, ErrFounding) || !strings.Contains(err.Error(), "joined") {
		t.Fatalf("got %v, want ErrFounding", err)
	}
	f.spawnJoiner(4, &journal{})
}
