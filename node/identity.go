package node

import "slices"

// identity knows the peers' storages apart. A peer whose storage was lost has forgotten what it
// promised, so what its next life says must not count as its own (see [Incarnation]).
type identity struct {
	// met are the lives first met of peers whose life the configuration does not name.
	met []Acquaintance
}

func (i *identity) load(log Log) { i.met = log.Met() }

func (i *identity) of(id ID) Incarnation {
	for _, a := range i.met {
		if a.ID == id {
			return a.Incarnation
		}
	}
	return 0
}

func (i *identity) set(a Acquaintance) {
	for k := range i.met {
		if i.met[k].ID == a.ID {
			i.met[k] = a
			return
		}
	}
	i.met = append(i.met, a)
}

// knownAs returns the life by which a peer goes: that of the configuration, or the first met.
func (n *Node) knownAs(id ID) Incarnation {
	if m, ok := n.members.current().Member(id); ok && m.Incarnation != 0 {
		return m.Incarnation
	}
	if life := n.identity.of(id); life != 0 {
		return life
	}
	if n.lead != nil {
		if p := n.lead.progress(id); p != nil {
			return p.life // what it has acknowledged must not be taken for another life's
		}
	}
	return 0
}

// wasKnownAs returns the life by which a peer went before it was removed.
func (n *Node) wasKnownAs(id ID) Incarnation {
	for k := len(n.members.history) - 1; k >= 0; k-- {
		if m, ok := n.members.history[k].configuration.Member(id); ok && m.Incarnation != 0 {
			return m.Incarnation
		}
	}
	return n.identity.of(id)
}

// isKnownLife notes the life of a member that is met for the first time, and tells whether the
// sender is the one that is known. Nothing is noted of strangers.
func (n *Node) isKnownLife(from ID, incarnation Incarnation) bool {
	if known := n.knownAs(from); known != 0 {
		return known == incarnation
	}
	if _, ok := n.members.current().Member(from); ok {
		a := Acquaintance{ID: from, Incarnation: incarnation}
		n.identity.set(a)
		n.persistMet(a)
	}
	return true
}

// mayVoteFor tells whether a candidate is the life of its member that is known here. Another one
// would lead without the votes that the first one gave; it is told so.
func (n *Node) mayVoteFor(m Message) bool {
	h := m.Head()
	if n.isKnownLife(h.From, h.FromIncarnation) {
		return true
	}
	n.refuse(m)
	return false
}

// refuse tells a sender that it is known by another life.
func (n *Node) refuse(m Message) {
	h := m.Head()
	known := n.knownAs(h.From)
	n.fault(m, FaultIncarnation, "it is known as %x, and claims to be %x", uint64(known), uint64(h.FromIncarnation))
	n.out.send(n.out.refusals.put(Refusal{Header: n.replyTo(m), Known: known}))
}

// leaderHeader addresses what a leader sends to the life by which it knows the receiver.
func (n *Node) leaderHeader(p *progress) Header {
	p.knowAs(n.knownAs(p.id))
	h := n.header(p.id)
	h.ToIncarnation = p.life
	return h
}

// isMeant tells whether a message is for this life of the member. A leader that means another one
// tells that this one is not the member that it knows.
func (n *Node) isMeant(m Message) bool {
	h := m.Head()
	if h.ToIncarnation == 0 || h.ToIncarnation == n.incarnation {
		return true
	}
	n.counters.Stale++
	if !isReply(m) && h.Term >= n.hard.Term { // what an earlier leader meant does not matter any more
		n.disown(h, h.ToIncarnation)
	}
	return false
}

func (n *Node) handleRefusal(m *Refusal) { n.disown(m.Head(), m.Known) }

// disowning is what the last [Disowned] of a member said, and the term that the member was in.
type disowning struct {
	Disowned
	term Term
}

// disown tells that the sender knows this member by another life, unless it has been told so of the sender
// in that term. What is remembered is bounded, since anybody may claim to be a sender.
func (n *Node) disown(sender *Header, known Incarnation) {
	now := disowning{Disowned{By: sender.From, Known: known}, sender.Term}
	if slices.Contains(n.disownings, now) {
		return
	}
	kept := slices.DeleteFunc(n.disownings, func(d disowning) bool { return d.By == now.By })
	if len(kept) == membersMax {
		kept = slices.Delete(kept, 0, 1)
	}
	n.disownings = append(kept, now)
	n.out.add(n.out.disowned.put(now.Disowned))
}

// commitIncarnations has the group agree on the lives of members that only this leader has met.
func (n *Node) commitIncarnations() {
	if n.role != Leader || n.changeRefused() != nil || n.disk.metSeq > n.disk.synced {
		return
	}
	current := n.members.current()
	filled := current
	for _, m := range current.Members {
		life := n.knownAs(m.ID)
		if m.ID == n.id {
			life = n.incarnation
		}
		if m.Incarnation == 0 && life != 0 {
			m.Incarnation = life
			filled = filled.with(m)
		}
	}
	if !filled.Equal(current) {
		n.appendConfiguration(filled)
	}
}

// forgetLives drops the lives of those who are no members of a committed configuration, so that they
// can come back as new ones.
func (n *Node) forgetLives(gone func(ID) bool) {
	kept := n.identity.met[:0]
	for _, a := range n.identity.met {
		if gone(a.ID) {
			n.persistMet(Acquaintance{ID: a.ID})
		} else {
			kept = append(kept, a)
		}
	}
	n.identity.met = kept
}
