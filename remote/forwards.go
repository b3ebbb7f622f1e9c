package raftremote

import "example.com/raftactor/node"

// openForwards are the requests that have been sent to another system and are not answered. When that is lost, they are
// forgotten: their members are told, and answer those who ask. Guarded by the lock of the line.
type openForwards struct {
	waiting map[uint64]openForward
	// last is the newest number. oldest is the lowest that may still wait.
	last, oldest uint64
	bytes        int
	bytesMax     int
}

type openForward struct {
	forward node.Forward
	bytes   int
	at      int64
}

// forwardsMax bounds the requests that wait for their answers. Who asked gives up on those that are forgotten when their
// time is over.
const forwardsMax = 1 << 16

// add gives a request its number.
func (o *openForwards) add(f node.Forward, now int64) uint64 {
	if o.waiting == nil {
		o.waiting, o.oldest = map[uint64]openForward{}, o.last+1
	}
	o.last++
	bytes := f.Bytes()
	o.waiting[o.last] = openForward{f, bytes, now}
	o.bytes += bytes
	for len(o.waiting) > forwardsMax || o.bytes > o.bytesMax && len(o.waiting) > 1 {
		o.forgetOldest()
	}
	return o.last
}

// take is the request of a number, or nil.
func (o *openForwards) take(number uint64) node.Forward {
	w, ok := o.waiting[number]
	if ok {
		delete(o.waiting, number)
		o.bytes -= w.bytes
	}
	return w.forward
}

// forgetOldest forgets the request that was sent first.
func (o *openForwards) forgetOldest() {
	for ; o.oldest <= o.last; o.oldest++ {
		if _, ok := o.waiting[o.oldest]; ok {
			o.take(o.oldest)
			return
		}
	}
}

// forgetBefore forgets what was sent before a moment.
func (o *openForwards) forgetBefore(moment int64) {
	for ; o.oldest <= o.last; o.oldest++ {
		if w, ok := o.waiting[o.oldest]; ok {
			if w.at >= moment {
				return
			}
			o.take(o.oldest)
		}
	}
}

// forgetUpTo forgets what was sent up to a number.
func (o *openForwards) forgetUpTo(number uint64) {
	for ; o.oldest <= number; o.oldest++ {
		o.take(o.oldest)
	}
}

// clear forgets all. Numbers go on, so that an answer to one of these is not taken for that to another.
func (o *openForwards) clear() { o.waiting, o.bytes = nil, 0 }
