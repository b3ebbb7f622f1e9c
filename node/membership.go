package node

import "fmt"

// membership is the history of configurations, as far as it can still matter: from that of the
// snapshot, or the first, to the newest, which is in force from when it is appended (§4.1).
type membership struct {
	// history is in ascending order of index. It is empty on a joiner.
	history []configured
	// committed is the index of the newest configuration announced as committed.
	committed Index
	// electorate is the voters of the newest.
	electorate electorate
}

// configured is a configuration and the index of its entry.
type configured struct {
	index         Index
	configuration Configuration
}

// load finds the configurations of a log: up to its end, not only up to what is committed.
func (m *membership) load(log Log) error {
	if snapshot := log.Snapshot(); snapshot.Index > 0 {
		m.history = append(m.history, configured{snapshot.ConfigurationIndex, snapshot.Configuration})
	}
	entries, err := log.Configurations()
	if err != nil {
		return fmt.Errorf("node: reading the configurations of the log: %w", err)
	}
	for _, e := range entries {
		c, err := DecodeConfiguration(e.Data)
		if err != nil {
			return fmt.Errorf("node: the log's configuration at index %d: %w", e.Index, err)
		}
		m.history = append(m.history, configured{e.Index, c})
	}
	m.elect()
	return nil
}

func (m *membership) elect() { m.electorate = newElectorate(m.current()) }

func (m *membership) newest() configured {
	if len(m.history) == 0 {
		return configured{}
	}
	return m.history[len(m.history)-1]
}

func (m *membership) current() Configuration { return m.newest().configuration }

// at returns the configuration in force at index i.
func (m *membership) at(i Index) configured {
	for k := len(m.history) - 1; k >= 0; k-- {
		if m.history[k].index <= i {
			return m.history[k]
		}
	}
	return configured{}
}

// forgetBefore drops what came before the configuration in force at i.
func (m *membership) forgetBefore(i Index) {
	k := 0
	for k+1 < len(m.history) && m.history[k+1].index <= i {
		k++
	}
	m.history = m.history[k:]
}

// mayCampaign tells whether this member votes in the newest configuration or in any since the last
// committed one: who is absent from a configuration that is not committed may have to lead, so that
// it gets committed (§4.2.2). The configuration must mean this life of the member.
func (n *Node) mayCampaign() bool {
	for k := len(n.members.history) - 1; k >= 0; k-- {
		h := n.members.history[k]
		if m, ok := h.configuration.Member(n.id); ok && m.Suffrage == Voter {
			return m.Incarnation == 0 || m.Incarnation == n.incarnation
		}
		if h.index <= n.commit {
			break
		}
	}
	return false
}

// adoptEntry puts an appended configuration in force.
func (n *Node) adoptEntry(e *Entry) {
	c, err := DecodeConfiguration(e.Data)
	if err != nil {
		n.fail("adopting a configuration", err)
		return
	}
	n.members.history = append(n.members.history, configured{e.Index, c})
	n.adopted()
}

// takeBackConfigurations returns to the configuration in force before index from, after a
// truncation.
func (n *Node) takeBackConfigurations(from Index) {
	kept := len(n.members.history)
	for kept > 0 && n.members.history[kept-1].index >= from {
		kept--
	}
	if kept < len(n.members.history) {
		n.members.history = n.members.history[:kept]
		n.adopted()
	}
}

func (n *Node) adopted() {
	n.members.elect()
	if n.lead != nil {
		n.rebuildProgress()
	}
	newest := n.members.newest()
	n.out.add(n.out.memberships.put(MembershipChanged{
		Configuration: newest.configuration, Index: newest.index,
	}))
}

// announceCommitted tells of configurations that have been committed.
func (n *Node) announceCommitted() {
	for _, h := range n.members.history {
		if h.index <= n.members.committed || h.index > n.commit {
			continue
		}
		n.members.committed = h.index
		n.out.add(n.out.memberships.put(MembershipChanged{
			Configuration: h.configuration, Index: h.index, Committed: true,
		}))
		n.forgetLives(func(id ID) bool {
			_, ok := h.configuration.Member(id)
			return !ok
		})
		if n.role == Leader {
			n.leaveIfRemoved()
		}
	}
}

// changeRefused says why no change of membership can begin now, or nil.
func (n *Node) changeRefused() error {
	switch {
	case n.role != Leader:
		return n.notLeader()
	case n.transfer.target != None:
		return ErrTransferring
	case n.commit < n.lead.start:
		return ErrNotReady
	case n.members.newest().index > n.commit:
		return ErrChangeInProgress
	}
	return nil
}

// addMember adds a learner. Whoever is to vote is promoted when it has caught up: adding a voter
// that is dead, or empty, could leave the group unable to commit anything, this change included.
func (n *Node) addMember(e *AddMember) {
	id := e.ID
	existing, ok := n.members.current().Member(id)
	switch {
	case id == None:
		n.refuseChange(id, "0 is nobody: ids start at 1")
	case len(e.Address) > addressBytesMax:
		n.refuseChange(id, fmt.Sprintf("an address has at most %d bytes, this one %d", addressBytesMax, len(e.Address)))
	case ok && existing.Address != e.Address:
		n.refuseChange(id, fmt.Sprintf("it is a member already, at address %q", existing.Address))
	case ok && e.Incarnation != 0 && e.Incarnation != n.knownAs(id):
		n.refuseChange(id, fmt.Sprintf("it is a member already, and known as %x; remove it first", uint64(n.knownAs(id))))
	case ok:
		n.changeTo(n.members.current())
	case len(n.members.current().Members) >= membersMax:
		n.refuseChange(id, fmt.Sprintf("there are %d members already", membersMax))
	default:
		n.changeTo(n.members.current().with(Member{
			ID: id, Suffrage: Learner, Address: e.Address, Incarnation: e.Incarnation,
		}))
	}
}

// promote makes a learner a voter. It must be nearly up to date and answering, or the group would
// wait for it (§4.2.1).
func (n *Node) promote(id ID) {
	m, ok := n.members.current().Member(id)
	switch {
	case n.role != Leader || (ok && m.Suffrage == Voter):
		n.changeTo(n.members.current())
	case !ok:
		n.refuseChange(id, "it is not a member; add it first")
	case n.mayBeLive(id):
		n.reject(0, 1, ErrNotHeard)
	case !n.isLive(id):
		n.refuseChange(id, "it has not answered within an election timeout")
	case !n.isNearEnd(n.lead.progress(id)):
		n.refuseChange(id, "it has not caught up with the log yet; try again later")
	default:
		m.Suffrage, m.Incarnation = Voter, n.knownAs(id)
		n.changeTo(n.members.current().with(m))
	}
}

func (n *Node) isNearEnd(p *progress) bool {
	return p.catchUp.near(p.match, n.terms.last, n.clock, uint64(n.cfg.ElectionTicks))
}

func (n *Node) demote(id ID) {
	m, ok := n.members.current().Member(id)
	switch {
	case !ok:
		n.refuseChange(id, "it is not a member")
	case m.Suffrage == Voter && n.members.current().VoterCount() == 1:
		n.refuseChange(id, "it is the last voter")
	default:
		m.Suffrage = Learner
		n.changeTo(n.members.current().with(m))
	}
}

func (n *Node) removeMember(id ID) {
	current := n.members.current()
	if current.IsVoter(id) && current.VoterCount() == 1 {
		n.refuseChange(id, "it is the last voter")
		return
	}
	n.changeTo(current.without(id))
}

// changeTo appends a configuration. What is the case already is accepted where it stands, so that a
// change can be asked for again when its answer was lost.
func (n *Node) changeTo(c Configuration) {
	if err := n.changeRefused(); err != nil {
		n.reject(0, 1, err)
		return
	}
	newest := n.members.newest()
	if c.Equal(newest.configuration) {
		term, _ := n.terms.term(newest.index)
		n.out.add(n.out.accepted.put(Accepted{Count: 1, First: newest.index, Term: term}))
		return
	}
	n.appendConfiguration(c)
	n.noteAccepted(0, 1)
}

// appendConfiguration appends c as the next entry, and sends it.
func (n *Node) appendConfiguration(c Configuration) {
	n.appendOwn(append(n.scratch[:0], Entry{Kind: EntryConfiguration, Data: c.Encode()}))
	n.replicateToAll()
}

// refuseChange turns a change down that could never be made. Whether this is the leader comes first.
func (n *Node) refuseChange(id ID, reason string) {
	if n.role != Leader {
		n.reject(0, 1, n.notLeader())
		return
	}
	n.reject(0, 1, &MembershipError{Member: id, Reason: reason})
}
