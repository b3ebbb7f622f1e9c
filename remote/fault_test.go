package raftremote

import (
	"context"
	"errors"
	"flag"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/raftactor/node"
	"example.com/raftactor/remote/proxytest"
)

var stallFor = flag.Duration("stall", 2*time.Second, "how long the peer stalls in TestAStalledPeerCostsNoMoreThanItsQueue")

// proxied are two systems, of which one dials the other through a proxy, and is never dialed.
func proxied(t testing.TB, change ...func(*linkConfig)) (a, b *testSystem, one, two *testMember, p *proxytest.Proxy) {
	t.Helper()
	a, b = startSystem(t, "a", change...), startSystem(t, "b", change...)
	p = startProxy(t, b)
	a.dials(p.Addr(), b.cfg.address)
	b.dials("127.0.0.1:1", a.cfg.address) // nobody is there
	one, two = a.join("g", 1), b.join("g", 2)
	one.knows(map[node.ID]string{1: a.cfg.address, 2: b.cfg.address})
	eventually(t, "there is a link", func() bool { return a.isLinked(b) && b.isLinked(a) })
	return a, b, one, two, p
}

func quickly(cfg *linkConfig) { cfg.peerTimeout = 200 * time.Millisecond }

// isLinked tells whether there is a link to another system.
func (s *testSystem) isLinked(other *testSystem) bool {
	return s.peer(other.cfg.address).control.isUp()
}

// dropped is how much was dropped for a reason.
func (s *testSystem) dropped(reason dropReason) int64 { return s.metrics.drops[reason].Load() }

func TestAPeerThatFallsSilentIsFound(t *testing.T) {
	for name, fault := range map[string]func(*proxytest.Proxy){
		"both ways":       func(p *proxytest.Proxy) { p.Silence(proxytest.ToClient, true); p.Silence(proxytest.ToServer, true) },
		"nothing comes":   func(p *proxytest.Proxy) { p.Silence(proxytest.ToClient, true) },
		"nothing arrives": func(p *proxytest.Proxy) { p.Silence(proxytest.ToServer, true) },
		"half open":       func(p *proxytest.Proxy) { p.HalfOpen() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, one, two, p := proxied(t, quickly)
			one.tell(2, b, heartbeat(1, 1))
			eventually(t, "it is heard", func() bool { return len(two.heard()) == 1 })
			two.tell(1, nil, heartbeat(1, 2))
			eventually(t, "the answer is heard", func() bool { return len(one.heard()) == 1 })
			p.Refuse(true)
			fault(p)
			eventually(t, "both members are told", func() bool { return one.lost(2) > 0 && two.lost(1) > 0 })
			eventually(t, "both systems publish it", func() bool {
				return slices.Contains(a.allEvents(), any(PeerUnreachable{"b", b.cfg.address})) &&
					slices.Contains(b.allEvents(), any(PeerUnreachable{"a", a.cfg.address}))
			})
		})
	}
}

func TestTheLossOfALinkIsPublishedForClients(t *testing.T) {
	a, b, one, _, p := proxied(t, quickly)
	one.knows(map[node.ID]string{1: a.cfg.address, 2: b.cfg.address, 3: "127.0.0.1:1"})
	lost := func() (addresses []string) {
		for _, event := range a.allEvents() {
			if e, ok := event.(*node.AddressUnreachable); ok {
				addresses = append(addresses, e.Address)
			}
		}
		return addresses
	}
	for k := range 2 {
		eventually(t, "there is a link", func() bool { return a.isLinked(b) })
		p.Refuse(true)
		p.Cut()
		eventually(t, "the loss is published", func() bool { return len(lost()) == k+1 })
		p.Refuse(false)
	}
	eventually(t, "nobody was reached there", func() bool {
		return slices.Contains(a.allEvents(), any(PeerUnreachable{"", "127.0.0.1:1"}))
	})
	if got := lost(); !slices.Equal(got, []string{b.cfg.address, b.cfg.address}) {
		t.Errorf("%q were published as lost, want that which was reached", got)
	}
}

func TestAPeerThatComesBackIsReachedAtOnce(t *testing.T) {
	a, b, one, _, p := proxied(t)
	reach := func() int {
		return len(slices.DeleteFunc(a.allEvents(), func(e any) bool { return e != any(PeerReachable{"b", b.cfg.address}) }))
	}
	eventually(t, "the first link is published", func() bool { return reach() == 1 })
	best := time.Hour
	for k := range 5 {
		one.tell(2, b, heartbeat(1, 1))
		p.Refuse(true)
		p.Cut()
		eventually(t, "it is gone", func() bool { return one.lost(2) > k && !a.isLinked(b) })
		eventually(t, "it was dialed in vain", func() bool {
			line := &a.peer(b.cfg.address).control
			line.mu.Lock()
			defer line.mu.Unlock()
			return line.down
		})
		start := time.Now()
		p.Refuse(false)
		eventually(t, "it is back", func() bool { return a.isLinked(b) && b.isLinked(a) })
		best = min(best, time.Since(start))
		eventually(t, "that is published", func() bool { return reach() == k+2 })
	}
	t.Logf("reached again after %v", best)
	if best > 100*time.Millisecond { // the best of five: the machine may be busy
		t.Errorf("it took %v to reach the peer again, want 100ms at most", best)
	}
}

func TestNothingWaitsForAPeerThatIsNotThere(t *testing.T) {
	s := startSystem(t, "a")
	m := s.join("g", 1)
	gone := "127.0.0.1:1"
	m.knows(map[node.ID]string{1: s.cfg.address, 2: gone})
	line := &s.peer(gone).control
	eventually(t, "it was dialed in vain", func() bool { line.mu.Lock(); defer line.mu.Unlock(); return line.down })
	var forwards []*testForward
	for k := range 1000 {
		f := &testForward{data: []byte("x")}
		forwards = append(forwards, f)
		m.Send(2, gone, &node.PeerEnvelope{Messages: []node.Message{entries(node.Index(k+1), 1<<16)}, Forwards: []node.Forward{f}})
	}
	for _, f := range forwards {
		if answers, drops := f.outcome(); drops != 1 || len(answers) > 0 {
			t.Fatalf("a forward was dropped %d times and answered with %v, want that it is dropped once", drops, answers)
		}
	}
	if got := m.lost(2); got != 1 {
		t.Errorf("the member was told %d times, want once", got)
	}
	line.mu.Lock()
	defer line.mu.Unlock()
	if line.queue.bytes != 0 {
		t.Errorf("%d bytes wait", line.queue.bytes)
	}
}

func TestAPeerIsReachedAtOnceWhenTheNetworkIsThereAgain(t *testing.T) {
	b := startSystem(t, "b")
	var there atomic.Bool
	attempts := make(chan struct{}, 1000)
	a := startSystem(t, "a", func(cfg *linkConfig) {
		dial := cfg.dial
		cfg.dial = func(ctx context.Context, address string) (net.Conn, error) {
			attempts <- struct{}{}
			if !there.Load() { // nobody answers, not even with no
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, address)
		}
	})
	a.join("g", 1).knows(map[node.ID]string{2: b.cfg.address})
	for range 3 {
		<-attempts
	}
	start := time.Now()
	there.Store(true)
	eventually(t, "there is a link", func() bool { return a.isLinked(b) })
	if took := time.Since(start); took > dialTimeout/2 { // the long attempt is over, and the next one far
		t.Errorf("it took %v", took)
	}
}

func TestWhatThePeerDoesNotTakeIsDropped(t *testing.T) {
	a, b := startSystem(t, "a", func(c *linkConfig) { c.commandBytesMax = 16 << 20 }), startSystem(t, "b")
	one, two := a.join("g", 1), b.join("g", 2)
	f := &testForward{data: make([]byte, 5<<20)}
	one.Send(2, b.cfg.address, &node.PeerEnvelope{
		Messages: []node.Message{entries(1, 5<<20), heartbeat(1, 1)}, Forwards: []node.Forward{f},
	})
	eventually(t, "the rest is heard", func() bool { return len(two.heard()) == 1 })
	eventually(t, "the member is told", func() bool { _, drops := f.outcome(); return drops == 1 && one.lost(2) == 1 })
	if !a.isLinked(b) || a.dropped(dropTooLarge) != 2 {
		t.Errorf("%d were dropped, and the link is up: %t", a.dropped(dropTooLarge), a.isLinked(b))
	}
}

func TestALateBurstIsNotDelivered(t *testing.T) {
	a, b, one, two, _ := proxied(t, func(cfg *linkConfig) { cfg.peerTimeout = 500 * time.Millisecond })
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "it is heard", func() bool { return len(two.heard()) == 1 })
	// What was sent on this stream a while ago, and comes now.
	f := frame{
		sent:      0,
		envelopes: []wireEnvelope{{envelope: &node.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{heartbeat(1, 2)}}}},
	}
	late := &lateness{}
	base := b.now()
	if got := late.of(base, base); got != 0 {
		t.Errorf("the first is late by %d", got)
	}
	if got := late.of(base+5, base+int64(time.Second)); got != int64(time.Second)-5 {
		t.Errorf("a late one is late by %d", got)
	}
	other := b.loose(false)
	other.line = &b.peer(a.cfg.address).control
	other.lateness.of(int64(2*time.Second), b.now()) // the clocks agree at two seconds
	other.handle(&f)
	if got := len(two.heard()); got != 1 || b.dropped(dropLate) != 1 {
		t.Errorf("%d were heard, and %d dropped", got, b.dropped(dropLate))
	}
}

func TestForwardsThatWereSentAreNotDroppedWhenTheLinkIsLost(t *testing.T) {
	a, b, one, two, p := proxied(t)
	f := &testForward{data: []byte("x")}
	one.Send(2, b.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Forwards: []node.Forward{f}})
	eventually(t, "it has come", func() bool { return len(two.asked()) == 1 })
	p.Cut()
	eventually(t, "the member is told", func() bool { return one.lost(2) > 0 })
	eventually(t, "there is a link again", func() bool { return a.isLinked(b) && b.isLinked(a) })
	two.asked()[0].reply([]byte("too late")) // nobody waits for it
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "the link works", func() bool { return len(two.heard()) == 1 })
	if answers, drops := f.outcome(); drops != 0 || len(answers) != 0 {
		t.Errorf("it was dropped %d times, and answered with %v", drops, answers)
	}
}

// The peer knows that the link is lost and dials, this system does not: the new stream looks as if both had dialed at once.
func TestAMemberIsToldOfALinkThatOnlyThePeerKnowsToBeLost(t *testing.T) {
	a, b := startSystem(t, "c", quickly), startSystem(t, "b", quickly)
	p := startProxy(t, b)
	a.dials(p.Addr(), b.cfg.address)
	one, two := a.join("g", 1), b.join("g", 2)
	one.knows(map[node.ID]string{2: b.cfg.address})
	eventually(t, "there is a link", func() bool { return a.isLinked(b) && b.isLinked(a) })
	p.HalfOpen()
	f := &testForward{data: []byte("x")}
	one.Send(2, b.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Forwards: []node.Forward{f}})
	two.knows(map[node.ID]string{1: a.cfg.address})
	eventually(t, "the member is told, or the request arrives", func() bool { return one.lost(2) > 0 || len(two.asked()) > 0 })
	if _, drops := f.outcome(); drops != 0 {
		t.Errorf("the forward was dropped %d times, though it was sent", drops)
	}
}

func TestAPeerWithoutAnAddressIsAnsweredTheWayItCame(t *testing.T) {
	_, b, one, two, _ := proxied(t)
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "it is heard", func() bool { return len(two.heard()) == 1 })
	two.tell(1, nil, heartbeat(1, 2))
	eventually(t, "the answer is heard", func() bool { return len(one.heard()) == 1 })
	two.tell(3, nil, heartbeat(1, 2))
	if two.lost(3) != 1 {
		t.Error("a member that never came is not unreachable")
	}
}

func TestWhoIsPlacedElsewhereIsNotHeard(t *testing.T) {
	_, b, one, two, _ := proxied(t)
	two.knows(map[node.ID]string{1: "elsewhere:1", 2: b.cfg.address})
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "it is dropped", func() bool { return b.dropped(dropMisplaced) == 1 })
	two.knows(map[node.ID]string{2: b.cfg.address}) // now it is a stranger, and passes
	one.tell(2, b, heartbeat(1, 2))
	eventually(t, "it is heard", func() bool { return len(two.heard()) == 1 })
}

func TestNothingIsDeliveredToAMemberThatHasLeft(t *testing.T) {
	_, b, one, two, _ := proxied(t)
	left := make(chan struct{})
	two.delivered = func(*node.PeerEnvelope) {
		select {
		case <-left:
			t.Error("it was delivered after Leave had returned")
		default:
		}
	}
	stop := make(chan struct{})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for k := uint64(1); ; k++ {
			select {
			case <-stop:
				return
			default:
				one.tell(2, b, heartbeat(1, k))
				runtime.Gosched()
			}
		}
	}()
	two.Leave()
	close(left)
	eventually(t, "it is missed", func() bool { return b.dropped(dropNobody) > 0 })
	close(stop)
	<-sent
	again := b.join("g", 2)
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "the next one hears", func() bool { return len(again.heard()) > 0 })
}

func TestMembersOfOneSystemHearEachOther(t *testing.T) {
	s := startSystem(t, "a")
	one, two := s.join("g", 1), s.join("g", 2)
	f := &testForward{}
	one.Send(2, s.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{heartbeat(1, 1)}, Forwards: []node.Forward{f}})
	one.tell(2, nil, heartbeat(1, 2))
	if got := len(two.heard()); got != 2 {
		t.Errorf("%d messages were heard, want 2", got)
	}
	two.Leave()
	one.Send(2, s.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Forwards: []node.Forward{f}})
	if _, drops := f.outcome(); drops != 1 || one.lost(2) != 1 {
		t.Errorf("the forward was dropped %d times, and the member told %d times; want once each", drops, one.lost(2))
	}
}

func TestChunksHaveAConnectionOfTheirOwn(t *testing.T) {
	a, b, one, two, _ := proxied(t)
	offer := &node.InstallSnapshot{Header: node.Header{From: 1, To: 2, Term: 1}, Meta: node.SnapshotMeta{
		Index: 5, Term: 1, Configuration: node.Voters(1, 2), ConfigurationIndex: 1,
	}}
	for k := range int64(4) {
		one.Send(2, b.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Chunk: &node.SnapshotChunk{
			Offer: offer, Transfer: 9, Offset: k << 18, Size: 4 << 18, Data: make([]byte, 1<<18),
		}})
	}
	chunks := func() (n int) {
		two.mu.Lock()
		defer two.mu.Unlock()
		for _, e := range two.envelopes {
			if e.Chunk != nil && e.Chunk.Transfer == 9 && e.Chunk.Offset == int64(n)<<18 && len(e.Chunk.Data) == 1<<18 && e.Chunk.Offer.Meta.Index == 5 {
				n++
			}
		}
		return n
	}
	eventually(t, "all chunks have come", func() bool { return chunks() == 4 })
	two.Send(1, "", &node.PeerEnvelope{Group: "g", From: 2, To: 1, Ack: &node.SnapshotAck{Transfer: 9, Received: 4 << 18}})
	eventually(t, "the answer has come", func() bool {
		one.mu.Lock()
		defer one.mu.Unlock()
		return len(one.envelopes) == 1 && one.envelopes[0].Ack.Received == 4<<18
	})
	if !a.peer(b.cfg.address).bulk.isUp() || !b.peer(a.cfg.address).bulk.isUp() {
		t.Error("there is no connection for chunks")
	}
}

func TestTheLinkIsNotHeldUpByChunksOnASlowConnection(t *testing.T) {
	_, b, one, two, p := proxied(t)
	p.Limit(proxytest.ToServer, 1<<20) // each connection has that much
	for k := range int64(8) {
		one.Send(2, b.cfg.address, &node.PeerEnvelope{Group: "g", From: 1, To: 2, Chunk: &node.SnapshotChunk{
			Offer: &node.InstallSnapshot{Header: node.Header{From: 1, To: 2}}, Transfer: 9, Offset: k << 18, Size: 8 << 18, Data: make([]byte, 1<<18),
		}})
	}
	start := time.Now()
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "the heartbeat is heard", func() bool { return len(two.heard()) == 1 })
	if took := time.Since(start); took > time.Second {
		t.Errorf("the heartbeat took %v", took)
	}
}

func TestALargeEntryOnASlowConnectionArrivesAndIsNoSilence(t *testing.T) {
	a, b, one, two, p := proxied(t, quickly)
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "it is heard", func() bool { return len(two.heard()) == 1 })
	two.tell(1, nil, heartbeat(1, 1))
	eventually(t, "the answer is heard", func() bool { return len(one.heard()) == 1 })
	p.Limit(proxytest.ToServer, 1<<20)
	one.tell(2, b, entries(1, 900<<10)) // it takes four times as long as a silence may
	eventually(t, "it is heard where the stream was accepted", func() bool { return len(two.heard()) == 2 })
	p.Limit(proxytest.ToServer, 0)
	p.Limit(proxytest.ToClient, 1<<20)
	two.tell(1, nil, entries(1, 900<<10))
	eventually(t, "it is heard where it was dialed", func() bool { return len(one.heard()) == 2 })
	if lost := a.metrics.lost.Load() + b.metrics.lost.Load(); lost > 0 {
		t.Errorf("streams were lost %d times", lost)
	}
}

func TestAStalledPeerCostsNoMoreThanItsQueue(t *testing.T) {
	const bound = 4 << 20
	a, b, one, two, p := proxied(t, func(cfg *linkConfig) { cfg.queueBytesMax = bound })
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	p.Silence(proxytest.ToServer, true)
	p.Silence(proxytest.ToClient, true)
	line := &a.peer(b.cfg.address).control
	most, largest := 0, int64(0)
	var forwards, dropped int
	for start, k := time.Now(), 0; time.Since(start) < *stallFor; k++ {
		f := &testForward{data: make([]byte, 1024)}
		one.Send(2, b.cfg.address, &node.PeerEnvelope{
			Group: "g", From: 1, To: 2, Messages: []node.Message{entries(node.Index(k+1), 64<<10)}, Forwards: []node.Forward{f},
		})
		forwards++
		if _, drops := f.outcome(); drops > 0 {
			dropped++
		}
		line.mu.Lock()
		most = max(most, line.queue.bytes)
		line.mu.Unlock()
		if k%4096 == 0 {
			largest = max(largest, heap()-before)
		}
		runtime.Gosched()
	}
	t.Logf("the queue had %d KiB at most, the heap grew by %d KiB; of %d forwards %d were dropped at once", most>>10, largest>>10, forwards, dropped)
	if most > bound+bound/8 || largest > bound+24<<20 {
		t.Errorf("the queue had %d bytes, the heap grew by %d; the bound is %d", most, largest, bound)
	}
	if one.lost(2) == 0 || dropped == 0 {
		t.Errorf("the member was told %d times, and %d forwards were dropped", one.lost(2), dropped)
	}
	p.Silence(proxytest.ToServer, false)
	p.Silence(proxytest.ToClient, false)
	heard := len(two.heard())
	eventually(t, "the peer hears again", func() bool {
		one.tell(2, b, heartbeat(9, 1))
		return slices.ContainsFunc(two.heard()[heard:], func(m node.Message) bool { return m.Head().Term == 9 })
	})
}

func TestNothingIsLeftAfterStops(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	// One that refuses, and one that takes connections and never says anything.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for range 10 {
		s := startSystem(t, "a")
		m := s.join("g", 1)
		m.knows(map[node.ID]string{1: s.cfg.address, 2: "127.0.0.1:1", 3: silent.Addr().String()})
		other := startSystem(t, "b")
		m.tell(4, other, heartbeat(1, 1))
		m.Send(5, silent.Addr().String(), &node.PeerEnvelope{Chunk: &node.SnapshotChunk{Offer: &node.InstallSnapshot{}, Size: 1, Data: []byte{1}}})
		eventually(t, "there is a link", func() bool { return s.isLinked(other) && other.isLinked(s) })
		start := time.Now()
		s.links.stop()
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("stop took %v", took)
		}
		s.kill()
		other.kill()
		f := &testForward{}
		m.Send(2, "127.0.0.1:1", &node.PeerEnvelope{Forwards: []node.Forward{f}})
		if _, drops := f.outcome(); drops != 1 {
			t.Errorf("a forward was dropped %d times after the end, want once", drops)
		}
	}
}

func TestAHandshakeThatTakesTooLongEnds(t *testing.T) {
	s := startSystem(t, "a")
	if _, err := openRaw(t, s).read(); err == nil {
		t.Error("there was an answer to nothing")
	}
	if err := <-s.ends; !errors.Is(err, errHandshakeTimeout) {
		t.Errorf("it has ended because of: %v", err)
	}
	if s.metrics.timeouts.Load() != 1 {
		t.Errorf("%d handshakes have taken too long, want 1", s.metrics.timeouts.Load())
	}
}
