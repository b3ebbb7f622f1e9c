package raft

// A pace tells how long a command has to wait that is appended to the log now, from how fast a leader has come on with
// what is in front of it. Whatever holds it up, the machine, a disk or the network: only if what was there a tick ago
// waits still is there anything to wait for.
type pace struct {
	// last is where the log ended a tick ago, and applied how far the machine was.
	last, applied Index
	// rate is how many entries are applied in paceUnit ticks, at best in the last few of them. Zero if it is not known,
	// or if nothing waits.
	rate int64
	// stalled is for how many ticks nothing has been applied although something waits.
	stalled int64
}

// paceUnit is how many ticks a rate is for.
const paceUnit = 1 << 10

// tick takes note of where the log ends and how far the machine is, when ticks have passed.
func (p *pace) tick(elapsed int64, last, applied Index) {
	done := int64(applied - min(p.applied, applied))
	switch {
	case applied >= p.last:
		p.rate, p.stalled = 0, 0
	case done == 0:
		p.stalled += elapsed
	default:
		// The best of late, since what comes in batches is slow only between them.
		p.rate, p.stalled = max(p.rate-p.rate/8, done*paceUnit/elapsed), 0
	}
	p.last, p.applied = last, applied
}

// wait is how many ticks it takes to apply so many entries.
func (p *pace) wait(entries Index) int64 {
	if p.rate == 0 {
		return p.stalled
	}
	return max(p.stalled, int64(entries)*paceUnit/p.rate)
}
