package raft

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// counts says how often something has happened, by its name.
type counts map[string]int

func (c counts) add(more counts) {
	for name, n := range more {
		c[name] += n
	}
}

func (c counts) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "\n%9d %s", c[name], name)
	}
	return b.String()
}

func (t *trial) countReply(a *asking) {
	switch m := a.reply.(type) {
	case *Rejected:
		t.counts["rejected: "+m.Code.String()]++
	default:
		t.counts[fmt.Sprintf("replies %T", m)]++
	}
}

// expectEverythingSeen keeps the trials from proving nothing.
func (c counts) expectEverythingSeen(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{
		"attempts of Clients after the first", "attempts of Clients after one that was overdue",
		"attempts of Clients in another session", "answers after giving up",
		"clock jumps", "commands published to subscribers", "duplicates suppressed",
		"envelopes lost", "envelopes repeated", "envelopes overtaken", "forwarded requests lost", "ways delayed",
		"members isolated", "one-way partitions", "members stopped", "members restarted", "members failed",
		"blackouts", "members paused", "machines stalled", "machines that failed", "Clients paused", "Clients closed",
		"operations answered", "operations of Clients answered", "operations answered after several tries",
		"operations answered after an unknown outcome", "operations begun again in another session",
		"operations that ended amid troubles", "operations of unknown outcome", "operations never applied",
		"operations abandoned", "operations given up that were not applied", "operations unknown since their session expired",
		"operations without a session of unknown outcome", "operations without a session that timed out",
		"operations of Clients canceled", "operations of Clients not applied", "operations of Clients of unknown outcome",
		"operations of Clients whose session expired in doubt", "operations that a Client had no room for",
		"rejected: CHANGE_IN_PROGRESS", "rejected: DEADLINE", "rejected: NOT_LEADER", "rejected: OVERLOADED",
		"rejected: REFUSED", "rejected: SESSION_EXPIRED", "rejected: SNAPSHOT_COVERS", "rejected: STOPPED",
		"rejected: SUPERSEDED", "rejected: TRANSFERRING", "rejected: UNREACHABLE",
		"replies *actor.DeadLetterResponse", "replies *raft.Answer", "replies *raft.Proposed", "replies *raft.SessionOpened",
		"replies *raft.MembersChanged", "replies *raft.LeadershipTransferred", "replies *raft.SnapshotTaken",
		"replies lost", "replies to forwarded requests lost", "requests delayed", "sessions expired", "snapshots restored",
		"subscriptions ended: SNAPSHOT", "subscriptions ended: STOPPED", "tries while an earlier one was on its way",
		"unknown outcomes of what was applied", "trials all of whose operations ended amid troubles",
	} {
		if c[name] == 0 {
			tb.Errorf("no %s in all schedules: they prove nothing about it", name)
		}
	}
}
