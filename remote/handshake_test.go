package raftremote

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/credentials"

	"example.com/raftactor/node"
)

// openRaw makes a connection to a system, as somebody who has not said hello yet.
func openRaw(t *testing.T, s *testSystem) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", s.cfg.address)
	if err == nil {
		_, err = conn.Write([]byte(preamble))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newWire(conn, s.cfg.frameBytesMax())
}

// Whatever does not fit is refused, with a reason that both sides know.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		a, b func(*linkConfig)
		// want is in the reason.
		want string
	}{
		"another cluster": {a: func(c *linkConfig) { c.cluster = "other" }, want: `belongs to the cluster "other"`},
		"the same store":  {a: func(c *linkConfig) { c.store = 7 }, b: func(c *linkConfig) { c.store = 7 }, want: "have the same store"},
		"the same name":   {a: func(c *linkConfig) { c.system = "b" }, want: "same name"},
		"no name":         {a: func(c *linkConfig) { c.system = "" }, want: "without a name"},
		"no address":      {a: func(c *linkConfig) { c.address = "nowhere" }, want: "no HOST:PORT"},
		"another spelling": {
			b:    func(c *linkConfig) { c.address = strings.Replace(c.address, "127.0.0.1", "localhost", 1) },
			want: "is to call b \"localhost:",
		},
	} {
		t.Run(name, func(t *testing.T) {
			none := func(*linkConfig) {}
			if c.a == nil {
				c.a = none
			}
			if c.b == nil {
				c.b = none
			}
			a, b := startSystem(t, "a", c.a), startSystem(t, "b", c.b)
			m := a.join("g", 1)
			m.Send(2, b.listener.Addr().String(), envelopeOf(heartbeat(1, 1)))
			refused := func(s *testSystem) bool {
				for _, e := range s.allEvents() {
					if r, ok := e.(PeerRefused); ok && strings.Contains(r.Reason, c.want) {
						return true
					}
				}
				return false
			}
			eventually(t, "both know why", func() bool { return refused(a) && refused(b) })
			if a.isLinked(b) || b.isLinked(a) {
				t.Error("there is a link")
			}
		})
	}
}

func TestOnlyOneOfTwoSystemsWithOneNameIsLinked(t *testing.T) {
	b := startSystem(t, "b")
	first, second := startSystem(t, "a"), startSystem(t, "a")
	one, two := first.join("g", 1), second.join("g", 3)
	one.knows(map[node.ID]string{2: b.cfg.address})
	eventually(t, "the first is linked", func() bool { return b.isLinked(first) && first.isLinked(b) })
	two.knows(map[node.ID]string{2: b.cfg.address})
	eventually(t, "the second is refused", func() bool {
		for _, e := range second.allEvents() {
			if r, ok := e.(PeerRefused); ok && strings.Contains(r.Reason, "two systems have one name") {
				return true
			}
		}
		return false
	})
	first.kill()
	eventually(t, "it is its turn when the first is gone", func() bool { return b.isLinked(second) && second.isLinked(b) })
}

// Certificates are for hosts, not for ports: without this any system of a host could speak for the members of its neighbours.
func TestTheAddressOfALinkedSystemIsNotGivenToAnother(t *testing.T) {
	b, first := startSystem(t, "b"), startSystem(t, "first")
	one := first.join("g", 1)
	one.knows(map[node.ID]string{2: b.cfg.address})
	eventually(t, "the first is linked", func() bool { return b.isLinked(first) && first.isLinked(b) })
	second := startSystem(t, "second", func(cfg *linkConfig) { cfg.address = first.cfg.address })
	second.join("g", 3).knows(map[node.ID]string{2: b.cfg.address})
	eventually(t, "the second is refused", func() bool {
		return slices.ContainsFunc(second.allEvents(), func(e any) bool {
			r, ok := e.(PeerRefused)
			return ok && strings.Contains(r.Reason, "two systems have one address")
		})
	})
	if second.isLinked(b) || !b.isLinked(first) {
		t.Error("it has taken the place of the first")
	}
}

func TestASystemThatStartsAnewIsLinkedAtOnce(t *testing.T) {
	a, b := startSystem(t, "a"), startSystem(t, "b")
	one := a.join("g", 1)
	one.knows(map[node.ID]string{2: b.cfg.address})
	eventually(t, "it is linked", func() bool { return a.isLinked(b) && b.isLinked(a) })
	for range 3 {
		address := b.cfg.address
		b.kill()
		b = startSystemAt(t, "b", address)
		two := b.join("g", 2)
		eventually(t, "it is linked again", func() bool { return a.isLinked(b) && b.isLinked(a) })
		one.tell(2, b, heartbeat(1, 1))
		eventually(t, "it hears", func() bool { return len(two.heard()) == 1 })
	}
}

func TestVersionsMustOverlap(t *testing.T) {
	s := startSystem(t, "a")
	for name, c := range map[string]struct {
		lowest, highest uint32
		refused         bool
	}{
		"the same": {linkVersionMin, linkVersionMax, false},
		"newer":    {linkVersionMax + 1, linkVersionMax + 3, true},
		"both":     {linkVersionMin, linkVersionMax + 3, false},
		"none":     {linkVersionMax, linkVersionMin - 1, true},
	} {
		h := s.hello(s.cfg.address, false)
		h.system, h.life, h.address = "b", 1, "b:1"
		h.versionMin, h.versionMax = c.lowest, c.highest
		if r := s.judge(h, identity{}); (r != nil) != c.refused || r != nil && r.code != refusedVersion {
			t.Errorf("%s: got %v", name, r)
		}
	}
}

func TestACertificateMustNameTheSystem(t *testing.T) {
	s := startSystem(t, "a")
	s.links.cfg.creds = secureForTest{s.links.cfg.creds}
	for name, c := range map[string]struct {
		id      identity
		refused bool
	}{
		"none":            {identity{}, true},
		"a client's":      {identity{verified: true}, true},
		"another system":  {identity{verified: true, cluster: "test", system: "c"}, true},
		"another cluster": {identity{verified: true, cluster: "other", system: "b"}, true},
		"another host": {identity{verified: true, cluster: "test", system: "b", hosts: func(string) error {
			return context.Canceled
		}}, true},
		"its own": {identity{verified: true, cluster: "test", system: "b", hosts: func(host string) error {
			if host != "b" {
				t.Errorf("the host was %q", host)
			}
			return nil
		}}, false},
	} {
		h := s.hello(s.cfg.address, false)
		h.system, h.life, h.address = "b", 1, "b:1"
		if r := s.judge(h, c.id); (r != nil) != c.refused || r != nil && r.code != refusedIdentity {
			t.Errorf("%s: got %v", name, r)
		}
	}
}

func TestWhoSaysSomethingElseBeforeHelloIsTurnedAway(t *testing.T) {
	s := startSystem(t, "a")
	m := s.join("g", 1)
	message := []wireEnvelope{{envelope: &node.PeerEnvelope{Group: "g", From: 2, To: 1, Messages: []node.Message{heartbeat(1, 1)}}}}
	hello := s.hello(s.cfg.address, false)
	hello.system, hello.life, hello.address = "b", 1, "b:1"
	for name, f := range map[string]*frame{
		"envelopes":           {envelopes: message},
		"hello and envelopes": {hello: hello, envelopes: message},
		"a large hello":       {hello: hello, answers: []wireAnswer{{1, make([]byte, helloBytesMax)}}},
		"nothing":             {ping: 1},
	} {
		w := openRaw(t, s)
		if err := w.write(encodeFrame(f, 0)); err != nil {
			t.Fatal(err)
		}
		if err := <-s.ends; !errors.Is(err, errMalformed) && !errors.Is(err, errFrameTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
		if data, err := w.read(); err == nil {
			t.Errorf("%s: it is answered with %d bytes", name, len(data))
		}
	}
	if len(m.heard()) > 0 {
		t.Error("something was delivered")
	}
}

// secureForTest are credentials that say that they are secure.
type secureForTest struct {
	credentials.TransportCredentials
}

func (secureForTest) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Whoever stops halfway through a handshake, wherever that is, holds up no stop, and leaves nothing behind.
func TestStopDoesNotWaitForHandshakes(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := startSystem(t, "a")
	hello := s.hello(s.cfg.address, false)
	hello.system, hello.life, hello.address = "b", 1, "127.0.0.1:1"
	greeting := encodeFrame(&frame{hello: hello}, 0).bytes()
	hello.cluster = "other"
	refused := encodeFrame(&frame{hello: hello}, 0).bytes()
	for name, c := range map[string]struct {
		sent     []byte
		answered bool
	}{
		"nothing":       {nil, false},
		"half a word":   {[]byte(preamble[:4]), false},
		"the preamble":  {[]byte(preamble), false},
		"half a hello":  {append([]byte(preamble), greeting[:len(greeting)/2]...), false},
		"a hello":       {append([]byte(preamble), greeting...), true},
		"a wrong hello": {append([]byte(preamble), refused...), true},
	} {
		conn, err := net.Dial("tcp", s.cfg.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(c.sent); err != nil {
			t.Fatal(err)
		}
		if c.answered {
			if _, err := newWire(conn, 1<<20).read(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	byAndBy(t, "all have come", func() bool {
		s.accepted.mu.Lock()
		defer s.accepted.mu.Unlock()
		return s.accepted.begun.count == 2 && len(s.accepted.open) >= 3
	})
	start := time.Now()
	s.links.stop()
	if took := time.Since(start); took > stopPatience/2 {
		t.Errorf("stop took %v", took)
	}
	byAndBy(t, "only those are left that have not said what they are", func() bool { return s.accepted.count() == 0 })
	s.kill()
}

func TestWhoSpeaksSlowlyIsUnderstood(t *testing.T) {
	s := startSystem(t, "a")
	hello := s.hello(s.cfg.address, false)
	hello.system, hello.life, hello.address = "b", 1, "127.0.0.1:1"
	conn, err := net.Dial("tcp", s.cfg.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, b := range append([]byte(preamble), encodeFrame(&frame{hello: hello}, 0).bytes()...) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	data, err := newWire(conn, 1<<20).read()
	if err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := decodeFrame(data, &f); err != nil || f.hello == nil {
		t.Errorf("the answer is %+v, %v", f, err)
	}
}

func TestWhoTakesAConnectionAndSaysNothingIsDialedAgain(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := startSystem(t, "a")
	s.join("g", 1).knows(map[node.ID]string{2: silent.Addr().String()})
	first, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := io.Copy(io.Discard, first); err != nil { // until it is given up
		t.Fatal(err)
	}
	second, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

func TestWhoIsRefusedByTheOneWhoHasDialedIsToldWhy(t *testing.T) {
	a, other := startSystem(t, "a"), startSystem(t, "other")
	wrong, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	a.join("g", 1).knows(map[node.ID]string{2: wrong.Addr().String()})
	conn, err := wrong.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len(preamble))); err != nil {
		t.Fatal(err)
	}
	w := newWire(conn, 1<<20)
	if _, err := w.read(); err != nil {
		t.Fatal(err)
	}
	hello := other.hello(wrong.Addr().String(), false) // by another address
	hello.version = linkVersionMax
	if err := w.write(encodeFrame(&frame{hello: hello}, 0)); err != nil {
		t.Fatal(err)
	}
	data, err := w.read()
	if err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := decodeFrame(data, &f); err != nil || f.refused == nil || f.refused.code != refusedAddress {
		t.Errorf("it is told %+v, %v", f, err)
	}
}
