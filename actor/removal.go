package raft

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// removal finds out that the group has removed this member. Who is there at that moment is told so by the log. Who is not
// is told nothing: the others let go of it after an election timeout, and may not even know its address any more. So a
// member that knows of no leader for a while asks the others for their status, one after the other, and goes by that of
// the leader.
type removal struct {
	// belongs: the newest configuration has this life of the member, or had it until told.
	belongs bool
	// told: Removed has been published.
	told bool
	// leaderless counts ticks without a leader since somebody was asked.
	leaderless int64
	// inquirer asks. Nil until somebody is to be asked.
	inquirer *actor.PID
}

// askRemoved has the inquirer ask a member for its status.
type askRemoved struct {
	member *actor.PID
	term   Term
}

// removalFound says that the leader of a term has committed that this member is none.
type removalFound struct{ by ID }

// noteMembership takes note of whether the member belongs to the group, by the newest configuration that it has. committed
// tells that one has been committed.
func (r *raftActor) noteMembership(committed bool) {
	switch m, ok := r.node.Configuration().Member(r.cfg.ID); {
	case ok && (m.Incarnation == 0 || m.Incarnation == r.node.Overview().Incarnation):
		r.removal.belongs, r.removal.told = true, false
	case !ok && committed && r.removal.belongs:
		r.removed(r.node.Leader())
	}
}

// removed tells that the group has removed this member, once.
func (r *raftActor) removed(by ID) {
	r.removal.belongs = false
	if r.removal.told {
		return
	}
	r.removal.told = true
	r.logger.Warn("removed: the group goes on without this member; stop it, or have it added again", "by", uint64(by))
	r.publish(&Removed{Group: r.cfg.Group, Member: r.cfg.ID})
}

// inquire asks another member whether this one is still wanted, once in two election timeouts without a leader. A member
// that waits to be added knows nobody, and asks nobody.
func (r *raftActor) inquire(elapsed int64) {
	s := &r.removal
	if r.isOver() || r.node.Leader() != node.None || s.told { // whoever stops must have no new child
		s.leaderless = 0
		return
	}
	s.leaderless += elapsed
	if s.leaderless < int64(2*r.cfg.ticks(r.cfg.ElectionTimeout)) {
		return
	}
	s.leaderless = 0
	members := r.node.Configuration().Members
	others := make([]*actor.PID, 0, len(members))
	for _, m := range members {
		if m.ID == r.cfg.ID || slices.Contains(r.unreached, m.ID) {
			continue
		}
		if pid := r.pidOf(m.ID); pid != nil {
			others = append(others, pid)
		}
	}
	if len(others) == 0 {
		return
	}
	if s.inquirer == nil {
		s.inquirer = r.spawnChild("inquirer", func() actor.Actor { return &inquirer{id: r.cfg.ID, owner: r.box} })
	}
	member := others[r.names.IntN(len(others))]
	r.system.Root.Send(s.inquirer, &askRemoved{member: member, term: r.node.Term()})
}

// inquirer asks members for their status, and judges it. It is an actor of its own, since replies are messages that anybody
// could send to the raft actor. What it hears wrongly costs no more than an event.
type inquirer struct {
	id    ID
	owner interface{ PostUserMessage(any) }
	// asked are the member that was asked last, and the term that this one was in.
	asked askRemoved
	// term and last are those of a leader that did not have this member when its log ended there, all of which was not
	// committed yet.
	term Term
	last Index
}

func (q *inquirer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *askRemoved:
		q.ask(ctx, m)
	case *Status:
		if sender := ctx.Sender(); q.asked.member == nil || sender != nil && !sender.Equal(q.asked.member) {
			return // nobody has asked for it
		}
		q.judge(ctx, m)
	}
}

func (q *inquirer) ask(ctx actor.Context, m *askRemoved) {
	q.asked = *m
	ctx.Request(m.member, &GetStatus{})
}

// judge goes by what the leader says of a log that is committed; any other member only tells who that is.
func (q *inquirer) judge(ctx actor.Context, s *Status) {
	asked := q.asked
	q.asked.member = nil
	if s.Leader == 0 || Term(s.Term) < asked.term {
		return
	}
	if s.Role != Status_LEADER {
		q.askLeader(ctx, s, asked)
		return
	}
	if slices.ContainsFunc(s.Members, func(m *MemberInfo) bool { return ID(m.Id) == q.id }) {
		q.term = 0
		return
	}
	if s.CommitIndex == s.LastIndex || q.term == Term(s.Term) && Index(s.CommitIndex) >= q.last {
		q.owner.PostUserMessage(removalFound{by: ID(s.Id)})
		return
	}
	q.term, q.last = Term(s.Term), Index(s.LastIndex)
}

// askLeader asks the one that a follower names. This one may never have heard of it.
func (q *inquirer) askLeader(ctx actor.Context, s *Status, asked askRemoved) {
	for _, m := range s.Members {
		if m.Id != s.Leader {
			continue
		}
		pid := actor.NewPID(asked.member.Address, pidName(s.Group, ID(m.Id)))
		if _, here := ctx.ActorSystem().ProcessRegistry.GetLocal(pid.Id); !here && m.Address != "" {
			pid.Address = m.Address
		}
		q.ask(ctx, &askRemoved{member: pid, term: asked.term})
	}
}
