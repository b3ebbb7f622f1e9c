package node

// leadership is what a leader knows beyond what every member knows. It ends with the leadership.
type leadership struct {
	// start is the index of the entry with which the term began. Only what is committed from there
	// on is committed by counting (§3.6.2).
	start Index
	// peers are the other members, in the order of the configuration, and those being let go.
	peers []*progress
	// round is the newest round of confirmation.
	round uint64
	// sinceHeartbeat counts ticks.
	sinceHeartbeat int
	intake         intake
	reads          leaderReads
	// leaving: the group has committed that this leader is no member any more, and it is handing over.
	leaving bool
}

// progress returns that of a peer, or nil.
func (l *leadership) progress(id ID) *progress {
	for _, p := range l.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// becomeLeader takes office: an empty entry of the new term goes out at once, since only that can
// commit what earlier terms have left.
func (n *Node) becomeLeader() {
	if n.role != Candidate {
		n.broken("elected without having been a candidate")
	}
	n.role, n.leader, n.ruler = Leader, n.id, n.id
	n.lead = &leadership{start: n.terms.last + 1}
	n.rebuildProgress()
	n.appendOwn(append(n.scratch[:0], Entry{Kind: EntryEmpty}))
	n.replicateToAll()
}

// rebuildProgress keeps the peers in step with the configuration. Who is removed is kept for a
// while, so that it learns of it; who comes back starts from nothing.
func (n *Node) rebuildProgress() {
	newest := n.members.newest()
	peers := make([]*progress, 0, len(newest.configuration.Members))
	for _, m := range newest.configuration.Members {
		if m.ID == n.id {
			continue
		}
		p := n.lead.progress(m.ID)
		if p == nil || p.leaving != 0 {
			p = newProgress(m.ID, n.terms.last+1, newWindow(n.cfg.InflightMessagesMax, n.cfg.InflightBytesMax))
			p.contact = n.clock
			p.catchUp = catchUp{end: n.terms.last, began: n.clock}
		}
		peers = append(peers, p)
	}
	for _, p := range n.lead.peers {
		if _, ok := newest.configuration.Member(p.id); ok {
			continue
		}
		if p.leaving == 0 {
			p.knowAs(n.wasKnownAs(p.id))
			p.leaving = newest.index
		}
		peers = append(peers, p)
	}
	n.lead.peers = peers
}

// expireLeaving lets go of removed members that know of it, or have had an election timeout to.
func (n *Node) expireLeaving() {
	kept := n.lead.peers[:0]
	for _, p := range n.lead.peers {
		if p.leaving != 0 && p.leaving <= n.commit {
			if p.leavingSince == 0 {
				p.leavingSince = n.clock
			}
			if p.commitSeen >= p.leaving || n.clock-p.leavingSince >= uint64(n.cfg.ElectionTicks) {
				continue
			}
		}
		kept = append(kept, p)
	}
	clear(n.lead.peers[len(kept):])
	n.lead.peers = kept
}

// leaveIfRemoved hands over once it is committed that this leader is no voter any more. Before that
// it goes on leading, without counting itself (§4.2.2).
func (n *Node) leaveIfRemoved() {
	newest := n.members.newest()
	if newest.index > n.commit || newest.configuration.IsVoter(n.id) || n.lead.leaving {
		return
	}
	n.lead.leaving = true
	n.handOver()
}

// broadcastHeartbeat begins a round of confirmation with every peer.
func (n *Node) broadcastHeartbeat() {
	n.lead.round++
	n.lead.reads.launch(n.lead.round, n.commit, n.isReadyToRead())
	for _, p := range n.lead.peers {
		commit := min(n.commit, p.match)
		p.commitSent = max(p.commitSent, commit)
		n.out.send(n.out.heartbeats.put(Heartbeat{Header: n.leaderHeader(p), Round: n.lead.round, Commit: commit}))
	}
	n.confirmReads()
}

// handleHeartbeatReply notes a sign of life. It is also how lost messages are found out: probing
// goes on, and what is on its way to a follower that should have it is checked.
func (n *Node) handleHeartbeatReply(m *HeartbeatReply) {
	if n.role != Leader {
		n.counters.Stale++
		return
	}
	p := n.lead.progress(m.From)
	n.noteContact(p, m, m.Commit)
	p.round = max(p.round, m.Round)
	n.confirmReads()
	p.resume()
	n.replicateTo(p)
	if p.state == replicating && p.match+1 < p.next && p.checked <= n.clock { // rounds for reads come often
		p.checked = n.clock + 1
		n.sendCheck(p)
	}
}

func (n *Node) noteContact(p *progress, m Message, commit Index) {
	p.knowAs(m.Head().FromIncarnation)
	p.contact, p.heard = n.clock, true
	p.commitSeen = max(p.commitSeen, commit)
}
