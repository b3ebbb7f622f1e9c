package nodetest

import (
	"errors"
	"fmt"

	"example.com/raftactor/node"
)

// checker knows everything that all members have ever done, and finds what must not have happened.
// It looks at what a step has changed, so that its cost does not grow with the logs.
type checker struct {
	// entries are all that ever stood in a log. By induction over the terms in front of them, logs
	// that share an entry share all before it.
	entries map[position]content
	// leaders are those elected, by term.
	leaders map[node.Term]life
	// ballots are the votes that have left their voters.
	ballots map[ballot]life
	// committed is what leaders have committed, from index 1 on.
	committed []commitment
	// configurations are the indices of the committed configurations.
	configurations []node.Index
	// dead are entries that somebody has declared superseded.
	dead map[position]bool
	// storages are those of all lives there ever were.
	storages map[life]*storage
	// followed is the step in which a member last heeded a heartbeat of a term's leader.
	followed map[followership]int
	// requested is the step in which a leader first got a request for reads.
	requested map[request]int
	// step counts the steps of all members.
	step int
	// views are of the members that are up.
	views map[node.ID]*view
}

// position names an entry.
type position struct {
	index node.Index
	term  node.Term
}

// content is what is known of an entry: what it holds, and the term of the one in front of it.
type content struct {
	before node.Term
	kind   node.EntryKind
	sum    uint64
}

// life is a member in one life of its storage.
type life struct {
	id          node.ID
	incarnation node.Incarnation
}

// ballot names the one vote of a member in a term.
type ballot struct {
	voter life
	term  node.Term
}

// followership names a member that follows the leader of a term.
type followership struct {
	id   node.ID
	term node.Term
}

// request names a request of a follower for reads in a term.
type request struct {
	from  life
	term  node.Term
	batch uint64
}

// commitment is a committed entry, the term of the leader that committed it, and the hash over all
// entries up to it.
type commitment struct {
	entry node.Entry
	by    node.Term
	hash  uint64
}

// storage is what is durable of a life, and what it was when last looked at.
type storage struct {
	durable *node.MemoryLog
	hard    node.HardState
}

// view is what is known of a running node.
type view struct {
	life    life
	node    *node.Node
	log     *Log
	role    node.Role
	term    node.Term
	vote    node.ID
	commit  node.Index
	applied node.Index
	last    node.Index
	// unapplied were handed over and have not been reported applied, oldest first, and unappliedBytes is
	// what they amount to. The node may hand over unappliedBytesMax, but for one entry.
	unapplied                         []node.Entry
	unappliedBytes, unappliedBytesMax int
	// reconfigured: this step has written something that may change the configuration.
	reconfigured bool
	// configured is the index of the newest configuration in the log.
	configured node.Index
	// accepted are the terms of the entries accepted at an index and not settled.
	accepted map[node.Index][]node.Term
	// reads are those not answered.
	reads openReads
	// round is that of the newest pre-vote, and granted are those who said yes in it.
	round   uint64
	granted map[node.ID]bool
	// transferring: an accepted transfer has not ended.
	transferring bool
}

func newChecker() *checker {
	return &checker{
		entries: map[position]content{}, leaders: map[node.Term]life{}, ballots: map[ballot]life{},
		dead: map[position]bool{}, followed: map[followership]int{},
		requested: map[request]int{}, storages: map[life]*storage{}, views: map[node.ID]*view{},
	}
}

// founded notes the first entry, which is committed from the start.
func (k *checker) founded(c node.Configuration) {
	k.commit(node.Entry{Index: 1, Term: 1, Kind: node.EntryConfiguration, Data: c.Encode()}, 0)
}

// started looks at a node that has just been made.
func (k *checker) started(m *Member) error {
	l := life{m.id, m.log.Incarnation()}
	if k.storages[l] == nil {
		k.storages[l] = &storage{durable: m.log.durable}
	}
	n := m.node
	v := &view{
		life: l, node: n, log: m.log, role: n.Role(), term: n.Term(), vote: n.Status().Vote, commit: n.Commit(), last: m.log.LastIndex(),
		accepted: map[node.Index][]node.Term{}, reads: openReads{}, granted: map[node.ID]bool{},
		unappliedBytesMax: m.config.UnappliedBytesMax,
	}
	if v.unappliedBytesMax == 0 {
		v.unappliedBytesMax = unappliedBytesMaxDefault
	}
	k.views[m.id] = v
	if hard := m.log.durable.HardState(); n.Term() < hard.Term {
		return fmt.Errorf("member %d starts in term %d, and its storage holds term %d", m.id, n.Term(), hard.Term)
	}
	if err := k.staged(m); err != nil {
		return err
	}
	return k.followsLog(m)
}

// crashed forgets the node. Its storage stays known, also when that is wiped.
func (k *checker) crashed(m *Member) { delete(k.views, m.id) }

// before notes what the event asks for.
func (k *checker) before(m *Member, event node.Event) {
	v := k.views[m.id]
	v.reconfigured = false
	k.step++
	switch e := event.(type) {
	case *node.MachineApplied:
		v.report(e.Index)
	case *node.Restored:
		v.report(e.Index)
	case *node.ReadIndex:
		v.reads[e.ID] = openRead{sees: k.end(), step: k.step}
	case *node.Receive:
		if reply, ok := e.Message.(*node.PreVoteReply); ok && reply.Granted && reply.Round == v.round {
			v.granted[reply.From] = true
		}
	}
}

// after looks at a member after a step whose actions have been carried out.
func (k *checker) after(m *Member, event node.Event, actions []node.Action) error {
	v, n := k.views[m.id], m.node
	was := *v
	v.role, v.term, v.commit, v.last = n.Role(), n.Term(), n.Commit(), m.log.LastIndex()
	v.vote = m.log.HardState().Vote
	k.follows(v, event)
	return errors.Join(
		v.movedOn(&was),
		v.stands(m.node, &was, event),
		k.leads(m, &was, v),
		k.commits(m, &was, v),
		k.acts(m, v, actions),
		k.answers(v, &was, event, actions),
		k.settled(m, v),
		k.followsLogIfTouched(m, v),
	)
}

// follows notes that a member has heeded a heartbeat, or been asked for reads.
func (k *checker) follows(v *view, event node.Event) {
	received, ok := event.(*node.Receive)
	if !ok {
		return
	}
	switch m := received.Message.(type) {
	case *node.Heartbeat:
		if v.term == m.Term && v.node.Leader() == m.From {
			k.followed[followership{v.life.id, v.term}] = k.step
		}
	case *node.ReadIndexRequest:
		r := request{life{m.From, m.FromIncarnation}, v.term, m.Batch}
		if _, known := k.requested[r]; !known && v.role == node.Leader {
			k.requested[r] = k.step
		}
	}
}

// movedOn finds what has gone back.
func (v *view) movedOn(was *view) error {
	switch {
	case v.term < was.term:
		return fmt.Errorf("member %d: term went back from %d to %d", v.life.id, was.term, v.term)
	case v.term == was.term && was.vote != node.None && v.vote != was.vote:
		return fmt.Errorf("member %d: vote of term %d changed from %d to %d", v.life.id, v.term, was.vote, v.vote)
	case v.commit < was.commit:
		return fmt.Errorf("member %d: commit went back from %d to %d", v.life.id, was.commit, v.commit)
	}
	return nil
}

// end is the highest index that has been committed anywhere.
func (k *checker) end() node.Index { return node.Index(len(k.committed)) }

// at returns what is committed at an index, or nil.
func (k *checker) at(i node.Index) *commitment {
	if i == 0 || i > k.end() {
		return nil
	}
	return &k.committed[i-1]
}
