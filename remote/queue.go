package raftremote

import (
	"math"
	"slices"

	"example.com/raftactor/node"
)

// A queue holds what waits for one connection to another system: the messages of all groups, one flow for each pair of
// members. Within a flow the order is kept. Between flows what is small goes first, and entries take turns, so that no
// group waits behind the megabytes of another. It is bounded in bytes over all, and a newer message takes the place of an
// older one that it makes useless. Whoever owns it has a lock.
type queue struct {
	// bytesMax bounds bytes, which is roughly what waits stands for in memory. Control messages may go beyond it by an
	// eighth.
	bytesMax, bytes int
	flows           map[flowKey]*flow
	// ring are the flows in which something waits, and turn is the one whose entries are next.
	ring []*flow
	turn int
	// overdue: what is next has had to wait for a frame in which there is less else. It is the first in the next one.
	overdue bool
	// answers are those to requests that came from there.
	answers     []wireAnswer
	answerBytes int
	// lost is what was lost since the owner has last taken it. The owner settles it when it has given its lock back.
	lost losses
	// drops counts what was dropped.
	drops *dropCounts
}

// losses are what the members here have to be told of.
type losses struct {
	// forwards were never sent.
	forwards []node.Forward
	// reports say who does not reach whom.
	reports []lossReport
}

type lossReport struct {
	member *member
	to     node.ID
}

// settle tells the members. No lock is held.
func (l losses) settle() {
	for _, f := range l.forwards {
		f.Drop()
	}
	for _, r := range l.reports {
		r.member.unreachable(r.to)
	}
}

type flowKey struct {
	group    string
	from, to node.ID
}

// A flow is what one member has for another.
type flow struct {
	key    flowKey
	member *member
	// items[head:] wait, but for the dead among them, whose place a newer one has taken.
	items      []item
	head, dead int
	bytes      int
	// newest is for each kind that is replaced the index+1 of the newest item.
	newest [replacedKinds]int
	// told: the member knows that what it sends gets lost.
	told bool
	// used is when it was last sent something.
	used int64
	// slot is, while a frame is filled, the index+1 of the flow's envelope in it.
	slot int
}

// An item is a message, a forwarded request, a chunk, or the answer to one.
type item struct {
	message node.Message
	forward node.Forward
	chunk   *node.SnapshotChunk
	ack     *node.SnapshotAck
	// at is when it came. bytes is what it stands for in memory, wire is roughly what it is in a frame.
	at          int64
	bytes, wire int
	kind        replacedKind
	// control: it is small, and does not wait for the entries of other flows.
	control, dead bool
}

const (
	itemBytes = 128 // of a message without its entries
	itemWire  = 48
	// chunksMax bounds the chunks of a transfer: what a sender has under way unanswered.
	chunksMax = 8
)

// flow is the flow of a pair of members.
func (q *queue) flow(m *member, to node.ID) *flow {
	key := flowKey{m.group, m.id, to}
	f := q.flows[key]
	if f == nil || f.member != m {
		f = &flow{key: key, member: m}
		if q.flows == nil {
			q.flows = map[flowKey]*flow{}
		}
		q.flows[key] = f
	}
	return f
}

// put takes what an envelope carries, or loses a part of it.
func (q *queue) put(m *member, to node.ID, e *node.PeerEnvelope, now int64) {
	f := q.flow(m, to)
	f.used = now
	for _, message := range e.Messages {
		i := item{message: message, at: now, bytes: itemBytes, wire: itemWire, control: true, kind: kindOf(message)}
		if entries, ok := message.(*node.AppendEntries); ok && len(entries.Entries) > 0 {
			i.control = false
			for k := range entries.Entries {
				i.bytes += 48 + len(entries.Entries[k].Data)
				i.wire += 16 + len(entries.Entries[k].Data)
			}
		}
		q.add(f, i)
	}
	for _, forward := range e.Forwards {
		bytes := forward.Bytes()
		q.add(f, item{forward: forward, at: now, bytes: itemBytes + bytes, wire: itemWire + bytes})
	}
	if e.Chunk != nil && !f.hasChunk(e.Chunk) {
		bytes := len(e.Chunk.Data) + offerBytes(e.Chunk.Offer)
		q.add(f, item{chunk: e.Chunk, at: now, bytes: itemBytes + bytes, wire: itemWire + bytes})
	}
	if e.Ack != nil {
		q.add(f, item{ack: e.Ack, at: now, bytes: itemBytes, wire: itemWire, control: true, kind: replacedAck})
	}
}

// offerBytes is about what an offer takes in a frame.
func offerBytes(o *node.InstallSnapshot) (bytes int) {
	if o == nil {
		return 0
	}
	for k := range o.Meta.Configuration.Members {
		bytes += itemWire + len(o.Meta.Configuration.Members[k].Address)
	}
	return bytes
}

// refuse loses an envelope: nobody is there. The member is told once.
func (q *queue) refuse(m *member, to node.ID, e *node.PeerEnvelope, now int64) {
	f := q.flow(m, to)
	f.used = now
	q.lost.forwards = append(q.lost.forwards, e.Forwards...)
	q.drops.add(dropUnreachable, len(e.Messages)+len(e.Forwards))
	q.tell(f)
}

// tell has the member told that what it sends gets lost, unless it knows.
func (q *queue) tell(f *flow) {
	if !f.told {
		f.told = true
		q.lost.reports = append(q.lost.reports, lossReport{f.member, f.key.to})
	}
}

// add puts an item behind the others of its flow, if there is room.
func (q *queue) add(f *flow, i item) {
	if i.kind != 0 && f.newest[i.kind] != 0 && i.replaces(&f.items[f.newest[i.kind]-1]) {
		q.bury(f, f.newest[i.kind]-1)
	}
	if !q.makeRoom(f, &i) {
		q.reject(f, &i, dropFull)
		return
	}
	if f.head == len(f.items) {
		q.ring = append(q.ring, f)
	}
	f.items = append(f.items, i)
	f.newest[i.kind] = len(f.items)
	f.bytes += i.bytes
	q.bytes += i.bytes
}

// bury takes an item away whose place a newer one takes.
func (q *queue) bury(f *flow, index int) {
	i := &f.items[index]
	q.bytes -= i.bytes
	f.bytes -= i.bytes
	*i = item{dead: true}
	f.dead++
	q.drops.add(dropReplaced, 1)
	if f.dead > 16 && f.dead > (len(f.items)-f.head)/2 {
		f.compact()
	}
}

// compact takes the dead out. One lives at least, or the flow would leave the ring: the caller adds one.
func (f *flow) compact() {
	kept := f.items[:0]
	f.newest = [replacedKinds]int{}
	for k := f.head; k < len(f.items); k++ {
		if !f.items[k].dead {
			kept = append(kept, f.items[k])
			f.newest[f.items[k].kind] = len(kept)
		}
	}
	if len(kept) == 0 {
		kept = append(kept, item{dead: true})
	}
	clear(f.items[len(kept):])
	f.items, f.head, f.dead = kept, 0, 0
	if kept[0].dead {
		f.dead = 1
	}
}

// makeRoom tells whether there is room for an item. Entries of a flow that has more waiting than others go first.
func (q *queue) makeRoom(f *flow, i *item) bool {
	limit := q.bytesMax
	if i.control {
		limit += limit / 8
	}
	for q.bytes+i.bytes > limit && q.bytes > 0 {
		longest := f
		for _, other := range q.ring {
			if other.bytes > longest.bytes {
				longest = other
			}
		}
		if i.control || longest.bytes <= f.bytes+i.bytes || !q.dropNewest(longest) {
			return false
		}
	}
	return true
}

// dropNewest drops what came last to a flow and is no control message, if there is any.
func (q *queue) dropNewest(f *flow) bool {
	for k := len(f.items) - 1; k >= f.head; k-- {
		i := &f.items[k]
		if i.dead || i.control {
			continue
		}
		q.bytes -= i.bytes
		f.bytes -= i.bytes
		q.reject(f, i, dropFull)
		*i = item{dead: true}
		f.dead++
		return true
	}
	return false
}

// reject loses an item, and has the member told what it must know.
func (q *queue) reject(f *flow, i *item, reason dropReason) {
	q.drops.add(reason, 1)
	if i.forward != nil {
		q.lost.forwards = append(q.lost.forwards, i.forward)
		return
	}
	if i.message != nil && !i.control {
		q.tell(f)
	}
}

// hasChunk tells whether a chunk need not be queued: it waits already, or too many of its transfer do. Chunks of another
// attempt are of no use any more.
func (f *flow) hasChunk(c *node.SnapshotChunk) bool {
	waiting := 0
	for k := f.head; k < len(f.items); k++ {
		other := f.items[k].chunk
		if other == nil || other.Transfer != c.Transfer {
			continue
		}
		if waiting++; other.Offset == c.Offset || waiting >= chunksMax {
			return true
		}
	}
	return false
}

// put an answer to a request from there behind the others, if there is room.
func (q *queue) putAnswer(a wireAnswer) {
	bytes := itemBytes + len(a.data)
	if q.bytes+bytes > q.bytesMax+q.bytesMax/8 {
		q.drops.add(dropFull, 1)
		return
	}
	q.answers = append(q.answers, a)
	q.answerBytes += bytes
	q.bytes += bytes
}

func (q *queue) isEmpty() bool { return len(q.ring) == 0 && len(q.answers) == 0 }

// take moves what goes next into a parcel, up to limit bytes, or with one item more that is larger: it does not wait for a
// frame in which nothing else is to be, but for the next one at most. What came before oldest is
// dropped, but for chunks and answers, which are of use also when they are late.
func (q *queue) take(p *parcel, limit int, oldest int64) {
	most := p.itemMax
	if q.overdue && q.turn < len(q.ring) {
		q.pop(p, q.ring[q.turn], oldest)
		q.turn++
		most = limit
	}
	q.overdue = false
	q.takeAnswers(p, limit/2)
	for _, f := range q.ring {
		q.takeControl(p, f, limit, oldest)
	}
	if q.turn >= len(q.ring) {
		q.turn = 0
	}
	for more := len(q.ring) > 0; more; {
		more = false
		for range q.ring {
			f := q.ring[q.turn]
			if f.head < len(f.items) {
				if i := &f.items[f.head]; p.wire > 0 && p.wire+i.wire > most && i.wire <= p.itemMax {
					more, q.overdue = false, most == p.itemMax
					break
				}
				q.pop(p, f, oldest)
				q.takeControl(p, f, limit, oldest)
				most, more = limit, true
			}
			q.turn = (q.turn + 1) % len(q.ring)
		}
	}
	q.leaveRing()
}

func (q *queue) takeAnswers(p *parcel, limit int) {
	taken := 0
	for ; taken < len(q.answers); taken++ {
		a := q.answers[taken]
		wire := itemWire + len(a.data)
		if p.wire > 0 && p.wire+wire > limit {
			break
		}
		q.answerBytes -= itemBytes + len(a.data)
		q.bytes -= itemBytes + len(a.data)
		if wire > p.itemMax {
			q.drops.add(dropTooLarge, 1)
			continue
		}
		p.frame.answers = append(p.frame.answers, a)
		p.wire += wire
	}
	q.answers = slices.Delete(q.answers, 0, taken)
}

// takeControl takes what stands in front of a flow and is small.
func (q *queue) takeControl(p *parcel, f *flow, limit int, oldest int64) {
	for f.head < len(f.items) && p.wire < 2*limit && (f.items[f.head].control || f.items[f.head].dead) {
		q.pop(p, f, oldest)
	}
}

// pop takes the first item of a flow.
func (q *queue) pop(p *parcel, f *flow, oldest int64) {
	i := f.items[f.head]
	f.items[f.head] = item{}
	f.head++
	if f.newest[i.kind] == f.head {
		f.newest[i.kind] = 0
	}
	if i.dead {
		f.dead--
		return
	}
	f.bytes -= i.bytes
	q.bytes -= i.bytes
	if i.at < oldest && i.chunk == nil && i.ack == nil {
		q.reject(f, &i, dropStale)
		return
	}
	if i.wire > p.itemMax {
		q.reject(f, &i, dropTooLarge)
		return
	}
	p.add(f, &i)
}

// leaveRing takes the flows out of the ring in which nothing waits any more.
func (q *queue) leaveRing() {
	kept := 0
	turn := q.turn
	for k, f := range q.ring {
		f.slot = 0
		if f.head == len(f.items) {
			f.empty()
			if k < turn {
				q.turn--
			}
			continue
		}
		q.ring[kept] = f
		kept++
	}
	clear(q.ring[kept:])
	q.ring = q.ring[:kept]
	if q.turn >= kept {
		q.turn = 0
	}
}

// empty makes a flow ready for more. What it sends from now on may arrive again.
func (f *flow) empty() {
	if cap(f.items) > 1024 {
		f.items = nil
	}
	f.items, f.head, f.dead, f.newest, f.told = f.items[:0], 0, 0, [replacedKinds]int{}, false
}

// drop loses all that waits, and has every member told who has sent anything.
func (q *queue) drop() {
	for _, f := range q.ring {
		for k := f.head; k < len(f.items); k++ {
			if i := &f.items[k]; !i.dead {
				q.reject(f, i, dropUnreachable)
			}
		}
		f.empty()
		f.bytes = 0
	}
	clear(q.ring)
	q.ring, q.turn, q.bytes, q.answers, q.answerBytes = q.ring[:0], 0, 0, nil, 0
	for _, f := range q.flows {
		f.told = false
		q.tell(f)
	}
}

// tellAll has every member told who has sent anything that what it sent last may be lost.
func (q *queue) tellAll() {
	for _, f := range q.flows {
		q.lost.reports = append(q.lost.reports, lossReport{f.member, f.key.to})
	}
}

// hopeAgain has the members told again when something gets lost from now on.
func (q *queue) hopeAgain() {
	for _, f := range q.flows {
		f.told = false
	}
}

// forget loses what a member has left, and what has not been used since a moment.
func (q *queue) forget(gone *member, unused int64) {
	for key, f := range q.flows {
		switch {
		case f.member == gone:
			for k := f.head; k < len(f.items); k++ {
				if i := &f.items[k]; !i.dead {
					q.reject(f, i, dropUnreachable)
				}
			}
			q.bytes -= f.bytes
			f.empty()
			f.bytes = 0
		case f.head == len(f.items) && f.used < unused:
		default:
			continue
		}
		delete(q.flows, key)
	}
	q.leaveRing()
	q.lost.reports = slices.DeleteFunc(q.lost.reports, func(r lossReport) bool { return r.member == gone })
}

// takeLost is what the owner settles when it has given its lock back.
func (q *queue) takeLost() losses {
	lost := q.lost
	q.lost = losses{}
	return lost
}

const forever = math.MinInt64 // as the oldest moment: nothing is stale
