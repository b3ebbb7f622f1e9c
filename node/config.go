package node

import (
	"errors"
	"fmt"
)

// Config says who a node is and how it behaves. The zero value of a field means its default.
type Config struct {
	// ID of this member. Required.
	ID ID
	// Seed of the node's random numbers. Give each member and each start another one. Answers to what
	// was asked before a restart are told by it from those to what is asked now, so that with the seed
	// of the start before a read may not be linearizable; and members with the same seed may time out
	// together again and again.
	Seed uint64
	// Bootstrap is the first configuration of a new group, the same on each founding member, of
	// which this is one. It is written as the first entry if the log is empty. Otherwise it must be the one
	// that was written then, whatever the membership is now (addresses may differ; those in the log
	// count), or may be left empty. A member that joins an existing group, or has joined it, has none.
	Bootstrap Configuration

	// ElectionTicks is the shortest election timeout; each is drawn from ElectionTicks to twice
	// that. It is also how long a leader goes on without hearing from a quorum, and the deadline of
	// a transfer. Default 10.
	ElectionTicks int
	// HeartbeatTicks is the time between heartbeats. Default 2. It must be less than ElectionTicks.
	HeartbeatTicks int

	// DiskStallTicks is for how long the oldest write may be on its way before the disk counts as stalled: then a leader
	// gives up leadership, unless it is the only voter, and a follower does not campaign. Default twice ElectionTicks.
	// [Unlimited]: never.
	DiskStallTicks int

	// CommandBytesMax limits one command. Default 1 MiB.
	CommandBytesMax int
	// UncommittedBytesMax limits what a leader takes before it is committed. Default 64 MiB.
	UncommittedBytesMax int
	// UnappliedBytesMax limits what is handed over by [Apply] and not reported by [MachineApplied], but for
	// one entry. What is committed beyond that waits in the log, and a leader of which so much is committed and
	// not applied takes no proposals. Default 64 MiB. [Unlimited]: everything is handed over at once.
	UnappliedBytesMax int
	// MessageBytesMax limits the entries in one message, but for one entry, which is always sent.
	// Default 1 MiB.
	MessageBytesMax int
	// InflightMessagesMax limits the unacknowledged messages with entries to one follower.
	// Default 256.
	InflightMessagesMax int
	// InflightBytesMax limits their entries in bytes. Default 16 MiB.
	InflightBytesMax int
	// ReadsMax limits the linearizable reads that wait. Default 65536.
	ReadsMax int

	// SnapshotEntries is how many entries are applied before the next snapshot is due. Default
	// 65536. [Unlimited]: only on request, or when the storage wants entries released.
	SnapshotEntries int
	// RetainEntries is how many entries stay in the log behind a snapshot, for followers that are
	// a little late, unless the storage wants them released ([ReleaseEntries]). Default 4096. Negative: none.
	RetainEntries int
	// SnapshotHoldTicks is for how long a member that is receiving a snapshot keeps the entries
	// behind it from being compacted. Default 1200. Negative: not at all.
	SnapshotHoldTicks int
	// SnapshotHoldEntries limits how many entries it keeps. Default 1048576.
	SnapshotHoldEntries int
}

// Defaults of [Config], and its limits.
const (
	electionTicksDefault       = 10
	heartbeatTicksDefault      = 2
	commandBytesMaxDefault     = 1 << 20
	uncommittedBytesMaxDefault = 64 << 20
	unappliedBytesMaxDefault   = 64 << 20
	messageBytesMaxDefault     = 1 << 20
	inflightMessagesMaxDefault = 256
	inflightBytesMaxDefault    = 16 << 20
	readsMaxDefault            = 1 << 16
	snapshotEntriesDefault     = 1 << 16
	retainEntriesDefault       = 4096
	snapshotHoldTicksDefault   = 1200
	snapshotHoldEntriesDefault = 1 << 20

	ticksMax            = 1 << 30
	inflightMessagesCap = 1 << 16
)

// Validate reports every fault of the configuration, and changes nothing.
func (c Config) Validate() error {
	full := c.withDefaults()
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("node: config: "+format, args...))
	}
	if c.ID == None {
		fault("ID is 0: give the member an id from 1 up")
	}
	if len(c.Bootstrap.Members) > 0 {
		if err := c.Bootstrap.Validate(); err != nil {
			fault("Bootstrap: %w", err)
		}
		if _, ok := c.Bootstrap.Member(c.ID); !ok {
			fault("Bootstrap does not name member %d itself; leave it empty to join an existing group", c.ID)
		}
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"ElectionTicks", c.ElectionTicks},
		{"HeartbeatTicks", c.HeartbeatTicks},
		{"DiskStallTicks", c.DiskStallTicks},
		{"CommandBytesMax", c.CommandBytesMax},
		{"UncommittedBytesMax", c.UncommittedBytesMax},
		{"UnappliedBytesMax", c.UnappliedBytesMax},
		{"MessageBytesMax", c.MessageBytesMax},
		{"InflightMessagesMax", c.InflightMessagesMax},
		{"InflightBytesMax", c.InflightBytesMax},
		{"ReadsMax", c.ReadsMax},
		{"SnapshotEntries", c.SnapshotEntries},
		{"SnapshotHoldEntries", c.SnapshotHoldEntries},
	} {
		if limit.value < 0 {
			fault("%s is %d: it must not be negative; 0 means the default", limit.name, limit.value)
		}
	}
	if full.HeartbeatTicks >= full.ElectionTicks {
		fault("HeartbeatTicks (%d) must be less than ElectionTicks (%d), or followers campaign between heartbeats",
			full.HeartbeatTicks, full.ElectionTicks)
	}
	if full.ElectionTicks > ticksMax {
		fault("ElectionTicks is %d: at most %d", full.ElectionTicks, ticksMax)
	}
	if full.InflightMessagesMax > inflightMessagesCap {
		fault("InflightMessagesMax is %d: at most %d", full.InflightMessagesMax, inflightMessagesCap)
	}
	return errors.Join(faults...)
}

// withDefaults returns the configuration with its zeros replaced.
func (c Config) withDefaults() Config {
	for _, field := range []struct {
		value        *int
		defaultValue int
	}{
		{&c.ElectionTicks, electionTicksDefault},
		{&c.HeartbeatTicks, heartbeatTicksDefault},
		{&c.CommandBytesMax, commandBytesMaxDefault},
		{&c.UncommittedBytesMax, uncommittedBytesMaxDefault},
		{&c.UnappliedBytesMax, unappliedBytesMaxDefault},
		{&c.MessageBytesMax, messageBytesMaxDefault},
		{&c.InflightMessagesMax, inflightMessagesMaxDefault},
		{&c.InflightBytesMax, inflightBytesMaxDefault},
		{&c.ReadsMax, readsMaxDefault},
		{&c.SnapshotEntries, snapshotEntriesDefault},
		{&c.RetainEntries, retainEntriesDefault},
		{&c.SnapshotHoldTicks, snapshotHoldTicksDefault},
		{&c.SnapshotHoldEntries, snapshotHoldEntriesDefault},
	} {
		if *field.value == 0 {
			*field.value = field.defaultValue
		}
	}
	if c.DiskStallTicks == 0 {
		c.DiskStallTicks = 2 * c.ElectionTicks
	}
	c.RetainEntries = max(c.RetainEntries, 0)
	c.SnapshotHoldTicks = max(c.SnapshotHoldTicks, 0)
	return c
}
