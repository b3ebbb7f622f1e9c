package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/node"
	raftremote "example.com/raftactor/remote"
)

// guests is who is in the room, as this member knows from what its raft actor and its network publish. It says so when
// somebody comes, goes or leads.
type guests struct {
	screen  *screen
	self    raft.ID
	address string // of this member
	joins   bool   // it is no founder

	mu sync.Mutex
	// members are those of the newest committed configuration, or founders before there is one. Guarded by mu.
	members map[raft.ID]guest
	known   bool            // a committed configuration is known; guarded by mu
	removed bool            // the room has removed this member; guarded by mu
	leader  raft.ID         // guarded by mu
	away    map[string]bool // addresses that cannot be reached, of members and of those to come; guarded by mu
}

// guest is a member of the room.
type guest struct {
	voter   bool
	address string
}

func newGuests(s *screen, o options) *guests {
	g := &guests{
		screen: s, self: o.id, address: o.advertise, joins: len(o.founders) == 0,
		members: map[raft.ID]guest{}, away: map[string]bool{},
	}
	for _, m := range o.founders {
		g.members[m.ID] = guest{true, m.Address}
	}
	return g
}

// note takes an event. It is called on the goroutines of those who publish.
func (g *guests) note(event any, over context.CancelCauseFunc) {
	switch e := event.(type) {
	case *raft.LeaderChanged:
		g.led(e.Leader, e.Term)
	case *raft.MembershipChanged:
		if e.Committed {
			g.changed(e)
		}
	case *raft.Removed:
		g.left()
	case raftremote.PeerReachable:
		g.reachable(e.Address, true)
	case raftremote.PeerUnreachable:
		g.reachable(e.Address, false)
	case raftremote.PeerRefused:
		g.screen.notice("there is no link with %s: %s", e.Address, e.Reason)
	case *raft.Failed:
		over(fmt.Errorf("this member has failed: %w", e.Err))
	case *raft.Disowned:
		g.disowned(e.By, over)
	}
}

// disowned tells that this member's store is not the one that another member knows. What it says counts for nothing. A
// founder should not have come; who joins in its own place is let in once the old one has been removed.
func (g *guests) disowned(by raft.ID, over context.CancelCauseFunc) {
	advice := fmt.Sprintf("have another member say /remove %d and then /add %d=%s", g.self, g.self, g.address)
	if g.joins {
		g.screen.notice("member %d knows this one, %d, by another store, that of an earlier life: %s", by, g.self, advice)
		return
	}
	over(fmt.Errorf("member %d knows this one, %d, by another store, which its directory does not hold any more: put "+
		"the directory back; or start with -join and an empty one, and %s", by, g.self, advice))
}

func (g *guests) led(leader raft.ID, term raft.Term) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if leader == g.leader {
		return
	}
	g.leader = leader
	if leader == 0 {
		g.screen.notice("nobody leads")
		return
	}
	g.screen.notice("member %d leads, in term %d", leader, term)
}

// changed tells of those who have come and gone with a configuration.
func (g *guests) changed(e *raft.MembershipChanged) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := map[raft.ID]guest{}
	for _, m := range e.Configuration.Members {
		now[m.ID] = guest{m.Suffrage == node.Voter, m.Address}
		was, there := g.members[m.ID]
		switch {
		case !g.known:
		case !there:
			g.screen.notice("member %d comes, at %s", m.ID, m.Address)
			if g.away[m.Address] {
				g.screen.notice("member %d cannot be reached", m.ID)
			}
		case now[m.ID].voter && !was.voter:
			g.screen.notice("member %d votes", m.ID)
		case was.voter && !now[m.ID].voter:
			g.screen.notice("member %d does not vote any more", m.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		if _, there := now[id]; there || !g.known {
			continue
		}
		delete(g.away, g.members[id].address)
		if id != g.self { // of itself it says so when it is certain
			g.screen.notice("member %d goes: it has been removed", id)
		}
	}
	if _, in := now[g.self]; in && g.removed {
		g.removed = false
		g.screen.notice("this member, %d, is in the room again", g.self)
	}
	g.members, g.known = now, true
}

// left takes note that the room has removed this member.
func (g *guests) left() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removed = true
	g.screen.notice("this member, %d, has been removed from the room: nothing is heard or said here any more. Ctrl-C leaves; "+
		"to come back, have another member say /add %d=%s", g.self, g.self, g.address)
}

func (g *guests) isRemoved() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.removed
}

// reachable takes note of whether the system at an address can be reached, which may be known before there is a member.
func (g *guests) reachable(address string, is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.away[address] == !is {
		return
	}
	g.away[address] = !is
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		switch {
		case g.members[id].address != address:
		case is:
			g.screen.notice("member %d is back", id)
		default:
			g.screen.notice("member %d cannot be reached", id)
		}
	}
}
