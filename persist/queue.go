package persist

import (
	"sync"
	"sync/atomic"

	"example.com/raftactor/persist/internal/format"
)

// A queue is what members have handed over and the writer has not taken: batches, oldest first. Mostly there is one, which
// grows while the one before it is being written.
type queue struct {
	mu sync.Mutex
	// waiting are the batches. Guarded by mu.
	waiting []*shipment
	// idle are used again. Guarded by mu.
	idle []*shipment
	// usual is how long the last batch was. Guarded by mu.
	usual int
}

// shipmentsMax is how many are kept: one that waits, one that is being written and one whose members are being told.
const shipmentsMax = 3

// A shipment is a batch that has not been written, and who waits for it. It is guarded by the queue's mu, and then belongs
// to the writer.
type shipment struct {
	flight *flight
	// parts are what members have handed over: what is small one behind the other, what is large as it is. Mostly there is
	// one part, which is written where it is.
	parts []cargo
	// bytes is how long they are together, with one header.
	bytes int64
	loads []load
}

// A load is what a batch has of one member, and who waits for it.
type load struct {
	member  *member
	weighty bool
	seq     uint64
	done    func(uint64, error)
}

// A flight is a batch on its way to the disk. All whose records are in it see by it that they have become durable, so
// that the writer need not go to each.
type flight struct {
	// at is where the batch is. Set before landed.
	at     place
	landed atomic.Bool
}

// enqueue puts what a member has staged behind what waits for the writer. It returns where in the batch that begins, and
// whether the writer is to be told that there is one. It is called by the goroutine of the member, with its mu held.
func (s *Store) enqueue(m *member, seq uint64, done func(uint64, error)) (at int64, first bool, err error) {
	q := &s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := s.failure(); err != nil {
		return 0, false, err
	}
	n := len(q.waiting)
	first = n == 0
	if n == 0 || q.waiting[n-1].bytes >= int64(s.opts.BatchBytesMax) {
		q.waiting = append(q.waiting, q.fresh())
		n++
	}
	newest := q.waiting[n-1]
	at = newest.put(&m.log.stage.cargo, q.usual)
	newest.wait(m, m.log.stage.weighty, seq, done)
	return at, first, nil
}

// fresh returns a shipment with nothing in it. It is called with mu held.
func (q *queue) fresh() *shipment {
	x := &shipment{}
	if n := len(q.idle); n > 0 {
		x, q.idle = q.idle[n-1], q.idle[:n-1]
	}
	x.flight, x.bytes = &flight{}, format.BatchHeaderBytes
	return x
}

// take returns the oldest batch, or nil.
func (q *queue) take() *shipment {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	x := q.waiting[0]
	n := copy(q.waiting, q.waiting[1:])
	q.waiting[n] = nil
	q.waiting = q.waiting[:n]
	q.usual = int(x.bytes)
	return x
}

// giveBack takes a shipment that is used no more.
func (q *queue) giveBack(x *shipment) {
	clear(x.loads)
	x.parts, x.loads, x.flight = x.parts[:0], x.loads[:0], nil
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.idle) < shipmentsMax {
		q.idle = append(q.idle, x)
	}
}

// put puts records into the batch, and returns where they lie in it. What has a buffer that is shared loses it: it is not
// copied.
func (x *shipment) put(c *cargo, usual int) int64 {
	at, records := x.bytes, c.records()
	x.bytes += int64(len(records))
	switch {
	case len(records) == 0:
	case cap(c.buffer) > ownBytesMax:
		x.parts = append(x.parts, *c)
		*c = cargo{}
	default:
		if len(x.parts) == 0 {
			x.parts = append(x.parts, cargo{})
			x.parts[0].reserve(max(usual, ownBytesMax))
		}
		x.parts[len(x.parts)-1].add(records, c.count)
	}
	return at
}

// wait notes that a member waits for the batch, or for those before it. done is nil if it does not.
func (x *shipment) wait(m *member, weighty bool, seq uint64, done func(uint64, error)) {
	if m.flight != x.flight {
		m.flight, m.load = x.flight, len(x.loads)
		x.loads = append(x.loads, load{member: m})
	}
	l := &x.loads[m.load]
	l.weighty = l.weighty || weighty
	if done != nil {
		l.seq, l.done = seq, done
	}
}

// cargo returns the records as they are written. They are the writer's.
func (x *shipment) cargo() cargo {
	if len(x.parts) == 0 {
		return cargo{}
	}
	whole := x.parts[0]
	if len(x.parts) > 1 {
		whole.reserve(int(x.bytes) - len(whole.buffer))
	}
	for i := range x.parts[1:] {
		c := &x.parts[i+1]
		whole.add(c.records(), c.count)
		giveBack(c.buffer)
	}
	clear(x.parts)
	return whole
}
