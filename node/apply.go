package node

import "fmt"

// applyBytesMax limits one run of entries to apply, but for one entry.
const applyBytesMax = 4 << 20

// advanceApplied hands over what is committed and durable here. What the log no longer has in memory
// is asked for, one read at a time.
func (n *Node) advanceApplied() {
	target := min(n.commit, n.disk.durable)
	for n.err == nil && n.applied < target && !n.replaying {
		entries, err := n.log.Entries(n.applied+1, target+1, applyBytesMax)
		if err == ErrNotInMemory { //nolint:errorlint // documented to be returned as it is
			n.replaying = true
			n.readEntries(n.id, n.applied+1, target+1, applyBytesMax)
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
