package node

import (
	"slices"
	"testing"
)

func TestOverviewTellsWhatALeaderIsDoing(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a", "bb")
	s.does(&TransferLeadership{Target: 2})
	o := s.Overview()
	equal(t, "transfer target", o.TransferTarget, 2)
	equal(t, "uncommitted", o.UncommittedBytes, 2*entryBytesOverhead+3)
	equal(t, "applied", o.Applied, 2)
	equal(t, "applied by the machine", o.MachineApplied, 0)
	s.does(&MachineApplied{Index: 2})
	equal(t, "applied by the machine", s.Overview().MachineApplied, 2)
	s.gets(&AppendEntriesReply{Header: s.re(2, s.hard.Term+1)})
	o = s.Overview()
	equal(t, "role", o.Role, Follower)
	equal(t, "uncommitted of a follower", o.UncommittedBytes, 0)
}

func TestPeersAreAppended(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a")
	before := []PeerStatus{{ID: 99}}
	peers := s.AppendPeers(before)
	if len(peers) != 3 || peers[0].ID != 99 {
		t.Fatalf("got %+v, want what was there and two more", peers)
	}
	want := PeerStatus{
		ID: 2, State: "replicate", Match: 2, Next: 4, InflightMessages: 1, InflightBytes: entryBytesOverhead + 1,
	}
	equal(t, "the first", peers[1], want)
	if status := s.Status().Peers; !slices.Equal(status, peers[1:]) {
		t.Errorf("Status tells of %+v, want %+v", status, peers[1:])
	}
	s.gets(&AppendEntriesReply{Header: s.re(2, s.hard.Term+1)})
	if peers := s.AppendPeers(before); len(peers) != 1 {
		t.Errorf("a follower knows of %+v", peers[1:])
	}
}
