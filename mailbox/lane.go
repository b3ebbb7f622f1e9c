package mailbox

import "math"

// A laneQueue holds the messages of one lane in the order of posting, in two buffers: posters fill
// one while the other is delivered from, and they change places when the latter is used up. So a
// turn takes any number of messages for the price of one exchange, and in steady state nothing is
// allocated.
type laneQueue struct {
	messagesMax int // as posted to; constant
	bytesMax    int // as posted to; constant

	// Guarded by Mailbox.mu.
	in      buffer
	posted  uint64 // messages ever accepted
	taken   uint64 // messages ever taken; Invariant: taken <= posted
	bytes   int    // of what is accepted and not taken
	refused uint64 // messages ever refused

	// Owned by whoever runs the turn.
	out buffer
	// Invariant: out[:delivered] is cleared, out[delivered:lent] is in the batch that is being
	// delivered
	delivered, lent int
	spacious        int // exchanges in a row of a large buffer of which little was used
}

// A buffer is a run of messages with their sizes. Invariant: the two have the same length.
type buffer struct {
	messages []any
	bytes    []int
}

// waiting returns the number of messages that are accepted and not taken.
func (q *laneQueue) waiting() int { return int(q.posted - q.taken) }

// push accepts the message, or counts it as refused. An empty lane accepts a message of any size.
func (q *laneQueue) push(message any, bytes int) bool {
	if q.waiting() >= q.messagesMax || (bytes > q.bytesMax-q.bytes && q.waiting() > 0) {
		q.refused++
		return false
	}
	q.in.messages = append(q.in.messages, message)
	q.in.bytes = append(q.in.bytes, bytes)
	q.posted++
	q.bytes += bytes
	return true
}

// take lends the longest run of waiting messages that has at most messagesMax messages, at most
// bytesMax bytes (but one message at least), and none that was posted after the first upTo. They
// stay valid until release.
func (q *laneQueue) take(messagesMax, bytesMax int, upTo uint64) []any {
	messagesMax = int(min(uint64(messagesMax), upTo-q.taken))
	if messagesMax == 0 || q.waiting() == 0 {
		return nil
	}
	if q.delivered == len(q.out.messages) {
		q.exchange()
	}
	sizes := q.out.bytes[q.delivered:]
	n, bytes := 0, 0
	for n < min(messagesMax, len(sizes)) && (n == 0 || sizes[n] <= bytesMax-bytes) {
		bytes += sizes[n]
		n++
	}
	q.taken += uint64(n)
	q.bytes -= bytes
	q.lent = q.delivered + n
	return q.out.messages[q.delivered:q.lent:q.lent]
}

// release takes back what take has lent, and lets go of the messages.
func (q *laneQueue) release() {
	clear(q.out.messages[q.delivered:q.lent])
	q.delivered = q.lent
}

// A buffer that was once grown by a burst is let go when spaciousMax exchanges in a row have used
// less than a quarter of it; buffers of up to smallCap messages are kept for good.
const (
	smallCap    = 1024
	spaciousMax = 1024
)

// exchange lets posters fill the buffer that is used up, and delivers from the one that they have
// filled.
func (q *laneQueue) exchange() {
	empty := buffer{q.out.messages[:0], q.out.bytes[:0]}
	if size := cap(empty.messages); size > smallCap {
		q.spacious++
		if len(q.out.messages) > size/4 {
			q.spacious = 0
		}
		if q.spacious > spaciousMax {
			empty, q.spacious = buffer{}, 0
		}
	}
	q.in, q.out = empty, q.in
	q.delivered, q.lent = 0, 0
}

// A solo is a message that is delivered on its own, after all that was posted before it and before
// all that was posted after it, in every lane.
type solo struct {
	message any
	after   [lanes]uint64 // what each lane had accepted when it was posted
}

// unfenced is the fence of a mailbox in which no solo waits.
var unfenced = [lanes]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64}

// A fifo is a queue of few elements.
type fifo[T any] struct {
	elements []T
	head     int
}

func (q *fifo[T]) len() int { return len(q.elements) - q.head }

func (q *fifo[T]) push(element T) { q.elements = append(q.elements, element) }

func (q *fifo[T]) front() *T { return &q.elements[q.head] }

func (q *fifo[T]) pop() T {
	var zero T
	element := q.elements[q.head]
	q.elements[q.head] = zero
	q.head++
	switch {
	case q.head == len(q.elements):
		q.elements, q.head = q.elements[:0], 0
	case q.head >= smallCap && q.head > len(q.elements)/2:
		n := copy(q.elements, q.elements[q.head:])
		clear(q.elements[n:])
		q.elements, q.head = q.elements[:n], 0
	}
	return element
}
