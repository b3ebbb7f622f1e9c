package raft

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// LeaderChanged is published on the actor system's EventStream when a member takes somebody else for
// the leader, or nobody.
type LeaderChanged struct {
	Group  string
	Member ID
	// Leader is zero if nobody is known to lead.
	Leader ID
	Term   Term
}

// MembershipChanged is published when a member adopts a configuration, and again when it is committed.
type MembershipChanged struct {
	Group         string
	Member        ID
	Configuration node.Configuration
	Index         Index
	Committed     bool
}

// SnapshotSaved is published when a member's own snapshot is durable, unless a leader's that reaches further has come
// before it.
type SnapshotSaved struct {
	Group  string
	Member ID
	Index  Index
}

// SnapshotRestored is published when a member's machine has taken over a snapshot, at its start or from
// the leader.
type SnapshotRestored struct {
	Group  string
	Member ID
	Index  Index
}

// DiskStalled is published when a member's oldest write has been on its way for [Config].DiskStallTimeout, and again
// whenever the member gives up leadership for it. [DiskRecovered] says that it is over.
type DiskStalled struct {
	Group  string
	Member ID
	// Waiting is for how long that write has been on its way.
	Waiting time.Duration
	// GaveUp: the member led until now.
	GaveUp bool
}

// DiskRecovered is published when no write of a member is overdue any more.
type DiskRecovered struct {
	Group  string
	Member ID
	// After is how long it took, since the first write that was overdue.
	After time.Duration
}

// Failed is published when a member cannot go on, and stops. It comes back by being spawned again, once
// its actor has terminated: watch it, or until then [Spawn] returns [ErrInUse].
type Failed struct {
	Group  string
	Member ID
	Err    error
}

// Disowned is published when another member knows this one by an earlier life of its storage: what it
// says counts for nothing until the leader has removed it and added it again.
type Disowned struct {
	Group      string
	Member, By ID
}

// Removed is published when a member learns that the group has removed it, which is committed: the group goes on without
// it, and nothing more comes of it. Stop it, or have it added again. One that was down at that moment learns of it soon
// after its next start, if the leader can be reached, and is told so after every start.
type Removed struct {
	Group  string
	Member ID
}

// EventsDropped is published when a handler of events has been slow: as many of this member's have been
// dropped, so that what waited for it stayed bounded. [Failed] is never dropped.
type EventsDropped struct {
	Group  string
	Member ID
	Count  int
}

// newPublisher makes the outlet for events, whose handlers run on the goroutine that publishes.
func newPublisher(cfg Config, system *actor.ActorSystem, vitals *vitals, logger *memberLog) *outlet {
	o := &outlet{
		deliver: func(event any) { system.EventStream.Publish(event) },
		panicked: func(event, reason any) {
			logger.Error("a handler of an event panics", "event", fmt.Sprintf("%T", event), "panic", fmt.Sprint(reason))
		},
		dropped: func(count int) any {
			return &EventsDropped{Group: cfg.Group, Member: cfg.ID, Count: count}
		},
	}
	o.open(cfg, system, vitals, "events")
	return o
}
