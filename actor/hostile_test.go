package raft

import (
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
)

// guardianOf is the PID of the guardian of a system's actors, which panics at every message.
func guardianOf(f *fixture) *actor.PID {
	f.Helper()
	var guardian *actor.PID
	f.system.Root.WithGuardian(actor.DefaultSupervisorStrategy()).Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			guardian = ctx.Parent()
		}
	}, actor.WithMailbox(f.scheduler.New(mailbox.Options{}))))
	f.settle()
	if guardian == nil || !strings.HasPrefix(guardian.Id, "guardian") {
		f.Fatalf("got %v, want a guardian", guardian)
	}
	return guardian
}

// Whoever is named as the one who asks, the member is none the worse for it.
func TestAMemberSurvivesWhoeverAsks(t *testing.T) {
	f, leader := newGroup(t)
	f.apply(leader, "a")
	follower := f.others(leader)[0]
	published := 0
	f.system.EventStream.Subscribe(func(event any) {
		switch event.(type) {
		case *Proposed, *Status, *Applied, *SubscriptionStarted, *SubscriptionEnded, *Rejected, *actor.DeadLetterEvent:
			published++
			panic("a handler of events")
		}
	})
	local := func(id string) *actor.PID { return actor.NewPID(f.system.Address(), id) }
	senders := map[string]*actor.PID{
		"a guardian": guardianOf(f), "nobody": local("nobody"), "the stream of events": local("eventstream"),
		"the dead letters": local("deadletter"), "itself": f.pids[leader], "its applier": local(Name("g", leader) + "/applier"),
		"its feeder": local(Name("g", leader) + "/feeder"), "of a system that is not there": actor.NewPID("elsewhere:1", "x"),
		"empty": {},
	}
	requests := func() []any {
		return []any{
			&Propose{Command: []byte("b")}, &Query{}, &Query{Consistency: Consistency_LOCAL}, &Query{Consistency: 99}, &AwaitReady{},
			&OpenSession{}, &GetStatus{}, &TakeSnapshot{}, &ChangeMembers{}, &TransferLeadership{Target: 99}, &Subscribe{FromIndex: 1},
			&GrantCredit{UpTo: 9999}, &Unsubscribe{}, &Subscribe{}, &Applied{}, &Rejected{}, &ForwardedRequest{},
		}
	}
	for name, sender := range senders {
		for _, id := range []ID{leader, follower} {
			for _, request := range requests() {
				f.system.Root.RequestWithCustomSender(f.pids[id], request, sender)
			}
			f.settle()
			f.system.Root.Send(f.pids[id], &Subscribe{Subscriber: sender, FromIndex: 1})
			f.settle()
			f.system.Root.Send(f.pids[id], &GrantCredit{Subscriber: sender, UpTo: 9999})
			f.pass(2)
			f.system.Root.Send(f.pids[id], &Unsubscribe{Subscriber: sender})
			f.pass(2)
		}
		if len(events[*Failed](f)) > 0 {
			t.Fatalf("%s: a member has failed: %v", name, events[*Failed](f)[0].Err)
		}
	}
	if published > 0 {
		t.Errorf("%d of its answers were published", published)
	}
	f.elect()
	f.apply(f.leader(), "c")
	s := f.subscribe(leader, 1)
	if s.take(); len(s.commands) < 2 || s.commands[0] != "a" {
		t.Errorf("a subscriber gets %v", s.commands)
	}
	for _, id := range []ID{leader, follower} {
		f.stop(id)
	}
}
