package node

// tick lets time pass. The election timer ages by one at most: what came in while the process slept
// has been handed over before this tick, and what is still to come deserves a chance.
func (n *Node) tick(elapsed int) {
	if elapsed <= 0 {
		return
	}
	n.clock += uint64(elapsed)
	n.expireTransfer()
	if n.role == Leader {
		n.tickLeader(elapsed)
		return
	}
	n.retryReads(elapsed)
	n.election.elapsed++
	if n.election.elapsed < n.election.timeout {
		return
	}
	if n.mayCampaign() && !n.isDiskStalled() {
		n.startPreVote()
		return
	}
	n.becomeFollower(n.hard.Term, None)
	n.resetElectionTimer()
}

func (n *Node) tickLeader(elapsed int) {
	if !n.hasQuorumContact() {
		n.stepDown()
		return
	}
	if n.isDiskStalled() && len(n.members.electorate.voters) > 1 {
		n.disk.gaveUp = true
		n.stepDown()
		return
	}
	n.expireLeaving()
	n.lead.sinceHeartbeat += elapsed
	if n.lead.sinceHeartbeat >= n.cfg.HeartbeatTicks {
		n.lead.sinceHeartbeat = 0
		n.broadcastHeartbeat()
		n.repeatTimeoutNow()
		n.commitIncarnations()
	}
}

// hasQuorumContact tells whether a majority of voters has been heard from within an election
// timeout. A leader that has not may have been replaced, and must not block those who could elect
// another (§6.2).
func (n *Node) hasQuorumContact() bool {
	return n.members.electorate.agree(func(id ID) bool {
		if id == n.id {
			return true
		}
		p := n.lead.progress(id)
		return p != nil && n.inContact(p)
	})
}

// isDiskStalled tells whether a write has been on its way for too long, which by default is longer than any
// election timeout. Who cannot write applies nothing and answers nobody, so another one should lead.
func (n *Node) isDiskStalled() bool {
	return n.disk.waiting(n.clock) >= uint64(n.cfg.DiskStallTicks)
}

// announceDisk tells the driver that the disk has begun to be stalled, or has ceased to be, and in any case that
// leadership was given up for it.
func (n *Node) announceDisk() {
	stalled := n.isDiskStalled()
	switch {
	case n.disk.gaveUp || (stalled && !n.disk.stalled):
		n.out.add(n.out.stalls.put(DiskStalled{Ticks: int(n.disk.waiting(n.clock)), GaveUp: n.disk.gaveUp}))
	case !stalled && n.disk.stalled:
		n.out.add(n.out.recoveries.put(DiskRecovered{Ticks: int(n.clock - n.disk.stalledSince)}))
	}
	if stalled && !n.disk.stalled {
		n.disk.stalledSince = n.clock - n.disk.waiting(n.clock)
	}
	n.disk.stalled, n.disk.gaveUp = stalled, false
}

// inContact tells whether the member was heard from within an election timeout.
func (n *Node) inContact(p *progress) bool {
	return n.clock-p.contact < uint64(n.cfg.ElectionTicks)
}

// stepDown gives leadership up within the term.
func (n *Node) stepDown() {
	n.becomeFollower(n.hard.Term, None)
	n.resetElectionTimer()
}
