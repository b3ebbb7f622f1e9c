package raft

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

var (
	schedulesFlag = flag.Int("schedules", 200, "how many schedules TestRandomSchedules runs")
	seedFlag      = flag.Uint64("seed", 0, "run the one schedule that has this seed, of TestRandomSchedules or TestHistoriesAreLinearizable")
)

// Each schedule drives three members through loss, duplication, reordering, partitions, slow and failing
// disks, stops, membership changes, transfers and snapshots, all of them drawn from its seed.
func TestRandomSchedules(t *testing.T) {
	if *seedFlag != 0 {
		runSchedule(t, *seedFlag)
		return
	}
	var sum tally
	for seed := uint64(1); seed <= uint64(*schedulesFlag); seed += stride {
		runSchedule(t, seed).addTo(&sum)
		if t.Failed() {
			return
		}
	}
	t.Logf("%+v", sum)
	if *schedulesFlag >= 100*stride {
		sum.expectEverythingSeen(t)
	}
}

func TestEqualSeedsGiveEqualRuns(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		first, second := runSchedule(t, seed), runSchedule(t, seed)
		if a, b := first.hash.Sum64(), second.hash.Sum64(); a != b {
			t.Fatalf("seed %d: two runs differ: %x and %x, after %d and %d turns", seed, a, b, first.turns, second.turns)
		}
	}
}

// A schedule is one random run, and what it has to be judged by.
type schedule struct {
	*chaos
	moods moods
	steps int
	hash  interface {
		Write([]byte) (int, error)
		Sum64() uint64
	}
	turns int

	commands []*asked // that were proposed; a command's number is its place, from 1
	reads    []*asked
	others   []*asked
	streams  []*randomStream
	// applied is what any machine has applied, by index.
	applied map[Index]string
	// floor is the highest index that anybody was told of.
	floor uint64
	tally tally
}

// moods are how likely each trouble is in this schedule, in thousandths of the steps.
type moods struct {
	stop, partition, change, snapshot, transfer, breakDisk, stall int
	slow                                                          bool
}

// asked is a request and what came of it.
type asked struct {
	in       *inbox
	request  any
	floor    uint64 // when it was asked
	answered any
}

// tally counts what happened.
type tally struct {
	applied, rejected, read, lost, stops, failures, restores, changes, transfers int
	// streams go on to the end, covered ones end at a snapshot, and resumed ones go on after another has ended.
	streams, covered, resumed int
	codes                     [16]int
}

func runSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{
		chaos: newChaos(newFixture(t, 1, 2, 3), seed), hash: fnv.New64a(), applied: map[Index]string{},
	}
	defer func() {
		if p := recover(); p != nil || t.Failed() {
			t.Errorf("seed %d: replay with\n\tgo test ./actor -run 'TestRandomSchedules$' -seed %d", seed, seed)
			if p != nil {
				panic(p)
			}
		}
	}()
	s.TB = replayable{t, seed}
	s.draw()
	for range s.steps {
		s.act()
		s.look()
	}
	s.finish()
	return s
}

// replayable names the seed with each failure.
type replayable struct {
	*testing.T
	seed uint64
}

func (r replayable) Fatalf(format string, args ...any) {
	r.Helper()
	r.T.Fatalf("seed %d: %s\n\tgo test ./actor -run 'TestRandomSchedules$' -seed %d", r.seed, fmt.Sprintf(format, args...), r.seed)
}

func (r replayable) Fatal(args ...any) {
	r.Helper()
	r.Fatalf("%s", fmt.Sprint(args...))
}

// draw chooses the schedule's troubles: some of all.
func (s *schedule) draw() {
	some := func(most int) int { return s.rng.IntN(2) * s.rng.IntN(most+1) }
	s.steps = 2000 + s.rng.IntN(2000)
	s.lose, s.repeat, s.reorder = some(150), some(150), 250
	s.moods = moods{
		stop: some(6), partition: some(10), change: some(6),
		snapshot: some(10), transfer: some(6), breakDisk: some(3), stall: some(6), slow: s.rng.IntN(2) == 0,
	}
	retain := []int{-1, 3, 100}[s.rng.IntN(3)]
	entries := []int{5, 30, node.Unlimited}[s.rng.IntN(3)]
	inMemory := []Index{0, 0, 20}[s.rng.IntN(3)]
	unapplied := []int{0, 0, 100, 1000}[s.rng.IntN(4)]
	s.configure = func(c *Config) {
		c.RetainEntries, c.SnapshotEntries, c.UnappliedBytesMax = retain, entries, unapplied
	}
	s.scheduler.Trace = func(self *actor.PID, message any) {
		s.turns++
		fmt.Fprintf(s.hash, "%s: %s\n", self.Id, describe(message))
		if s.keepTrace {
			s.trace = append(s.trace, self.Id+": "+describe(message))
		}
	}
	for id := ID(1); id <= 3; id++ {
		store := s.store(id)
		store.loses, store.slow = true, s.moods.slow
		store.wrap = func(l *node.MemoryLog) node.Log { return &forgetfulLog{l, inMemory} }
		s.start(id)
	}
}

func (s *schedule) start(id ID) {
	pid, err := Spawn(s.system, s.config(id), s.machine(id))
	if err != nil {
		s.Fatal(err)
	}
	s.pids[id] = pid
}

// machine is a journal that compares what it applies with what the others have.
func (s *schedule) machine(id ID) *journal {
	j := &journal{}
	j.onApply = func(c Command) error {
		text := fmt.Sprintf("%d:%s", c.Term, c.Data)
		if before, ok := s.applied[c.Index]; ok && before != text {
			s.Fatalf("member %d applies %q at %d, where %q was applied", id, text, c.Index, before)
		}
		s.applied[c.Index] = text
		return nil
	}
	s.machines[id] = j
	return j
}

// act does one thing.
func (s *schedule) act() {
	roll := s.rng.IntN(1000)
	happens := func(likely int) bool {
		roll -= likely
		return roll < 0 && roll >= -likely
	}
	id := ID(1 + s.rng.IntN(3))
	if s.rng.IntN(2) == 0 { // most requests and troubles should hit somebody who matters
		id = s.likelyLeader(id)
	}
	switch {
	case happens(s.moods.stop):
		if s.isThere(id) {
			s.tally.stops++
			s.system.Root.Stop(s.pids[id])
		}
	case happens(s.moods.breakDisk):
		s.store(id).set(func(store *testStore) { store.slow, store.syncErr = true, errTest })
	case happens(s.moods.partition):
		s.network.isolate(id, 1, 2, 3)
	case happens(s.moods.change):
		s.change(id)
	case happens(s.moods.snapshot):
		s.others = append(s.others, s.request(id, &TakeSnapshot{}))
	case happens(s.moods.transfer):
		target := uint64(1 + s.rng.IntN(3))
		s.others = append(s.others, s.request(id, &TransferLeadership{Target: target}))
	case happens(s.moods.stall):
		s.held[Name("g", id)+"/applier"] = true
	case happens(8):
		clear(s.held)
	case happens(8):
		s.restart(id)
	case happens(3):
		s.network.heal()
	case happens(4):
		s.subscribeAt(id, uint64(s.rng.IntN(20)), nil)
	case happens(20):
		s.grantSome()
	case happens(4):
		s.resumeSome(id)
	case happens(30):
		s.clock.Advance(step)
	case happens(2):
		s.clock.Jump(step * time.Duration(s.rng.IntN(30)))
	case happens(60):
		s.proposeNext(id)
	case happens(30):
		consistency := Consistency(s.rng.IntN(5) / 4)
		s.reads = append(s.reads, s.request(id, &Query{Consistency: consistency}))
	case happens(100):
		if s.store(id).storage != nil {
			s.store(id).complete(1 + s.rng.IntN(5))
		}
	case s.rng.IntN(3) == 0:
		s.deliverOne()
	default:
		s.turn()
	}
}

func (s *schedule) request(id ID, request any) *asked {
	return &asked{in: s.ask(id, request), request: request, floor: s.floor}
}

func (s *schedule) proposeNext(id ID) {
	number := binary.BigEndian.AppendUint64(nil, uint64(len(s.commands)+1))
	s.commands = append(s.commands, s.request(id, &Propose{Command: number}))
}

func (s *schedule) change(id ID) {
	m := uint64(1 + s.rng.IntN(3))
	request := &ChangeMembers{Change: &ChangeMembers_Demote{Demote: &DemoteMember{Id: m}}}
	if s.rng.IntN(2) == 0 {
		request = &ChangeMembers{Change: &ChangeMembers_Promote{Promote: &PromoteMember{Id: m}}}
	}
	s.others = append(s.others, s.request(id, request))
}

// restart mends a member's disk and starts it, if it is not there.
func (s *schedule) restart(id ID) {
	store := s.store(id)
	if s.isThere(id) || store.storage.open {
		return
	}
	store.set(func(store *testStore) { store.slow, store.syncErr = s.moods.slow, nil })
	s.start(id)
}

// look notes what has been answered.
func (s *schedule) look() {
	for _, a := range s.commands {
		s.lookAt(a)
	}
	for _, a := range s.reads {
		s.lookAt(a)
	}
}

func (s *schedule) lookAt(a *asked) {
	got := a.in.take()
	if len(got) == 0 {
		return
	}
	if len(got) > 1 || a.answered != nil {
		s.Fatalf("%v was answered with %v, after %v", a.request, got, a.answered)
	}
	a.answered = got[0]
	switch m := a.answered.(type) {
	case *Proposed:
		s.floor = max(s.floor, m.Index)
	case *Answer:
		if a.request.(*Query).Consistency == Consistency_LINEARIZABLE {
			if m.Index < a.floor {
				s.Fatalf("a read that began when %d was known sees only %d", a.floor, m.Index)
			}
			s.floor = max(s.floor, m.Index)
		}
	}
}

// finish ends all troubles, waits until the group is well, and judges.
func (s *schedule) finish() {
	s.Helper()
	s.network.heal()
	s.moods, s.lose, s.repeat = moods{}, 0, 0
	clear(s.held)
	for id := ID(1); id <= 3; id++ {
		s.store(id).set(func(store *testStore) { store.slow, store.syncErr = false, nil })
		s.store(id).complete(1 << 30)
	}
	s.settle()
	for id := ID(1); id <= 3; id++ {
		s.restart(id)
	}
	leader := s.elect()
	s.look()
	s.commands = append(s.commands, s.request(leader, &Propose{Command: binary.BigEndian.AppendUint64(nil, 1<<62)}))
	s.pass(110) // all deadlines
	s.look()
	if _, ok := s.commands[len(s.commands)-1].answered.(*Proposed); !ok {
		s.Fatalf("the group is well, and a command is answered with %v", s.commands[len(s.commands)-1].answered)
	}
	for _, a := range s.others {
		s.lookAt(a)
	}
	for _, all := range [][]*asked{s.commands, s.reads, s.others} {
		for _, a := range all {
			s.count(a)
		}
	}
	s.finishStreams()
	s.judge()
}

func (s *schedule) count(a *asked) {
	switch m := a.answered.(type) {
	case nil:
		s.Fatalf("%T{%v} was never answered", a.request, a.request)
	case *Proposed:
		s.tally.applied++
	case *Answer:
		s.tally.read++
	case *MembersChanged:
		s.tally.changes++
	case *LeadershipTransferred:
		s.tally.transfers++
	case *Rejected:
		s.tally.rejected++
		s.tally.codes[m.Code]++
	}
	fmt.Fprintf(s.hash, "%T%v\n", a.answered, a.answered)
}

// judge compares what was promised with what the machines have.
func (s *schedule) judge() {
	s.Helper()
	s.agree(1, 2, 3)
	times := map[uint64]int{}
	counts := map[Index]uint64{} // how many commands there are up to an index
	for k, c := range s.machines[1].all() {
		times[number(c.Data)]++
		counts[c.Index] = uint64(k + 1)
	}
	for k, a := range s.commands {
		n := times[number(a.request.(*Propose).Command)]
		switch m := a.answered.(type) {
		case *Proposed:
			if n != 1 {
				s.Fatalf("command %d was acknowledged by %v, and is applied %d times", k+1, m, n)
			}
		case *Rejected:
			if n > 1 || (m.Outcome == Outcome_NOT_APPLIED && n > 0) {
				s.Fatalf("command %d was answered with %v, and is applied %d times", k+1, m, n)
			}
		default:
			if n > 0 {
				s.Fatalf("command %d was answered with %v, and is applied %d times", k+1, m, n)
			}
		}
	}
	for _, a := range s.reads {
		if m, ok := a.answered.(*Answer); ok {
			want := uint64(0)
			for index, count := range counts {
				if index <= Index(m.Index) {
					want = max(want, count)
				}
			}
			if got := number(m.Result); got != want {
				s.Fatalf("a read at %d sees %d commands, want %d", m.Index, got, want)
			}
		}
	}
	s.judgeStreams(counts)
	for _, e := range s.events {
		switch e := e.(type) {
		case *Failed:
			s.tally.failures++
			if !strings.Contains(e.Err.Error(), errTest.Error()) {
				s.Fatalf("member %d failed: %v", e.Member, e.Err)
			}
		case *SnapshotRestored:
			s.tally.restores++
		}
	}
}

func (s *schedule) addTo(sum *tally) {
	sum.applied += s.tally.applied
	sum.rejected += s.tally.rejected
	sum.read += s.tally.read
	sum.lost += s.lost
	sum.stops += s.tally.stops
	sum.failures += s.tally.failures
	sum.restores += s.tally.restores
	sum.changes += s.tally.changes
	sum.transfers += s.tally.transfers
	sum.streams += s.tally.streams
	sum.covered += s.tally.covered
	sum.resumed += s.tally.resumed
	for code, n := range s.tally.codes {
		sum.codes[code] += n
	}
}

// expectEverythingSeen keeps the schedules from proving nothing.
func (sum *tally) expectEverythingSeen(t *testing.T) {
	for name, n := range map[string]int{
		"commands applied": sum.applied, "requests rejected": sum.rejected, "reads answered": sum.read,
		"messages lost": sum.lost, "stops": sum.stops, "failures": sum.failures, "restores": sum.restores,
		"membership changes": sum.changes, "transfers": sum.transfers, "superseded": sum.codes[Code_SUPERSEDED],
		"streams": sum.streams, "streams ended by a snapshot": sum.covered, "streams resumed": sum.resumed,
		"deadlines": sum.codes[Code_DEADLINE],
		"stopped":   sum.codes[Code_STOPPED], "not leader": sum.codes[Code_NOT_LEADER],
	} {
		if n == 0 {
			t.Errorf("no %s in all schedules: they prove nothing about it", name)
		}
	}
}
