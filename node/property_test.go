package node_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

var (
	stepsFlag = flag.Int("steps", 0, "steps of the random simulation, all seeds together; 0: a million, and a tenth with -race")
	seedFlag  = flag.Uint64("seed", 0, "the one seed to run the random simulation with; 0: many")
	fromFlag  = flag.Uint64("from", 1, "the first of many seeds of the random simulation")
	traceFlag = flag.String("simtrace", "", "file to write the trace of the random simulation to")
)

// TestRandomFaultsBreakNothing runs groups through random faults, seed by seed. What kinds of faults
// there are, and how many, is drawn for each seed. Every step is checked, and in the end, with all
// faults gone, the group must get on.
func TestRandomFaultsBreakNothing(t *testing.T) {
	steps := *stepsFlag
	if steps == 0 {
		steps = 1_000_000
		if raceEnabled {
			steps /= 10
		}
	}
	var total tally
	if *seedFlag != 0 {
		runSeed(t, *seedFlag, &total)
		t.Logf("%+v", total)
		return
	}
	for seed := *fromFlag; total.steps < steps && !t.Failed(); seed++ {
		runSeed(t, seed, &total)
	}
	t.Logf("%+v", total)
	if !t.Failed() && steps >= 1_000_000 {
		total.requireVariety(t)
	}
}

// TestSameSeedSameActions compares all events and actions of two runs, byte for byte.
func TestSameSeedSameActions(t *testing.T) {
	run := func(seed uint64) (uint64, error) {
		h := fnv.New64a()
		var ignored tally
		err := newSimulation(seed, h, &ignored).run()
		return h.Sum64(), err
	}
	for seed := uint64(1); seed <= 5; seed++ {
		first, err := run(seed)
		second, errAgain := run(seed)
		if first != second {
			t.Errorf("seed %d: two runs have the hashes %x and %x", seed, first, second)
		}
		if fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Errorf("seed %d: two runs end with %v and with %v", seed, err, errAgain)
		}
	}
}

func runSeed(t *testing.T, seed uint64, total *tally) {
	t.Helper()
	var trace io.Writer
	if *traceFlag != "" {
		file, err := os.Create(*traceFlag)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		trace = file
	}
	s := newSimulation(seed, trace, total)
	if err := s.run(); err != nil {
		t.Errorf("seed %d: %v\n%v\n%+v\nreplay: go test ./node -run 'TestRandomFaultsBreakNothing$' -seed %d -simtrace /tmp/trace",
			seed, err, s.cluster.Members(), s.weather, seed)
	}
}

// simulation is one seed's run.
type simulation struct {
	random  prng
	weather weather
	config  node.Config
	cluster *nodetest.Cluster
	tally   *tally
	// wiped are the members that live a new life under an old name.
	wiped    map[node.ID]bool
	nextID   node.ID
	commands int
	readID   uint64
	// attacking: the present step is given a forged message.
	attacking bool
}

func newSimulation(seed uint64, trace io.Writer, total *tally) *simulation {
	s := &simulation{random: prng(seed * 0x2545f4914f6cdd1d), tally: total, wiped: map[node.ID]bool{}}
	s.weather, s.config = drawWeather(&s.random), drawConfig(&s.random)
	s.cluster = nodetest.New(nodetest.Options{
		Node: s.config, Seed: s.random.next(), NameLives: s.weather.NameLives, Withhold: s.weather.Withhold,
		Trace: trace, Observe: s.observe,
	})
	founders := make([]node.ID, s.weather.Members)
	for i := range founders {
		founders[i] = node.ID(i + 1)
	}
	s.nextID = node.ID(len(founders) + 1)
	s.cluster.Bootstrap(founders...)
	return s
}

// observe finds members that accuse each other: nobody here is faulty, but that some have lost their
// storage.
func (s *simulation) observe(id node.ID, event node.Event, actions []node.Action) {
	s.tally.observe(id, event, actions)
	for _, action := range actions {
		if a, ok := action.(*node.PeerFault); ok && !s.attacking && a.Fault != node.FaultIncarnation {
			s.cluster.Report(fmt.Errorf("member %d accuses an honest peer: %s", id, nodetest.FormatAction(a)))
		}
	}
}

func (s *simulation) run() error {
	defer func() { s.tally.steps += s.cluster.Steps() }()
	for s.cluster.Steps() < s.weather.Steps && s.cluster.Err() == nil {
		s.stir()
	}
	if err := s.cluster.Err(); err != nil {
		return err
	}
	return s.recover()
}

// recover takes all faults away and sees that the group gets on: there is a leader, and what it is
// given reaches every member of its configuration.
func (s *simulation) recover() error {
	c := s.cluster
	c.Heal()
	for _, m := range c.Members() {
		if m.Paused() {
			c.Resume(m.ID())
		}
		if m.Failed() != nil {
			c.Crash(m.ID())
		}
		if m.Node() == nil {
			c.Restart(m.ID())
		}
		c.Slow(m.ID(), false)
		m.Log().FailAfter(-1, errBrokenDisk)
	}
	ticks := 0
	for ; ticks < 60*s.config.ElectionTicks && c.Err() == nil; ticks++ {
		c.Run(1)
		leader := c.Leader()
		if leader == nil {
			continue
		}
		if s.noteDisowned(leader); len(s.wiped) > 0 {
			s.replaceWiped(leader)
			continue
		}
		if s.allCaughtUp(leader) && len(c.Unanswered()) == 0 {
			s.tally.recovered(ticks, s.config.ElectionTicks)
			return nil
		}
		if ticks%4 == 0 {
			c.Propose(leader.ID(), "marker")
		}
	}
	if err := c.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%d ticks after all faults are gone the group does not get on; unanswered: %q", ticks, c.Unanswered())
}

// noteDisowned finds members that the group knows by a life that is over, as when a late message of
// that life was the first to be heard after they were added again. It takes an operator to help them.
func (s *simulation) noteDisowned(leader *nodetest.Member) {
	for _, member := range leader.Node().Configuration().Members {
		m := s.find(member.ID)
		if m != nil && m != leader && member.Incarnation != 0 && member.Incarnation != m.Log().Incarnation() {
			s.wiped[member.ID] = true
		}
	}
}

// allCaughtUp tells whether a marker was applied by every member of the leader's configuration.
func (s *simulation) allCaughtUp(leader *nodetest.Member) bool {
	for _, member := range leader.Node().Configuration().Members {
		m := s.find(member.ID)
		if m == nil || !m.Up() {
			return false
		}
		entries := m.Machine().Entries
		tail := entries[max(0, len(entries)-8):]
		if !slices.ContainsFunc(tail, func(e node.Entry) bool { return string(e.Data) == "marker" }) ||
			m.Machine().Index != s.cluster.Committed() {
			return false
		}
	}
	return true
}
