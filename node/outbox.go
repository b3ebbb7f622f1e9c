package node

// outbox collects what one step asks for. Everything in it is reused by the next step.
type outbox struct {
	// early needs no barrier; late, which are Sends only, stand behind the Sync.
	early, late []Action

	sends                  slab[Send]
	syncs                  slab[Sync]
	applies                slab[Apply]
	reads                  slab[ReadEntries]
	takes                  slab[TakeSnapshot]
	snapshotSends          slab[SendSnapshot]
	accepts                slab[AcceptSnapshot]
	restores               slab[RestoreSnapshot]
	memberships            slab[MembershipChanged]
	leaders                slab[LeaderChanged]
	accepted               slab[Accepted]
	rejected               slab[Rejected]
	superseded             slab[Superseded]
	forgotten              slab[Forgotten]
	readsReady             slab[ReadReady]
	readsFailed            slab[ReadFailed]
	transfers              slab[TransferEnded]
	faults                 slab[PeerFault]
	disowned               slab[Disowned]
	stalls                 slab[DiskStalled]
	recoveries             slab[DiskRecovered]
	preVotes               slab[PreVote]
	preVoteReplies         slab[PreVoteReply]
	requestVotes           slab[RequestVote]
	requestVoteReplies     slab[RequestVoteReply]
	appendEntries          slab[AppendEntries]
	appendEntriesReplies   slab[AppendEntriesReply]
	heartbeats             slab[Heartbeat]
	heartbeatReplies       slab[HeartbeatReply]
	installSnapshots       slab[InstallSnapshot]
	installSnapshotReplies slab[InstallSnapshotReply]
	timeoutNows            slab[TimeoutNow]
	readIndexRequests      slab[ReadIndexRequest]
	readIndexReplies       slab[ReadIndexReply]
	refusals               slab[Refusal]
}

// reset takes back what the last step returned.
func (o *outbox) reset() {
	clear(o.early)
	clear(o.late)
	o.early, o.late = o.early[:0], o.late[:0]
	o.sends.reset()
	o.syncs.reset()
	o.applies.reset()
	o.reads.reset()
	o.takes.reset()
	o.snapshotSends.reset()
	o.accepts.reset()
	o.restores.reset()
	o.memberships.reset()
	o.leaders.reset()
	o.accepted.reset()
	o.rejected.reset()
	o.superseded.reset()
	o.forgotten.reset()
	o.readsReady.reset()
	o.readsFailed.reset()
	o.transfers.reset()
	o.faults.reset()
	o.disowned.reset()
	o.stalls.reset()
	o.recoveries.reset()
	o.preVotes.reset()
	o.preVoteReplies.reset()
	o.requestVotes.reset()
	o.requestVoteReplies.reset()
	o.appendEntries.reset()
	o.appendEntriesReplies.reset()
	o.heartbeats.reset()
	o.heartbeatReplies.reset()
	o.installSnapshots.reset()
	o.installSnapshotReplies.reset()
	o.timeoutNows.reset()
	o.readIndexRequests.reset()
	o.readIndexReplies.reset()
	o.refusals.reset()
}

func (o *outbox) add(a Action) { o.early = append(o.early, a) }

// send lets the message leave at once.
func (o *outbox) send(m Message) { o.early = append(o.early, o.sending(m)) }

// sendDurable lets the message leave when everything staged so far is durable.
func (o *outbox) sendDurable(m Message) { o.late = append(o.late, o.sending(m)) }

func (o *outbox) sending(m Message) *Send {
	return o.sends.put(Send{To: m.Head().To, Message: m})
}

// actions closes the step: first what needs no barrier, then the barrier, then the rest.
func (o *outbox) actions(barrier bool, seq uint64) []Action {
	if barrier {
		o.add(o.syncs.put(Sync{Seq: seq}))
	}
	o.early = append(o.early, o.late...)
	return o.early
}

// slab hands out room for values of one type, to be taken back all at once.
type slab[T any] struct {
	items []T
	used  int
}

// put stores v until reset. Growing leaves the values handed out before where they are.
func (s *slab[T]) put(v T) *T {
	if s.used == len(s.items) {
		s.items, s.used = make([]T, max(4, 2*len(s.items))), 0
	}
	item := &s.items[s.used]
	s.used++
	*item = v
	return item
}

// reset takes everything back. A checked build wipes it and never hands the same room out again, so
// that whoever has kept a pointer finds nothing there.
func (s *slab[T]) reset() {
	if s.used == 0 {
		return
	}
	clear(s.items[:s.used])
	if checked {
		s.items = nil
	}
	s.used = 0
}
