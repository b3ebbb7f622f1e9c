package raftremote

import (
	"errors"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/node"
)

func connectRequest(address, systemID string) *remote.ConnectRequest {
	return &remote.ConnectRequest{ConnectionType: &remote.ConnectRequest_ServerConnection{
		ServerConnection: &remote.ServerConnection{Address: address, SystemId: systemID},
	}}
}

func TestAConnectRequestMustFitTheCertificate(t *testing.T) {
	s := testGuard(t)
	s.guard.remote.cfg.ClusterID = "c"
	placed := "127.0.0.1:7009"
	s.guard.remote.running.Load().links.member("g", 1).Configure(
		node.Configuration{Members: []node.Member{{ID: 1, Address: ourAddress}, {ID: 2, Address: placed}}})
	covers := func(host string) error {
		if host != "127.0.0.1" {
			return errors.New("another host")
		}
		return nil
	}
	for name, c := range map[string]struct {
		identity          identity
		address, systemID string
		refused           bool
	}{
		"nobody proves anything":            {identity{}, placed, "x", false},
		"a long system id":                  {identity{}, theirAddress, strings.Repeat("x", nameBytesMax+1), true},
		"a client":                          {identity{verified: true, hosts: covers}, theirAddress, "x", false},
		"a client on another host":          {identity{verified: true, hosts: covers}, "10.0.0.1:70", "x", true},
		"a client at a member's address":    {identity{verified: true, hosts: covers}, placed, "x", true},
		"a system at a member's address":    {identity{true, "c", "two", covers}, placed, "x", false},
		"a system of another cluster":       {identity{true, "d", "two", covers}, placed, "x", true},
		"a system elsewhere on its host":    {identity{true, "c", "two", covers}, theirAddress, "x", false},
		"a system that is somewhere else":   {identity{true, "c", "two", covers}, "10.0.0.1:70", "x", true},
		"a system that says it is this one": {identity{true, "c", "two", covers}, ourAddress, "x", true},
	} {
		t.Run(name, func(t *testing.T) {
			stream := &guardedStream{guard: s.guard, ours: ourAddress, identity: c.identity}
			if err := stream.check(connectRequest(c.address, c.systemID)); (err != nil) != c.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASystemDoesNotCallItselfByTheAddressOfAnother(t *testing.T) {
	a, b, _, _ := twoSystems(t)
	linked(t, a, b)
	if err := a.isTakenBy(b.cfg.address, identity{verified: true, cluster: "test", system: "c"}); err == nil {
		t.Error("c is believed to be b")
	}
	if err := a.isTakenBy(b.cfg.address, identity{verified: true, cluster: "test", system: "b"}); err != nil {
		t.Errorf("b is not believed: %v", err)
	}
}

func TestMessagesBeforeTheConnectRequestAreAFault(t *testing.T) {
	s := testGuard(t)
	b := oneMessage(actor.NewPID(ourAddress, "raft/g/1"), &raft.Propose{Command: []byte("x")})
	early := &guardedStream{guard: s.guard, ours: ourAddress}
	pass, fault, _ := early.judge(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}})
	if pass || fault != reasonHello {
		t.Errorf("got %v, %q", pass, fault)
	}
}

func TestOnlyWhatIsWatchedTerminates(t *testing.T) {
	s := testGuard(t)
	// The gate knows the system, since something else is watched there.
	o := newOutbox(s.guard.remote.gate, theirAddress)
	o.watches[watchKey{"watcher", "watched"}] = struct{}{}
	s.guard.remote.gate.outboxes[theirAddress] = o
	for _, c := range []struct{ watcher, who, drop string }{
		{"watcher", "another", string(reasonWatch)},
		{"another", "watched", string(reasonWatch)},
		{"watcher", "watched", ""},
		{"watcher", "watched", string(reasonWatch)}, // once
	} {
		m := &actor.Terminated{Who: actor.NewPID(theirAddress, c.who)}
		b := oneMessage(actor.NewPID(ourAddress, c.watcher), m)
		p, err := partsOf(b, b.Envelopes[0])
		if err != nil {
			t.Fatal(err)
		}
		if v := s.judgeEnvelope(p); string(v.drop) != c.drop || v.pass || v.fault != nil {
			t.Errorf("%s watches %s: got %+v", c.watcher, c.who, v)
		}
	}
}

func TestAStreamThatHasEndedLeavesNothing(t *testing.T) {
	s := testGuard(t)
	s.guard.enter(s)
	s.guard.leave(s)
	if n := len(s.guard.streams); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestThereAreBoundedlyManyOutboxes(t *testing.T) {
	r, err := New(Config{Listen: ourAddress, Insecure: true, ConnectionsMax: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.gate.outboxes[theirAddress] = newOutbox(r.gate, theirAddress)
	if o, reason := r.gate.outboxFor("127.0.0.1:7003"); o != nil || reason != gateSystems {
		t.Errorf("got %v, %q", o, reason)
	}
}
