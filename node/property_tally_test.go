package node_test

import (
	"runtime/debug"
	"testing"

	"example.com/raftactor/node"
)

// raceEnabled tells whether this is a build with -race.
var raceEnabled = func() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}()

// tally counts what has happened, so that it shows if the simulation no longer reaches something.
type tally struct {
	seeds, steps                           int
	elections, commits, reads, readsFailed int
	configurations, transfers              int
	taken, restored, replayed              int
	superseded, forgotten, overloaded      int
	refusals, wipes, forged                int
	// released is how often the wish of a storage led to something at once.
	released, stalled, recoveredDisks int
	// withheld is how often a machine was handed more only because it had got on.
	withheld, withheldRead int
	slowest                int
}

func (t *tally) observe(id node.ID, event node.Event, actions []node.Action) {
	if read, ok := event.(*node.EntriesRead); ok && read.For == id {
		t.replayed++
	}
	if _, wished := event.(*node.ReleaseEntries); wished && len(actions) > 0 {
		t.released++
	}
	_, applied := event.(*node.MachineApplied)
	_, restored := event.(*node.Restored)
	for _, action := range actions {
		switch a := action.(type) {
		case *node.LeaderChanged:
			if a.Leader == id {
				t.elections++
			}
		case *node.Apply:
			t.commits += len(a.Entries)
			if applied || restored {
				t.withheld++
			}
		case *node.ReadEntries:
			if applied || restored {
				t.withheldRead++
			}
		case *node.ReadReady:
			t.reads++
		case *node.ReadFailed:
			t.readsFailed++
		case *node.MembershipChanged:
			if !a.Committed {
				t.configurations++
			}
		case *node.TransferEnded:
			if a.Err == nil {
				t.transfers++
			}
		case *node.TakeSnapshot:
			t.taken++
		case *node.RestoreSnapshot:
			t.restored++
		case *node.Superseded:
			t.superseded++
		case *node.Forgotten:
			t.forgotten++
		case *node.Rejected:
			if a.Err == node.ErrOverloaded { //nolint:errorlint // as documented
				t.overloaded++
			}
		case *node.Disowned:
			t.refusals++
		case *node.DiskStalled:
			t.stalled++
		case *node.DiskRecovered:
			t.recoveredDisks++
		}
	}
}

// recovered notes how long a group has taken to get on once all faults were gone.
func (t *tally) recovered(ticks, electionTicks int) {
	t.seeds++
	t.slowest = max(t.slowest, ticks/electionTicks)
}

// requireVariety fails a test in which something never happened that the simulation is there for.
func (t *tally) requireVariety(tb testing.TB) {
	tb.Helper()
	for name, count := range map[string]int{
		"elections": t.elections, "applied entries": t.commits, "reads": t.reads, "failed reads": t.readsFailed,
		"configurations": t.configurations, "transfers": t.transfers, "snapshots": t.taken, "restores": t.restored,
		"replays": t.replayed, "superseded runs": t.superseded, "forgotten runs": t.forgotten,
		"entries withheld": t.withheld, "entries withheld and read": t.withheldRead, "overloads": t.overloaded, "disowned lives": t.refusals, "wipes": t.wipes, "forged messages": t.forged,
		"wishes for a release": t.released, "stalled disks": t.stalled, "disks that recovered": t.recoveredDisks,
	} {
		if count == 0 {
			tb.Errorf("%s: %d, want some: the simulation no longer gets there", name, count)
		}
	}
}
