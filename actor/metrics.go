package raft

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics are the instruments of one member, described in docs/metrics.md. Where the actor system has no meter
// provider there are none: then the methods of a nil *metrics do nothing. All are safe for concurrent use.
type metrics struct {
	// member are the attributes that all measurements have: group and member.
	member attribute.Set
	of     metric.MeasurementOption

	leaderChanges, peerDropped, noticesDropped        metric.Int64Counter
	snapshotsTaken, snapshotsInstalled, snapshotsSent metric.Int64Counter
	rejections                                        metric.Int64Counter
	byCode                                            map[Code]metric.MeasurementOption
	duration, syncDuration                            metric.Float64Histogram
	// registration is that of the callback by which the others are observed.
	registration metric.Registration
}

// meter is the actor that makes a member's instruments, and gives them back. A provider has locks, which it holds
// while it collects, so this is done neither by the raft actor nor by one that it waits for.
type meter struct {
	provider metric.MeterProvider
	cfg      Config
	vitals   *vitals
	logger   *memberLog
	status   func() *Status
	metrics  *metrics
}

func (m *meter) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		made, err := newMetrics(m.provider, m.cfg, m.status)
		if err != nil {
			m.logger.Warn("no metrics", "error", err)
			return
		}
		m.metrics = made
		m.vitals.metrics.Store(made)
	case *actor.Stopping, *actor.Restarting:
		m.metrics.stop()
	}
}

// newMetrics makes a member's instruments. Those that are observed have status read when they are collected, on
// the collector's goroutine; it is nil when there is nothing to tell any more.
func newMetrics(provider metric.MeterProvider, cfg Config, status func() *Status) (*metrics, error) {
	b := &instruments{meter: provider.Meter("example.com/raftactor")}
	m := &metrics{member: attribute.NewSet(
		attribute.String("group", cfg.Group), attribute.String("member", decimal(uint64(cfg.ID))),
	)}
	m.of = metric.WithAttributeSet(m.member)
	m.count(b)
	callback := m.observe(b, status)
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	registration, err := b.meter.RegisterCallback(callback, b.observed...)
	m.registration = registration
	return m, err
}

// count makes the instruments that count and measure where something happens.
func (m *metrics) count(b *instruments) {
	m.leaderChanges = b.counter("raftactor.leader.changes", "{change}",
		"How often the member has learned of a new leader.")
	m.peerDropped = b.counter("raftactor.peer.dropped", "{envelope}",
		"Envelopes of other members that were dropped because `Config.PeerBytesMax` was reached.")
	m.noticesDropped = b.counter("raftactor.notices.dropped", "{notice}",
		"Log records and events that were dropped because the logger, or a handler of events, is slow or blocked.")
	m.snapshotsTaken = b.counter("raftactor.snapshot.taken", "{snapshot}",
		"Snapshots of the member's own machine that have become durable.")
	m.snapshotsInstalled = b.counter("raftactor.snapshot.installed", "{snapshot}",
		"Snapshots of a leader that have become durable here.")
	m.snapshotsSent = b.counter("raftactor.snapshot.sent", "{snapshot}",
		"Snapshots that another member has received from this one, the leader.")
	m.rejections = b.counter("raftactor.rejections", "{request}",
		"Requests that the member has answered with `Rejected`, by its code.")
	m.byCode = map[Code]metric.MeasurementOption{}
	for code, name := range Code_name {
		m.byCode[Code(code)] = m.with("code", name)
	}
	bounds := []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	m.duration = b.histogram("raftactor.proposal.duration", "s",
		"From the turn that took a proposal in to the machine's result, on the member that answers.", bounds...)
	m.syncDuration = b.histogram("raftactor.sync.duration", "s",
		"From the end of a turn that wants its writes to be durable to the moment when they are.", bounds...)
}

// observe makes the instruments that are read when they are collected, and returns what reads them.
func (m *metrics) observe(b *instruments, status func() *Status) metric.Callback {
	term := b.gauge("raftactor.term", "{term}", "The newest term that the member knows.")
	role := b.gauge("raftactor.role", "1", "0: follower, 1: pre-candidate, 2: candidate, 3: leader.")
	commit := b.gauge("raftactor.commit.index", "{entry}", "The highest index that the member knows to be committed.")
	applied := b.gauge("raftactor.applied.index", "{entry}", "The index up to which the machine has applied.")
	lag := b.gauge("raftactor.apply.lag", "{entry}", "Committed entries that the machine has not applied.")
	stalled := b.gauge("raftactor.stalled", "ms", "How long ago the raft actor has last taken note of time.")
	unsynced := b.gauge("raftactor.unsynced", "ms", "For how long the oldest write has been on its way to the disk.")
	pinned := b.upDown("raftactor.storage.pinned", "By",
		"What the files take that the member's entries keep in the store, but for the one that is being written.")
	peerLag := b.gauge("raftactor.peer.lag", "{entry}",
		"Entries of the leader's log that another member is not known to have. Told by the leader only.")
	messages := b.upDown("raftactor.queue.messages", "{message}", "What waits in a queue.")
	bytes := b.upDown("raftactor.queue.bytes", "By", "What waits in a queue, by its size in memory.")
	sessions := b.upDown("raftactor.sessions", "{session}", "Sessions that the machine's state holds.")
	subscribers := b.upDown("raftactor.subscribers", "{subscriber}", "Subscriptions that the member serves.")
	queues := map[string]metric.MeasurementOption{}
	for _, name := range []string{"request", "peer", "pending", "uncommitted", "unapplied", "log", "event"} {
		queues[name] = m.with("queue", name)
	}
	return func(_ context.Context, o metric.Observer) error {
		s := status()
		if s == nil {
			return nil
		}
		o.ObserveInt64(term, int64(s.Term), m.of)
		o.ObserveInt64(role, int64(s.Role), m.of)
		o.ObserveInt64(commit, int64(s.CommitIndex), m.of)
		o.ObserveInt64(applied, int64(s.AppliedIndex), m.of)
		o.ObserveInt64(lag, int64(unapplied(s)), m.of)
		o.ObserveInt64(stalled, s.StalledMs, m.of)
		o.ObserveInt64(unsynced, s.UnsyncedMs, m.of)
		o.ObserveInt64(pinned, s.PinnedBytes, m.of)
		o.ObserveInt64(sessions, int64(s.Sessions), m.of)
		o.ObserveInt64(subscribers, int64(s.Subscribers), m.of)
		for _, peer := range s.Members {
			if s.Role == Status_LEADER && peer.Id != s.Id {
				o.ObserveInt64(peerLag, int64(peer.Lag), m.with("peer", decimal(peer.Id)))
			}
		}
		q := s.Queues
		o.ObserveInt64(messages, int64(q.Requests), queues["request"])
		o.ObserveInt64(messages, int64(q.PeerMessages), queues["peer"])
		o.ObserveInt64(messages, int64(q.Pending), queues["pending"])
		o.ObserveInt64(messages, int64(q.LogRecords), queues["log"])
		o.ObserveInt64(messages, int64(q.Events), queues["event"])
		o.ObserveInt64(bytes, int64(q.RequestBytes), queues["request"])
		o.ObserveInt64(bytes, int64(q.PeerBytes), queues["peer"])
		o.ObserveInt64(bytes, int64(q.PendingBytes), queues["pending"])
		o.ObserveInt64(bytes, int64(q.UncommittedBytes), queues["uncommitted"])
		o.ObserveInt64(bytes, int64(q.UnappliedBytes), queues["unapplied"])
		return nil
	}
}

// with are the attributes of the member and one more.
func (m *metrics) with(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(m.member.ToSlice(), attribute.String(key, value))...))
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// stop ends the observation. What was counted stays with the provider, and a member that is spawned again goes
// on counting there.
func (m *metrics) stop() {
	if m != nil && m.registration != nil {
		_ = m.registration.Unregister() // it has no error of its own
	}
}

func (m *metrics) leaderChanged() {
	if m != nil {
		m.leaderChanges.Add(context.Background(), 1, m.of)
	}
}

func (m *metrics) dropPeer() {
	if m != nil {
		m.peerDropped.Add(context.Background(), 1, m.of)
	}
}

func (m *metrics) dropNotice() {
	if m != nil {
		m.noticesDropped.Add(context.Background(), 1, m.of)
	}
}

func (m *metrics) snapshotTaken() {
	if m != nil {
		m.snapshotsTaken.Add(context.Background(), 1, m.of)
	}
}

func (m *metrics) snapshotInstalled() {
	if m != nil {
		m.snapshotsInstalled.Add(context.Background(), 1, m.of)
	}
}

func (m *metrics) snapshotSent() {
	if m != nil {
		m.snapshotsSent.Add(context.Background(), 1, m.of)
	}
}

func (m *metrics) rejected(code Code) {
	if m != nil {
		m.rejections.Add(context.Background(), 1, m.byCode[code])
	}
}

// applied measures a proposal that was admitted at a moment of [now].
func (m *metrics) applied(admitted time.Duration) {
	if m != nil {
		m.duration.Record(context.Background(), (now() - admitted).Seconds(), m.of)
	}
}

// synced measures a sync by two moments of [now]. The first is zero if it was asked for before there were metrics.
func (m *metrics) synced(asked, done time.Duration) {
	if m != nil && asked > 0 {
		m.syncDuration.Record(context.Background(), (done - asked).Seconds(), m.of)
	}
}

// instruments make a member's, and gather what goes wrong.
type instruments struct {
	meter    metric.Meter
	observed []metric.Observable
	errs     []error
}

func (b *instruments) counter(name, unit, description string) metric.Int64Counter {
	i, err := b.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.errs = append(b.errs, err)
	return i
}

func (b *instruments) histogram(name, unit, description string, bounds ...float64) metric.Float64Histogram {
	i, err := b.meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(bounds...))
	b.errs = append(b.errs, err)
	return i
}

func (b *instruments) gauge(name, unit, description string) metric.Int64ObservableGauge {
	i, err := b.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.observed, b.errs = append(b.observed, i), append(b.errs, err)
	return i
}

func (b *instruments) upDown(name, unit, description string) metric.Int64ObservableUpDownCounter {
	i, err := b.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	b.observed, b.errs = append(b.observed, i), append(b.errs, err)
	return i
}
