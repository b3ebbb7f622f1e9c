package nodetest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

func ExampleCluster() {
	c := nodetest.New(nodetest.Options{NameLives: true})
	c.Bootstrap(1, 2, 3)
	c.Elect(1)
	c.Isolate(3)
	c.Propose(1, "a")
	c.Settle()
	fmt.Print(c)
	fmt.Println(c.Err())
	// Output:
	// 1 leader t2 vote=1 leader=1 log=1..3 durable=3 commit=3 applied=3 {1@101 2@202 3@303}
	// 2 follower t2 vote=1 leader=1 log=1..3 durable=3 commit=3 applied=3 {1@101 2@202 3@303}
	// 3 follower t2 vote=1 leader=1 log=1..2 durable=2 commit=2 applied=2 {1@101 2@202 3@303}
	// <nil>
}

func elected(t *testing.T, options nodetest.Options) *nodetest.Cluster {
	t.Helper()
	c := nodetest.New(options)
	c.Bootstrap(1, 2, 3)
	c.Elect(1)
	if c.Err() != nil || c.Leader() != c.Member(1) {
		t.Fatalf("member 1 does not lead: %v\n%v", c.Err(), c)
	}
	return c
}

func TestClusterReplicatesCompactsAndSendsSnapshots(t *testing.T) {
	c := elected(t, nodetest.Options{Node: node.Config{SnapshotEntries: 10, RetainEntries: 2}, Withhold: 3})
	c.Isolate(3)
	for range 40 {
		c.Propose(1, "x", "y")
		c.Settle()
	}
	c.Heal()
	c.Run(10)
	for _, m := range c.Members() {
		if got := len(m.Machine().Commands()); got != 80 {
			t.Errorf("member %d has applied %d commands, want 80", m.ID(), got)
		}
	}
	if got := c.Member(3).Node().Status().Snapshot; got == 0 {
		t.Errorf("member 3 has not been sent a snapshot")
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestMessagesBehindASyncWaitForIt(t *testing.T) {
	c := elected(t, nodetest.Options{})
	c.Propose(1, "a")
	for len(c.Network()) > 0 {
		c.Deliver(0)
	}
	m := c.Member(2)
	if got := len(m.Held()); got != 1 {
		t.Fatalf("%d messages wait at member 2, want its acknowledgement only", got)
	}
	syncs := m.Syncs()
	c.CompleteSync(2, syncs[len(syncs)-1])
	if len(m.Held()) != 0 || len(c.Network()) == 0 {
		t.Errorf("the acknowledgement has not left when the sync was done:\n%v", c)
	}
}

func TestCrashLosesWhatWaits(t *testing.T) {
	c := elected(t, nodetest.Options{})
	c.Propose(1, "a")
	for len(c.Network()) > 0 {
		c.Deliver(0)
	}
	c.Crash(2)
	c.Restart(2)
	c.Crash(3)
	c.Restart(3)
	if got := c.Member(2).Log().LastIndex(); got != 2 {
		t.Errorf("the log of member 2 ends at %d after the crash, want 2", got)
	}
	c.Settle()
	if got := len(c.Network()) + len(c.Member(2).Held()); got != 0 {
		t.Errorf("%d messages left, want none:\n%v", got, c)
	}
	if got := c.Committed(); got != 2 {
		t.Errorf("%d is committed, want 2", got)
	}
}

func TestDiskMayBeAheadOfWhatTheCrashedKnew(t *testing.T) {
	c := elected(t, nodetest.Options{})
	c.Propose(1, "a")
	c.CrashDurable(1, c.Member(1).Syncs()[0])
	c.Restart(1)
	if got := c.Member(1).Log().LastIndex(); got != 3 {
		t.Errorf("the log ends at %d, want 3", got)
	}
}

func TestPausedMemberMissesNothing(t *testing.T) {
	c := elected(t, nodetest.Options{})
	c.Pause(2)
	c.Propose(1, "a")
	c.Settle()
	if len(c.Network()) == 0 {
		t.Fatal("what is meant for a paused member has not stayed in flight")
	}
	c.Tick(2, 5)
	c.Resume(2)
	var seen string
	for _, a := range c.Step(2, &node.Tick{Elapsed: 1}) {
		seen += nodetest.FormatAction(a)
	}
	c.Settle()
	if got := len(c.Member(2).Machine().Commands()); got != 1 {
		t.Errorf("member 2 has applied %d commands, want 1 (%s)", got, seen)
	}
}

func TestEachSendingOfASnapshotIsReportedOnce(t *testing.T) {
	var reports []string
	observe := func(id node.ID, event node.Event, _ []node.Action) {
		if sent, ok := event.(*node.SnapshotSent); ok {
			reports = append(reports, fmt.Sprintf("%d: %d %t", id, sent.Peer, sent.OK))
		}
	}
	c := elected(t, nodetest.Options{Node: node.Config{SnapshotEntries: 5, RetainEntries: -1}, Observe: observe})
	c.Isolate(3)
	for range 10 {
		c.Propose(1, "a")
		c.Settle()
	}
	c.Heal()
	lost := false
	for range 2000 { // lose the state of the first snapshot, and let the second arrive twice
		for i, f := range c.Network() {
			if f.Payload != nil && !lost {
				c.Drop(i)
				lost = true
				break
			}
			if f.Payload != nil && f.Number%2 == 0 {
				c.Duplicate(i)
				break
			}
		}
		if len(c.Network()) == 0 && len(c.Member(3).Tasks()) == 0 {
			c.Tick(1, 1)
		}
		for _, m := range c.Members() {
			c.CompleteAll(m.ID())
			if len(m.Tasks()) > 0 {
				c.Do(m.ID(), 0)
			}
		}
		if len(c.Network()) > 0 {
			c.Deliver(0)
		}
	}
	if got, want := strings.Join(reports, ", "), "1: 3 false, 1: 3 true"; got != want {
		t.Errorf("reported were %q, want %q", got, want)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestWipedMemberLivesAgain(t *testing.T) {
	c := elected(t, nodetest.Options{NameLives: true})
	c.Crash(3)
	c.Wipe(3, true)
	c.Restart(3)
	c.Run(30)
	before := c.Member(3).Log().Incarnation()
	if m, _ := c.Leader().Node().Configuration().Member(3); m.Incarnation == before {
		t.Errorf("the new life %x is the old one", uint64(before))
	}
	c.Step(1, &node.RemoveMember{ID: 3})
	c.Run(5)
	c.Step(1, &node.AddMember{ID: 3})
	c.Run(30)
	if got, want := c.Member(3).Node().Commit(), c.Committed(); got != want {
		t.Errorf("the new life has committed %d, want %d:\n%v", got, want, c)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestASlowMachineDoesItsJobsWhenItIsTold(t *testing.T) {
	c := elected(t, nodetest.Options{NameLives: true})
	c.Settle()
	m := c.Member(2)
	c.Slow(2, true)
	c.Propose(1, "a")
	c.Settle()
	c.Step(2, &node.RequestSnapshot{})
	c.Propose(1, "b")
	c.Settle()
	if !m.Behind() || m.Jobs() != 3 || m.Machine().Index != 2 || len(m.Tasks()) != 0 {
		t.Fatalf("%d jobs wait, want two runs and a snapshot between them:\n%v", m.Jobs(), c)
	}
	c.Work(2, 1)
	if got := m.Node().Overview().MachineApplied; got != 3 || m.Machine().Index != 3 {
		t.Errorf("the machine is at %d, and the node knows of %d, want 3", m.Machine().Index, got)
	}
	c.Work(2, 1)
	if len(m.Tasks()) != 1 {
		t.Errorf("%d tasks, want that of the snapshot", len(m.Tasks()))
	}
	c.Slow(2, false)
	if m.Jobs() != 0 || m.Machine().Index != 4 || !m.Behind() {
		t.Errorf("%d jobs are left to a machine that is fast:\n%v", m.Jobs(), c)
	}
	c.Settle()
	if got := m.Node().Overview().MachineApplied; got != 4 || m.Behind() {
		t.Errorf("the node knows of %d, want 4", got)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestACrashEndsTheJobsOfAMachine(t *testing.T) {
	c := elected(t, nodetest.Options{})
	c.Slow(2, true)
	c.Propose(1, "a")
	c.Settle()
	c.Crash(2)
	c.Restart(2)
	c.Run(2)
	if m := c.Member(2); m.Behind() || m.Machine().Index != c.Committed() {
		t.Errorf("after a restart, which makes it fast, the machine is at %d:\n%v", m.Machine().Index, c)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestSameCallsSameTrace(t *testing.T) {
	trace := func() string {
		var b bytes.Buffer
		c := nodetest.New(nodetest.Options{Trace: &b, Seed: 5})
		c.Bootstrap(1, 2, 3)
		c.Run(40)
		c.Propose(c.Leader().ID(), "a")
		c.Settle()
		return b.String()
	}
	first := trace()
	if second := trace(); first != second {
		t.Error("two traces differ")
	}
	for _, want := range []string{"Tick 1", "RequestVote", "LeaderChanged", `Propose ["a"]`, `:"a"`} {
		if !strings.Contains(first, want) {
			t.Errorf("the trace lacks %q", want)
		}
	}
}
