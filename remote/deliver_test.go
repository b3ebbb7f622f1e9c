package raftremote

import (
	"errors"
	"testing"
	"time"

	"example.com/raftactor/node"
)

// Whoever has asked would wait for an answer until its time is over, and not know then whether to ask again.
func TestARequestThatIsGivenToNobodyIsTurnedDown(t *testing.T) {
	for name, spoil := range map[string]func(two *testMember){
		"the member has left": func(two *testMember) { two.Leave() },
		"it is leaving": func(two *testMember) {
			two.mu.Lock()
			two.member.mu.Lock()
			two.gone = true
			two.member.mu.Unlock()
			two.mu.Unlock()
		},
		"the sender is placed elsewhere": func(two *testMember) {
			two.knows(map[node.ID]string{1: "127.0.0.1:1"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, one, two := twoSystems(t)
			linked(t, a, b)
			spoil(two)
			f := &testForward{data: []byte("x")}
			one.Send(2, b.cfg.address, &node.PeerEnvelope{
				Messages: []node.Message{heartbeat(1, 1)}, Forwards: []node.Forward{f},
			})
			eventually(t, "it is turned down", func() bool { _, drops := f.outcome(); return drops == 1 })
			if answers, _ := f.outcome(); len(answers)+len(two.heard())+len(two.asked()) > 0 {
				t.Errorf("answered with %v; %d messages and %d requests were delivered", answers, len(two.heard()), len(two.asked()))
			}
		})
	}
}

func TestALateRequestIsTurnedDown(t *testing.T) {
	a, b, _, two := twoSystems(t)
	linked(t, a, b)
	line := &b.peer(a.cfg.address).control
	f := frame{envelopes: []wireEnvelope{{
		envelope: &node.PeerEnvelope{Group: "g", From: 1, To: 2}, requests: []wireRequest{{9, []byte("x")}},
	}}}
	late := b.loose(false)
	line.mu.Lock()
	late.line, late.epoch = line, line.epoch
	line.mu.Unlock()
	late.lateness.of(int64(2*time.Second), b.now())
	late.handle(&f)
	eventually(t, "the answer has come", func() bool { return a.dropped(dropUnasked) == 1 })
	if len(two.asked()) > 0 {
		t.Error("it was delivered")
	}
}

// An unencodable is a forward that cannot be encoded.
type unencodable struct{ testForward }

func (*unencodable) AppendRequest(b []byte) ([]byte, error) { return b, errors.New("no") }

func TestAForwardThatCannotBeEncodedIsDropped(t *testing.T) {
	a, b, one, two := twoSystems(t)
	linked(t, a, b)
	f := &unencodable{}
	one.Send(2, b.cfg.address, &node.PeerEnvelope{Messages: []node.Message{heartbeat(1, 1)}, Forwards: []node.Forward{f}})
	eventually(t, "the rest has come", func() bool { return len(two.heard()) == 1 })
	line := &a.peer(b.cfg.address).control
	line.mu.Lock()
	defer line.mu.Unlock()
	if _, drops := f.outcome(); drops != 1 || len(line.open.waiting) != 0 || len(two.asked()) != 0 {
		t.Errorf("dropped %d times, %d wait for an answer, %d were sent", drops, len(line.open.waiting), len(two.asked()))
	}
}

func TestNothingIsDeliveredAfterLeave(t *testing.T) {
	a := startSystem(t, "a")
	one := a.join("g", 1)
	one.Leave()
	if one.deliver(envelopeOf(heartbeat(1, 1))) || len(one.heard()) > 0 {
		t.Error("an envelope was delivered")
	}
	if one.member.unreachable(2); one.lost(2) > 0 {
		t.Error("a loss was reported")
	}
}

func TestTheWriterTellsOfWhatItDrops(t *testing.T) {
	a, b, one, _ := twoSystems(t)
	linked(t, a, b)
	line := &a.peer(b.cfg.address).control
	f := &testForward{data: []byte("stale")}
	line.mu.Lock()
	line.queue.put(one.member, 2, &node.PeerEnvelope{Forwards: []node.Forward{f}}, a.now()-int64(time.Hour))
	s := line.stream
	line.mu.Unlock()
	s.poke()
	eventually(t, "the member is told", func() bool { _, drops := f.outcome(); return drops == 1 })
}

func TestAFrameThatIsTooSmallForTheProtocolIsRefused(t *testing.T) {
	s := startSystem(t, "a")
	h := s.hello(s.cfg.address, false)
	h.system, h.life, h.address, h.frameBytesMax = "b", 1, "b:1", frameBytesMin-1
	w := openRaw(t, s)
	if err := w.write(encodeFrame(&frame{hello: h}, 0)); err != nil {
		t.Fatal(err)
	}
	data, err := w.read()
	if err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := decodeFrame(data, &f); err != nil || f.refused == nil || f.refused.code != refusedFrame || f.refused.reason == "" {
		t.Errorf("got %+v, %v", f.refused, err)
	}
	if h.frameBytesMax++; s.judge(h, identity{}) != nil {
		t.Error("the least that is allowed is refused")
	}
}
