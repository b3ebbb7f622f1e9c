package raftremote

import (
	"errors"
	"testing"
	"time"

	"example.com/raftactor/node"
)

// What was meant for one life of a peer is not for the next: a number means another request there.
func TestALineForgetsWhatAnEarlierLifeOfThePeerWasToGet(t *testing.T) {
	a := startSystem(t, "a")
	one := a.join("g", 1)
	line := &a.peer("b:1").control
	stream := func(life uint64) *stream {
		s := a.loose(true)
		s.hello = &hello{system: "b", life: life}
		return s
	}
	line.mu.Lock()
	line.dialing = true // nobody dials while this test plays
	line.wantedUntil = a.now() + int64(controlWantedFor)
	line.mu.Unlock()
	first := stream(1)
	if err := line.install(first); err != nil {
		t.Fatal(err)
	}
	first.line = line
	one.Send(2, "b:1", envelopeOf(heartbeat(1, 1)))
	line.mu.Lock()
	line.open.add(&testForward{data: []byte("x")}, a.now())
	line.queue.putAnswer(wireAnswer{1, []byte("for the first life")})
	line.mu.Unlock()
	first.close(errGoAway)
	line.mu.Lock()
	if len(line.open.waiting) != 0 || line.queue.isEmpty() {
		t.Errorf("%d requests wait for answers that cannot come, and that something waits for the next stream is %t",
			len(line.open.waiting), !line.queue.isEmpty())
	}
	line.mu.Unlock()
	if got := one.lost(2); got != 1 {
		t.Errorf("the member was told %d times of the loss, want once", got)
	}
	if err := line.install(stream(2)); err != nil {
		t.Fatal(err)
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	if !line.queue.isEmpty() {
		t.Error("the next life gets what was meant for the first")
	}
	for key, f := range line.queue.flows {
		if f.told {
			t.Errorf("member %d would not be told when something gets lost from now on", key.from)
		}
	}
	line.queue.lost = losses{}
}

// playLine is a line that nobody dials, with a stream whose other end is not there.
func playLine(t *testing.T) (a *testSystem, one *testMember, l *line, s *stream) {
	t.Helper()
	a = startSystem(t, "a", func(c *linkConfig) { c.peerTimeout, c.linger = time.Hour, time.Hour })
	one = a.join("g", 1)
	l = &a.peer("b:1").control
	l.mu.Lock()
	l.dialing, l.wantedUntil = true, a.now()+int64(time.Hour)
	l.mu.Unlock()
	s = a.loose(true)
	s.hello = &hello{system: "b", life: 1}
	if err := l.install(s); err != nil {
		t.Fatal(err)
	}
	s.line = l
	return a, one, l, s
}

func TestAReplyIsForTheStreamThatTheRequestCameOn(t *testing.T) {
	_, _, l, _ := playLine(t)
	l.mu.Lock()
	before := l.epoch
	l.lose()
	now := l.epoch
	l.mu.Unlock()
	l.replyTo(before, 1)([]byte("for a number that means something else by now"))
	l.replyTo(now, 2)([]byte("x"))
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue.answers) != 1 || l.queue.answers[0].number != 2 {
		t.Errorf("got the answers %v, want that to the second", l.queue.answers)
	}
}

func TestAMemberThatLeavesIsForgotten(t *testing.T) {
	a, one, l, _ := playLine(t)
	one.knows(map[node.ID]string{2: "b:1"})
	f := &testForward{data: []byte("x")}
	one.Send(2, "b:1", &node.PeerEnvelope{Messages: []node.Message{entries(1, 100)}, Forwards: []node.Forward{f}})
	one.Leave()
	l.mu.Lock()
	if len(l.queue.flows) != 0 || l.queue.bytes != 0 || !l.queue.isEmpty() || l.peer.placed.Load() != 0 {
		t.Errorf("%d flows are left with %d bytes, and %d members are placed there", len(l.queue.flows), l.queue.bytes, l.peer.placed.Load())
	}
	l.mu.Unlock()
	if _, drops := f.outcome(); drops != 1 || one.lost(2) != 0 {
		t.Errorf("its forward was dropped %d times, and it was told of %d losses", drops, one.lost(2))
	}
	if a.hosts("g", 1) {
		t.Error("it is there still")
	}
	a.join("g", 1) // another one takes its place
}

// The peer has said that another stream takes the place of this one, and then neither is there.
func TestAStreamThatNoOtherOneFollowsIsLost(t *testing.T) {
	a, one, l, s := playLine(t)
	one.Send(2, "b:1", envelopeOf(heartbeat(1, 1)))
	l.mu.Lock()
	l.open.add(&testForward{}, a.now())
	l.mu.Unlock()
	l.leftFor(s)
	if one.lost(2) != 0 {
		t.Error("the member was told before it was lost")
	}
	s.heardGoodbye.Store(true)
	s.close(errDuplicate)
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.lost(2) != 1 || len(l.open.waiting) != 0 || l.left {
		t.Errorf("the member was told %d times, %d requests wait, and that another stream is expected is %t", one.lost(2), len(l.open.waiting), l.left)
	}
}

func TestAStreamThatNobodyNeedsIsClosed(t *testing.T) {
	a, _, l, s := playLine(t)
	l.mu.Lock()
	l.wantedUntil = 0
	l.mu.Unlock()
	l.watch(s.used.Load()+int64(idleFor), true)
	select {
	case <-s.done:
		t.Fatal("it was closed too early")
	default:
	}
	l.watch(a.now()+int64(idleFor)+int64(time.Second), true)
	select {
	case <-s.done:
	default:
		t.Fatal("it is open still")
	}
	if !errors.Is(s.err, errIdle) {
		t.Errorf("it was closed, since %v", s.err)
	}
}

func TestAPeerThatNobodyNeedsIsForgotten(t *testing.T) {
	a, _, l, s := playLine(t)
	there := func() bool { a.links.mu.Lock(); defer a.links.mu.Unlock(); return a.links.peers["b:1"] != nil }
	a.removeIdle(l.peer, a.now())
	if !there() {
		t.Fatal("one with a stream was forgotten")
	}
	l.mu.Lock()
	l.dialing, l.wantedUntil = false, 0
	l.mu.Unlock()
	s.close(errIdle)
	a.removeIdle(l.peer, a.now())
	if there() {
		t.Error("it is there still")
	}
	if l.send(&member{links: a.links}, 2, envelopeOf(heartbeat(1, 1))) {
		t.Error("a forgotten one takes something")
	}
}
