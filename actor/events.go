package raft

import (
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

// SnapshotSaved is published when a member's own snapshot is durable.
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

// publisher publishes events on its own turns, since handlers run on the publisher's goroutine and
// must not hold consensus up.
type publisher struct{}

func (publisher) Receive(ctx actor.Context) {
	switch event := ctx.Message().(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		publish(ctx, event)
	}
}

// publish survives a handler that panics: it concerns neither this member nor later events.
func publish(ctx actor.Context, event any) {
	defer func() {
		if p := recover(); p != nil {
			ctx.Logger().Error("raft: a handler of an event panics", "event", event, "panic", p)
		}
	}()
	ctx.ActorSystem().EventStream.Publish(event)
}
