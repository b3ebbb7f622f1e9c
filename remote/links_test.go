package raftremote

import (
	"errors"
	"testing"
	"time"

	"example.com/raftactor/node"
)

// twoSystems are two systems with a member of one group each, which know each other.
func twoSystems(t testing.TB, change ...func(*linkConfig)) (a, b *testSystem, one, two *testMember) {
	t.Helper()
	a, b = startSystem(t, "a", change...), startSystem(t, "b", change...)
	one, two = a.join("g", 1), b.join("g", 2)
	placed := map[node.ID]string{1: a.cfg.address, 2: b.cfg.address}
	one.knows(placed)
	two.knows(placed)
	return a, b, one, two
}

// linked waits until two systems have one link between them, and nothing else. Where the dials have crossed, that is the one
// by the smaller name; where one was quicker, the other has not dialed at all.
func linked(t testing.TB, a, b *testSystem) {
	t.Helper()
	eventually(t, "one stream is left", func() bool {
		return onlyStream(a, b, true) && onlyStream(b, a, false) || onlyStream(a, b, false) && onlyStream(b, a, true)
	})
}

func TestOfTwoDialsThatCrossTheOneByTheSmallerNameStays(t *testing.T) {
	for name, c := range map[string]struct {
		here, peer string
		dialed     bool // the newer one, by this system
		want       crossing
	}{
		"the newer, dialed by the smaller here":  {"a", "b", true, newerStays},
		"the newer, dialed by the larger there":  {"a", "b", false, olderStays},
		"the newer, dialed by the larger here":   {"b", "a", true, olderStays},
		"the newer, dialed by the smaller there": {"b", "a", false, newerStays},
	} {
		t.Run(name, func(t *testing.T) {
			of := func(dialed bool) *stream {
				return &stream{links: &links{cfg: linkConfig{system: c.here}}, dialed: dialed, hello: &hello{system: c.peer}}
			}
			if got := of(c.dialed).meets(of(!c.dialed)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestNothingIsLostWhenBothDialAtOnce(t *testing.T) {
	a, b, one, two := twoSystems(t)
	const count = 1000
	for k := range count {
		one.tell(2, b, entries(node.Index(k+1), 100))
		two.tell(1, a, entries(node.Index(k+1), 100))
	}
	for _, m := range []*testMember{one, two} {
		eventually(t, "all messages have come", func() bool { return len(m.heard()) == count })
	}
	linked(t, a, b)
}

func TestMessagesArriveInOrder(t *testing.T) {
	a, b, one, two := twoSystems(t)
	linked(t, a, b)
	const count = 1000
	for k := range count {
		one.tell(2, b, entries(node.Index(k+1), 100))
		two.tell(1, a, entries(node.Index(k+1), 100))
	}
	for _, m := range []*testMember{one, two} {
		eventually(t, "all messages have come", func() bool { return len(m.heard()) == count })
		for k, message := range m.heard() {
			if got := message.(*node.AppendEntries); got.Entries[0].Index != node.Index(k+1) {
				t.Fatalf("message %d has the entry %d", k, got.Entries[0].Index)
			}
		}
	}
}

// onlyStream tells whether a system has one stream to another, and that it was dialed by itself or not.
func onlyStream(s, other *testSystem, dialed bool) bool {
	line := &s.peer(other.cfg.address).control
	line.mu.Lock()
	defer line.mu.Unlock()
	return line.stream != nil && line.stream.dialed == dialed && len(line.retired) == 0 && !line.dialing
}

func TestForwardsAreAnswered(t *testing.T) {
	_, b, one, two := twoSystems(t)
	f := &testForward{data: []byte("question")}
	one.Send(2, b.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Forwards: []node.Forward{f}})
	eventually(t, "the request has come", func() bool { return len(two.asked()) == 1 })
	r := two.asked()[0]
	if string(r.data) != "question" {
		t.Errorf("got the request %q", r.data)
	}
	r.reply([]byte("answer"))
	eventually(t, "the answer has come", func() bool { answers, _ := f.outcome(); return len(answers) == 1 })
	if answers, drops := f.outcome(); answers[0] != "answer" || drops != 0 {
		t.Errorf("got %q, dropped %d times", answers, drops)
	}
}

// Where a second stream has come, the first is written to its end. Whoever takes nothing from it would keep its writer, and the
// connection, for good.
func TestAStreamWhoseTimeIsOverEndsAlthoughThePeerTakesNothing(t *testing.T) {
	s := startSystem(t, "a")
	m := s.join("g", 1)
	hello := s.hello(s.cfg.address, false)
	hello.system, hello.life, hello.address = "b", 1, "127.0.0.1:1"
	greet := func() {
		w := openRaw(t, s)
		for _, f := range []*frame{{hello: hello}, {ping: 1}} {
			if err := w.write(encodeFrame(f, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	line := &s.peer(hello.address).control
	current := func() *stream {
		line.mu.Lock()
		defer line.mu.Unlock()
		return line.stream
	}
	greet()
	eventually(t, "there is a stream", func() bool { return current() != nil })
	first := current()
	byAndBy(t, "the connection takes no more", func() bool {
		m.Send(2, hello.address, envelopeOf(entries(1, 1<<20)))
		since := first.sending.Load()
		return since != 0 && s.now()-since > int64(50*time.Millisecond)
	})
	greet()
	eventually(t, "another takes its place", func() bool { now := current(); return now != nil && now != first })
	late := time.After(patience)
	for ended := false; !ended; {
		select {
		case err := <-s.ends: // that of the second may come first
			ended = errors.Is(err, errDuplicate)
		case <-late:
			t.Fatal("it has not ended")
		}
	}
}
