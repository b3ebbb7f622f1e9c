package raftremote

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// testOutbox is one without a goroutine.
func testOutbox(t *testing.T, bytesMax int) *outbox {
	t.Helper()
	r, err := New(Config{Listen: ourAddress, Insecure: true, ClientQueueBytesMax: bytesMax})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(quietSystem()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop(t.Context()) })
	return newOutbox(r.gate, theirAddress)
}

func testLetter(bytes int) *letter {
	return &letter{target: actor.NewPID(theirAddress, "a"), body: wrapperspb.String("x"), bytes: bytes}
}

func TestAnOutboxIsBounded(t *testing.T) {
	o := testOutbox(t, 1000)
	for i := range 20 {
		if reason, _ := o.post(testLetter(100)); (reason == gateFull) != (i >= 10) {
			t.Errorf("message %d: %q", i, reason)
		}
	}
	end := &letter{target: actor.NewPID(theirAddress, "a"), body: &actor.Terminated{}, bytes: 100, system: true}
	if reason, _ := o.post(end); reason != "" {
		t.Errorf("the end of a watched actor: %q", reason)
	}
}

// Systems that ask much and read nothing would otherwise make this one hold a full queue each.
func TestAllOutboxesTogetherAreBounded(t *testing.T) {
	o := testOutbox(t, 100)
	g := o.gate
	g.remote.cfg.ClientBytesMax = 1000
	fill := func(o *outbox) (bytes int) {
		for {
			switch reason, _ := o.post(testLetter(10)); reason {
			case "":
				bytes += 10
			case gateFull, gateCrowded:
				return bytes
			default:
				t.Fatalf("got %q", reason)
			}
		}
	}
	if got := fill(o); got != 100 {
		t.Errorf("one alone has %d bytes, want all that it may have", got)
	}
	all, least, last := []*outbox{o}, 100, 100
	for range 20 {
		o := newOutbox(g, theirAddress)
		last = fill(o)
		least = min(least, last)
		all = append(all, o)
	}
	if waits := g.bytes.Load(); waits > 1125 || least < 10 || last > 50 {
		t.Errorf("%d bytes wait in all, at least %d for each, %d for the last", waits, least, last)
	}
	end := &letter{target: actor.NewPID(theirAddress, "a"), body: &actor.Terminated{}, bytes: 10, system: true}
	if reason, _ := all[20].post(end); reason != "" {
		t.Errorf("the end of a watched actor: %q", reason)
	}
	watch := &letter{
		target: actor.NewPID(theirAddress, "a"), body: &actor.Watch{}, bytes: 1000, system: true, watch: watchKey{"w", "a"},
	}
	if reason, _ := all[20].post(watch); reason != gateCrowded || len(all[20].watches) > 0 {
		t.Errorf("one watch too many: %q, and it is kept: %t", reason, len(all[20].watches) > 0)
	}
	for _, o := range all { // what leaves, and what is sent back, makes room
		o.opened()
		if i := o.next(); i != nil {
			i.state.Store(letterTaken)
			o.sends(true)
			o.sends(false)
		}
		o.fail(gateUnreachable)
	}
	if waits := g.bytes.Load(); waits != 0 {
		t.Errorf("%d bytes wait where nothing does", waits)
	}
}

func TestWhoHasHadNothingToDoForLongestMakesRoomForAnotherSystem(t *testing.T) {
	g := testOutbox(t, 1000).gate
	g.remote.cfg.ConnectionsMax = 3
	put := func(address string, quiet time.Duration) *outbox {
		o := newOutbox(g, address)
		o.used = o.used.Add(-quiet)
		g.outboxes[address] = o
		return o
	}
	busy, longest, long := put("a:1", time.Hour), put("a:2", time.Minute), put("a:3", time.Second)
	busy.post(testLetter(10))
	if o, reason := g.outboxFor("127.0.0.1:1"); o == nil || len(longest.leave) != 1 || len(busy.leave)+len(long.leave) > 0 {
		t.Fatalf("got %v, %q, and %d, %d and %d were told to leave, want the second", o, reason, len(busy.leave), len(longest.leave), len(long.leave))
	}
	if _, reason := g.outboxFor("127.0.0.1:2"); reason != gateSystems {
		t.Errorf("got %q while as many are leaving as may do so at a time", reason)
	}
	longest.post(testLetter(10)) // it is needed again
	if g.forget(longest) {
		t.Fatal("what waits was forgotten")
	}
	if o, reason := g.outboxFor("127.0.0.1:2"); o == nil || len(long.leave) != 1 {
		t.Errorf("got %v, %q, and that the next one was told to leave is %t", o, reason, len(long.leave) == 1)
	}
}

func TestAnOutboxThatMakesRoomEndsItsConnection(t *testing.T) {
	g := testOutbox(t, 1000).gate
	g.remote.cfg.ConnectionsMax = 1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first, _ := g.outboxFor(l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	byAndBy(t, "it is connected", func() bool { first.mu.Lock(); defer first.mu.Unlock(); return first.conn != nil })
	first.mu.Lock()
	first.used = first.used.Add(-time.Minute)
	first.mu.Unlock()
	if o, reason := g.outboxFor("127.0.0.1:1"); o == nil {
		t.Fatalf("got %q", reason)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection has not ended: %v", err)
	}
	byAndBy(t, "it is gone", func() bool { return g.outbox(first.address) == nil })
}

func TestProtoActorIsGivenAMegabyteAtATime(t *testing.T) {
	o := testOutbox(t, 16<<20)
	for range 10 {
		o.post(testLetter(flyingBytesMax / 4))
	}
	take := func() (taken []*letter) {
		for i := o.next(); i != nil; i = o.next() {
			taken = append(taken, i)
		}
		return taken
	}
	if first := take(); len(first) != 1 {
		t.Fatalf("%d before the other end is there", len(first))
	}
	o.opened()
	if more := take(); len(more) != 3 {
		t.Fatalf("%d more when it is", len(more))
	}
	for _, i := range o.handed[:2] {
		i.state.Store(letterTaken)
	}
	o.sends(true)
	if more := take(); len(more) != 0 {
		t.Fatalf("%d while a frame is on its way", len(more))
	}
	o.sends(false)
	if more := take(); len(more) != 2 || o.bytes != 8*flyingBytesMax/4 {
		t.Fatalf("%d when two have left, %d bytes are left", len(more), o.bytes)
	}
}

func TestAConnectionIsStuckWhenNothingMoves(t *testing.T) {
	o := testOutbox(t, 1000)
	now := time.Now()
	o.post(testLetter(100))
	o.next()
	o.used = now.Add(-2 * stuckTime)
	o.sending = true
	if _, stuck := o.check(now, time.Second); stuck {
		t.Error("a frame that is being written is stuck")
	}
	if _, stuck := o.check(now, 2*stuckTime); !stuck {
		t.Error("nothing moves, and it is not stuck")
	}
	o.handed[0].state.Store(letterTaken)
	o.sending = false
	if _, stuck := o.check(now, 2*stuckTime); stuck || len(o.handed) > 0 {
		t.Error("what could not be encoded is waited for")
	}
}
