package raftremote

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestANameThatEndsInASlashExposesWhatIsBelow(t *testing.T) {
	s := testGuard(t)
	r := s.guard.remote
	r.Expose("kitchen/", &wrapperspb.StringValue{}, &protocluster.GrainRequest{})
	r.Expose("kitchen/pantry/", &wrapperspb.Int64Value{})
	r.Expose("kitchen/safe", &wrapperspb.BoolValue{})
	for name, c := range map[string]struct {
		target  string
		message proto.Message
		want    refusalReason
	}{
		"a child":                       {"kitchen/$1", wrapperspb.String("x"), ""},
		"its child":                     {"kitchen/$1/$2", wrapperspb.String("x"), ""},
		"what the cluster asks":         {"kitchen/$1", &protocluster.GrainRequest{}, ""},
		"a watch":                       {"kitchen/$1", &actor.Watch{Watcher: actor.NewPID(theirAddress, "a")}, ""},
		"another type":                  {"kitchen/$1", wrapperspb.Int64(1), reasonType},
		"an end":                        {"kitchen/$1", &actor.Stop{}, reasonType},
		"the parent":                    {"kitchen", wrapperspb.String("x"), reasonTarget},
		"nobody below":                  {"kitchen/", wrapperspb.String("x"), reasonTarget},
		"one that begins so":            {"kitchens/$1", wrapperspb.String("x"), reasonTarget},
		"the nearest parent":            {"kitchen/pantry/$1", wrapperspb.Int64(1), ""},
		"not the one above the nearest": {"kitchen/pantry/$1", wrapperspb.String("x"), reasonType},
		"one by its own name":           {"kitchen/safe", wrapperspb.Bool(true), ""},
		"one by its own name only":      {"kitchen/safe", wrapperspb.String("x"), reasonType},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.reach.judge(c.target, classOf(string(proto.MessageName(c.message))), theirAddress); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if !r.reach.knows("kitchen/$1", theirAddress) || r.reach.knows("kitchen", theirAddress) {
		t.Error("the children, and only they, can be named to others")
	}
}

func TestWhatTheClusterAnswersReachesTheFutureOfWhoAsked(t *testing.T) {
	s := testGuard(t)
	r := s.guard.remote
	r.reach.permits.grant(r.system, theirAddress, "future$1")
	for name, c := range map[string]struct {
		target  string
		message proto.Message
		from    string
		want    refusalReason
	}{
		"an answer":                        {"future$1", &protocluster.ActivationResponse{}, theirAddress, ""},
		"of a system that was not asked":   {"future$1", &protocluster.ActivationResponse{}, "127.0.0.1:7003", reasonTarget},
		"for nobody who has asked":         {"future$2", &protocluster.ActivationResponse{}, theirAddress, reasonTarget},
		"an actor that has asked":          {"asker", &protocluster.ActivationResponse{}, theirAddress, reasonType},
		"spawning":                         {"future$1", &remote.ActorPidResponse{}, theirAddress, reasonType},
		"what runs code when it is opened": {"future$1", &protocluster.PubSubBatchTransport{}, theirAddress, reasonType},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.reach.judge(c.target, classOf(string(proto.MessageName(c.message))), c.from); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
