package node

// A Log holds what a member must not forget. Its one user is the node's goroutine.
//
// Reads see what has been written at once. Writes are staged: they are durable only when the driver
// has made them so and has told the node by [Synced]. What one step has staged becomes durable
// together, and never without what earlier steps have staged: after a crash either all of it is there or
// nothing. What cannot be done is an error, and final: the node stops there. What is found in a Log when
// a node starts on it must be durable.
//
// Entries are immutable, and so is the memory of those that [Log.Entries] has returned: they may be
// on their way to a peer, so a truncation must not let later entries overwrite it.
type Log interface {
	// Incarnation is the life of this storage, drawn at random when it was created. Never zero.
	Incarnation() Incarnation
	// HardState returns the last one set, or the zero value.
	HardState() HardState
	// Met returns the lives of peers that were noted by SetMet, in any order.
	Met() []Acquaintance
	// Founding returns the configuration that this member founded its group with: the zero value if it has
	// not, as when it joined.
	Founding() Configuration
	// Snapshot returns the newest snapshot, or the zero value.
	Snapshot() SnapshotMeta
	// FirstIndex is that of the first entry that is held; LastIndex()+1 if there is none. It is
	// never beyond Snapshot().Index+1.
	FirstIndex() Index
	// LastIndex is that of the last entry; FirstIndex()-1 if there is none.
	LastIndex() Index
	// Term returns the term of an entry, for FirstIndex()-1 <= i <= LastIndex(), in memory or not.
	// That of index 0 is 0.
	Term(i Index) (Term, error)
	// Entries returns entries from lo on, up to but without hi, for FirstIndex() <= lo < hi <=
	// LastIndex()+1: as many as lie together in memory and amount to bytesMax, but one at least.
	// It does not wait for a disk: what is not in memory is ErrNotInMemory.
	Entries(lo, hi Index, bytesMax int) ([]Entry, error)
	// Configurations returns the configuration entries that are held behind Snapshot().Index, in
	// order.
	Configurations() ([]Entry, error)

	// Append stages entries that follow the last one. The log keeps their data, not the slice.
	Append(entries []Entry) error
	// Truncate stages the removal of the entries from index from on.
	Truncate(from Index) error
	// SetHardState stages s.
	SetHardState(s HardState) error
	// SetMet stages the life of a peer; zero forgets the peer.
	SetMet(a Acquaintance) error
	// SetFounding stages the configuration that this member founds its group with.
	SetFounding(c Configuration) error
	// Compact stages that meta, whose entry is held, becomes the snapshot, and that entries up to
	// and with through, which is not beyond meta.Index, are released. It may be the present snapshot, of
	// which more entries are to be released.
	Compact(meta SnapshotMeta, through Index) error
	// Install stages that meta becomes the snapshot and that all entries are dropped. The log goes
	// on behind meta.Index.
	Install(meta SnapshotMeta) error
}

// Acquaintance is the life of a peer's storage that was met first.
type Acquaintance struct {
	ID          ID
	Incarnation Incarnation
}
