package raft

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/raftactor/node"
)

func TestThePaceIsThatOfWhatWaits(t *testing.T) {
	var p pace
	last, applied := Index(0), Index(0)
	tick := func(appended, done Index) {
		p.tick(1, last, applied) // as at the end of the tick before
		last, applied = last+appended, applied+done
	}
	ticks := func(n int, appended, done Index) {
		for range n {
			tick(appended, done)
		}
	}
	ticks(50, 100, 100)
	if got := p.wait(1 << 20); got != 0 {
		t.Errorf("wait for %d ticks, though nothing has ever waited for one", got)
	}
	ticks(50, 100, 10)
	if got := p.wait(1000); got < 90 || got > 110 {
		t.Errorf("wait for %d ticks for 1000 entries at 10 in a tick", got)
	}
	ticks(100, 0, 20)
	if got := p.wait(1000); got < 45 || got > 55 {
		t.Errorf("wait for %d ticks for 1000 entries at 20 in a tick", got)
	}
	ticks(30, 0, 0)
	if got := p.wait(1); got < 29 {
		t.Errorf("wait for %d ticks, though nothing has been applied for 30", got)
	}
	applied = last
	ticks(2, 0, 0)
	if got := p.wait(0); got != 0 {
		t.Errorf("wait for %d ticks for nothing", got)
	}
	ticks(100, 0, 0)
	if got := p.wait(1 << 20); got != 0 {
		t.Errorf("wait for %d ticks: what was slow long ago need not be now", got)
	}
}

// A pause of the whole process is not taken for a slow machine.
func TestThePaceKnowsMissedTicks(t *testing.T) {
	var p pace
	for i := range Index(20) {
		p.tick(1, 100_000, 100*i)
	}
	p.tick(50, 100_000, 100*19+50*100)
	if got := p.wait(1000); got != 10 {
		t.Errorf("wait for %d ticks for 1000 entries at 100 in a tick", got)
	}
}

func TestTheHintFollowsHowManyAreTurnedDown(t *testing.T) {
	var o overload
	o.init()
	refused := uint64(0)
	tick := func(n int, more, taken uint64) {
		for range n {
			refused += more
			o.demand.taken.total += taken
			o.tick(refused)
		}
	}
	want := func(what string, least, most int64) {
		t.Helper()
		if got := o.hints.Load().ms; got < least || got > most {
			t.Errorf("%s: the hint is %d ms, want %d to %d", what, got, least, most)
		}
		for reason := range overloadReasons {
			if r := o.answer(reason); r.RetryAfterMs != o.hints.Load().ms || r.Code != Code_OVERLOADED || r.Detail == "" {
				t.Errorf("%s: got %v", what, r)
			}
		}
	}
	want("nobody", hintMin, hintMin)
	tick(5, 900, 100)
	want("ten times the load", 200, 500)
	tick(50, 900, 100)
	want("ten times the load for long", hintMax, hintMax)
	tick(100, 100, 100)
	want("as many as there is room for", hintMax, hintMax)
	tick(3, 10, 100)
	want("hardly any", 1, hintMax)
	tick(100, 10, 100)
	want("hardly any for long", hintMin, hintMin)
	tick(50, 900, 100)
	tick(8, 0, 0)
	want("nobody again", hintMin, hintMin)
	tick(50, 5, 0)
	want("a member that does nothing", hintMax, hintMax)
}

func TestWhatIsFreeIsSharedWithThoseWhoAskAgain(t *testing.T) {
	for name, c := range map[string]struct {
		first, again int // how many ask in a tick, of whom half are taken
		want         int64
	}{
		"nobody asks again":     {100, 0, 1000},
		"as many as first":      {100, 100, 500},
		"most":                  {10, 90, 100},
		"all":                   {0, 100, 0},
		"nobody asks":           {0, 0, 1000},
		"one among many others": {998, 2, 998},
	} {
		var d demand
		refused := uint64(0)
		for range 100 {
			for i := range c.first + c.again {
				if i%2 == 0 {
					d.take(i >= c.first)
				} else {
					refused++
					d.refuse(i >= c.first)
				}
			}
			d.tick(refused)
		}
		if got := d.firstPart(1000); got < c.want-15 || got > c.want+15 {
			t.Errorf("%s: %d of 1000 are for those who ask for the first time, want %d", name, got, c.want)
		}
		for range 100 {
			d.tick(refused)
		}
		if got := d.firstPart(1000); got != 1000 || d.isShared() {
			t.Errorf("%s: %d of 1000, shared %v, when nobody has asked for long", name, got, d.isShared())
		}
	}
}

func TestTheDoorIsShutToWhomItConcerns(t *testing.T) {
	cfg := Config{}.withDefaults()
	doors := map[string]door{
		"proposals": {reason: overloadedLog, first: everybody, again: everybody},
		"all":       {reason: overloadedPending, queries: true, first: everybody, again: everybody},
		"first":     {reason: overloadedLog, first: everybody},
		"hurried":   {reason: overloadedPace, first: 3 * time.Second, again: 2 * time.Second},
	}
	const first, again = "proposals all first", "proposals all"
	for name, c := range map[string]struct {
		request any
		want    string // the doors that are shut to it
	}{
		"Propose":              {&Propose{}, first},
		"Propose again":        {&Propose{Retry: true}, again},
		"Propose in a hurry":   {&Propose{TimeoutMs: 2500}, first + " hurried"},
		"again in a hurry":     {&Propose{TimeoutMs: 2500, Retry: true}, again},
		"in a great hurry":     {&Propose{TimeoutMs: 1, Retry: true}, again + " hurried"},
		"OpenSession":          {&OpenSession{}, first},
		"Query":                {&Query{}, "all"},
		"call":                 {&call{kind: proposeCall, timeout: time.Second, again: true}, again + " hurried"},
		"call of a query":      {&call{kind: queryCall}, "all"},
		"call of Ready":        {&call{kind: readyCall}, "all"},
		"call of a transfer":   {&call{kind: transferCall}, ""},
		"Forward":              {&forward{origin: &call{kind: openCall}}, first},
		"Forward again":        {&forward{origin: &call{kind: proposeCall, again: true}}, again},
		"Forward from afar":    {&forward{request: &Propose{Retry: true}}, again},
		"Forward of a change":  {&forward{origin: &call{kind: changeCall}}, ""},
		"ChangeMembers":        {addLearner(4, ""), ""},
		"TransferLeadership":   {&TransferLeadership{}, ""},
		"TakeSnapshot":         {&TakeSnapshot{}, ""},
		"GrantCredit":          {&GrantCredit{}, ""},
		"what nobody asks for": {"text", ""},
	} {
		for kind, d := range doors {
			if got, want := d.isShutTo(c.request, &cfg), slices.Contains(strings.Fields(c.want), kind); got != want {
				t.Errorf("%s: the door %q is shut %v, want %v", name, kind, got, want)
			}
		}
	}
}

// A follower says of what it passes on that it was turned down before.
func TestWhoAsksAgainIsKnownToTheLeader(t *testing.T) {
	origin := &call{kind: proposeCall, payload: frameCommand(nil), again: true}
	if c, _ := (&forward{origin: origin}).call(); !c.again {
		t.Error("it is forgotten within a process")
	}
	if m := (&forward{origin: origin}).message().(*Propose); !m.Retry {
		t.Error("it is forgotten on the way to another process")
	}
	if c, _ := (&forward{request: &OpenSession{Retry: true}}).call(); !c.again {
		t.Error("it is forgotten on the way from another process")
	}
}

// Proposals of a client for which there was no room come again one by one, not all at the same time, and say so.
func TestProposalsForWhichThereWasNoRoomDoNotComeBackTogether(t *testing.T) {
	const all = 400
	f := newFixture(t)
	f.scheduler.Trace = nil
	refused, came := map[*op]bool{}, map[int64]int{}
	f.newStub(1, func(c *call) *reply {
		if c.kind == openCall {
			return &reply{index: 1}
		}
		o := c.asker.(*op)
		if !refused[o] {
			refused[o] = true
			r := rejects(Code_OVERLOADED, Outcome_NOT_APPLIED)
			r.rejected.RetryAfterMs = 500
			return r
		}
		if !c.again {
			t.Error("it does not say that it was turned down")
		}
		came[f.clock.Now().Milliseconds()]++
		return applied
	})
	client := f.client(ClientConfig{}, 1)
	defer client.Close()
	ended := 0
	for i := range all {
		err := client.ProposeAsync(context.Background(), fmt.Append(nil, i), func(Result, error) { ended++ })
		if err != nil {
			t.Fatal(err)
		}
	}
	f.settle()
	begin, least, most := f.clock.Now().Milliseconds(), int64(math.MaxInt64), int64(0)
	for range 120 {
		f.clock.Advance(clientTick)
		f.settle()
	}
	if ended != all {
		t.Fatalf("%d of %d are applied", ended, all)
	}
	for at, n := range came {
		if n > all/10 {
			t.Errorf("%d of %d come back at the same moment, after %d ms", n, all, at-begin)
		}
		least, most = min(least, at-begin), max(most, at-begin)
	}
	if least < 500 || most > 1050 {
		t.Errorf("they come back after %d to %d ms, and were to wait for 500", least, most)
	}
}

// Nobody is turned down because of what another leader has to apply, or of limits that concern leaders only.
func TestAFormerLeaderHasNoDoor(t *testing.T) {
	f, leader, members := spawnMembers(t, func(c *Config) { c.UncommittedBytesMax = 1000 }, 1, 2, 3)
	f.network.isolate(leader, f.others(leader)...)
	for range 50 {
		f.propose(leader, "x")
	}
	f.settle()
	f.pass(1)
	if d := members[leader].overload.door.Load(); d == nil || d.reason != overloadedLog {
		t.Fatalf("the door is %+v, want it shut", d)
	}
	f.until("it does not lead", func() bool { return members[leader].node.Role() != node.Leader })
	f.pass(1)
	if d := members[leader].overload.door.Load(); d != nil {
		t.Errorf("the door is %+v, want none", d)
	}
}

// What comes at once is turned down at once, if the machine is known to be slow.
func TestABurstForASlowMachineIsTurnedDown(t *testing.T) {
	f, _, members := spawnMembers(t, func(*Config) {}, 1)
	f.held[Name("g", 1)+"/applier"] = true
	for range 60 { // two commands in a tick, and two are asked for
		f.propose(1, "x")
		f.settle()
		f.propose(1, "x")
		f.pass(1)
		if f.status(1).CommitIndex > 20 {
			f.stepOf(Name("g", 1) + "/applier")
			f.stepOf(Name("g", 1) + "/applier")
		}
	}
	taken := func(timeoutMs int64) (taken int) {
		var asked []*inbox
		for range 300 {
			asked = append(asked, f.ask(1, &Propose{TimeoutMs: timeoutMs}))
		}
		f.settle()
		for _, in := range asked {
			if len(in.all()) == 0 {
				taken++
				continue
			}
			if r := f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED); r.Detail != overloadDetails[overloadedPace] {
				t.Errorf("got %v", r)
			}
		}
		return taken
	}
	if n := taken(500); n != 0 {
		t.Errorf("%d are taken that wait for half a second, and some 20 commands are in front of them: %+v",
			n, members[1].overload.pace)
	}
	if n := taken(5000); n < 50 || n > 150 {
		t.Errorf("%d are taken of a machine that does 2 in a tick, to wait for 5 s", n)
	}
	if n := taken(60_000); n < 200 {
		t.Errorf("%d are taken of those who have patience", n)
	}
}

// The door is opened when the machine has made room, without waiting for a tick.
func TestTheDoorIsOpenedWhenThereIsRoom(t *testing.T) {
	for name, request := range map[string]any{
		"proposals": &Propose{}, "queries": &Query{Consistency: Consistency_LOCAL},
	} {
		f, _, members := spawnMembers(t, func(c *Config) { c.PendingMax = 10 }, 1)
		f.held[Name("g", 1)+"/applier"] = true
		for range 20 {
			f.ask(1, request)
		}
		f.settle()
		if d := members[1].overload.door.Load(); d == nil {
			t.Fatalf("%s: the door is open", name)
		}
		clear(f.held)
		f.settle()
		if d := members[1].overload.door.Load(); d != nil {
			t.Errorf("%s: the door is %+v, and nothing waits", name, *d)
		}
	}
}

// The applier makes room as it goes, so that there is more to do before it has done all.
func TestRoomIsMadeInTheMiddleOfWork(t *testing.T) {
	query := &Query{Consistency: Consistency_LOCAL, Payload: make([]byte, 130)}
	for name, c := range map[string]struct {
		configure func(*Config)
		request   any
	}{
		"by calls":         {func(c *Config) { c.PendingMax = 80 }, &Propose{}},
		"by bytes":         {func(c *Config) { c.UnappliedBytesMax = 80 * 100 }, &Propose{Command: make([]byte, 60)}},
		"by bytes pending": {func(c *Config) { c.PendingBytesMax = 80 * 200 }, query},
	} {
		f, _, members := spawnMembers(t, c.configure, 1)
		f.held[Name("g", 1)+"/applier"] = true
		for range 100 {
			f.ask(1, c.request)
		}
		f.settle()
		most := 0
		for f.stepOf(Name("g", 1) + "/applier") {
			most = max(most, members[1].box.Stats().Control.Waiting)
		}
		if most < 5 {
			t.Errorf("%s: the raft actor is told %d times how far the machine is", name, most)
		}
	}
}
