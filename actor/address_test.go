package raft

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// choosy is a transport that takes addresses with a port only.
type choosy struct{ Transport }

func (choosy) CheckAddress(address string) error {
	if !strings.Contains(address, ":") {
		return errors.New(`it is "` + address + `", and must be HOST:PORT`)
	}
	return nil
}

func TestAddressesThatTheTransportDoesNotTakeAreRefused(t *testing.T) {
	f := newScattered(t, 1, 2, 3)
	f.configure = func(c *Config) { c.Transport = choosy{c.Transport} }
	cfg := f.config(1)
	cfg.Members = []Member{{ID: 1, Address: hostOf(1)}, {ID: 2, Address: "two"}, {ID: 3}}
	_, err := Spawn(f.home(1), cfg, &journal{})
	if err == nil || !strings.Contains(err.Error(), `member 2: it is "two"`) || !strings.Contains(err.Error(), `member 3: it is ""`) {
		t.Errorf("got %v", err)
	}
	if _, err := Props(cfg, &journal{}); err == nil {
		t.Error("props are made of it")
	}
	f.spawnFounders()
	leader := f.elect()
	before := f.status(leader).LastIndex
	for _, id := range []ID{leader, f.others(leader)[0]} {
		in := f.ask(id, addLearner(7, "seven"))
		f.settle()
		if r := f.rejected(in, Code_INVALID, Outcome_NOT_APPLIED); !strings.Contains(r.Detail, `member 7`) || !strings.Contains(r.Detail, `"seven"`) {
			t.Errorf("got %v", r)
		}
	}
	if f.status(leader).LastIndex != before {
		t.Error("something stands in the log")
	}
	c := awayClient(f, leader)
	f.doing(func() {
		if err := c.AddMember(context.Background(), 7, "seven"); !errors.Is(err, ErrInvalid) || !errors.Is(err, ErrNotApplied) {
			t.Errorf("got %v", err)
		}
		if err := c.AddMember(context.Background(), 7, "seven:7"); err != nil {
			t.Error(err)
		}
	})
}

// A follower that is not to pass a request on says whom to ask, and where.
func TestADirectRequestIsNotPassedOn(t *testing.T) {
	f, leader := newScatteredGroup(t)
	follower := f.others(leader)[0]
	for _, request := range []any{
		&Propose{Direct: true, Tag: 7}, &OpenSession{Direct: true, Tag: 7}, &TransferLeadership{Target: 1, Direct: true, Tag: 7},
		&ChangeMembers{Change: &ChangeMembers_Remove{Remove: &RemoveMember{Id: 9}}, Direct: true, Tag: 7},
	} {
		in := f.ask(follower, request)
		f.settle()
		r := f.rejected(in, Code_NOT_LEADER, Outcome_NOT_APPLIED)
		if r.Leader != uint64(leader) || keyOf(r.LeaderPid) != keyOf(f.pids[leader]) || r.Tag != 7 {
			t.Errorf("%T: got %v", request, r)
		}
	}
	in := f.ask(leader, &Propose{Direct: true})
	f.settle()
	only[*Proposed](f, in)
}

// A leader's PID goes along with a rejection between processes, unless it means nothing there.
func TestTheRejectionOfAForwardedRequestNamesTheLeader(t *testing.T) {
	for name, c := range map[string]struct {
		fixture func(testing.TB, ...ID) *fixture
		named   bool
	}{
		"between systems with addresses": {newScattered, true}, "without": {newFixture, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.fixture(t, 1, 2, 3)
			f.network.fault = throughBytes
			f.spawnFounders()
			leader := f.elect()
			follower, other := f.others(leader)[0], f.others(leader)[1]
			request, err := (&forward{request: &Propose{}}).AppendRequest(nil)
			if err != nil {
				t.Fatal(err)
			}
			box := f.network.links[memberKey{"g", follower}].inbox
			got := &ForwardedReply{}
			there, err := box.NewForward(request, func(reply []byte) {
				if err := proto.Unmarshal(reply, got); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			box.Deliver(&PeerEnvelope{Group: "g", From: other, To: follower, Forwards: []Forward{there}})
			f.settle()
			r := got.GetRejected()
			if r.GetCode() != Code_NOT_LEADER || r.Leader != uint64(leader) || (r.LeaderPid != nil) != c.named {
				t.Fatalf("got %v", r)
			}
			if c.named && keyOf(r.LeaderPid) != keyOf(f.pids[leader]) {
				t.Errorf("got %v", r.LeaderPid)
			}
		})
	}
}
