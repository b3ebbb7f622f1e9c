package raft

// A pace tells how long a command has to wait that is appended to the log now, from how fast a leader comes on with what
// is in front of it. Whatever holds it up, the machine, a disk or the network: only if what was there a tick ago waits
// still is there anything to wait for.
type pace struct {
	// last is where the log ended a tick ago, and applied how far the machine was.
	last, applied Index
	// rate is how many entries are applied in paceUnit ticks, on the average of some in which something waited. What
	// was known of that is forgotten little by little while nothing waits. Zero if nothing is known.
	rate int64
	// stalled is for how many ticks nothing has been applied although something waits.
	stalled int64
}

const (
	// paceUnit is how many ticks a rate is for.
	paceUnit = 1 << 10
	// paceRateMax is a rate beyond which nothing is known.
	paceRateMax = 1 << 30
	// paceWaitMax is the longest time to wait that is told apart.
	paceWaitMax = 1 << 20
)

// tick takes note of where the log ends and how far the machine is, when ticks have passed.
func (p *pace) tick(elapsed int64, last, applied Index) {
	done := int64(applied - min(p.applied, applied))
	rate := done * paceUnit / elapsed
	switch {
	case applied >= p.last:
		if p.rate > 0 {
			p.rate = max(rate, p.rate+p.rate/4+1)
		}
		if p.rate > paceRateMax {
			p.rate = 0
		}
	case p.rate == 0:
		p.rate = rate
	default:
		p.rate += (rate - p.rate) / 8
	}
	if done == 0 && applied < p.last {
		p.stalled += elapsed
	} else {
		p.stalled = 0
	}
	p.last, p.applied = last, applied
}

// wait is how many ticks it takes to apply so many entries.
func (p *pace) wait(entries Index) int64 {
	if p.rate == 0 {
		return p.stalled
	}
	return min(max(p.stalled, int64(entries)*paceUnit/p.rate), paceWaitMax)
}
