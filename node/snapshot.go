package node

// snapshots is what a member knows of the snapshots that it takes and restores.
type snapshots struct {
	// index is that of the log's snapshot.
	index Index
	// taking is the index of the one that has been asked for, or zero.
	taking Index
	// attempted is the applied index when one was last asked for: the next is due a crossing later.
	attempted Index
	// wanted is up to where the storage wants entries released, no matter what the configuration retains.
	wanted Index
	// restoring is the index of the one that the machine is taking over, or zero.
	restoring Index
	// due: the machine must be told, in the first step after a start, to restore.
	due bool
}

// restoreAtStart has the machine take over the log's snapshot when the node starts.
func (n *Node) restoreAtStart() {
	if n.snapshots.due {
		n.snapshots.due = false
		n.out.add(n.out.restores.put(RestoreSnapshot{Meta: n.log.Snapshot()}))
	}
}

// takeSnapshotIfDue asks for a snapshot once per crossing of the threshold, and once for what the storage wants
// released.
func (n *Node) takeSnapshotIfDue() {
	s := &n.snapshots
	since := n.applied - max(s.index, s.attempted)
	crossed := n.cfg.SnapshotEntries != Unlimited && since >= Index(n.cfg.SnapshotEntries)
	wanted := s.wanted > max(s.index, s.attempted) && n.applied >= s.wanted
	if (crossed || wanted) && n.maySnapshot() {
		n.takeSnapshot()
	}
}

// maySnapshot tells whether there is something to take a snapshot of, and none under way.
func (n *Node) maySnapshot() bool {
	return n.snapshots.taking == 0 && n.snapshots.restoring == 0 && n.applied > n.snapshots.index
}

func (n *Node) requestSnapshot() {
	if !n.maySnapshot() {
		n.reject(0, 1, ErrNothingToSnapshot)
		return
	}
	n.takeSnapshot()
}

// releaseEntries notes what the storage wants released, and takes a snapshot of what can be covered now.
func (n *Node) releaseEntries(through Index) {
	s := &n.snapshots
	s.wanted = max(s.wanted, min(through, n.terms.last))
	if s.wanted > s.index && n.maySnapshot() {
		n.takeSnapshot()
	}
}

// releaseWanted releases, beyond the retained tail, what the storage wants released and the present snapshot covers, as
// soon as nobody who receives a snapshot holds it back any more.
func (n *Node) releaseWanted() {
	s := &n.snapshots
	if s.wanted <= n.terms.base || s.index <= n.terms.base {
		return
	}
	if through := n.heldBack(min(s.wanted, s.index), s.index); through > n.terms.base {
		n.compact(n.log.Snapshot(), through)
	}
}

func (n *Node) takeSnapshot() {
	term, ok := n.terms.term(n.applied)
	if !ok {
		n.broken("the term of %d, which is applied, is not known", n.applied)
	}
	in := n.members.at(n.applied)
	n.snapshots.taking, n.snapshots.attempted = n.applied, n.applied
	n.out.add(n.out.takes.put(TakeSnapshot{Meta: SnapshotMeta{
		Index: n.applied, Term: term, Configuration: in.configuration, ConfigurationIndex: in.index,
	}}))
}

// snapshotted releases entries that a durable snapshot covers, but for a tail (§5.1). One that
// finishes after a newer one was installed comes too late, and one that nobody asked for is ignored.
func (n *Node) snapshotted(meta SnapshotMeta) {
	if meta.Index != n.snapshots.taking || meta.Index == 0 {
		return
	}
	n.snapshots.taking = 0
	term, ok := n.terms.term(meta.Index)
	if meta.Index <= n.snapshots.index || !ok || term != meta.Term {
		return
	}
	n.compact(meta, max(n.terms.base, n.compactThrough(meta.Index)))
}

// compact makes meta the log's snapshot, or leaves it, and releases entries up to and with through.
func (n *Node) compact(meta SnapshotMeta, through Index) {
	n.disk.stage()
	if err := n.log.Compact(meta, through); err != nil {
		n.fail("compacting the log", err)
		return
	}
	n.snapshots.index = meta.Index
	n.terms.compact(through)
	n.members.forgetBefore(meta.Index)
}

// compactThrough is how far entries can go behind a snapshot at index: all but the retained tail, and but what is
// held back.
func (n *Node) compactThrough(index Index) Index {
	return n.heldBack(index-min(index, Index(n.cfg.RetainEntries)), index)
}

// heldBack is how much of what could go, up to and with through behind a snapshot at index, does go: all but what
// members need that are receiving a snapshot now. They hold entries back for a bounded time and number; without that a
// member could be late for ever.
func (n *Node) heldBack(through, index Index) Index {
	if n.lead == nil {
		return through
	}
	held := through
	for _, p := range n.lead.peers {
		if p.state == snapshotting && n.clock-p.snapshotSince < uint64(n.cfg.SnapshotHoldTicks) {
			held = min(held, p.snapshot)
		}
	}
	return min(through, max(held, index-min(index, Index(n.cfg.SnapshotHoldEntries))))
}

func (n *Node) snapshotFailed(index Index) {
	if index == n.snapshots.taking {
		n.snapshots.taking = 0
	}
}

func (n *Node) restored(index Index) {
	if index == n.snapshots.restoring {
		n.snapshots.restoring = 0
		n.machine.advance(index) // what was handed over before has been applied, or replaced
	}
}

// startSnapshot offers a member the snapshot, since entries that it needs are gone. One that does
// not answer is offered nothing.
func (n *Node) startSnapshot(p *progress) {
	if !p.heard || !n.inContact(p) {
		p.probe(p.next)
		p.pause()
		return
	}
	meta := n.log.Snapshot()
	p.sendSnapshot(meta.Index, n.clock)
	n.out.add(n.out.snapshotSends.put(SendSnapshot{
		To:      p.id,
		Message: n.out.installSnapshots.put(InstallSnapshot{Header: n.leaderHeader(p), Meta: meta}),
	}))
}

// snapshotSent goes on behind a snapshot that has arrived, or from the start. Whether it has been
// installed shows in the answer to a probe, if the reply that says so should get lost.
func (n *Node) snapshotSent(id ID, ok bool) {
	if n.lead == nil {
		return
	}
	p := n.lead.progress(id)
	if p == nil || p.state != snapshotting {
		return
	}
	next := p.match + 1
	if ok {
		next = max(next, p.snapshot+1)
	}
	p.probe(next)
	p.pause()
}

// handleInstallSnapshot says to an offer that what it covers is here already, or asks for the state.
func (n *Node) handleInstallSnapshot(m *InstallSnapshot) {
	if !n.alreadyHas(m) {
		n.out.add(n.out.accepts.put(AcceptSnapshot{Message: m}))
	}
}

// alreadyHas answers an offer whose state is not needed: what it covers is committed here, or is in
// the log and committed by what the leader says.
func (n *Node) alreadyHas(m *InstallSnapshot) bool {
	if m.Meta.Index > n.commit {
		term, ok := n.terms.term(m.Meta.Index)
		if !ok || term != m.Meta.Term {
			return false
		}
		n.commit = m.Meta.Index
	}
	n.replyInstalled(m)
	return true
}

func (n *Node) replyInstalled(m *InstallSnapshot) {
	n.out.sendDurable(n.out.installSnapshotReplies.put(InstallSnapshotReply{Header: n.replyTo(m), Match: n.commit}))
}

// snapshotReceived installs a snapshot whose state is durable. It covers committed entries only, so
// it is good whoever leads by now; it never goes back behind what is committed here, and a log that
// holds its last entry keeps what follows (§5.3).
func (n *Node) snapshotReceived(m *InstallSnapshot, handle any) {
	if detail := malformed(m); detail != "" {
		n.fault(m, FaultMalformed, "%s", detail)
		return
	}
	if n.contradicts(m) {
		return
	}
	if m.Term > n.hard.Term {
		n.becomeFollower(m.Term, m.From)
	}
	if n.role == Leader || n.alreadyHas(m) {
		return
	}
	meta := m.Meta
	meta.Handle = handle
	n.install(meta)
	n.replyInstalled(m)
}

func (n *Node) install(meta SnapshotMeta) {
	n.disk.stage()
	if err := n.log.Install(meta); err != nil {
		n.fail("installing a snapshot", err)
		return
	}
	n.terms.reset(meta.Index, meta.Term)
	n.disk.truncate(meta.Index)
	n.disk.durable = meta.Index // the snapshot is
	n.commit, n.applied = meta.Index, meta.Index
	n.replaying = false
	n.snapshots = snapshots{index: meta.Index, attempted: meta.Index, restoring: meta.Index}
	n.forgetAccepted(meta.Index)
	n.out.add(n.out.restores.put(RestoreSnapshot{Meta: meta}))
	n.members.history = append(n.members.history[:0:0], configured{meta.ConfigurationIndex, meta.Configuration})
	n.members.committed = 0
	// Who is no voter may have been removed and added again within what the snapshot covers.
	n.forgetLives(func(id ID) bool { return !meta.Configuration.IsVoter(id) })
	n.adopted()
}

func (n *Node) handleInstallSnapshotReply(m *InstallSnapshotReply) {
	if n.role != Leader {
		n.counters.Stale++
		return
	}
	p := n.lead.progress(m.From)
	n.noteContact(p, m, m.Match)
	n.acknowledged(p, m.Match)
}
