package raftremote_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raft "example.com/raftactor/actor"
	raftremote "example.com/raftactor/remote"
)

// hostileAddress is what a hostile client says that it is.
const hostileAddress = "127.0.0.1:9"

func encoded(m proto.Message) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

func helloFrame(address string) []byte {
	return encoded(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{
			ServerConnection: &remote.ServerConnection{SystemId: "s", Address: address},
		},
	}}})
}

func batchFrame(b *remote.MessageBatch) []byte {
	return encoded(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}})
}

// oneFrame is a frame with one message in it. sender may be nil.
func oneFrame(target *actor.PID, message proto.Message, sender *actor.PID) []byte {
	return batchFrame(oneBatch(target, string(proto.MessageName(message)), encoded(message), sender))
}

func oneBatch(target *actor.PID, name string, data []byte, sender *actor.PID) *remote.MessageBatch {
	b := &remote.MessageBatch{
		TypeNames: []string{name}, Targets: []*actor.PID{target},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data}},
	}
	if sender != nil {
		b.Senders = []*actor.PID{sender}
		b.Envelopes[0].Sender = 1
	}
	return b
}

// A hostileFrame is one that must do no harm. It is made for the address of the system that it is sent to.
type hostileFrame struct {
	frame func(ours string) []byte
	// reason is what it is counted as. closes: and the connection is closed for it; otherwise it is only dropped.
	reason string
	closes bool
}

// changed is a frame with a harmless message to an actor that can be reached, but for a change.
func changed(change func(b *remote.MessageBatch, ours string)) func(string) []byte {
	return func(ours string) []byte {
		b := oneBatch(actor.NewPID(ours, "echo"), "google.protobuf.StringValue", encoded(wrapperspb.String("x")), nil)
		change(b, ours)
		return batchFrame(b)
	}
}

// to is a frame with a message to an actor.
func to(name string, message proto.Message) func(string) []byte {
	return func(ours string) []byte { return oneFrame(actor.NewPID(ours, name), message, nil) }
}

// from is a frame with a message from an actor, of the system itself if there is no address.
func from(address, name string, message proto.Message) func(string) []byte {
	return func(ours string) []byte {
		return oneFrame(actor.NewPID(ours, "raft/g/1"), message, actor.NewPID(cmp.Or(address, ours), name))
	}
}

func closing(reason string, frame func(string) []byte) hostileFrame {
	return hostileFrame{frame, reason, true}
}

func dropping(reason string, frame func(string) []byte) hostileFrame {
	return hostileFrame{frame, reason, false}
}

func plain(frame []byte) func(string) []byte { return func(string) []byte { return frame } }

var (
	theirs     = actor.NewPID(hostileAddress, "a")
	watchTheir = &actor.Watch{Watcher: theirs}
	text       = wrapperspb.String("x")
)

// hostileFrames are all kinds of frames that harm Proto.Actor without the guard, and some more.
var hostileFrames = map[string]hostileFrame{
	"type index negative":           closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].TypeId = -1 })),
	"type index too high":           closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].TypeId = 1 })),
	"target index negative":         closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].Target = -1 })),
	"target index too high":         closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].Target = 1 })),
	"no targets":                    closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Targets = nil })),
	"no types":                      closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.TypeNames = nil })),
	"sender index negative":         closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].Sender = -1 })),
	"sender index too high":         closing("malformed", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].Sender = 1 })),
	"serializer JSON":               closing("serializer", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].SerializerId = 1 })),
	"serializer unknown":            closing("serializer", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].SerializerId = 2 })),
	"serializer negative":           closing("serializer", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].SerializerId = -1 })),
	"type unknown":                  dropping("unknown-type", changed(func(b *remote.MessageBatch, _ string) { b.TypeNames[0] = "no.Such" })),
	"type empty":                    dropping("unknown-type", changed(func(b *remote.MessageBatch, _ string) { b.TypeNames[0] = "" })),
	"type of an enum":               dropping("unknown-type", changed(func(b *remote.MessageBatch, _ string) { b.TypeNames[0] = "actor.TerminatedReason" })),
	"type of a service":             dropping("unknown-type", changed(func(b *remote.MessageBatch, _ string) { b.TypeNames[0] = "remote.Remoting" })),
	"payload cut off":               closing("payload", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].MessageData = []byte{0x0a, 5, 'x'} })),
	"payload no UTF-8":              closing("payload", changed(func(b *remote.MessageBatch, _ string) { b.Envelopes[0].MessageData = []byte{0x0a, 1, 0xff} })),
	"payload of many parts":         closing("payload", manyParts),
	"Terminated of nobody":          closing("payload", to("watcher", &actor.Terminated{})),
	"Terminated at another place":   closing("payload", to("watcher", &actor.Terminated{Who: actor.NewPID("127.0.0.1:10", "a")})),
	"Terminated of what is local":   closing("payload", to("watcher", &actor.Terminated{Who: actor.NewPID("nonhost", "echo")})),
	"Terminated that nobody awaits": dropping("watch", to("watcher", &actor.Terminated{Who: theirs})),
	"Stop a raft actor":             dropping("type", to("raft/g/1", &actor.Stop{})),
	"Stop an exposed actor":         dropping("type", to("echo", &actor.Stop{})),
	"Stop the endpoints":            dropping("target", to("EndpointSupervisor", &actor.Stop{})),
	"Stop a hidden actor":           dropping("target", to("hidden", &actor.Stop{})),
	"PoisonPill":                    dropping("type", to("raft/g/1", &actor.PoisonPill{})),
	"PoisonPill for one hidden":     dropping("target", to("hidden", &actor.PoisonPill{})),
	"Watch by nobody":               closing("payload", to("raft/g/1", &actor.Watch{})),
	"Unwatch by nobody":             closing("payload", to("raft/g/1", &actor.Unwatch{})),
	"Watch by nobody of nothing":    dropping("target", to("nobody", &actor.Watch{})),
	"Watch by a local actor":        dropping("named", to("raft/g/1", &actor.Watch{Watcher: actor.NewPID("nonhost", "watcher")})),
	"Watch by an actor elsewhere":   dropping("named", to("raft/g/1", &actor.Watch{Watcher: actor.NewPID("127.0.0.1:10", "a")})),
	"Watch a hidden actor":          closing("target", to("hidden", watchTheir)), // that it ends cannot be told, so the connection
	"Watch what is not there":       closing("target", to("nobody", watchTheir)), // ends: nobody listens at hostileAddress
	"message to a hidden actor":     dropping("target", to("hidden", text)),
	"message to a guardian":         dropping("target", to("guardian$1", text)),
	"message to a future":           dropping("target", to("future$1", text)),
	"message to the event stream":   dropping("target", to("eventstream", text)),
	"message to the dead letters":   dropping("target", to("deadletter", text)),
	"message to an applier":         dropping("target", to("raft/g/1/applier", &raft.GetStatus{})),
	"message to another member":     dropping("target", to("raft/g/2", &raft.GetStatus{})),
	"a member spelled oddly":        dropping("target", to("raft/g/01", &raft.GetStatus{})),
	"spawning":                      dropping("target", to("activator", &remote.ActorPidRequest{Name: "x", Kind: "y"})),
	"spawning by an exposed actor":  dropping("type", to("echo", &remote.ActorPidRequest{Name: "x", Kind: "y"})),
	"another type than exposed":     dropping("type", to("echo", wrapperspb.Int64(1))),
	"another type for a member":     dropping("type", to("raft/g/1", text)),
	"sender a local guardian":       dropping("foreign", from("", "guardian$1", &raft.GetStatus{})),
	"sender local by no address":    dropping("foreign", from("nonhost", "guardian$1", &raft.GetStatus{})),
	"sender elsewhere":              dropping("foreign", from("127.0.0.1:10", "a", &raft.GetStatus{})),
	"sender a socket":               dropping("foreign", from("unix:/tmp/x", "a", &raft.GetStatus{})),
	"subscriber a local guardian":   dropping("named", to("raft/g/1", &raft.Subscribe{Subscriber: actor.NewPID("nonhost", "guardian$1")})),
	"subscriber elsewhere":          dropping("named", to("raft/g/1", &raft.Subscribe{Subscriber: actor.NewPID("127.0.0.1:10", "a")})),
	"subscriber without a name":     dropping("named", to("raft/g/1", &raft.GrantCredit{Subscriber: &actor.PID{}})),
	"subscriber in two halves":      dropping("named", subscriberInHalves),
	"target elsewhere":              dropping("foreign", changed(func(b *remote.MessageBatch, _ string) { b.Targets[0].Address = "127.0.0.1:10" })),
	"target by no address":          dropping("foreign", changed(func(b *remote.MessageBatch, _ string) { b.Targets[0].Address = "nonhost" })),
	"target spelled otherwise": dropping("foreign", changed(func(b *remote.MessageBatch, ours string) {
		b.Targets[0].Address = strings.Replace(ours, "127.0.0.1", "localhost", 1)
	})),
	"target without a name":  dropping("foreign", changed(func(b *remote.MessageBatch, _ string) { b.Targets[0].Id = "" })),
	"nothing":                closing("hello", plain(nil)),
	"connect response":       closing("hello", plain(encoded(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectResponse{ConnectResponse: &remote.ConnectResponse{}}}))),
	"disconnect request":     closing("hello", plain(encoded(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_DisconnectRequest{DisconnectRequest: &remote.DisconnectRequest{}}}))),
	"second connect request": closing("hello", plain(helloFrame(hostileAddress))),
	"no protobuf":            closing("malformed", plain([]byte{0xff, 0xff, 0xff})),
	"cut off":                closing("malformed", plain([]byte{0x0a, 100, 1})),
	"envelope cut off":       closing("malformed", plain([]byte{0x0a, 2, 0x1a, 9})),
	"type name no UTF-8":     closing("malformed", plain([]byte{0x0a, 3, 0x0a, 1, 0xff})),
	"many empty envelopes":   closing("too-much", plain(emptyParts(0x1a))),
	"many empty types":       closing("too-much", plain(emptyParts(0x0a))),
	"many empty targets":     closing("too-much", plain(emptyParts(0x12))),
	"many empty senders":     closing("too-much", plain(emptyParts(0x22))),
	"long header":            closing("too-much", longHeader),
	"larger than any":        closing("too-much", plain(make([]byte, 5<<20))),
}

// emptyParts is a frame of the largest size that has nothing but empty parts of a batch.
func emptyParts(tag byte) []byte {
	frame := []byte{0x0a}
	parts := make([]byte, 4<<20-16)
	for i := 0; i < len(parts); i += 2 {
		parts[i] = tag
	}
	return protowire.AppendBytes(frame, parts)
}

func longHeader(ours string) []byte {
	return changed(func(b *remote.MessageBatch, _ string) {
		data := map[string]string{}
		for i := range 4096 {
			data[fmt.Sprint(i)] = ""
		}
		b.Envelopes[0].MessageHeader = &remote.MessageHeader{HeaderData: data}
	})(ours)
}

// manyParts is a status with a million members, each of them empty.
func manyParts(ours string) []byte {
	data := make([]byte, 2<<20)
	for i := 0; i < len(data); i += 2 {
		data[i] = 11<<3 | 2 // members
	}
	return batchFrame(oneBatch(actor.NewPID(ours, "raft/g/1"), "raftactor.v1.Status", data, nil))
}

// subscriberInHalves names a subscriber twice; protobuf merges the two into a local actor.
func subscriberInHalves(ours string) []byte {
	data := protowire.AppendTag(nil, 1, protowire.BytesType)
	data = protowire.AppendBytes(data, encoded(actor.NewPID(hostileAddress, "a")))
	data = protowire.AppendTag(data, 1, protowire.BytesType)
	data = protowire.AppendBytes(data, encoded(&actor.PID{Address: "nonhost"}))
	return batchFrame(oneBatch(actor.NewPID(ours, "raft/g/1"), "raftactor.v1.Subscribe", data, nil))
}

// The frames are shared by tests that run at once.
func TestAHostileFrameIsMadeForTheSystemThatItIsSentTo(t *testing.T) {
	t.Parallel()
	systems := []string{"127.0.0.1:20001", "127.0.0.1:20002"}
	for name, f := range hostileFrames {
		var both sync.WaitGroup
		for i := range systems {
			both.Go(func() {
				if bytes.Contains(f.frame(systems[i]), []byte(systems[1-i])) {
					t.Errorf("%s: that for %s names %s", name, systems[i], systems[1-i])
				}
			})
		}
		both.Wait()
	}
}

// A victim is a system that is attacked, and what it was like before.
type victim struct {
	*process
	material *raftremote.TLS
	before   childState
}

// victims are one with TLS, and one without.
func victims(t *testing.T) map[string]*victim {
	t.Helper()
	dir := certificates(t, map[string]string{"own": "raft://c/own", "other": "raft://c/other"})
	material, err := loadTLS(dir("other"))
	check(t, err)
	all := map[string]*victim{
		"insecure": {process: startProcess(t, childConfig{Cluster: "c"})},
		"tls":      {process: startProcess(t, childConfig{Cluster: "c", Certificates: dir("own")}), material: material},
	}
	for _, v := range all {
		// The third entry is the last that a leader writes by itself.
		v.before = v.await("the group has settled", func(s childState) bool { return s.Commit == 3 })
	}
	return all
}

func (v *victim) attack(t testing.TB) *hostile {
	return attack(t, v.address, v.material, methodReceive)
}

// unharmed checks that the process is as it was.
func (v *victim) unharmed(t testing.TB) childState {
	t.Helper()
	now := v.state()
	for name, alive := range now.Alive {
		if !alive {
			t.Errorf("%s is dead, or does not answer", name)
		}
	}
	if now.Term != v.before.Term || now.Commit != v.before.Commit || now.Disturbed > 0 || len(now.Terminated) > 0 {
		t.Errorf("it was %+v, and is %+v", v.before, now)
	}
	return now
}

func TestNoFrameHarmsTheProcess(t *testing.T) {
	t.Parallel()
	for kind, v := range victims(t) {
		for name, f := range hostileFrames {
			t.Run(kind+"/"+name, func(t *testing.T) { v.testFrame(t, f) })
			t.Run(kind+"/before the handshake/"+name, func(t *testing.T) { v.testFirstFrame(t, f) })
		}
		v.unharmed(t)
	}
}

// attemptsMax is how often something is done again for which a busy machine has taken longer than the victim waits.
const attemptsMax = 5

// isRefused does what is refused, once, for a reason, and checks that it is counted so and does no harm. It returns what the
// victim was like before and after it.
func (v *victim) isRefused(t testing.TB, reason string, do func(before childState)) (before, after childState) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		before = v.state()
		do(before)
		after = v.unharmed(t)
		got, late := after.Refused[reason]-before.Refused[reason], after.Refused["silent"]-before.Refused["silent"]
		switch {
		case got == 1 && late == 0:
			return before, after
		case got == 0 && late == 1 && attempt < attemptsMax:
		default:
			t.Errorf("counted %d times as %q: %v, before %v", got, reason, after.Refused, before.Refused)
			return before, after
		}
	}
}

// testFrame sends a frame after a proper connect request.
func (v *victim) testFrame(t *testing.T, f hostileFrame) {
	h := v.letIn(t)
	before, after := v.isRefused(t, f.reason, func(before childState) {
		h.send(f.frame(v.address))
		if f.closes {
			check(t, h.awaitClosed())
			return
		}
		// The connection is good for what is allowed, which comes behind.
		h.send(oneFrame(actor.NewPID(v.address, "echo"), text, nil))
		v.await("the next message has come", func(s childState) bool { return s.Echoed > before.Echoed })
	})
	if f.closes && after.Echoed != before.Echoed {
		t.Error("something has passed")
	}
}

// letIn makes a client whose connect request has been answered.
func (v *victim) letIn(t testing.TB) *hostile {
	t.Helper()
	for attempt := 1; ; attempt++ {
		h := v.attack(t)
		h.send(helloFrame(hostileAddress))
		err := h.hear()
		if err == nil {
			return h
		}
		if attempt == attemptsMax {
			t.Fatalf("a proper connect request is not answered: %v", err)
		}
	}
}

// testFirstFrame sends a frame before anything else. Only a connect request is in order then.
func (v *victim) testFirstFrame(t *testing.T, f hostileFrame) {
	if f.reason == "hello" && string(f.frame(v.address)) == string(helloFrame(hostileAddress)) {
		return // it is in order
	}
	h := v.attack(t)
	h.send(f.frame(v.address))
	check(t, h.awaitClosed())
	v.unharmed(t)
}

func TestNoConnectRequestIsBelievedThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	for _, v := range victims(t) {
		for _, address := range []string{
			"", "nonhost", v.address, "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:070", ":7001", "0.0.0.0:7001",
			"unix:/tmp/x", "unix:7001", "dns:7001", "passthrough:7001", "a b:7001", "a/b:7001", strings.Repeat("a", 300) + ":1",
		} {
			v.isRefused(t, "address", func(childState) {
				h := v.attack(t)
				h.send(helloFrame(address))
				check(t, h.awaitClosed())
			})
		}
	}
}

func TestUnaryCallsAndUnknownMethodsAreRefused(t *testing.T) {
	t.Parallel()
	for kind, v := range victims(t) {
		for _, method := range []string{"/remote.Remoting/ListProcesses", "/remote.Remoting/GetProcessDiagnostics"} {
			v.isRefused(t, "method", func(childState) {
				h := v.attack(t)
				var reply []byte
				if err := h.client.Invoke(context.Background(), method, []byte{0xff}, &reply); err == nil {
					t.Errorf("%s: %s is served", kind, method)
				}
				check(t, h.awaitClosed())
			})
		}
		for _, method := range []string{"/a/b", "/remote.Remoting/Other"} {
			v.isRefused(t, "method", func(childState) {
				h := attack(t, v.address, v.material, method)
				h.send([]byte{1})
				check(t, h.awaitClosed())
			})
		}
	}
}

func TestNoFrameOfTheLinkHarmsTheProcess(t *testing.T) {
	t.Parallel()
	for kind, v := range victims(t) {
		for name, f := range map[string]struct {
			frame  []byte
			reason string
		}{
			"nothing":             {nil, "malformed"},
			"no protobuf":         {[]byte{0xff, 0xff, 0xff}, "malformed"},
			"Proto.Actor's hello": {helloFrame(hostileAddress), "malformed"},
			"cut off":             {[]byte{0x0a, 100}, "malformed"},
			"large":               {make([]byte, 64<<10+1), "too-much"}, // for a hello
			"too large":           {make([]byte, 5<<20), "too-much"},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				v.isRefused(t, f.reason, func(childState) {
					h := attackLink(t, v.address, v.material)
					h.send(f.frame)
					check(t, h.awaitClosed())
				})
			})
		}
	}
}

func TestAConnectionThatSaysNothingSensibleIsClosedAndCounted(t *testing.T) {
	t.Parallel()
	for kind, v := range victims(t) {
		for _, garbage := range []string{"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", strings.Repeat("\x00", 4096)} {
			before := v.state()
			conn, err := net.Dial("tcp", v.address)
			check(t, err)
			check(t, conn.SetDeadline(time.Now().Add(deadline)))
			_, _ = conn.Write([]byte(garbage))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection is still there", kind)
			}
			conn.Close()
			count := func(s childState) int64 { return s.Refused["silent"] + s.Refused["handshake"] }
			v.await("it is counted", func(s childState) bool { return count(s) == count(before)+1 })
		}
		v.unharmed(t)
	}
}

func TestAStreamThatSaysNothingIsClosed(t *testing.T) {
	t.Parallel()
	for kind, v := range victims(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			stream, link := v.attack(t), attackLink(t, v.address, v.material)
			check(t, stream.awaitClosed())
			check(t, link.awaitClosed())
			v.await("both are counted", func(s childState) bool { return s.Refused["silent"] == 2 })
			v.unharmed(t)
		})
	}
}

func TestWhoIsNotBelievedGetsNoConnection(t *testing.T) {
	t.Parallel()
	v := victims(t)["tls"]
	other := certificates(t, map[string]string{"stranger": "raft://c/own"})
	stranger, err := loadTLS(other("stranger"))
	check(t, err)
	stranger.Authorities = v.material.Authorities // it believes the victim, and not the other way round
	for name, creds := range map[string]credentials.TransportCredentials{
		"another authority": clientCredentials(stranger),
		"no certificate":    credentials.NewTLS(&tls.Config{RootCAs: v.material.Authorities}),
		"no TLS":            insecure.NewCredentials(),
		"TLS 1.2": credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{v.material.Certificate}, RootCAs: v.material.Authorities, MaxVersion: tls.VersionTLS12,
		}),
	} {
		client, err := grpc.NewClient("passthrough:///"+v.address, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
		check(t, err)
		stream, err := client.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, methodReceive)
		if err == nil {
			_ = stream.SendMsg(helloFrame(hostileAddress))
			var reply []byte
			err = stream.RecvMsg(&reply)
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v", name, err)
		}
		client.Close()
	}
	v.await("all are counted", func(s childState) bool { return s.Refused["handshake"] >= 4 })
	v.unharmed(t)
}
