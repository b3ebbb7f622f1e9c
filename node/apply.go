package node

import "fmt"

// applyBytesMax limits one run of entries to apply, but for one entry.
const applyBytesMax = 4 << 20

// machine is what the node knows of the driver's machine: what it was handed, and how far it is.
type machine struct {
	// bytesMax is Config.UnappliedBytesMax.
	bytesMax int
	// applied is the highest index that was reported applied.
	applied Index
	// runs have been handed over and not been reported applied, oldest first; bytes is their sum.
	runs  ring[flight]
	bytes int
	// full: bytesMax has been reached, and more than half of it is still outstanding. So a machine that is
	// behind gets much at a time, and not one entry for each that it has applied.
	full bool
}

// room is how many bytes the next run may have, but for one entry. It is positive unless full.
func (m *machine) room() int { return min(applyBytesMax, m.bytesMax-m.bytes) }

// hand notes a run that is handed over. Runs that are small beside the limit count as one, so that there
// are few of them however little they hold.
func (m *machine) hand(last Index, bytes int) {
	m.bytes += bytes
	m.full = m.bytes >= m.bytesMax
	if k := m.runs.count - 1; k >= 0 {
		if newest := m.runs.at(k); newest.bytes+bytes <= min(m.bytesMax/64, applyBytesMax/4) {
			newest.last, newest.bytes = last, newest.bytes+bytes
			return
		}
	}
	m.runs.push(flight{last: last, bytes: bytes})
}

// advance notes that the machine has applied everything up to index.
func (m *machine) advance(index Index) {
	m.applied = max(m.applied, index)
	for m.runs.count > 0 && m.runs.front().last <= index {
		m.bytes -= m.runs.pop().bytes
	}
	m.full = m.full && m.bytes > m.bytesMax/2
}

// machineApplied takes note of a report. The end of the step hands over what there is room for then.
func (n *Node) machineApplied(index Index) {
	if index > n.applied {
		n.broken("MachineApplied %d: only %d was handed over", index, n.applied)
	}
	n.machine.advance(index)
}

// unappliedBytes is what is committed and not applied by the machine, as far as it is known: what was
// handed over, and of a leader's own entries also what was not.
func (n *Node) unappliedBytes() int {
	if n.lead == nil {
		return n.machine.bytes
	}
	return n.machine.bytes + n.lead.intake.unhanded
}

// advanceApplied hands over what is committed and durable here, as far as the machine has room. What the
// log no longer has in memory is asked for, one read at a time.
func (n *Node) advanceApplied() {
	target := min(n.commit, n.disk.durable)
	for n.err == nil && n.applied < target && !n.replaying && !n.machine.full {
		entries, err := n.log.Entries(n.applied+1, target+1, n.machine.room())
		if err == ErrNotInMemory { //nolint:errorlint // documented to be returned as it is
			n.replaying = true
			n.readEntries(n.id, n.applied+1, target+1, n.machine.room())
			return
		}
		if err != nil {
			n.fail("reading entries to apply", err)
			return
		}
		n.apply(entries)
	}
}

func (n *Node) apply(entries []Entry) {
	last := entries[len(entries)-1].Index
	if entries[0].Index != n.applied+1 || last > min(n.commit, n.disk.durable) {
		n.broken("applying %d to %d after %d, with %d committed and %d durable",
			entries[0].Index, last, n.applied, n.commit, n.disk.durable)
	}
	n.applied = last
	n.machine.hand(last, entriesBytes(entries))
	if n.lead != nil {
		n.lead.intake.handed(last)
	}
	n.out.add(n.out.applies.put(Apply{Entries: entries}))
	n.settleAccepted()
}

// replayRead goes on applying with entries that had to be read.
func (n *Node) replayRead(e *EntriesRead) {
	if !n.replaying || e.Lo != n.applied+1 {
		return // a snapshot has been installed since it was asked for
	}
	n.replaying = false
	if len(e.Entries) == 0 || e.Entries[0].Index != e.Lo || !n.isOfLog(e.Entries) {
		n.fail("reading entries to apply", fmt.Errorf("what was read for %d to %d is not what the log holds", e.Lo, e.Hi-1))
		return
	}
	if count := min(n.commit, n.disk.durable) - n.applied; Index(len(e.Entries)) > count {
		e.Entries = e.Entries[:count]
	}
	n.apply(e.Entries)
}
