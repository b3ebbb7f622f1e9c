package raftremote_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/cluster/identitylookup/disthash"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raftremote "example.com/raftactor/remote"
)

// Who starts Proto.Actor's remoting in a child.
const (
	baseOwn     = "own"     // the application, with the options of a Remote
	baseCluster = "cluster" // Proto.Cluster, with the options of a Remote
)

// grainKind is the kind of the cluster's actors in the tests.
const grainKind = "cook"

// startRemoting starts what the child's configuration says.
func (c *child) startRemoting(cfg raftremote.Config) (*raftremote.Remote, error) {
	if c.cfg.Base == "" {
		return raftremote.Start(c.system, cfg)
	}
	r, err := raftremote.New(cfg)
	if err != nil {
		return nil, err
	}
	host, digits, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		return nil, err
	}
	options := remote.Configure(host, port, r.Options()...)
	switch c.cfg.Base {
	case baseOwn:
		base := remote.NewRemote(c.system, options)
		if err := r.Attach(c.system); err != nil {
			return nil, err
		}
		base.Start()
	case baseCluster:
		c.system.ID = cfg.Listen // so that the others know it without asking
		kind := cluster.NewKind(grainKind, actor.PropsFromFunc(c.cook))
		c.cluster = cluster.New(c.system, cluster.Configure(c.cfg.Cluster, neighbours(c.cfg.Members), disthash.New(), options,
			cluster.WithKinds(kind)))
		exposeCluster(r)
		if err := r.Attach(c.system); err != nil {
			return nil, err
		}
		c.cluster.StartMember()
	}
	return r, nil
}

// exposeCluster exposes what Proto.Cluster needs, and its actors for what the tests ask them.
func exposeCluster(r *raftremote.Remote) {
	r.Expose("gossip", &cluster.GossipRequest{})
	r.Expose("partition-activator", &cluster.ActivationRequest{})
	r.Expose("partition-activator/", &wrapperspb.StringValue{}, &cluster.GrainRequest{})
}

// cook is one of the cluster's actors. It says where it is.
func (c *child) cook(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *wrapperspb.StringValue:
		ctx.Respond(wrapperspb.String(m.GetValue() + " at " + c.system.Address()))
	case *cluster.GrainRequest: // as generated code asks
		ctx.Respond(&cluster.GrainResponse{MessageData: []byte(string(m.GetMessageData()) + " at " + c.system.Address())})
	}
}

// askCluster does what concerns the cluster.
func (c *child) askCluster(do command) (string, error) {
	switch do.Do {
	case "gossip": // the members that it has heard of by gossip, itself too
		state, err := c.cluster.Gossip.GetState(cluster.HeartbeatKey)
		var heard []string
		for id := range state {
			heard = append(heard, id)
		}
		slices.Sort(heard)
		return strings.Join(heard, " "), err
	case "leave":
		err := c.remote.Stop(context.Background()) // first: Proto.Actor's remoting waits for others to hang up, for ten seconds
		c.cluster.Shutdown(do.Text == "graceful")  // which takes two seconds
		return "", err
	}
	first, err := c.cluster.Request(do.Name, grainKind, wrapperspb.String(do.Text))
	if err != nil {
		return "", err
	}
	second, err := c.cluster.Request(do.Name, grainKind, &cluster.GrainRequest{MessageData: []byte(do.Text)})
	if err != nil {
		return "", err
	}
	text, isText := first.(*wrapperspb.StringValue)
	data, isData := second.(*cluster.GrainResponse)
	if !isText || !isData || text.GetValue() != string(data.GetMessageData()) {
		return "", fmt.Errorf("got %v and %v", first, second)
	}
	return text.GetValue(), nil
}

// neighbours is a ClusterProvider whose members are given.
type neighbours []string

func (n neighbours) StartMember(c *cluster.Cluster) error {
	var members cluster.Members
	for _, address := range n {
		host, digits, _ := net.SplitHostPort(address)
		port, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			return err
		}
		members = append(members, &cluster.Member{Id: address, Host: host, Port: int32(port), Kinds: c.GetClusterKinds()})
	}
	c.MemberList.UpdateClusterTopology(members)
	return nil
}

func (n neighbours) StartClient(*cluster.Cluster) error {
	return errors.New("there are no clients here")
}
func (n neighbours) Shutdown(bool) error { return nil }

// startThree starts three members whose remoting is started by somebody else, and waits until each knows a leader's commit.
func startThree(t *testing.T, base string) []*process {
	t.Helper()
	dir := certificates(t, map[string]string{"0": "raft://c/x", "1": "raft://c/y", "2": "raft://c/z"})
	addresses := []string{silentAddress(t), silentAddress(t), silentAddress(t)}
	var all []*process
	for i, address := range addresses {
		p := startProcess(t, childConfig{
			Cluster: "c", Listen: address, Certificates: dir(strconv.Itoa(i)), Members: addresses, Self: i, Base: base,
		})
		p.address = address
		all = append(all, p)
	}
	for _, p := range all {
		if got := p.do(command{Do: "address"}); got.Text != p.address {
			t.Fatalf("it is at %q, want %q", got.Text, p.address)
		}
	}
	return all
}

func TestAGroupWorksWhereTheApplicationStartsRemotingItself(t *testing.T) {
	t.Parallel()
	all := startThree(t, baseOwn)
	for _, p := range all {
		p.await("all are in one term", func(s childState) bool { return s.Term == all[0].state().Term })
		for i, other := range all {
			if other == p {
				continue
			}
			if got := p.do(command{Do: "ask", Address: other.address, Name: "echo", Text: "x"}); got.Text != "echo x" {
				t.Errorf("an exposed actor: %+v", got)
			}
			name := "raft/g/" + strconv.Itoa(i+1)
			if got := p.do(command{Do: "status", Address: other.address, Name: name}); got.Text != "*raft.Status" {
				t.Errorf("a raft actor: %+v", got)
			}
			if got := p.do(command{Do: "ask", Address: other.address, Name: "hidden", Text: "x"}); got.Error == "" {
				t.Errorf("a hidden actor: %+v", got)
			}
		}
	}
	for _, p := range all {
		if got := p.do(command{Do: "stop"}); got.Error != "" || got.Took > time.Second {
			t.Errorf("stopping: %+v", got)
		}
	}
}

func TestAGroupWorksBesideProtoCluster(t *testing.T) {
	t.Parallel()
	all := startThree(t, baseCluster)
	var addresses []string
	for _, p := range all {
		addresses = append(addresses, p.address)
	}
	slices.Sort(addresses)
	for _, p := range all {
		p.await("all are in one term", func(s childState) bool { return s.Term == all[0].state().Term })
		want, got := strings.Join(addresses, " "), answer{}
		for end := time.Now().Add(deadline); got.Text != want && time.Now().Before(end); {
			got = p.do(command{Do: "gossip"})
		}
		if got.Text != want {
			t.Errorf("by gossip it has heard of %+v, want %s", got, want)
		}
	}
	places := map[string]bool{}
	for i := range 24 {
		name := "table/" + strconv.Itoa(i)
		var at string
		for _, p := range all {
			got := p.do(command{Do: "grain", Name: name, Text: "served"})
			if got.Error != "" || at != "" && got.Text != at {
				t.Fatalf("asking %s: %+v; another member got %q", name, got, at)
			}
			at = got.Text
		}
		places[at] = true
	}
	if len(places) != len(all) {
		t.Errorf("the cluster's actors are %v, want some in each process", places)
	}
	for _, name := range []string{"hidden", "$pubsub-delivery", "activator", "partition-activator", "gossip", "eventstream"} {
		got := all[0].do(command{Do: "ask", Address: all[1].address, Name: name, Text: "x"})
		if !strings.Contains(got.Error, "dead letter") {
			t.Errorf("%s: got %+v, want a dead letter", name, got)
		}
	}
	if s := all[1].state(); s.Refused["target"] != 4 || s.Refused["type"] != 2 {
		t.Errorf("afterwards it has refused %v", s.Refused)
	}
	for _, p := range all {
		if s := p.state(); p != all[1] && s.Refused["type"]+s.Refused["target"]+s.Refused["named"] > 0 {
			t.Errorf("the guard has refused some of the cluster's own: %v", s.Refused)
		}
	}
	for i, p := range all {
		how := []string{"graceful", "", ""}[i]
		if got := p.do(command{Do: "leave", Text: how}); got.Error != "" || got.Took > 4*time.Second {
			t.Errorf("leaving: %+v", got)
		}
	}
}
