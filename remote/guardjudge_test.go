package raftremote

import (
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	_ "google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raft "example.com/raftactor/actor"
)

const (
	ourAddress   = "127.0.0.1:7001"
	theirAddress = "127.0.0.1:7002"
)

// testGuard is a guard of a system that sends nothing to others. "echo" is exposed there, "raft/g/1" is a member, and
// "asker" has asked them.
func testGuard(t testing.TB) *guardedStream {
	t.Helper()
	r, err := New(Config{Listen: ourAddress, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	system := quietSystem()
	if err := r.Attach(system); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop(t.Context()) })
	r.gate.stop(t.Context())
	r.Expose("echo", &wrapperspb.StringValue{})
	if _, err := r.running.Load().links.Join("g", 1, nil); err != nil {
		t.Fatal(err)
	}
	r.reach.permits.grant(system, theirAddress, "asker")
	return &guardedStream{guard: r.guard, ours: ourAddress, address: theirAddress}
}

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

func oneMessage(target *actor.PID, message proto.Message) *remote.MessageBatch {
	data, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	return &remote.MessageBatch{
		TypeNames: []string{string(proto.MessageName(message))}, Targets: []*actor.PID{target},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data}},
	}
}

func TestTheGuardLetsThroughWhatIsAllowed(t *testing.T) {
	s := testGuard(t)
	theirs := actor.NewPID(theirAddress, "a")
	for name, c := range map[string]struct {
		target  string
		message proto.Message
	}{
		"a request to a member":          {"raft/g/1", &raft.Propose{Command: []byte("x")}},
		"a subscription":                 {"raft/g/1", &raft.Subscribe{Subscriber: theirs}},
		"a subscription of the sender":   {"raft/g/1", &raft.Subscribe{}},
		"a watch of a member":            {"raft/g/1", &actor.Watch{Watcher: theirs}},
		"its end":                        {"raft/g/1", &actor.Unwatch{Watcher: theirs}},
		"touch":                          {"raft/g/1", &actor.Touch{}},
		"what is exposed":                {"echo", wrapperspb.String("x")},
		"an answer":                      {"asker", wrapperspb.Int64(1)},
		"an answer of a member":          {"asker", &raft.Proposed{Index: 1}},
		"a rejection with a leader":      {"asker", &raft.Rejected{LeaderPid: actor.NewPID("10.0.0.1:70", "raft/g/3")}},
		"a rejection with a leader here": {"asker", &raft.Rejected{LeaderPid: actor.NewPID(ourAddress, "raft/g/2")}},
		"a dead letter":                  {"asker", &actor.DeadLetterResponse{Target: theirs}},
		"a watch of who asked":           {"asker", &actor.Watch{Watcher: theirs}},
	} {
		t.Run(name, func(t *testing.T) {
			b := oneMessage(actor.NewPID(ourAddress, c.target), c.message)
			if fault, err := s.judgeBatch(b); fault != "" || len(b.Envelopes) != 1 {
				t.Errorf("refused: %q, %v; %d envelopes", fault, err, len(b.Envelopes))
			}
		})
	}
}

func TestWhatIsAllowedStaysWhenWhatIsBesideItIsDropped(t *testing.T) {
	s := testGuard(t)
	b := oneMessage(actor.NewPID(ourAddress, "echo"), wrapperspb.String("x"))
	b.Targets = append(b.Targets, actor.NewPID(ourAddress, "hidden"))
	good := b.Envelopes[0]
	bad := &remote.MessageEnvelope{MessageData: good.MessageData, Target: 1}
	b.Envelopes = []*remote.MessageEnvelope{bad, good, bad, good, bad}
	if fault, err := s.judgeBatch(b); fault != "" {
		t.Fatal(fault, err)
	}
	if len(b.Envelopes) != 2 || b.Envelopes[0] != good || b.Envelopes[1] != good {
		t.Errorf("got %v", b.Envelopes)
	}
}

func TestPermitsAreForOneSystemAndOneActor(t *testing.T) {
	s := testGuard(t)
	for _, other := range []*guardedStream{
		{guard: s.guard, ours: ourAddress, address: "127.0.0.1:7003"},
		s,
	} {
		name := "asker"
		if other == s {
			name = "another"
		}
		b := oneMessage(actor.NewPID(ourAddress, name), wrapperspb.String("x"))
		if _, err := other.judgeBatch(b); err != nil || len(b.Envelopes) > 0 {
			t.Errorf("%s of %s: %d envelopes, %v", name, other.address, len(b.Envelopes), err)
		}
	}
}

func TestPermitsAreBoundedAndThoseOfTheLivingStay(t *testing.T) {
	system := quietSystem()
	living, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {}), "living")
	if err != nil {
		t.Fatal(err)
	}
	defer system.Root.Stop(living)
	var p permits
	p.grant(system, theirAddress, "living")
	for i := range 3 * permitsMax {
		p.grant(system, theirAddress, "future"+string(rune(i)))
	}
	if len(p.held) > permitsMax || len(p.order) > permitsMax {
		t.Errorf("%d are held", len(p.held))
	}
	if !p.has(theirAddress, "living") {
		t.Error("that of a living actor is gone")
	}
}

func TestAStreamHasBoundedlyManyWatches(t *testing.T) {
	s := testGuard(t)
	for i := range 2 * watchesMax {
		w := heldWatch{theirAddress, string(rune(i)), "raft/g/1"}
		if allowed := s.guard.watch(s, w); allowed != (i < watchesMax) {
			t.Fatalf("watch %d: allowed %v", i, allowed)
		}
	}
	s.guard.unwatch(heldWatch{theirAddress, string(rune(0)), "raft/g/1"})
	if !s.guard.watch(s, heldWatch{theirAddress, "another", "raft/g/1"}) {
		t.Error("no other is allowed after one has ended")
	}
	newer := &guardedStream{guard: s.guard, ours: ourAddress, address: theirAddress}
	if !s.guard.watch(newer, heldWatch{theirAddress, "another", "raft/g/1"}) {
		t.Error("the newer stream may not repeat one")
	}
	s.guard.leave(s)
	if len(s.guard.watches) != 1 {
		t.Errorf("%d watches are left of an older stream", len(s.guard.watches)-1)
	}
	s.guard.leave(newer)
	if len(s.guard.watches) != 0 {
		t.Error("something is left")
	}
}

func TestPayloadsAreTakenForWhatTheyWouldBecome(t *testing.T) {
	c := classOf("raftactor.v1.Subscribe")
	names, err := walkPayload(c, []byte{0x0a, 4, 0x0a, 2, 'x', 'y', 0x0a, 0})
	if err != nil || len(names) != 2 || names[0].address != "xy" || names[1] != (namedActor{}) {
		t.Errorf("got %v, %v", names, err)
	}
	if c := classOf("raftactor.v1.Propose"); !c.flat || c.kind != classRaft {
		t.Errorf("got %+v", c)
	}
	var deep []byte
	for range 100 { // a list with a value in it, which is a list
		deep = protowire.AppendBytes([]byte{6<<3 | 2}, deep)
		deep = protowire.AppendBytes([]byte{1<<3 | 2}, deep)
	}
	value := classOf("google.protobuf.ListValue")
	if _, err := walkPayload(value, deep); err == nil {
		t.Error("messages in messages without end pass")
	}
}

// What passes the guard does not harm Proto.Actor's reader, whatever it was made of.
func FuzzFrame(f *testing.F) {
	s := testGuard(f)
	for _, b := range []*remote.MessageBatch{
		oneMessage(actor.NewPID(ourAddress, "echo"), wrapperspb.String("x")),
		oneMessage(actor.NewPID(ourAddress, "raft/g/1"), &raft.Subscribe{Subscriber: actor.NewPID(theirAddress, "a")}),
		oneMessage(actor.NewPID(ourAddress, "raft/g/1"), &actor.Watch{Watcher: actor.NewPID(theirAddress, "a")}),
		oneMessage(actor.NewPID(ourAddress, "asker"), &raft.Rejected{LeaderPid: actor.NewPID(ourAddress, "raft/g/1")}),
		oneMessage(actor.NewPID(ourAddress, "asker"), &actor.Terminated{Who: actor.NewPID(theirAddress, "a")}),
	} {
		b.Senders = []*actor.PID{actor.NewPID(theirAddress, "a")}
		data, err := proto.Marshal(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	s.entered.Store(true)
	f.Fuzz(func(t *testing.T, data []byte) {
		var in inbound
		in.decode(data)
		if in.fault != "" {
			return
		}
		pass, fault, _ := s.judge(in.message)
		if !pass || fault != "" {
			return
		}
		b := in.message.GetMessageBatch()
		for _, e := range b.GetEnvelopes() {
			target := b.Targets[e.Target]
			if e.Sender != 0 && b.Senders[e.Sender-1].Address != theirAddress {
				t.Errorf("from %v", b.Senders[e.Sender-1])
			}
			message, err := remote.Deserialize(e.MessageData, b.TypeNames[e.TypeId], e.SerializerId)
			if err != nil {
				return // the stream ends
			}
			judgePassed(t, target, message)
		}
	})
}

func judgePassed(t *testing.T, target *actor.PID, message any) {
	if target.Address != ourAddress {
		t.Errorf("to %v", target)
	}
	switch m := message.(type) {
	case *actor.Watch:
		if m.Watcher.GetAddress() != theirAddress {
			t.Errorf("watch by %v", m.Watcher)
		}
	case *actor.Unwatch:
		if m.Watcher.GetAddress() != theirAddress {
			t.Errorf("unwatch by %v", m.Watcher)
		}
	case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Terminated:
		t.Errorf("%T passes", m)
	case interface{ GetSubscriber() *actor.PID }:
		if m.GetSubscriber() != nil && m.GetSubscriber().GetAddress() != theirAddress {
			t.Errorf("%T for %v", m, m.GetSubscriber())
		}
	}
}
