package raftremote

import (
	"fmt"
	"strings"
	"testing"
	"time"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/remote/proxytest"
)

func TestAGroupAcrossSystemsAgrees(t *testing.T) {
	c := newCluster(t).spawnAll()
	leader := c.leader()
	for k := range 30 { // two thirds are forwarded
		c.propose(raft.ID(k%3+1), fmt.Sprint("command", k))
	}
	c.agree(30)
	follower := leader%3 + 1
	line := &c.systems[follower].peer(c.systems[leader].cfg.address).control
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.open.last == 0 {
		t.Error("no request was forwarded by the link")
	}
	if len(line.open.waiting) > 0 {
		t.Errorf("%d requests wait for answers", len(line.open.waiting))
	}
}

func TestAnotherMemberLeadsWhenTheLeaderIsCutOff(t *testing.T) {
	c := newCluster(t).spawnAll()
	leader := c.leader()
	c.propose(leader, "before")
	c.cut(leader, true)
	next := c.leader(leader)
	c.propose(next, "while it is cut off")
	c.cut(leader, false)
	c.propose(leader, "after")
	c.agree(3)
}

func TestAnotherMemberLeadsWhenNobodyHearsTheLeader(t *testing.T) {
	c := newCluster(t, func(cfg *linkConfig) { cfg.peerTimeout = 300 * time.Millisecond }).spawnAll()
	leader := c.leader()
	c.propose(leader, "before")
	silence := func(silent bool) {
		for other := range c.systems {
			if other != leader {
				c.proxies[leader][other].Silence(proxytest.ToServer, silent)
				c.proxies[other][leader].Silence(proxytest.ToClient, silent)
			}
		}
	}
	silence(true)
	next := c.leader(leader)
	c.propose(next, "while it is silent")
	silence(false)
	c.propose(leader, "after")
	c.agree(3)
}

func TestAGroupAgreesOverSlowConnections(t *testing.T) {
	c := newCluster(t)
	for _, proxies := range c.proxies {
		for _, p := range proxies {
			p.Delay(proxytest.ToServer, 5*time.Millisecond)
			p.Delay(proxytest.ToClient, 5*time.Millisecond)
			p.Limit(proxytest.ToServer, 4<<20)
		}
	}
	c.spawnAll()
	c.leader()
	large := strings.Repeat("x", 100_000)
	for k := range 10 {
		c.propose(raft.ID(k%3+1), large)
	}
	c.agree(10)
}

func TestAGroupAgreesThoughConnectionsAreLostAgainAndAgain(t *testing.T) {
	c := newCluster(t, func(cfg *linkConfig) { cfg.peerTimeout = 200 * time.Millisecond }).spawnAll()
	c.leader()
	for k := range 20 {
		id := raft.ID(k%3 + 1)
		for other, p := range c.proxies[id] {
			if other%2 == raft.ID(k%2) {
				p.HalfOpen()
			} else {
				p.Cut()
			}
		}
		c.propose(id, fmt.Sprint("command", k))
	}
	c.agree(20)
}

func TestAMemberThatWasAwayGetsASnapshot(t *testing.T) {
	c := newCluster(t)
	c.configure = func(cfg *raft.Config) { cfg.SnapshotEntries, cfg.RetainEntries = 20, -1 }
	c.spawnAll()
	leader := c.leader()
	away := leader%3 + 1
	c.stop(away)
	large := strings.Repeat("y", 100_000)
	for range 60 {
		c.propose(leader, large)
	}
	c.spawn(away)
	c.agree(60)
	if !c.members[away].machine.isRestored() {
		t.Error("there was no snapshot")
	}
}
