package node

import "fmt"

// transfer is a hand-over of leadership under way (§3.10). It outlives the leadership, until it is
// known who leads.
type transfer struct {
	// target is who is to lead, or None.
	target ID
	// id tells the transfers of this member apart.
	id uint64
	// deadline is the clock's value when it is given up.
	deadline uint64
	// sent: the target has been told.
	sent bool
	// internal: nobody asked for it, the leader has to go.
	internal bool
}

func (n *Node) transferLeadership(target ID) {
	refuse := func(reason string) { n.reject(0, 1, &TransferError{Target: target, Reason: reason}) }
	switch {
	case n.role != Leader:
		n.reject(0, 1, n.notLeader())
	case n.transfer.target != None || n.lead.leaving:
		n.reject(0, 1, ErrTransferring)
	case target == n.id:
		n.out.add(n.out.transfers.put(TransferEnded{Target: target}))
	case !n.members.electorate.includes(target):
		refuse("it is not a voter")
	case n.mayBeLive(target):
		n.reject(0, 1, ErrNotHeard)
	case !n.isLive(target):
		refuse("it has not answered within an election timeout")
	default:
		n.beginTransfer(target, false)
	}
}

func (n *Node) isLive(id ID) bool {
	p := n.lead.progress(id)
	return p != nil && p.heard && n.inContact(p)
}

// mayBeLive tells whether the leader is too new to know.
func (n *Node) mayBeLive(id ID) bool {
	p := n.lead.progress(id)
	return p != nil && !p.heard && n.inContact(p)
}

// handOver passes leadership on to the voter with the most of the log, since this member has to go.
func (n *Node) handOver() {
	if n.transfer.target != None {
		return
	}
	var best *progress
	for _, p := range n.lead.peers {
		if n.members.electorate.includes(p.id) && n.isLive(p.id) && (best == nil || p.match > best.match) {
			best = p
		}
	}
	if best == nil {
		n.stepDown()
		return
	}
	n.beginTransfer(best.id, true)
}

func (n *Node) beginTransfer(target ID, internal bool) {
	n.transfer = transfer{
		target: target, id: n.transfer.id + 1, internal: internal,
		deadline: n.clock + uint64(n.cfg.ElectionTicks),
	}
	n.replicateTo(n.lead.progress(target))
	n.sendTimeoutNowIfReady()
}

// sendTimeoutNowIfReady tells the target to campaign once it has the whole log.
func (n *Node) sendTimeoutNowIfReady() {
	if n.transfer.target != None && !n.transfer.sent {
		n.sendTimeoutNow()
	}
}

// repeatTimeoutNow makes up for a lost one.
func (n *Node) repeatTimeoutNow() {
	if n.transfer.target != None {
		n.sendTimeoutNow()
	}
}

func (n *Node) sendTimeoutNow() {
	p := n.lead.progress(n.transfer.target)
	if p == nil || p.match != n.terms.last {
		return
	}
	n.transfer.sent = true
	n.out.send(n.out.timeoutNows.put(TimeoutNow{
		Header: n.leaderHeader(p), Transfer: n.transfer.id, LastIndex: n.terms.last,
	}))
}

// handleTimeoutNow campaigns at once, without asking first. It is bound to the leader's term and to
// the log as it was: a late one, or one at a member that does not vote, has no effect.
func (n *Node) handleTimeoutNow(m *TimeoutNow) {
	if m.LastIndex != n.terms.last || !n.members.electorate.includes(n.id) || !n.mayCampaign() || n.isDiskStalled() {
		n.counters.Stale++
		return
	}
	n.campaign(m.Transfer)
}

// expireTransfer gives up at the deadline. A leader that tried takes proposals again, unless it has
// to go anyway.
func (n *Node) expireTransfer() {
	if n.transfer.target == None || n.clock < n.transfer.deadline {
		return
	}
	var reason string
	switch {
	case n.role != Leader:
		reason = "who leads is not known after an election timeout"
	case n.transfer.sent:
		reason = "it has not taken over within an election timeout; it still may"
	default:
		reason = "it has not caught up within an election timeout"
	}
	n.endTransfer(&TransferError{Target: n.transfer.target, Reason: reason, Undecided: n.transfer.sent})
	if n.role == Leader && n.lead.leaving {
		n.stepDown()
	}
}

// settleTransfer ends a transfer when it is known who leads.
func (n *Node) settleTransfer() {
	switch {
	case n.transfer.target == None || n.leader == None:
	case n.leader == n.transfer.target:
		n.endTransfer(nil)
	default:
		n.endTransfer(&TransferError{
			Target: n.transfer.target, Reason: fmt.Sprintf("member %d leads instead", n.leader),
		})
	}
}

// endTransfer tells the outcome, but to nobody if nobody asked for the transfer.
func (n *Node) endTransfer(err error) {
	ended := TransferEnded{Target: n.transfer.target, Err: err}
	internal := n.transfer.internal
	n.transfer = transfer{id: n.transfer.id}
	if !internal {
		n.out.add(n.out.transfers.put(ended))
	}
}
