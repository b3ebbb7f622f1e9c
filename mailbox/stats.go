package mailbox

// Stats are a mailbox's counters at one moment.
type Stats struct {
	Control, Peer, Requests LaneStats
	// Solos is the number of waiting messages that are delivered on their own, as Proto.Actor's
	// Touch and PoisonPill are.
	Solos int
}

// LaneStats are the counters of one lane.
type LaneStats struct {
	Waiting  int    // messages that are queued
	Bytes    int    // what they stand for, with MessageBytesMin each at least
	Accepted uint64 // messages ever queued
	Refused  uint64 // messages ever dropped (Peer) or answered (Request) because the lane was full
}

// Stats returns the mailbox's counters.
func (m *Mailbox) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{
		Control:  m.queues[Control].stats(),
		Peer:     m.queues[Peer].stats(),
		Requests: m.queues[Request].stats(),
		Solos:    m.solos.len(),
	}
}

func (q *laneQueue) stats() LaneStats {
	return LaneStats{Waiting: q.waiting(), Bytes: q.bytes, Accepted: q.posted, Refused: q.refused}
}
