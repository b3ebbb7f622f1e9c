package node

// A read is linearizable at the commit index of a leader that was still leader after the read was
// asked for (§6.4). A round of heartbeats confirms that, for all reads that wait; rounds are
// numbered, so that an answer to an earlier round confirms nothing. Followers ask their leader, one
// request at a time for all their reads.

// leaderReads are the reads that wait for confirmation, own and of followers.
type leaderReads struct {
	queue ring[leaderRead]
	// unlaunched is how many at the end of the queue have no round yet.
	unlaunched int
}

type leaderRead struct {
	// reply is, for a follower's request, what to answer it with; its To is None for an own read.
	reply Header
	// id is that of an own read, or a follower's batch.
	id    uint64
	round uint64
	index Index
}

func (r *leaderReads) add(read leaderRead) {
	r.queue.push(read)
	r.unlaunched++
}

// launch puts the waiting reads on a round, to see everything up to commit.
func (r *leaderReads) launch(round uint64, commit Index, ready bool) {
	if !ready {
		return
	}
	for i := r.queue.count - r.unlaunched; i < r.queue.count; i++ {
		read := r.queue.at(i)
		read.round, read.index = round, commit
	}
	r.unlaunched = 0
}

// idle tells whether reads wait and none has a round under way.
func (r *leaderReads) idle() bool { return r.unlaunched > 0 && r.unlaunched == r.queue.count }

// ready starts on the reads that waited for the first commit of the term.
func (r *leaderReads) ready(n *Node) {
	if r.idle() && n.isReadyToRead() {
		n.broadcastHeartbeat()
	}
}

// failAll tells the own reads that they will not happen. Followers find out by the new leader.
func (r *leaderReads) failAll(n *Node) {
	for r.queue.count > 0 {
		if read := r.queue.pop(); read.reply.To == None {
			n.failRead(read.id, n.notLeader())
		}
	}
	r.unlaunched = 0
}

// followerReads are the reads for which a follower asks its leader.
type followerReads struct {
	queue ring[followerRead]
	// unsent is how many at the end of the queue have not been asked for.
	unsent int
	// batch is the number of the newest request. It starts anywhere, so that an answer to a request
	// from before a restart is not taken for one of now.
	batch uint64
	// sinceRequest counts ticks.
	sinceRequest int
}

type followerRead struct{ id, batch uint64 }

func (n *Node) failRead(id uint64, err error) {
	n.out.add(n.out.readsFailed.put(ReadFailed{ID: id, Err: err}))
}

// isReadyToRead: before the first commit of its term a leader does not know what is committed.
func (n *Node) isReadyToRead() bool { return n.commit >= n.lead.start }

func (n *Node) readIndex(id uint64) {
	switch {
	case n.role == Leader:
		if n.lead.reads.queue.count >= n.cfg.ReadsMax {
			n.failRead(id, ErrOverloaded)
			return
		}
		n.lead.reads.add(leaderRead{id: id})
		n.lead.reads.ready(n)
	case n.leader == None:
		n.failRead(id, n.notLeader())
	case n.reads.queue.count >= n.cfg.ReadsMax:
		n.failRead(id, ErrOverloaded)
	default:
		n.reads.queue.push(followerRead{id: id})
		n.reads.unsent++
		if n.reads.unsent == n.reads.queue.count {
			n.requestReads()
		}
	}
}

// requestReads asks the leader on behalf of all reads that wait.
func (n *Node) requestReads() {
	r := &n.reads
	r.batch++
	for i := r.queue.count - r.unsent; i < r.queue.count; i++ {
		r.queue.at(i).batch = r.batch
	}
	r.unsent, r.sinceRequest = 0, 0
	n.out.send(n.out.readIndexRequests.put(ReadIndexRequest{Header: n.header(n.leader), Batch: r.batch}))
}

// retryReads asks again when an answer is overdue.
func (n *Node) retryReads(elapsed int) {
	if n.reads.queue.count == 0 || n.leader == None {
		return
	}
	if n.reads.sinceRequest += elapsed; n.reads.sinceRequest >= n.cfg.HeartbeatTicks {
		n.requestReads()
	}
}

// failReads gives up on what was asked of a leader that leads no more.
func (n *Node) failReads() {
	for n.reads.queue.count > 0 {
		n.failRead(n.reads.queue.pop().id, n.notLeader())
	}
	n.reads.unsent = 0
}

func (n *Node) handleReadIndexRequest(m *ReadIndexRequest) {
	if n.role != Leader {
		n.counters.Stale++
		return
	}
	if n.lead.reads.queue.count >= n.cfg.ReadsMax {
		return // it asks again
	}
	n.lead.reads.add(leaderRead{reply: n.replyTo(m), id: m.Batch})
	n.lead.reads.ready(n)
}

// confirmReads answers the reads whose round a majority of voters has answered, and starts a round
// for those that came meanwhile.
func (n *Node) confirmReads() {
	reads := &n.lead.reads
	if reads.queue.count == 0 {
		return
	}
	confirmed := n.members.electorate.reached(func(id ID) uint64 {
		if id == n.id {
			return n.lead.round
		}
		if p := n.lead.progress(id); p != nil {
			return p.round
		}
		return 0
	})
	for reads.queue.count > reads.unlaunched && reads.queue.front().round <= confirmed {
		read := reads.queue.pop()
		if read.reply.To == None {
			n.out.add(n.out.readsReady.put(ReadReady{ID: read.id, Index: read.index}))
			continue
		}
		n.out.send(n.out.readIndexReplies.put(ReadIndexReply{Header: read.reply, Batch: read.id, Index: read.index}))
	}
	reads.ready(n)
}

func (n *Node) handleReadIndexReply(m *ReadIndexReply) {
	if n.role == Leader || m.From != n.leader || m.Batch > n.reads.batch {
		n.counters.Stale++
		return
	}
	r := &n.reads
	for r.queue.count > r.unsent && r.queue.front().batch <= m.Batch {
		n.out.add(n.out.readsReady.put(ReadReady{ID: r.queue.pop().id, Index: m.Index}))
	}
	if r.unsent > 0 && r.unsent == r.queue.count {
		n.requestReads()
	}
}
