package raft

import (
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

var linearFlag = flag.Int("linear", 1000, "how many schedules TestHistoriesAreLinearizable runs")

// Each schedule has clients that propose, read and try again through any member, while messages are lost, repeated,
// overtaken and delayed, and members are cut off, stopped, broken, held, exchanged and overloaded. What the clients
// are told must be what one dictionary could have told them, every command must have been applied once at most, and
// every outcome must be true. With -race one of eight schedules is run, and so with -short.
func TestHistoriesAreLinearizable(t *testing.T) {
	if *seedFlag != 0 {
		trial, failure := runTrial(t, *seedFlag, func(t *trial) { t.keepTrace = testing.Verbose() })
		if testing.Verbose() {
			t.Log(strings.Join(trial.trace, "\n"))
		}
		if failure != nil {
			t.Error(failure)
		}
		return
	}
	sum, every := counts{}, uint64(stride)
	if testing.Short() {
		every = 8
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	const workers = 2
	for first := range uint64(workers) {
		all.Go(func() {
			for k := first; k*every < uint64(*linearFlag); k += workers {
				trial, failure := runTrial(t, 1+k*every)
				mu.Lock()
				sum.add(trial.counts)
				if failure != nil {
					t.Error(failure)
				}
				failed := t.Failed()
				mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	all.Wait()
	t.Log(sum)
	if !t.Failed() && uint64(*linearFlag) >= 500*every {
		sum.expectEverythingSeen(t)
	}
}

func TestEqualSeedsGiveEqualTrials(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		var sums [2]uint64
		for k := range sums {
			trial, failure := runTrial(t, seed, func(t *trial) { t.hash = fnv.New64a() })
			if failure != nil {
				t.Fatal(failure)
			}
			sums[k] = trial.hash.Sum64()
		}
		if sums[0] != sums[1] {
			t.Errorf("seed %d: two runs have the hashes %x and %x", seed, sums[0], sums[1])
		}
	}
}

// A trial is one random run: clients, their troubles, and what they are told. It runs on one goroutine, and its seed
// decides everything in it.
type trial struct {
	*chaos
	seed    uint64
	weather weather
	hooks   hooks
	// now counts steps: it is the time of the history.
	now int64
	// lastEnd is when an operation has ended last, and calmUntil the tick before which no trouble begins.
	lastEnd, calmUntil int64

	ids      []ID
	machines map[ID]*dictionary // each member's newest
	clients  []client
	history  []*operation
	asked    []*asking
	letters  []letter
	// latePosts are requests that have not got to their member yet.
	latePosts   []func()
	subscribers []*subscriber
	// lure is the member that clients rather ask, or zero.
	lure ID
	// upset is what a member's machine does next in place of its work.
	upset map[ID]string
	// applied is what any machine has applied, by index, and firstApplied the step at which an operation was, by client
	// and number.
	applied      map[Index]string
	firstApplied map[[2]int]int64
	// record is what was applied in the end, by all.
	record   []deed
	findings []finding

	counts counts
	// abroad is the actor system of the Clients that live in another one than the members, or nil.
	abroad *actor.ActorSystem
	hash   hash.Hash64 // of all that happens; nil: nobody asks
}

// hooks are where a test may plant a mistake. The zero hooks do nothing.
type hooks struct {
	// consistency of the reads.
	consistency Consistency
	// machine makes what a member is given in place of its dictionary.
	machine func(*dictionary) Machine
	// request changes what members are asked, and reply what clients are told; nil is lost.
	request, reply func(any) any
	// config changes that of each member.
	config func(*Config)
	// forwardTwice: the transport between processes delivers a forwarded request as often as its envelope.
	forwardTwice bool
	// insist: users of Clients without a session propose again what is of unknown outcome.
	insist bool
}

// A failure is what a trial has found.
type failure struct {
	seed     uint64
	weather  weather
	findings []finding
}

// A finding is one thing that is wrong, and of what kind it is.
type finding struct{ kind, text string }

func (f *failure) Error() string {
	var b strings.Builder
	for _, found := range f.findings {
		fmt.Fprintf(&b, "%s: %s\n", found.kind, found.text)
	}
	return fmt.Sprintf("seed %d: %s%+v\nreplay with\n\tgo test ./actor -run 'TestHistoriesAreLinearizable$' -v -seed %d",
		f.seed, &b, f.weather, f.seed)
}

// is tells whether something of that kind was found.
func (f *failure) is(kind string) bool {
	return f != nil && slices.ContainsFunc(f.findings, func(found finding) bool { return found.kind == kind })
}

// find notes what is wrong, the first of each kind.
func (t *trial) find(kind, format string, args ...any) {
	if !slices.ContainsFunc(t.findings, func(found finding) bool { return found.kind == kind }) {
		t.findings = append(t.findings, finding{kind, fmt.Sprintf(format, args...)})
	}
}

// fail ends the trial. It must not be called within a turn, whose panics are the member's.
func (t *trial) fail(kind, format string, args ...any) {
	t.find(kind, format, args...)
	panic(trialOver{})
}

type trialOver struct{}

// failing is the TB of a trial's fixture, which fails the trial and not the test.
type failing struct {
	testing.TB
	trial *trial
}

func (f failing) Fatalf(format string, args ...any) { f.trial.fail("fixture", format, args...) }
func (f failing) Fatal(args ...any)                 { f.trial.fail("fixture", "%s", fmt.Sprint(args...)) }

// runTrial runs the trial of a seed, after changing it.
func runTrial(tb testing.TB, seed uint64, changes ...func(*trial)) (t *trial, found *failure) {
	t = &trial{
		seed: seed, machines: map[ID]*dictionary{}, upset: map[ID]string{}, applied: map[Index]string{},
		firstApplied: map[[2]int]int64{}, counts: counts{},
	}
	t.chaos = newChaos(newFixture(failing{tb, t}, 1, 2, 3), seed)
	defer func() {
		p := recover()
		if _, over := p.(trialOver); p != nil && !over {
			panic(fmt.Sprintf("seed %d: %v\n%s", seed, p, debug.Stack()))
		}
		if len(t.findings) > 0 {
			found = &failure{seed, t.weather, t.findings}
		}
	}()
	t.weather = drawWeather(t.rng)
	for _, change := range changes {
		change(t)
	}
	t.begin()
	for t.now < int64(t.weather.steps) && !t.idle() && len(t.findings) == 0 {
		t.act()
	}
	t.end()
	t.judge()
	return t, nil
}

func (t *trial) begin() {
	w := &t.weather
	t.lose, t.repeat, t.reorder = w.lose, w.repeat, w.reorder
	t.fixture.configure = t.configure
	t.scheduler.Trace = func(self *actor.PID, message any) {
		t.watchAttempts(message)
		if t.hash != nil || t.keepTrace {
			t.note("%s: %s", self.Id, describe(message))
		}
	}
	if w.betweenProcesses {
		t.network.fault = t.carry(map[*forward]bool{})
		t.connectAbroad()
	}
	for id := ID(1); id <= ID(w.members); id++ {
		t.ids = append(t.ids, id)
		store := t.store(id)
		store.loses, store.slow = true, w.slowDisk
		store.wrap = func(l *node.MemoryLog) node.Log { return &forgetfulLog{l, Index(w.inMemory)} }
		t.start(id)
	}
	t.addClients()
}

// note adds a line to the trace.
func (t *trial) note(format string, args ...any) {
	if t.hash != nil {
		fmt.Fprintf(t.hash, format+"\n", args...)
	}
	if t.keepTrace {
		t.trace = append(t.trace, fmt.Sprintf("%d ", t.now)+fmt.Sprintf(format, args...))
	}
}

// start starts a member with an empty machine.
func (t *trial) start(id ID) {
	founders := t.founders
	if id > ID(len(founders)) {
		t.founders = nil
	}
	d := t.dictionary(id)
	machine := Machine(d)
	if t.hooks.machine != nil {
		machine = t.hooks.machine(d)
	}
	pid, err := Spawn(t.system, t.config(id), machine)
	if err != nil {
		t.Fatal(err)
	}
	t.founders, t.pids[id], t.machines[id] = founders, pid, d
}

// dictionary is a machine that compares what it applies with what the others have, and fails when it is to.
func (t *trial) dictionary(id ID) *dictionary {
	upset := func(when string) error {
		what, how, _ := strings.Cut(t.upset[id], ": ")
		if what != when {
			return nil
		}
		delete(t.upset, id)
		t.counts["machines that failed"]++
		if how == "panic" {
			panic(errTest)
		}
		return errTest
	}
	return &dictionary{
		onApply: func(c Command) error {
			if err := upset("apply"); err != nil {
				return err
			}
			return t.watchApply(id, c)
		},
		onQuery: func() error { return upset("query") },
	}
}

func (t *trial) watchApply(id ID, c Command) error {
	text := fmt.Sprintf("%d: %s", c.Term, c.Data)
	if before, ok := t.applied[c.Index]; ok && before != text {
		t.find("machines", "member %d applies %q at %d, where %q was applied", id, text, c.Index, before)
	}
	t.applied[c.Index] = text
	command, err := decodeCommand(c.Data)
	name := [2]int{command.client, command.number}
	if _, ok := t.firstApplied[name]; !ok {
		t.firstApplied[name] = t.now
	}
	return err
}
