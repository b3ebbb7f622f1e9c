package persisttest

import (
	"testing"

	"example.com/raftactor/node"
)

// A Store is what is checked: it hands out the storages of members, and belongs to a cluster. The raft actors'
// Store is one.
type Store interface {
	Open(group string, id node.ID) (node.Storage, error)
	Claim(cluster string) error
}

// A Subject is a store that is empty, and what it can do.
type Subject struct {
	Store Store
	// Reopen ends the store in an orderly way, and opens it again with what it has kept. All members have been closed
	// before. It is nil for a store whose content ends with it.
	Reopen func() Store
	// MemoryBytes is about how much of a member's synced entries stays in memory. The suite writes several
	// times as much, to have entries read from the disk. Zero: all of them stay.
	MemoryBytes int
	// Snapshots counts the snapshots that the store holds, of all members, those included that are being
	// written. It is nil where that cannot be told.
	Snapshots func() int
	// Seed is that of the random checks. Zero: another one each time.
	Seed uint64
}

// Run runs the checks as subtests of t. It calls open for a new store at the start of each; what has to be
// ended after a check, open hands to [testing.T.Cleanup].
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			subject := open(t)
			if reason := c.skip(subject); reason != "" {
				t.Skip(reason)
			}
			for _, fault := range c.run(subject, patience) {
				t.Error(fault)
			}
		})
	}
}

// A check is one thing that a store must do.
type check struct {
	name string
	do   func(*probe)
	// needs says what the subject must have: nothing, as a rule.
	needs need
}

// need is what not every subject has.
type need uint8

const (
	needsNothing need = iota
	needsReopen
	needsEviction
	needsCount
)

// skip says why a check is none for the subject.
func (c check) skip(s Subject) string {
	switch {
	case c.needs == needsReopen && s.Reopen == nil:
		return "the store's content ends with it"
	case c.needs == needsEviction && s.MemoryBytes == 0:
		return "all entries stay in memory"
	case c.needs == needsCount && s.Snapshots == nil:
		return "the store does not tell how many snapshots it holds"
	}
	return ""
}

// checks are all of them, in the order in which a store is best built.
func checks() []check {
	var all []check
	for _, some := range [][]check{
		identityChecks, metadataChecks, entryChecks, compactionChecks, syncChecks, evictionChecks, snapshotChecks,
		durableChecks, randomChecks,
	} {
		all = append(all, some...)
	}
	return all
}
