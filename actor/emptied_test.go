package raft_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/node"
)

// isUnknown tells whether a group has not agreed on a member's incarnation.
func isUnknown(m node.Member) bool { return m.Incarnation == 0 }

// promote makes a learner a voter, as soon as the leader finds that it has caught up.
func (g *diskGroup) promote(id raft.ID) {
	g.Helper()
	err := raft.ErrRefused
	for errors.Is(err, raft.ErrRefused) {
		err = g.client.Promote(g.ctx, id)
	}
	g.must(err)
}

// grants is a transport that tells of the votes which member 3 promises to member 1.
type grants struct {
	*raft.MemoryTransport
	given chan struct{}
}

// await waits until member 3 has promised its vote so often.
func (t *grants) await(g *diskGroup, count int) {
	g.Helper()
	for range count {
		select {
		case <-t.given:
		case <-g.ctx.Done():
			g.Fatal("member 3 is not asked for its vote")
		}
	}
}

func (t *grants) Join(group string, id raft.ID, inbox raft.Inbox) (raft.Link, error) {
	link, err := t.MemoryTransport.Join(group, id, inbox)
	if id == 3 && err == nil {
		link = grantsLink{link, t}
	}
	return link, err
}

type grantsLink struct {
	raft.Link
	transport *grants
}

func (l grantsLink) Send(to raft.ID, address string, envelope *raft.PeerEnvelope) {
	given := 0
	for _, m := range envelope.Messages {
		switch m := m.(type) {
		case *node.PreVoteReply:
			if to == 1 && m.Granted {
				given++
			}
		case *node.RequestVoteReply:
			if to == 1 && m.Granted {
				given++
			}
		}
	}
	l.Link.Send(to, address, envelope)
	for range given {
		select {
		case l.transport.given <- struct{}{}:
		default: // nobody counts that far
		}
	}
}

// A member whose directory was emptied is another one to the group: its votes do not count, and it comes back as a
// learner, which is promoted. Nothing that was acknowledged is lost on the way.
func TestAMemberWhoseDirectoryWasEmptiedComesBack(t *testing.T) {
	t.Parallel()
	g := newDiskGroup(t)
	votes := &grants{MemoryTransport: raft.NewMemoryTransport(), given: make(chan struct{}, 1000)}
	g.transport = votes
	g.spawnFounders()
	g.propose(20)
	g.await("the group agrees on its incarnations", func(event any) bool {
		e, ok := event.(*raft.MembershipChanged)
		return ok && e.Member == 1 && e.Committed && !slices.ContainsFunc(e.Configuration.Members, isUnknown)
	})
	before := g.status(3).Incarnation

	// 1 and 3 would be a majority, and could lead without what 2 knows, if 3 were taken for the one that it was.
	g.stop(2)
	g.stop(3)
	g.must(os.RemoveAll(g.path(3)))
	for len(votes.given) > 0 {
		<-votes.given // by its earlier life
	}
	g.spawn(3)
	votes.await(g, 1)
	term := g.status(1).Term
	votes.await(g, 5)
	if s := g.status(1); s.Role == raft.Status_LEADER || s.Term != term {
		t.Fatalf("member 1 is %v in term %d, though nobody could give it a vote since term %d", s.Role, s.Term, term)
	}

	// With 2 there is a majority that knows all.
	g.spawn(2)
	g.propose(20)
	g.must(g.client.RemoveMember(g.ctx, 3))
	now := g.status(3).Incarnation
	if now == before {
		t.Error("member 3 is of the same incarnation as before")
	}
	g.must(g.client.AddIncarnation(g.ctx, 3, "", now))
	g.promote(3)

	// Now 1 and 3 are a majority, and do know all.
	g.stop(2)
	g.propose(20)
	g.expect(60)
	if got := len(g.status(3).Members); got != 3 {
		t.Errorf("member 3 knows %d members, want 3", got)
	}
}
