package node

// replicationState is how a leader sends entries to one member.
type replicationState uint8

const (
	// probing: where the logs part is not known. One message at a time, then wait.
	probing replicationState = iota
	// replicating: the member keeps up. Entries are sent as they come, up to the window.
	replicating
	// snapshotting: the member needs entries that are gone, and is being sent a snapshot.
	snapshotting
)

func (s replicationState) String() string {
	return [...]string{"probe", "replicate", "snapshot"}[s]
}

// progress is the leader's view of one member. Only its own methods change it, but for the fields
// of the second group.
type progress struct {
	id    ID
	state replicationState
	// match is the highest index known to be durable there. Invariant: match < next.
	match Index
	// next is the index of the next entry to send.
	next Index
	// paused: a probe is under way, and no other is sent before its answer or a sign of life.
	paused bool
	// snapshot is the index of the one being sent, in state snapshotting.
	snapshot Index
	// snapshotSince is the leader's clock when its sending began.
	snapshotSince uint64
	window        window

	// commitSent is the highest commit index that a message to it carried and commitSeen the
	// highest that it said it has.
	commitSent, commitSeen Index
	// contact is the leader's clock when the member was last heard from; heard is false before
	// that happened in this term.
	contact uint64
	heard   bool
	// round is the highest round of confirmation that it has answered.
	round uint64
	// checked is the leader's clock, plus one, when it was last asked whether it has what it was sent.
	checked uint64
	// reading: a ReadEntries for it is under way.
	reading bool
	// life is the one by which the leader knows it, or knew it when it was removed.
	life Incarnation
	// leaving is the index of the configuration that removed it, zero while it is a member.
	leaving Index
	// leavingSince is the leader's clock when that was committed, zero before.
	leavingSince uint64
	// catchUp follows a learner's rounds of catching up.
	catchUp catchUp
}

func newProgress(id ID, next Index, window window) *progress {
	return &progress{id: id, next: next, window: window}
}

// knowAs notes the life by which a member is known. Who is leaving stays who it was.
func (p *progress) knowAs(life Incarnation) {
	if p.leaving == 0 {
		p.life = life
	}
}

// acked notes that the member has the log up to match, and tells whether that is news.
func (p *progress) acked(match Index) bool {
	p.window.freeTo(match)
	if match <= p.match {
		return false
	}
	p.match = match
	p.next = max(p.next, match+1)
	return true
}

// replicate goes on from match, sending as fast as the window lets it.
func (p *progress) replicate() {
	p.state, p.paused, p.snapshot = replicating, false, 0
	p.next = p.match + 1
	p.window.clear()
}

// probe looks for where the logs part, from next on.
func (p *progress) probe(next Index) {
	p.state, p.paused, p.snapshot = probing, false, 0
	p.next = max(next, p.match+1)
	p.window.clear()
}

// sendSnapshot stops sending entries until a snapshot at index has arrived.
func (p *progress) sendSnapshot(index Index, clock uint64) {
	p.state, p.paused, p.snapshot, p.snapshotSince = snapshotting, true, index, clock
	p.window.clear()
}

// sent notes that entries up to and with last are on their way.
func (p *progress) sent(last Index, bytes int) {
	p.next = last + 1
	p.window.add(last, bytes)
}

// pause stops probing until something is heard.
func (p *progress) pause() { p.paused = true }

// resume lets probing go on.
func (p *progress) resume() {
	if p.state == probing {
		p.paused = false
	}
}

// blocked tells whether no entries may be sent now.
func (p *progress) blocked() bool {
	switch p.state {
	case probing:
		return p.paused
	case replicating:
		return p.window.full()
	default:
		return true
	}
}

// window is what is on its way to one member.
type window struct {
	flights     ring[flight]
	bytes       int
	messagesMax int
	bytesMax    int
}

// flight is entries on their way, in a message, to being committed, or to the machine: the index of the
// last, and their bytes.
type flight struct {
	last  Index
	bytes int
}

func newWindow(messagesMax, bytesMax int) window {
	return window{messagesMax: messagesMax, bytesMax: bytesMax}
}

func (w *window) full() bool { return w.flights.count >= w.messagesMax || w.bytes >= w.bytesMax }

func (w *window) add(last Index, bytes int) {
	w.flights.push(flight{last: last, bytes: bytes})
	w.bytes += bytes
}

// freeTo forgets the messages that end at or before match.
func (w *window) freeTo(match Index) {
	for w.flights.count > 0 && w.flights.front().last <= match {
		w.bytes -= w.flights.pop().bytes
	}
}

func (w *window) clear() {
	w.flights.clear()
	w.bytes = 0
}

// catchUp measures a learner's rounds: in each it receives what the log held when the round began,
// and once a round takes less than an election timeout the learner can vote without being missed
// (§4.2.1).
type catchUp struct {
	// end is the index that ends the present round, and began the leader's clock at its start.
	end   Index
	began uint64
	// ticks is how long the last complete round took, and done says that there was one.
	ticks uint64
	done  bool
}

// advance notes that the learner has the log up to match.
func (c *catchUp) advance(match, last Index, clock uint64) {
	if match < c.end {
		return
	}
	c.done, c.ticks = true, clock-c.began
	c.end, c.began = last, clock
}

// near tells whether the learner is within one short round of the end.
func (c *catchUp) near(match, last Index, clock, ticksMax uint64) bool {
	if match >= last {
		return true
	}
	return c.done && c.ticks < ticksMax && clock-c.began < ticksMax
}
