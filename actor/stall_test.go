package raft

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
)

// stalls of a member that were published, in order: the time of each, and whether it gave up leadership.
func (f *fixture) stalls(id ID) (found []DiskStalled) {
	for _, e := range events[*DiskStalled](f) {
		if e.Member == id {
			found = append(found, *e)
		}
	}
	return found
}

func TestALeaderWhoseDiskStallsGivesUpAndSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		configured, overdue time.Duration
	}{"by default": {0, time.Second}, "as configured": {300 * time.Millisecond, 300 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1, 2, 3)
			var text strings.Builder
			f.configure = func(cfg *Config) {
				cfg.DiskStallTimeout = c.configured
				cfg.Logger = hclog.New(&hclog.LoggerOptions{Output: &text, Level: hclog.Info})
			}
			f.spawnFounders()
			leader := f.elect()
			f.store(leader).slow = true
			in := f.propose(leader, "a")
			f.settle()
			ticks := int(c.overdue / step)
			f.pass(ticks - 1)
			if s := f.status(leader); s.Role != Status_LEADER || s.UnsyncedMs != (c.overdue-step).Milliseconds() {
				t.Fatalf("just before it is overdue: %v", s)
			}
			f.unwell(leader)
			f.pass(1)
			want := []DiskStalled{{Group: "g", Member: leader, Waiting: c.overdue, GaveUp: true}}
			if got := f.stalls(leader); !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			if s := f.status(leader); s.Role != Status_FOLLOWER || s.UnsyncedMs != c.overdue.Milliseconds() {
				t.Errorf("when it is overdue: %v", s)
			}
			f.unwell(leader, Problem_NO_LEADER, Problem_STORAGE_STALLED)
			f.bad(leader, true, false)
			f.until("another leader", func() bool { l := f.leader(); return l != 0 && l != leader })
			f.apply(f.leader(), "b")
			f.unwell(leader, Problem_STORAGE_STALLED)
			f.noReply(in)

			f.store(leader).slow = false
			f.store(leader).complete(1000)
			f.settle()
			only[*Proposed](f, in) // the others have committed it
			f.pass(5)
			f.unwell(leader)
			f.agree(1, 2, 3)
			recovered := events[*DiskRecovered](f)
			if len(recovered) != 1 || recovered[0].Member != leader || recovered[0].After <= c.overdue {
				t.Errorf("got %v, want one recovery of member %d", recovered, leader)
			}
			if n := len(f.stalls(leader)); n != 1 {
				t.Errorf("%d stalls are told of, want one", n)
			}
			for _, record := range []string{
				"[WARN]  raft: disk stalled: ", "waiting=" + c.overdue.String() + " gave-up-leadership=true",
				"[INFO]  raft: disk recovered: ",
			} {
				if !strings.Contains(text.String(), record) {
					t.Errorf("%q is not logged in\n%s", record, &text)
				}
			}
		})
	}
}

func TestAFollowerWhoseDiskStallsSaysSo(t *testing.T) {
	f, leader := newGroup(t)
	follower := f.others(leader)[0]
	f.store(follower).slow = true
	f.apply(leader, "a")
	f.pass(19)
	f.unwell(follower)
	f.pass(1)
	f.unwell(follower, Problem_STORAGE_STALLED)
	f.unwell(leader)
	if got := f.stalls(follower); len(got) != 1 || got[0].GaveUp {
		t.Errorf("got %v, want one stall of a follower", got)
	}
}

func TestADiskThatMayTakeItsTimeIsNeverStalled(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.DiskStallTimeout = Unlimited }
	f.spawnFounders()
	leader := f.elect()
	f.store(leader).slow = true
	f.propose(leader, "a")
	f.settle()
	f.pass(500)
	if s := f.status(leader); s.Role != Status_LEADER || s.UnsyncedMs != 500*step.Milliseconds() {
		t.Errorf("got %v", s)
	}
	f.unwell(leader)
}

// The raft actor may be stuck itself. What is seen then is the disk's part in it.
func TestAStalledDiskIsSeenWithoutATurn(t *testing.T) {
	f := newFixture(t, 1)
	f.configure = func(c *Config) { c.ElectionTimeout, c.DiskStallTimeout = 10*time.Second, time.Second }
	f.spawnFounders()
	f.elect()
	f.store(1).slow = true
	f.propose(1, "a")
	f.settle()
	f.hold(1, "")
	f.pass(19)
	f.unwell(1)
	f.pass(1)
	f.unwell(1, Problem_STORAGE_STALLED)
	f.store(1).complete(100) // which the raft actor does not know
	f.unwell(1)
	if s := f.status(1); s.UnsyncedMs != 0 {
		t.Errorf("the oldest write is %d ms old, want none", s.UnsyncedMs)
	}
}

func TestStatusTellsWhatKeepsFiles(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.store(1).set(func(s *testStore) { s.pinned = 12345 })
	if s := f.status(1); s.PinnedBytes != 12345 {
		t.Errorf("got %d", s.PinnedBytes)
	}
}

// scriptedStorage answers syncs as a test has it.
type scriptedStorage struct {
	Storage
	sync func(seq uint64, done func(uint64, error)) bool
}

func (s scriptedStorage) Sync(seq uint64, done func(uint64, error)) bool { return s.sync(seq, done) }

func TestABarrierTakesWhateverASyncMayDo(t *testing.T) {
	var reported []uint64
	for name, c := range map[string]struct {
		sync     func(seq uint64, done func(uint64, error)) bool
		wanted   []uint64
		reported []uint64
		flying   int // when all reports are taken
		begun    int
	}{
		"done at once": {
			sync:   func(uint64, func(uint64, error)) bool { return true },
			wanted: []uint64{1, 2}, begun: 2,
		},
		"reported before it returns": {
			sync:   func(seq uint64, done func(uint64, error)) bool { done(seq, nil); return false },
			wanted: []uint64{1, 2, 5}, reported: []uint64{1, 2, 5}, begun: 3,
		},
		"one report for several": {
			sync: func(seq uint64, done func(uint64, error)) bool {
				if seq == 5 {
					done(5, nil)
				}
				return false
			},
			wanted: []uint64{1, 2, 5, 6}, reported: []uint64{5}, flying: 1, begun: 4,
		},
		"no report": {
			sync:   func(uint64, func(uint64, error)) bool { return false },
			wanted: []uint64{1, 1, 3}, flying: 2, begun: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			reported = nil
			begun := 0
			b := barrier{vitals: &vitals{}, done: func(seq uint64, _ error) { reported = append(reported, seq) }}
			storage := scriptedStorage{sync: func(seq uint64, done func(uint64, error)) bool {
				begun++
				return c.sync(seq, done)
			}}
			var out outgoing
			for _, seq := range c.wanted {
				b.wanted = seq
				b.hold(seq, &node.Heartbeat{Header: node.Header{From: 1, To: ID(seq)}})
				if b.begin(storage) {
					b.complete(b.issued, 0, &out)
				}
			}
			if !slices.Equal(reported, c.reported) || begun != c.begun {
				t.Errorf("reported were %v of %d syncs, want %v of %d", reported, begun, c.reported, c.begun)
			}
			for _, seq := range reported {
				b.complete(seq, 0, &out)
			}
			if len(b.flying) != c.flying || len(b.held) < c.flying {
				t.Errorf("%d syncs fly and hold %d messages back, want %d", len(b.flying), len(b.held), c.flying)
			}
			for _, held := range b.held {
				if held.seq <= b.completed {
					t.Errorf("a message is held back for %d, and %d is done", held.seq, b.completed)
				}
			}
			if c.flying == 0 && len(out.envelopes) == 0 {
				t.Error("nothing was let go of")
			}
		})
	}
}

// All syncs that may be under way are answered by one report, and whatever was wanted meanwhile is the next.
func TestOneReportLandsAllSyncs(t *testing.T) {
	f := newFixture(t, 1)
	f.spawnFounders()
	f.elect()
	f.store(1).slow = true
	var asked []*inbox
	for range syncsMax + 50 {
		asked = append(asked, f.propose(1, "a"))
		f.settle()
	}
	f.store(1).complete(syncsMax)
	f.settle()
	for _, in := range asked[:syncsMax] {
		only[*Proposed](f, in)
	}
	f.noReply(asked[syncsMax])
	if n := f.store(1).waiting(); n != 1 {
		t.Errorf("%d syncs are under way, want one for all the rest", n)
	}
	f.store(1).complete(1)
	f.settle()
	for _, in := range asked {
		only[*Proposed](f, in)
	}
}
