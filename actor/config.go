package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
	"example.com/raftactor/timer"
)

// Config says which member of which group an actor is, and how it behaves. The zero value of a field
// means its default.
type Config struct {
	// Group names the group, uniquely in an actor system. Letters, digits, '.', '_' and '-', no '.' at
	// the start. Required.
	Group string
	// ID of the member. Required.
	ID ID
	// Members are the founding members, all voters, the same on each of them and at every start: others than
	// those that the group was founded with, whatever its membership is now, are refused with [ErrFounding].
	// Addresses may differ; those in the log count. None at all is allowed where the member's storage is not
	// empty. A member that is to join an existing group, or has joined it, has none: it waits until the
	// group's leader has been told to add it (ChangeMembers).
	Members []Member

	// Store keeps the member's log. Required. [Spawn] opens it, which may have to read a long log. With [Props] the
	// actor does so itself, when it starts.
	Store Store
	// ClusterID names the cluster that the actor system belongs to, if it is not empty. The store keeps it, and a
	// member is refused that is spawned on a store of another cluster.
	ClusterID string
	// Transport reaches the other members. Required.
	Transport Transport
	// Timer is the source of ticks. Default: one for all members of the process.
	Timer timer.Source
	// Logger gets what this member has to say. Default: the actor system's own logger.
	Logger hclog.Logger

	// TickInterval is the unit in which time is measured: the others are rounded up to whole ticks.
	// Default 50 ms.
	TickInterval time.Duration
	// HeartbeatInterval is the time between a leader's heartbeats. Default 100 ms.
	HeartbeatInterval time.Duration
	// ElectionTimeout is how long a member waits for a leader, at least; it draws from this to twice
	// this. Default 500 ms.
	ElectionTimeout time.Duration
	// DiskStallTimeout is how long the oldest write may take before the disk counts as stalled ([DiskStalled]): then a
	// leader gives up leadership, unless it is the only voter, and nobody campaigns. Default two election timeouts.
	// [Unlimited]: never.
	DiskStallTimeout time.Duration
	// RequestTimeout is how long requests wait that do not say it themselves. Proposals that would have to wait
	// for more than half of their time are answered with OVERLOADED. Default 5 s.
	RequestTimeout time.Duration

	// CommandBytesMax limits one command. Default 1 MiB.
	CommandBytesMax int
	// SessionsMax and SessionBytesMax limit the sessions that the group remembers, and what their results
	// take: beyond them those that have not been used for longest are forgotten. Those of the leader
	// count, from the next opening of a session on. Defaults 4,096 and 64 MiB.
	SessionsMax, SessionBytesMax int
	// UncommittedBytesMax limits what a leader takes before it is committed. Default 64 MiB.
	UncommittedBytesMax int
	// UnappliedBytesMax limits what waits for a machine that is behind. What is committed beyond it stays in
	// the log, and this member, as the leader, answers proposals with OVERLOADED. Default 64 MiB.
	UnappliedBytesMax int
	// RequestsMax and RequestBytesMax limit the requests that wait for the raft actor. More are answered
	// with OVERLOADED. Defaults 16,384 and 64 MiB.
	RequestsMax, RequestBytesMax int
	// PendingMax and PendingBytesMax limit the proposals and queries that were taken and are not answered, or
	// that wait for the machine still, and what they hold. More are answered with OVERLOADED. Defaults 65,536 and
	// 64 MiB.
	PendingMax, PendingBytesMax int
	// SubscribersMax limits the subscribers of this member. More are answered with OVERLOADED. Default 65,536.
	SubscribersMax int
	// PeerBytesMax limits the messages of other members that wait for the raft actor. More are dropped,
	// and sent again by the protocol. Default 64 MiB.
	PeerBytesMax int
	// SnapshotEntries is how many entries are applied before a snapshot is taken. Default 65,536.
	// [Unlimited]: only on request, or when the store needs room.
	SnapshotEntries int
	// RetainEntries is how many entries stay in the log behind a snapshot, unless they keep files from being given back
	// that nothing else in the store needs. Default 4,096. Negative: none.
	RetainEntries int

	// seed of the node's random numbers. Zero: drawn at random.
	seed uint64
	// scheduler runs the member's actors under a test's control. Nil: goroutines do.
	scheduler *mailbox.Scheduler
}

// Member is a founding member.
type Member struct {
	ID ID
	// Address is where the transport finds it: for raftremote HOST:PORT, as the other system itself calls it. A transport may
	// refuse it ([AddressChecker]). The memory transport needs none.
	Address string
}

// Defaults of [Config].
const (
	tickIntervalDefault        = 50 * time.Millisecond
	heartbeatIntervalDefault   = 100 * time.Millisecond
	electionTimeoutDefault     = 500 * time.Millisecond
	requestTimeoutDefault      = 5 * time.Second
	pendingMaxDefault          = 1 << 16
	pendingBytesMaxDefault     = 64 << 20
	subscribersMaxDefault      = 1 << 16
	unappliedBytesMaxDefault   = 64 << 20
	uncommittedBytesMaxDefault = 64 << 20
	commandBytesMaxDefault     = 1 << 20
	sessionsMaxDefault         = 1 << 12
	sessionBytesMaxDefault     = 64 << 20
)

var groupName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$`)

// Validate reports every fault of the configuration, and changes nothing.
func (c Config) Validate() error {
	full := c.withDefaults()
	faults := c.addressFaults()
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("raft: config: "+format, args...))
	}
	if !groupName.MatchString(c.Group) {
		fault("Group is %q: it takes 1 to 128 letters, digits, '.', '_' or '-', and no '.' at the start", c.Group)
	}
	if c.ClusterID != "" && !groupName.MatchString(c.ClusterID) {
		fault("ClusterID is %q: it takes 1 to 128 letters, digits, '.', '_' or '-', and no '.' at the start", c.ClusterID)
	}
	if c.Store == nil {
		fault("Store is nil: without one the member would forget its vote; NewMemoryStore() makes one in memory")
	}
	if c.Transport == nil {
		fault("Transport is nil: NewMemoryTransport() makes one within this process")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"TickInterval", full.TickInterval},
		{"HeartbeatInterval", full.HeartbeatInterval},
		{"ElectionTimeout", full.ElectionTimeout},
		{"DiskStallTimeout", full.DiskStallTimeout},
		{"RequestTimeout", full.RequestTimeout},
	} {
		if d.value < time.Millisecond {
			fault("%s is %v: at least 1ms", d.name, d.value)
		}
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"PendingMax", c.PendingMax},
		{"PendingBytesMax", c.PendingBytesMax},
		{"SubscribersMax", c.SubscribersMax},
		{"CommandBytesMax", c.CommandBytesMax},
		{"SessionsMax", c.SessionsMax},
		{"SessionBytesMax", c.SessionBytesMax},
	} {
		if limit.value < 0 {
			fault("%s is %d: it must not be negative; 0 means the default", limit.name, limit.value)
		}
	}
	if full.TickInterval > full.HeartbeatInterval {
		fault("TickInterval (%v) must not be longer than HeartbeatInterval (%v)", full.TickInterval, full.HeartbeatInterval)
	}
	if full.HeartbeatInterval >= full.ElectionTimeout {
		fault("HeartbeatInterval (%v) must be less than ElectionTimeout (%v)", full.HeartbeatInterval, full.ElectionTimeout)
	}
	faults = append(faults, full.nodeConfig().Validate(), full.mailboxOptions().Validate())
	return errors.Join(faults...)
}

// addressFaults are the founding members that the transport cannot reach as they are written.
func (c Config) addressFaults() (faults []error) {
	for _, m := range c.Members {
		if err := c.checkAddress(m.Address); err != nil {
			faults = append(faults, fmt.Errorf("raft: config: Members: the address of member %d: %w", m.ID, err))
		}
	}
	return faults
}

// checkAddress asks the transport whether it can do with an address.
func (c Config) checkAddress(address string) error {
	if checker, ok := c.Transport.(AddressChecker); ok {
		return checker.CheckAddress(address)
	}
	return nil
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value        *time.Duration
		defaultValue time.Duration
	}{
		{&c.TickInterval, tickIntervalDefault},
		{&c.HeartbeatInterval, heartbeatIntervalDefault},
		{&c.ElectionTimeout, electionTimeoutDefault},
		{&c.RequestTimeout, requestTimeoutDefault},
	} {
		if *d.value == 0 {
			*d.value = d.defaultValue
		}
	}
	if c.DiskStallTimeout == 0 {
		c.DiskStallTimeout = 2 * min(c.ElectionTimeout, Unlimited/2)
	}
	for _, limit := range []struct {
		value        *int
		defaultValue int
	}{
		{&c.RequestsMax, mailbox.DefaultRequestsMax},
		{&c.RequestBytesMax, mailbox.DefaultRequestBytesMax},
		{&c.PeerBytesMax, mailbox.DefaultPeerBytesMax},
		{&c.UncommittedBytesMax, uncommittedBytesMaxDefault},
		{&c.PendingMax, pendingMaxDefault},
		{&c.PendingBytesMax, pendingBytesMaxDefault},
		{&c.SubscribersMax, subscribersMaxDefault},
		{&c.UnappliedBytesMax, unappliedBytesMaxDefault},
		{&c.CommandBytesMax, commandBytesMaxDefault},
		{&c.SessionsMax, sessionsMaxDefault},
		{&c.SessionBytesMax, sessionBytesMaxDefault},
	} {
		if *limit.value == 0 {
			*limit.value = limit.defaultValue
		}
	}
	if c.seed == 0 {
		c.seed = rand.Uint64()
	}
	return c
}

// nodeConfig is what the core is told.
func (c Config) nodeConfig() node.Config {
	members := make([]node.Member, 0, len(c.Members))
	for _, m := range c.Members {
		members = append(members, node.Member{ID: m.ID, Suffrage: node.Voter, Address: m.Address})
	}
	n := node.Config{
		ID: c.ID, Seed: c.seed,
		ElectionTicks: c.ticks(c.ElectionTimeout), HeartbeatTicks: c.ticks(c.HeartbeatInterval),
		DiskStallTicks:  c.ticks(c.DiskStallTimeout),
		CommandBytesMax: min(c.CommandBytesMax, Unlimited-frameBytesMax) + frameBytesMax, UncommittedBytesMax: c.UncommittedBytesMax,
		UnappliedBytesMax: c.UnappliedBytesMax, SnapshotEntries: c.SnapshotEntries, RetainEntries: c.RetainEntries,
	}
	if len(members) > 0 {
		n.Bootstrap = node.NewConfiguration(members...)
	}
	return n
}

func (c Config) mailboxOptions() mailbox.Options {
	return mailbox.Options{
		Classify: classify, PeerBytesMax: c.PeerBytesMax,
		RequestsMax: c.RequestsMax, RequestBytesMax: c.RequestBytesMax,
	}
}

// ticks is how many ticks make up d, at least one.
func (c Config) ticks(d time.Duration) int {
	if c.TickInterval <= 0 {
		return 1
	}
	ticks := int(d / c.TickInterval)
	if d%c.TickInterval != 0 {
		ticks++
	}
	return max(1, ticks)
}

// logger is the member's own.
func (c Config) logger(system *actor.ActorSystem) hclog.Logger {
	logger := c.Logger
	if logger == nil {
		logger = NewHclogLogger(system.Logger())
	}
	return logger.Named("raft").With("group", c.Group, "member", uint64(c.ID))
}
