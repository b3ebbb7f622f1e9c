package raft

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// end takes all troubles away, sees that the group gets on, and lets the clients come to their ends.
func (t *trial) end() {
	for _, o := range t.history {
		if o.fate != open {
			t.counts["operations that ended amid troubles"]++
		}
	}
	if t.idle() {
		t.counts["trials all of whose operations ended amid troubles"]++
	}
	t.counts["steps amid troubles"] += int(t.now)
	t.clear()
	t.settle()
	for _, id := range t.ids {
		t.restart(id)
	}
	t.until("a leader that its whole group follows", t.isWell)
	group := t.group()
	for _, id := range t.ids {
		if !slices.Contains(group, id) {
			t.system.Root.Stop(t.pids[id]) // a member that is none any more may not know it
		}
	}
	for ticks := 0; !t.idle(); ticks++ {
		if ticks > 5000 {
			t.fail("liveness", "the group is well, and 5000 ticks later clients are not done")
		}
		for _, c := range t.clients {
			t.now++
			c.step()
			t.settle()
			t.readLetters()
		}
		t.pass(1)
		t.readLetters()
	}
	t.audit(group[t.rng.IntN(len(group))])
	t.pass(5)
	t.compare(group)
	t.record = t.machines[group[0]].record
	for _, s := range t.subscribers {
		s.catchUp(group[t.rng.IntN(len(group))])
	}
	t.clock.Jump(longTimeout + time.Second) // all deadlines
	t.settle()
	t.readLetters()
}

// group are the members of the configuration of the one that leads.
func (t *trial) group() (ids []ID) {
	for _, m := range t.status(t.leader()).Members {
		ids = append(ids, ID(m.Id))
	}
	return ids
}

// isWell tells whether somebody leads, and all of its group are there and have the same log, committed.
func (t *trial) isWell() bool {
	leader := t.leader()
	if leader == 0 {
		return false
	}
	want := t.status(leader)
	return !slices.ContainsFunc(want.Members, func(m *MemberInfo) bool {
		if !t.isThere(ID(m.Id)) {
			return true
		}
		s := t.status(ID(m.Id))
		return s.Leader != uint64(leader) || s.LastIndex != want.LastIndex || s.CommitIndex != want.LastIndex
	})
}

// compare wants the machines of members to have the same state, and the members the same sessions.
func (t *trial) compare(group []ID) {
	first, sessions := group[0], t.sessionsOf(group[0])
	for _, id := range group[1:] {
		if a, b := t.machines[first], t.machines[id]; !sameState(a, b) {
			t.find("machines", "members %d and %d differ:\n%v\n%v", first, id, a.record, b.record)
		}
		if got := t.sessionsOf(id); !bytes.Equal(got, sessions) {
			t.find("sessions", "those of members %d and %d differ:\n%x\n%x", first, id, sessions, got)
		}
	}
}

// sessionsOf is a member's table of sessions, as a snapshot of all that it has applied holds it.
func (t *trial) sessionsOf(id ID) []byte {
	for range 1000 { // a request that was lost may fill the member until its deadline
		if s := t.status(id); s.SnapshotIndex == s.AppliedIndex {
			break
		}
		t.send(id, &TakeSnapshot{}, nil)
		t.settle()
		t.readLetters()
		t.pass(1)
	}
	data := t.store(id).storage.memory.Snapshot().Handle.(*memorySnapshot).data
	table, _, err := readState(memorySnapshotReader{bytes.NewReader(data)})
	if err != nil {
		t.fail("sessions", "those of member %d: %v", id, err)
	}
	table.unpublished = unpublished{} // it reaches as far back as the member's own log
	return table.append(nil)
}

// audit reads all keys, as the last operations of the history.
func (t *trial) audit(id ID) {
	for k := range keys {
		t.now++
		o := &operation{command: command{verb: get, key: fmt.Sprintf("k%d", k+1), number: k + 1}, call: t.now}
		t.history = append(t.history, o)
		for tries := 0; o.fate == open; tries++ {
			if tries > 1000 { // a request that was lost may fill the member until its deadline
				t.fail("liveness", "the group is well, and member %d does not answer a query", id)
			}
			t.send(id, &Query{Payload: []byte(o.key), Consistency: t.hooks.consistency}, func(reply any) {
				if m, ok := reply.(*Answer); ok {
					o.fate, o.end, o.result, o.index = answered, t.now, string(m.Result), Index(m.Index)
				}
			})
			t.settle()
			t.readLetters()
			t.pass(1)
		}
	}
}

// judge compares what was promised with what the machines have.
func (t *trial) judge() {
	done := map[[2]int][]deed{}
	for _, d := range t.record {
		name := [2]int{d.client, d.number}
		done[name] = append(done[name], d)
	}
	for _, a := range t.asked {
		t.judgeReply(a, done)
	}
	for _, o := range t.history {
		if o.verb != get {
			name := [2]int{o.client, o.number}
			t.judgeOperation(o, done[name])
			t.settleUnknown(o, done[name])
		}
	}
	t.judgeSubscribers()
	for _, e := range t.events {
		switch e := e.(type) {
		case *Failed:
			t.counts["members failed"]++
			if !strings.Contains(e.Err.Error(), errTest.Error()) {
				t.find("failures", "member %d failed: %v", e.Member, e.Err)
			}
		case *SnapshotRestored:
			t.counts["snapshots restored"]++
		case *SnapshotSaved:
			t.counts["snapshots taken"]++
		case *LeaderChanged:
			t.counts["leader changes seen"]++
		}
	}
	t.counts["operations"] += len(t.history)
	t.counts["commands applied"] += len(t.record)
	t.counts["envelopes lost"] += t.lost
	t.counts["envelopes repeated"] += t.repeated
	t.counts["envelopes overtaken"] += t.overtaken
	t.counts["forwarded requests lost"] += t.forwardsLost
	if text := explain(t.history); text != "" {
		t.find("history", "%s", text)
	}
}

// judgeOperation holds an operation's fate to what was applied.
func (t *trial) judgeOperation(o *operation, done []deed) {
	wrong := func(what string) {
		t.find("exactly once", "client %d's operation %d, %v, %s; it is applied by %v", o.client, o.number, o, what, done)
	}
	switch {
	case len(done) > 1:
		wrong("is applied more than once")
	case o.fate == answered && len(done) == 0:
		wrong(fmt.Sprintf("was answered with %q at %d", o.result, o.index))
	case o.fate == answered && (done[0].index != o.index || done[0].term != o.term || done[0].result != o.result):
		wrong(fmt.Sprintf("was answered with %q at %d of term %d", o.result, o.index, o.term))
	case o.fate == never && len(done) > 0:
		wrong("was never to be applied")
	case o.fate == unknown && len(done) > 0 && t.firstApplied[[2]int{o.client, o.number}] > o.end:
		wrong(fmt.Sprintf("was not applied at step %d, when its session was known to be no more", o.end))
	}
	t.counts[[]string{"", "operations answered", "operations of unknown outcome", "operations never applied"}[o.fate]]++
}

// settleUnknown looks up what its client does not know. An operation without effect takes no part in the history, and
// one that has had it had it when a machine first applied it, at the latest.
func (t *trial) settleUnknown(o *operation, done []deed) {
	switch {
	case o.fate != unknown:
	case len(done) == 0:
		o.fate = never
	default:
		o.end = min(o.end, t.firstApplied[[2]int{o.client, o.number}])
	}
}

// judgeReply holds one reply to what was applied. Each try names itself in its command, so that a NOT_APPLIED has to
// be true of the very try.
func (t *trial) judgeReply(a *asking, done map[[2]int][]deed) {
	if a.reply == nil {
		t.find("replies", "asked %d of member %d, %v, was never answered", a.tag, a.member, a.request)
		return
	}
	switch request := a.request.(type) {
	case *Propose:
		c, _ := decodeCommand(request.Command)
		t.judgeProposal(a, c, done[[2]int{c.client, c.number}])
	case *Query:
		m, ok := a.reply.(*Answer)
		if !ok {
			return
		}
		want := valueAt(t.record, string(request.Payload), Index(m.Index))
		if want != string(m.Result) || m.Index < request.MinIndex {
			t.find("replies", "%v of member %d is answered with %v, and the value there is %q", request, a.member, m, want)
		}
	}
}

func (t *trial) judgeProposal(a *asking, c command, done []deed) {
	did := slices.ContainsFunc(done, func(d deed) bool { return d.attempt == c.attempt })
	wrong := func() {
		t.find("outcomes", "asked %d of member %d, %v, was answered with %T{%v}; applied by %v",
			a.tag, a.member, a.request, a.reply, a.reply, done)
	}
	switch m := a.reply.(type) {
	case *Proposed:
		if !slices.ContainsFunc(done, func(d deed) bool {
			return d.index == Index(m.Index) && d.term == Term(m.Term) && d.result == string(m.Result)
		}) {
			wrong()
		}
		if !did {
			t.counts["duplicates suppressed"]++
		}
	case *actor.DeadLetterResponse:
		if did {
			wrong()
		}
	case *Rejected:
		if did && m.Outcome == Outcome_NOT_APPLIED {
			wrong()
		}
		if did {
			t.counts["unknown outcomes of what was applied"]++
		}
	}
}
