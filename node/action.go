package node

// An Action is something that the node wants done. Actions are carried out in order, but that what
// stands behind a [Sync] waits for it, and that nothing else waits with it: in what [Node.Step]
// returns only Sends stand behind the Sync. Sends may overtake Sends; all other actions keep their
// order across steps. The set of variants is closed.
//
// Actions and what they point to are valid until the next Step. Entries, which are immutable, and
// configurations may be kept.
type Action interface{ isAction() }

// Send asks for delivery of Message to member To. Delivery may fail silently.
type Send struct {
	To      ID
	Message Message
}

// Sync asks that everything staged in the log so far be made durable, and that [Synced] say so.
// What stands behind it in the same step waits until everything staged up to Seq is durable. Seq
// may have been named before: then something new rests on a sync that is still under way.
type Sync struct{ Seq uint64 }

// Apply hands over one contiguous run of committed entries, durable here. Runs follow each other
// without a gap but for a [RestoreSnapshot]. Entries of every kind are there: only those of kind
// [EntryCommand] concern the machine. [MachineApplied] says that the machine has applied them; when too
// much waits for that, no more is handed over.
type Apply struct{ Entries []Entry }

// ReadEntries asks for entries that the log no longer has in memory; [EntriesRead] answers. The
// one for this member itself (For is its own ID) feeds Apply, so a driver may hold the answer back
// for as long as the machine is behind.
type ReadEntries struct {
	For      ID
	Lo, Hi   Index // half-open: Hi is not wanted
	BytesMax int   // enough is enough, but one entry at least
}

// TakeSnapshot asks for a snapshot of the machine as it is when everything applied before this
// action, and nothing after it, has been applied. [Snapshotted] or [SnapshotFailed] answers.
type TakeSnapshot struct{ Meta SnapshotMeta }

// SendSnapshot asks the driver to stream the state of Message.Meta to a member, which will get
// Message first. [SnapshotSent] reports the end.
type SendSnapshot struct {
	To      ID
	Message *InstallSnapshot
}

// AcceptSnapshot tells the driver that the snapshot offered by Message is wanted. When its state is
// durable, [SnapshotReceived] says so. A newer AcceptSnapshot replaces an older one.
type AcceptSnapshot struct{ Message *InstallSnapshot }

// RestoreSnapshot asks the machine to take over the state of a snapshot in place of its own.
// [Restored] says when that is done. It comes in the first step after a restart, too.
type RestoreSnapshot struct{ Meta SnapshotMeta }

// MembershipChanged tells of a configuration: first when it is adopted, which is when its entry is
// appended or an uncommitted one is taken back, then when it is committed. What is in force when a node
// starts is told by [Node.Configuration].
type MembershipChanged struct {
	Configuration Configuration
	// Index is that of the configuration's entry.
	Index     Index
	Committed bool
}

// LeaderChanged tells whom this member takes for the leader of Term. None: nobody.
type LeaderChanged struct {
	Leader ID
	Term   Term
}

// Accepted says that Count commands of the batch, from Offset on, or the configuration of a
// membership change, stand in the log from First on; for a change that was made before, that may be an
// index applied long ago. They are applied there, or [Superseded] or
// [Forgotten] says what became of them.
type Accepted struct {
	Offset, Count int
	First         Index
	// Term is that of the entries. It is zero for a change that was made long ago.
	Term Term
}

// Rejected says that Count commands of the batch, from Offset on, or whatever else was asked for by
// the event, will not happen: nothing has been appended.
type Rejected struct {
	Offset, Count int
	// Err is one of the errors that this package documents.
	Err error
}

// Superseded says that what this member accepted at First to Last in Term is not part of the log:
// an entry of another term has been committed in its place.
type Superseded struct {
	First, Last Index
	Term        Term
}

// Forgotten says that nobody can tell any more, here, what became of what this member accepted at
// First to Last in Term: a snapshot covers it.
type Forgotten struct {
	First, Last Index
	Term        Term
}

// ReadReady says that a read that sees everything applied up to Index is linearizable.
type ReadReady struct {
	ID    uint64
	Index Index
}

// ReadFailed says that a [ReadIndex] will not be answered.
type ReadFailed struct {
	ID  uint64
	Err error
}

// TransferEnded tells how a transfer of leadership ended. Err is nil if Target leads.
type TransferEnded struct {
	Target ID
	Err    error
}

// PeerFault tells of a claim by a peer that cannot be true, or that contradicts what is committed
// here. The claim had no effect. It needs a person: the peer is broken, or not what it says it is.
type PeerFault struct {
	Peer   ID
	Fault  Fault
	Detail string
	// Message is the evidence.
	Message Message
}

// Disowned says that member By knows this one by another life of its storage, Known: what this life
// promises does not count there. It can come back as a new member only: have the leader remove this
// id, and add it again. It comes once for each term of By's, however often By says so.
type Disowned struct {
	By    ID
	Known Incarnation
}

// DiskStalled says that the oldest write has been on its way for [Config].DiskStallTicks or longer: when that is first
// noticed, and whenever leadership is given up for it. [DiskRecovered] says that it is over.
type DiskStalled struct {
	// Ticks is for how long the oldest write has been on its way.
	Ticks int
	// GaveUp: this member led until now.
	GaveUp bool
}

// DiskRecovered says that no write is overdue any more.
type DiskRecovered struct {
	// Ticks is for how long writes were on their way, since the first that was overdue.
	Ticks int
}

func (*Send) isAction()              {}
func (*Sync) isAction()              {}
func (*Apply) isAction()             {}
func (*ReadEntries) isAction()       {}
func (*TakeSnapshot) isAction()      {}
func (*SendSnapshot) isAction()      {}
func (*AcceptSnapshot) isAction()    {}
func (*RestoreSnapshot) isAction()   {}
func (*MembershipChanged) isAction() {}
func (*LeaderChanged) isAction()     {}
func (*Accepted) isAction()          {}
func (*Rejected) isAction()          {}
func (*Superseded) isAction()        {}
func (*Forgotten) isAction()         {}
func (*ReadReady) isAction()         {}
func (*ReadFailed) isAction()        {}
func (*TransferEnded) isAction()     {}
func (*PeerFault) isAction()         {}
func (*Disowned) isAction()          {}
func (*DiskStalled) isAction()       {}
func (*DiskRecovered) isAction()     {}
