package raftremote

import (
	"testing"

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

// linked waits until two systems have one link between them, and nothing else. Either may have dialed it: one that comes
// late finds that the other was quicker.
func linked(t testing.TB, a, b *testSystem) {
	t.Helper()
	eventually(t, "one stream is left", func() bool {
		return onlyStream(a, b, true) && onlyStream(b, a, false) || onlyStream(a, b, false) && onlyStream(b, a, true)
	})
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
