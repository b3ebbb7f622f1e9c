package raftremote

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	raft "example.com/raftactor/actor"
)

// padded is an actor with bytes in it that no field is for. Proto.Actor copies them for each message of a frame.
func padded(pid *actor.PID, bytes int) *actor.PID {
	unknown := protowire.AppendBytes(protowire.AppendTag(nil, 100, protowire.BytesType), make([]byte, bytes))
	pid.ProtoReflect().SetUnknown(unknown)
	return pid
}

func TestAnActorsNameIsBoundedWhereverItStands(t *testing.T) {
	s := testGuard(t)
	long := strings.Repeat("x", pidBytesMax)
	propose := &raft.Propose{Command: []byte("x")}
	for name, c := range map[string]struct {
		target, sender *actor.PID
		message        proto.Message
		fault          refusalReason
	}{
		"a sender":        {nil, actor.NewPID(theirAddress, long), propose, reasonTooMuch},
		"a padded sender": {nil, padded(actor.NewPID(theirAddress, "a"), pidBytesMax), propose, reasonTooMuch},
		"a padded target": {padded(actor.NewPID(ourAddress, "raft/g/1"), pidBytesMax), nil, propose, reasonTooMuch},
		"a watcher":       {nil, nil, &actor.Watch{Watcher: actor.NewPID(theirAddress, long)}, reasonPayload},
		"a padded watcher": {
			nil, nil, &actor.Watch{Watcher: padded(actor.NewPID(theirAddress, "a"), pidBytesMax)}, reasonPayload,
		},
		"a subscriber":   {nil, nil, &raft.Subscribe{Subscriber: actor.NewPID(theirAddress, long)}, reasonPayload},
		"an honest name": {nil, actor.NewPID(theirAddress, long[:pidBytesMax/2]), propose, ""},
	} {
		t.Run(name, func(t *testing.T) {
			target := c.target
			if target == nil {
				target = actor.NewPID(ourAddress, "raft/g/1")
			}
			b := oneMessage(target, c.message)
			if c.sender != nil {
				b.Senders, b.Envelopes[0].Sender = []*actor.PID{c.sender}, 1
			}
			if fault, err := s.judgeBatch(b); fault != c.fault {
				t.Errorf("got %q, %v; want %q", fault, err, c.fault)
			}
		})
	}
}

func TestAllStreamsTogetherHaveBoundedlyManyWatches(t *testing.T) {
	s := testGuard(t)
	for i := range allWatchesMax + 1 {
		of := s
		if i%watchesMax == 0 {
			s = &guardedStream{guard: s.guard, ours: ourAddress, address: theirAddress}
			of = s
		}
		w := heldWatch{theirAddress, strconv.Itoa(i), "raft/g/1"}
		if allowed := s.guard.watch(of, w); allowed != (i < allWatchesMax) {
			t.Fatalf("watch %d: allowed %v", i, allowed)
		}
	}
	if !s.guard.watch(s, heldWatch{theirAddress, "0", "raft/g/1"}) {
		t.Error("a newer stream may not repeat one")
	}
}

func TestWhatWasStoppedIsNotAttached(t *testing.T) {
	r, err := New(Config{Listen: ourAddress, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(quietSystem()); !errors.Is(err, ErrStopped) || r.Address() != "" {
		t.Errorf("got %v, and the address %q", err, r.Address())
	}
}
