package node

// An Event is something that happened to the node: the only way in is [Node.Step]. The set of
// variants is closed. An event may be reused by its owner once the actions of its Step have been carried
// out: some of them point to the message in it.
type Event interface{ isEvent() }

// Tick lets time pass.
type Tick struct {
	// Elapsed counts ticks by the monotonic clock since the last one, those missed included. An
	// election timer ages by one at most, so that a process that slept does not campaign before it
	// has heard what came meanwhile; everything else ages by all of them.
	Elapsed int
}

// Receive delivers a message from a peer, or from anybody: the node checks it.
type Receive struct{ Message Message }

// Propose asks the leader to append commands, in this order. The node keeps the bytes. The answer
// is any mix of [Accepted] and [Rejected] that covers the batch.
type Propose struct{ Commands [][]byte }

// Synced says that everything staged in the log up to Seq is durable. Syncs may be merged: a
// Synced covers those with lower numbers. For a number that no Sync has named the node panics.
type Synced struct{ Seq uint64 }

// MachineApplied says that the machine has applied everything up to Index that was handed over by [Apply].
// A driver must report, or the node stops handing over for good once [Config].UnappliedBytesMax has been
// reached, and a leader takes no more proposals; [Overview].UnappliedBytes shows it. Reports may be merged,
// late and repeated: only the highest counts. What a [RestoreSnapshot] covers is reported by [Restored].
// For an index that was not handed over the node panics.
type MachineApplied struct{ Index Index }

// EntriesRead answers a [ReadEntries].
type EntriesRead struct {
	// For, Lo and Hi are those of the request.
	For    ID
	Lo, Hi Index
	// Entries start at Lo and may be fewer than asked for. The node passes them on, so they must never be
	// written again. They are empty if they could not be read, as when they have been compacted away
	// meanwhile: another member's are asked for again, but the node's own it cannot do without, and
	// that is final.
	Entries []Entry
}

// RequestSnapshot asks for a snapshot of what has been applied, whether it is due or not. The answer,
// in the same step, is [TakeSnapshot] or [Rejected].
type RequestSnapshot struct{}

// Snapshotted says that the snapshot asked for by [TakeSnapshot] is durable, file and directory.
type Snapshotted struct {
	// Meta is that of the TakeSnapshot, with the Handle set by the driver.
	Meta SnapshotMeta
}

// SnapshotFailed says that the snapshot asked for by [TakeSnapshot] did not come about.
type SnapshotFailed struct{ Index Index }

// ReleaseEntries says that the storage wants entries up to and with Through released: they keep a file that
// nothing else needs. What the log's snapshot covers is released in this step, whatever Config.RetainEntries says; for
// the rest a snapshot is taken, as soon as there is something for it to cover. Members that are receiving a snapshot hold
// entries back here as ever. It may come again, and should as long as the storage has reason to want it: a snapshot
// that fails for this is not tried again before.
type ReleaseEntries struct{ Through Index }

// SnapshotReceived says that the state of a leader's snapshot has arrived and is durable.
type SnapshotReceived struct {
	// Message is the offer that the state came with.
	Message *InstallSnapshot
	// Handle is the driver's own name for the received state.
	Handle any
}

// SnapshotSent says how the sending asked for by [SendSnapshot] ended. Each ends in exactly one, but for
// one that a newer SendSnapshot to the same peer has replaced, of which nothing is reported.
type SnapshotSent struct {
	Peer ID
	// OK: the state is durable at the peer, and its node has been told. Said too early, the snapshot is
	// likely to be sent once more.
	OK bool
}

// Restored says that the machine has taken over the snapshot of a [RestoreSnapshot], and with it everything
// up to Index.
type Restored struct{ Index Index }

// AddMember asks the leader to add a learner. The answer is [Accepted] or [Rejected].
type AddMember struct {
	ID      ID
	Address string
	// Incarnation is the life that is meant, as its [Status] tells it. Zero: the first one that is met;
	// where the ID has been used before, that may be the old life, by a message that was long on its way.
	Incarnation Incarnation
}

// Promote asks the leader to make a learner a voter, once it has all but caught up (§4.2.1).
type Promote struct{ ID ID }

// Demote asks the leader to make a voter a learner.
type Demote struct{ ID ID }

// RemoveMember asks the leader to remove a member, itself included.
type RemoveMember struct{ ID ID }

// TransferLeadership asks the leader to hand over to Target (§3.10). The answer is [Rejected] or,
// when it has been decided, [TransferEnded].
type TransferLeadership struct{ Target ID }

// ReadIndex asks for an index at which a read is linearizable (§6.4), on any member. The answer is
// [ReadReady] or [ReadFailed] with the same ID.
type ReadIndex struct{ ID uint64 }

// Unreachable says that messages to Peer are likely to have been lost.
type Unreachable struct{ Peer ID }

// Campaign asks a voter to stand for election now rather than when its timer says so. It has no
// effect on a leader or on a member that may not campaign.
type Campaign struct{}

func (*Tick) isEvent()               {}
func (*Receive) isEvent()            {}
func (*Propose) isEvent()            {}
func (*Synced) isEvent()             {}
func (*MachineApplied) isEvent()     {}
func (*EntriesRead) isEvent()        {}
func (*RequestSnapshot) isEvent()    {}
func (*Snapshotted) isEvent()        {}
func (*SnapshotFailed) isEvent()     {}
func (*ReleaseEntries) isEvent()     {}
func (*SnapshotReceived) isEvent()   {}
func (*SnapshotSent) isEvent()       {}
func (*Restored) isEvent()           {}
func (*AddMember) isEvent()          {}
func (*Promote) isEvent()            {}
func (*Demote) isEvent()             {}
func (*RemoveMember) isEvent()       {}
func (*TransferLeadership) isEvent() {}
func (*ReadIndex) isEvent()          {}
func (*Unreachable) isEvent()        {}
func (*Campaign) isEvent()           {}
