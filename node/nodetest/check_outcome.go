package nodetest

import (
	"fmt"
	"slices"

	"example.com/raftactor/node"
)

// answers looks at what a step tells those who have asked for something.
func (k *checker) answers(v, was *view, event node.Event, actions []node.Action) error {
	if err := v.answersAtOnce(event, actions); err != nil {
		return err
	}
	settled := false
	for _, action := range actions {
		var err error
		switch a := action.(type) {
		case *node.Accepted:
			if a.First > was.last {
				v.accept(a.First, a.Count, a.Term)
			}
		case *node.Apply:
			settled = true
			for i := range a.Entries {
				v.settle(a.Entries[i].Index, a.Entries[i].Term)
			}
		case *node.RestoreSnapshot:
			settled = true
		case *node.Superseded:
			err = k.supersedes(v, a)
		case *node.Forgotten:
			for i := a.First; i <= a.Last; i++ {
				v.settle(i, a.Term)
			}
		case *node.ReadReady:
			err = k.readsAt(v, a)
		case *node.ReadFailed:
			err = v.reads.answered(a.ID)
		case *node.TransferEnded:
			if !v.transferring {
				err = fmt.Errorf("a transfer to %d ends that did not begin", a.Target)
			}
			v.transferring = false
		}
		if err != nil {
			return fmt.Errorf("member %d: %w", v.life.id, err)
		}
	}
	if settled {
		return v.allSettled()
	}
	return nil
}

// answersAtOnce looks at the answers that belong to the event itself.
func (v *view) answersAtOnce(event node.Event, actions []node.Action) error {
	want := 0
	switch e := event.(type) {
	case *node.Propose:
		want = len(e.Commands)
	case *node.AddMember, *node.Promote, *node.Demote, *node.RemoveMember, *node.RequestSnapshot, *node.TransferLeadership:
		want = 1
	default:
		return nil
	}
	answered := 0
	for _, action := range actions {
		offset, count := 0, 0
		switch a := action.(type) {
		case *node.Accepted:
			offset, count = a.Offset, a.Count
		case *node.Rejected:
			offset, count = a.Offset, a.Count
		case *node.TakeSnapshot:
			if _, ok := event.(*node.RequestSnapshot); ok && answered == 0 {
				count = 1 // one that is due may begin in the same step as a request is turned down
			}
		}
		if count > 0 && offset != answered {
			return fmt.Errorf("member %d: the answers to %s leave a gap at %d", v.life.id, FormatEvent(event), answered)
		}
		answered += count
	}
	if _, ok := event.(*node.TransferLeadership); ok {
		if answered == 0 && v.transferring {
			return fmt.Errorf("member %d has taken on a second transfer", v.life.id)
		}
		v.transferring = v.transferring || answered == 0
		return nil
	}
	if answered != want {
		return fmt.Errorf("member %d: %d of %d were answered: %s", v.life.id, answered, want, FormatEvent(event))
	}
	return nil
}

func (v *view) accept(first node.Index, count int, term node.Term) {
	for i := first; i < first+node.Index(count); i++ {
		v.accepted[i] = append(v.accepted[i], term)
	}
}

// settle notes that the outcome of an entry has been told.
func (v *view) settle(i node.Index, term node.Term) {
	terms, ok := v.accepted[i]
	if !ok {
		return
	}
	terms = slices.DeleteFunc(terms, func(t node.Term) bool { return t == term })
	if v.accepted[i] = terms; len(terms) == 0 {
		delete(v.accepted, i)
	}
}

// allSettled finds entries accepted here that the machine has passed and nobody was told of.
func (v *view) allSettled() error {
	for i, terms := range v.accepted {
		if i <= v.applied {
			return fmt.Errorf("member %d accepted index %d in terms %v, has applied %d, and does not say what became of it",
				v.life.id, i, terms, v.applied)
		}
	}
	return nil
}

// supersedes looks at entries that are said not to be part of the log: they must not be, ever.
func (k *checker) supersedes(v *view, a *node.Superseded) error {
	for i := a.First; i <= a.Last; i++ {
		if c := k.at(i); c != nil && c.entry.Term == a.Term {
			return fmt.Errorf("index %d of term %d is said to be superseded, and is committed", i, a.Term)
		}
		k.dead[position{i, a.Term}] = true
		v.settle(i, a.Term)
	}
	return nil
}

// openReads are reads that wait for an answer.
type openReads map[uint64]openRead

// openRead is what a read must see, and the step in which it was asked for.
type openRead struct {
	sees node.Index
	step int
}

// readsAt finds a read that misses something that was committed before it was asked for, and one
// that nobody has confirmed (§6.4).
func (k *checker) readsAt(v *view, a *node.ReadReady) error {
	read, ok := v.reads[a.ID]
	delete(v.reads, a.ID)
	switch {
	case !ok:
		return fmt.Errorf("read %d is answered, and is not open", a.ID)
	case a.Index < read.sees:
		return fmt.Errorf("read %d is to see %d, and %d was committed before it was asked for", a.ID, a.Index, read.sees)
	case a.Index > k.end():
		return fmt.Errorf("read %d is to see %d, and only %d is committed", a.ID, a.Index, k.end())
	}
	if v.role == node.Leader {
		return k.confirmed(v, read.step)
	}
	return nil // confirmed when the leader's reply left
}

// confirmed tells whether a majority has followed a leader since a step.
func (k *checker) confirmed(leader *view, since int) error {
	count := 0
	configuration := leader.node.Configuration()
	for _, voter := range configuration.Members {
		if voter.Suffrage == node.Voter &&
			(voter.ID == leader.life.id || k.followed[followership{voter.ID, leader.term}] > since) {
			count++
		}
	}
	if count <= configuration.VoterCount()/2 {
		return fmt.Errorf("member %d answers a read when only %d voters of %v have followed it since in term %d",
			leader.life.id, count, configuration, leader.term)
	}
	return nil
}

func (r openReads) answered(id uint64) error {
	if _, ok := r[id]; !ok {
		return fmt.Errorf("read %d fails, and is not open", id)
	}
	delete(r, id)
	return nil
}

// Unanswered lists what running members have been asked and have not answered: reads and transfers.
// What became of an accepted command is told when its index is applied, which is checked then.
func (c *Cluster) Unanswered() []string {
	var open []string
	for _, m := range c.members {
		v := c.checker.views[m.id]
		if v == nil {
			continue
		}
		if n := len(v.reads); n > 0 {
			open = append(open, fmt.Sprintf("member %d: %d reads", m.id, n))
		}
		if v.transferring {
			open = append(open, fmt.Sprintf("member %d: a transfer", m.id))
		}
	}
	return open
}

// Committed is the highest index that any leader has committed.
func (c *Cluster) Committed() node.Index { return c.checker.end() }
