package raft

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/proto"
)

// A collector is what metrics are read with.
type collector struct {
	*sdkmetric.ManualReader
	provider *sdkmetric.MeterProvider
	system   *actor.ActorSystem
}

func newCollector() *collector {
	c := &collector{ManualReader: sdkmetric.NewManualReader()}
	c.provider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(c))
	c.system = actor.NewActorSystem(actor.WithMetricProviders(c.provider),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	return c
}

// collect returns what is exported now, by name.
func (c *collector) collect(tb testing.TB) map[string]metricdata.Metrics {
	tb.Helper()
	var all metricdata.ResourceMetrics
	if err := c.Collect(context.Background(), &all); err != nil {
		tb.Fatal(err)
	}
	exported := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			exported[m.Name] = m
		}
	}
	return exported
}

// values are those of an instrument by their attributes but the group, as in "code=INVALID member=1". Of a histogram
// they are the counts.
func (c *collector) values(tb testing.TB, name string) map[string]int64 {
	tb.Helper()
	values := map[string]int64{}
	add := func(attributes attribute.Set, value int64) {
		var key []string
		for _, a := range attributes.ToSlice() {
			if a.Key == "group" && a.Value.AsString() == "g" {
				continue
			}
			key = append(key, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
		}
		values[strings.Join(key, " ")] = value
	}
	switch data := c.collect(tb)[name].Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, int64(p.Count))
		}
	}
	return values
}

func (c *collector) expect(tb testing.TB, name string, want map[string]int64) {
	tb.Helper()
	if got := c.values(tb, name); !maps.Equal(got, want) {
		tb.Errorf("%s: got %v, want %v", name, got, want)
	}
}

func newMeteredGroup(t *testing.T) (f *fixture, c *collector, leader ID) {
	c = newCollector()
	f = newFixtureIn(t, c.system, 1, 2, 3)
	f.spawnFounders()
	return f, c, f.elect()
}

func memberKey3(values func(id ID) int64) map[string]int64 {
	all := map[string]int64{}
	for id := ID(1); id <= 3; id++ {
		all[fmt.Sprintf("member=%d", id)] = values(id)
	}
	return all
}

// Gauges tell what the status tells, of every member at the moment of the collection.
func TestMetricsTellWhatTheStatusTells(t *testing.T) {
	f, c, leader := newMeteredGroup(t)
	f.apply(leader, "a", "b")
	f.ask(leader, &Subscribe{})
	f.settle()
	f.hold(leader, "/applier")
	f.propose(leader, "c")
	f.settle()
	f.pass(3)
	f.hold(f.others(leader)[0], "")
	f.store(leader).set(func(s *testStore) { s.slow, s.pinned = true, 12345 })
	f.propose(leader, "d")
	f.pass(2)
	for name, of := range map[string]func(s *Status) int64{
		"raftactor.term":           func(s *Status) int64 { return int64(s.Term) },
		"raftactor.role":           func(s *Status) int64 { return int64(s.Role) },
		"raftactor.commit.index":   func(s *Status) int64 { return int64(s.CommitIndex) },
		"raftactor.applied.index":  func(s *Status) int64 { return int64(s.AppliedIndex) },
		"raftactor.apply.lag":      func(s *Status) int64 { return int64(s.CommitIndex - s.AppliedIndex) },
		"raftactor.stalled":        func(s *Status) int64 { return s.StalledMs },
		"raftactor.subscribers":    func(s *Status) int64 { return int64(s.Subscribers) },
		"raftactor.sessions":       func(s *Status) int64 { return int64(s.Sessions) },
		"raftactor.unsynced":       func(s *Status) int64 { return s.UnsyncedMs },
		"raftactor.storage.pinned": func(s *Status) int64 { return s.PinnedBytes },
	} {
		want := memberKey3(func(id ID) int64 { return of(f.status(id)) })
		c.expect(t, name, want)
		distinct := slices.Compact(slices.Sorted(maps.Values(want)))
		if len(distinct) < 2 && !slices.Contains([]string{"raftactor.term", "raftactor.commit.index", "raftactor.sessions"}, name) {
			t.Errorf("%s: %v tells nobody apart", name, want)
		}
	}
	lags := map[string]int64{}
	for _, id := range f.others(leader) {
		lags[fmt.Sprintf("member=%d peer=%d", leader, id)] = int64(f.member(f.status(leader), id).Lag)
	}
	c.expect(t, "raftactor.peer.lag", lags)

	messages, bytes := map[string]int64{}, map[string]int64{}
	for id := ID(1); id <= 3; id++ {
		q := f.status(id).Queues
		for name, n := range map[string]uint64{
			"request": q.Requests, "peer": q.PeerMessages, "pending": q.Pending, "log": q.LogRecords, "event": q.Events,
		} {
			messages[fmt.Sprintf("member=%d queue=%s", id, name)] = int64(n)
		}
		for name, n := range map[string]uint64{
			"request": q.RequestBytes, "peer": q.PeerBytes, "pending": q.PendingBytes,
			"uncommitted": q.UncommittedBytes, "unapplied": q.UnappliedBytes,
		} {
			bytes[fmt.Sprintf("member=%d queue=%s", id, name)] = int64(n)
		}
	}
	c.expect(t, "raftactor.queue.messages", messages)
	c.expect(t, "raftactor.queue.bytes", bytes)
}

func TestProposalsAreMeasuredWhereTheyAreAnswered(t *testing.T) {
	f, c, leader := newMeteredGroup(t)
	f.apply(leader, "a", "b", "c")
	done[*Answer](f, leader, &Query{})
	follower := f.others(leader)[0]
	f.ask(follower, &Query{Consistency: Consistency_LOCAL})
	f.settle()
	c.expect(t, "raftactor.proposal.duration", map[string]int64{fmt.Sprintf("member=%d", leader): 3})
	data := c.collect(t)["raftactor.proposal.duration"].Data.(metricdata.Histogram[float64])
	if sum := data.DataPoints[0].Sum; sum <= 0 || sum > 60 {
		t.Errorf("three took %v s", sum)
	}
}

func TestSyncsAreMeasured(t *testing.T) {
	c := newCollector()
	f := newFixtureIn(t, c.system, 1)
	f.spawnFounders()
	f.elect()
	measured := func() int64 { return c.values(t, "raftactor.sync.duration")["member=1"] }
	before := measured()
	f.apply(1, "a")
	if got := measured(); got != before+1 { // done at once
		t.Errorf("%d syncs are measured, want 1", got-before)
	}
	f.store(1).slow = true
	for range 3 {
		f.propose(1, "b")
		f.settle()
	}
	if got := measured(); got != before+1 {
		t.Errorf("%d syncs are measured, and one is done", got-before)
	}
	f.store(1).complete(3) // by one report
	f.settle()
	if got := measured(); got != before+4 {
		t.Errorf("%d syncs are measured, want 4", got-before)
	}
	data := c.collect(t)["raftactor.sync.duration"].Data.(metricdata.Histogram[float64])
	if sum := data.DataPoints[0].Sum; sum <= 0 || sum > 60 {
		t.Errorf("they took %v s", sum)
	}
}

// What a follower passes on is the leader's, which answers it.
func TestWhatIsForwardedIsMeasuredOnce(t *testing.T) {
	c := newCollector()
	f := newFixtureIn(t, c.system, 1, 2)
	f.configure = func(cfg *Config) { cfg.PendingMax = 1 }
	f.spawnFounders()
	leader := f.elect()
	follower := f.others(leader)[0]
	f.apply(follower, "a")
	f.pass(1) // the leader forgets what is answered
	f.hold(leader, "/applier")
	f.propose(leader, "b")
	f.settle()
	in := f.ask(follower, &Propose{})
	f.settle()
	f.rejected(in, Code_OVERLOADED, Outcome_NOT_APPLIED)
	c.expect(t, "raftactor.proposal.duration", map[string]int64{fmt.Sprintf("member=%d", leader): 1})
	c.expect(t, "raftactor.rejections", map[string]int64{fmt.Sprintf("code=OVERLOADED member=%d", leader): 1})
}

func TestChangesOfTheLeaderAreCounted(t *testing.T) {
	f, c, leader := newMeteredGroup(t)
	c.expect(t, "raftactor.leader.changes", memberKey3(func(ID) int64 { return 1 }))
	next := f.others(leader)[0]
	done[*LeadershipTransferred](f, leader, &TransferLeadership{Target: uint64(next)})
	f.pass(3)
	c.expect(t, "raftactor.leader.changes", memberKey3(func(ID) int64 { return 2 }))
}

// Every Rejected that a member answers counts once, whoever of it answers.
func TestRejectionsAreCountedByCode(t *testing.T) {
	c := newCollector()
	f := newFixtureIn(t, c.system, 1, 2)
	f.configure = func(cfg *Config) { cfg.CommandBytesMax, cfg.RequestsMax, cfg.PendingMax = 10, 2, 3 }
	f.spawnFounders()
	leader := f.elect()
	other := f.others(leader)[0]
	f.machines[leader].onQuery = func([]byte) error { return fmt.Errorf("no") }
	key := func(code Code) string { return fmt.Sprintf("code=%v member=%d", code, leader) }
	want := map[string]int64{}
	turned := func(code Code, count int64) {
		t.Helper()
		want[key(code)] += count
		c.expect(t, "raftactor.rejections", want)
	}

	f.ask(leader, &Propose{Sequence: 1})
	f.ask(leader, "what")
	f.settle()
	turned(Code_INVALID, 2)
	f.ask(leader, &Propose{Command: make([]byte, 11)})
	f.settle()
	turned(Code_TOO_LARGE, 1)
	f.ask(leader, &Query{Consistency: Consistency_LOCAL})
	f.settle()
	turned(Code_QUERY_FAILED, 1)
	for range 5 { // by the mailbox
		f.propose(leader, "a")
	}
	f.settle()
	turned(Code_OVERLOADED, 3)
	f.network.isolate(other, leader)
	for range 5 { // by the raft actor, of which it takes three
		f.ask(leader, &Propose{TimeoutMs: 100})
		f.settle()
	}
	turned(Code_OVERLOADED, 2)
	f.pass(4)
	turned(Code_DEADLINE, 3)
	f.ask(leader, &Propose{})
	f.settle()
	f.hold(leader, "/applier")
	f.system.Root.Stop(f.pids[leader])
	f.run()
	turned(Code_STOPPED, 1)
	f.ask(leader, &GetStatus{}) // without a turn
	turned(Code_STOPPED, 1)
}

func TestSnapshotsAreCounted(t *testing.T) {
	c := newCollector()
	f := newFixtureIn(t, c.system, 1)
	f.configure = func(cfg *Config) { cfg.RetainEntries = -1 }
	f.spawnFounders()
	f.apply(f.elect(), "a")
	done[*SnapshotTaken](f, 1, &TakeSnapshot{})
	f.spawnJoiner(2, &journal{})
	done[*MembersChanged](f, 1, addLearner(2, ""))
	f.pass(20)
	c.expect(t, "raftactor.snapshot.taken", map[string]int64{"member=1": 1})
	c.expect(t, "raftactor.snapshot.sent", map[string]int64{"member=1": 1})
	c.expect(t, "raftactor.snapshot.installed", map[string]int64{"member=2": 1})
}

func TestWhatIsDroppedIsCounted(t *testing.T) {
	c := newCollector()
	f := newFixtureIn(t, c.system, 1, 2, 3)
	f.configure = func(cfg *Config) { cfg.PeerBytesMax = 2000 }
	f.spawnFounders()
	leader := f.elect()
	held := f.others(leader)[0]
	f.hold(held, "")
	f.pass(50)
	dropped := f.status(held).Queues.PeerDropped
	if dropped == 0 {
		t.Fatal("nothing was dropped")
	}
	c.expect(t, "raftactor.peer.dropped", map[string]int64{fmt.Sprintf("member=%d", held): int64(dropped)})
}

// A member that has stopped is not observed any more, and one that is spawned again is observed once.
func TestAMemberIsObservedWhileItIsThere(t *testing.T) {
	f, c, leader := newMeteredGroup(t)
	f.apply(leader, "a")
	for range 3 {
		stopped := f.others(leader)[0]
		key := fmt.Sprintf("member=%d", stopped)
		f.hold(stopped, "/applier")
		f.system.Root.Stop(f.pids[stopped])
		f.run() // on its way
		if got, there := c.values(t, "raftactor.term")[key]; there {
			t.Errorf("a member that is stopping is observed: %d", got)
		}
		clear(f.held)
		f.settle()
		f.expectGone(stopped)
		if got, there := c.values(t, "raftactor.queue.messages")[key+" queue=request"]; there {
			t.Errorf("a member that has stopped is observed: %d", got)
		}
		f.spawn(stopped, &journal{})
		f.pass(5)
		c.expect(t, "raftactor.term", memberKey3(func(id ID) int64 { return int64(f.status(id).Term) }))
		// Sums would show it if one were observed twice.
		f.hold(stopped, "")
		f.propose(stopped, "b")
		if got := c.values(t, "raftactor.queue.messages")[key+" queue=request"]; got != 1 {
			t.Errorf("%d requests wait, want 1", got)
		}
		clear(f.held)
		f.settle()
	}
	for _, shard := range f.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, pid := range shard.Keys() {
			if strings.Contains(pid, "/meter/") != slices.ContainsFunc([]ID{1, 2, 3}, func(id ID) bool {
				return strings.HasPrefix(pid, Name("g", id)+"/meter/")
			}) {
				t.Errorf("%s is left", pid)
			}
		}
	}
}

// countingProvider counts the callbacks that are registered.
type countingProvider struct {
	metric.MeterProvider
	callbacks int
}

type countingMeter struct {
	metric.Meter
	provider *countingProvider
}

type countingRegistration struct {
	metric.Registration
	provider *countingProvider
}

func (p *countingProvider) Meter(name string, options ...metric.MeterOption) metric.Meter {
	return countingMeter{p.MeterProvider.Meter(name, options...), p}
}

func (m countingMeter) RegisterCallback(f metric.Callback, of ...metric.Observable) (metric.Registration, error) {
	m.provider.callbacks++
	r, err := m.Meter.RegisterCallback(f, of...)
	return countingRegistration{r, m.provider}, err
}

func (r countingRegistration) Unregister() error {
	r.provider.callbacks--
	return r.Registration.Unregister()
}

// The provider outlives the members, and would keep all that a callback refers to.
func TestAMemberThatHasStoppedLeavesNoCallback(t *testing.T) {
	p := &countingProvider{MeterProvider: noop.NewMeterProvider()}
	f := newFixtureIn(t, actor.NewActorSystem(actor.WithMetricProviders(p),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })), 1)
	f.spawnFounders()
	f.elect()
	before := p.callbacks
	for range 3 {
		f.stop(1)
		f.spawn(1, &journal{})
		f.settle()
	}
	if before == 0 || p.callbacks != before {
		t.Errorf("%d callbacks are registered, want %d, of the one member", p.callbacks, before)
	}
}

// A provider has locks that it holds while it collects, for as long as somebody's callback takes.
func TestACollectionThatHangsHoldsNobodyUp(t *testing.T) {
	c := newCollector()
	g := newRealGroupIn(t, c.system, 3)
	g.propose(g.leader(), "a")
	collecting, release := make(chan struct{}), make(chan struct{})
	meter := c.provider.Meter("another")
	gauge, err := meter.Int64ObservableGauge("hangs")
	if err != nil {
		t.Fatal(err)
	}
	hang := func(context.Context, metric.Observer) error { close(collecting); <-release; return nil }
	if _, err := meter.RegisterCallback(hang, gauge); err != nil {
		t.Fatal(err)
	}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		var all metricdata.ResourceMetrics
		_ = c.Collect(context.Background(), &all)
	}()
	<-collecting
	for id := ID(1); id <= 3; id++ {
		g.stop(id)
		g.spawn(id)
	}
	g.propose(g.leader(), "b")
	close(release)
	<-collected
}

// Without a provider nothing is measured: no time is asked for, nothing is allocated, and nobody is spawned.
func TestMetricsCostNothingWithoutAProvider(t *testing.T) {
	var v vitals
	c := &call{kind: proposeCall, admitted: 1}
	rejected := reply{rejected: overloadedRejection("no room")}
	n := testing.AllocsPerRun(100, func() {
		v.admit(c)
		v.answered(c, reply{})
		v.answered(c, rejected)
		m := v.metrics.Load()
		m.leaderChanged()
		m.dropPeer()
		m.dropNotice()
		m.snapshotTaken()
		m.snapshotInstalled()
		m.snapshotSent()
		m.synced(v.moment(), v.syncDone(1))
		m.stop()
	})
	if n > 0 || c.admitted != 1 || v.moment() != 0 {
		t.Errorf("%v allocations; admitted at %v, and now it is %v", n, c.admitted, v.moment())
	}
	f, _ := newGroup(t)
	for _, shard := range f.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, pid := range shard.Keys() {
			if strings.Contains(pid, "meter") {
				t.Errorf("%s is there", pid)
			}
		}
	}
}

// BenchmarkMetrics is what a proposal pays for being counted and measured.
func BenchmarkMetrics(b *testing.B) {
	for _, name := range []string{"none", "otel"} {
		b.Run(name, func(b *testing.B) {
			var v vitals
			if name == "otel" {
				made, err := newMetrics(newCollector().provider, Config{Group: "g", ID: 1}, func() *Status { return nil })
				if err != nil {
					b.Fatal(err)
				}
				v.metrics.Store(made)
			}
			c := &call{kind: proposeCall}
			b.ReportAllocs()
			for b.Loop() {
				v.admit(c)
				v.answered(c, reply{})
			}
		})
	}
}

// The table in docs/metrics.md is what is exported.
func TestTheTableOfMetricsIsTrue(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(raftactor\\.[a-z_.]+)` \\| ([a-z- ]+) \\| `(.*?)` \\| (.*?) \\| (.*) \\|$")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = strings.Join(m[2:], " | ")
	}
	exported := map[string]string{}
	for name, m := range everythingExported(t) {
		kind, attributes := described(t, m)
		exported[name] = strings.Join([]string{kind, m.Unit, attributes, m.Description}, " | ")
	}
	for name := range maps.Keys(exported) {
		if documented[name] != exported[name] {
			t.Errorf("%s: documented as %q, exported as %q", name, documented[name], exported[name])
		}
	}
	for name := range documented {
		if _, ok := exported[name]; !ok {
			t.Errorf("%s is documented and not exported", name)
		}
	}
	for code, name := range Code_name {
		if documents := strings.Contains(string(text), "`"+name+"`"); code != 0 && !documents {
			t.Errorf("the code %s is not named", name)
		}
	}
}

// everythingExported has each instrument measure something.
func everythingExported(t *testing.T) map[string]metricdata.Metrics {
	c := newCollector()
	f := newFixtureIn(t, c.system, 1, 2, 3)
	logger := hclog.New(&hclog.LoggerOptions{Output: writerFunc(func(p []byte) (int, error) { return len(p), nil }), Level: hclog.Trace})
	f.configure = func(cfg *Config) { cfg.RetainEntries, cfg.PeerBytesMax, cfg.Logger = -1, 100_000, logger }
	f.spawnFounders()
	leader := f.elect()
	f.held[f.outletOf(leader, "log")] = true
	for f.status(leader).Queues.NoticesDropped == 0 {
		f.apply(leader, "a")
	}
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.spawnJoiner(4, &journal{})
	done[*MembersChanged](f, leader, addLearner(4, ""))
	f.pass(20)
	f.ask(leader, "what")
	f.settle()
	f.hold(4, "")
	for f.status(4).Queues.PeerDropped == 0 {
		f.pass(1)
	}
	return c.collect(t)
}

// described is the kind of an instrument, and the names of its attributes.
func described(t *testing.T, m metricdata.Metrics) (kind, attributes string) {
	keys := map[string]bool{}
	add := func(set attribute.Set) {
		for _, a := range set.ToSlice() {
			keys[strconv.Quote(string(a.Key))] = true
		}
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		kind = "counter"
		if !data.IsMonotonic {
			kind = "up-down counter"
		}
		for _, p := range data.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Gauge[int64]:
		kind = "gauge"
		for _, p := range data.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range data.DataPoints {
			add(p.Attributes)
		}
	default:
		t.Fatalf("%s is a %T", m.Name, data)
	}
	own := slices.DeleteFunc(slices.Sorted(maps.Keys(keys)), func(key string) bool { return key == `"group"` || key == `"member"` })
	if len(keys) != len(own)+2 {
		t.Errorf("%s lacks group or member: %v", m.Name, keys)
	}
	return kind, strings.ReplaceAll(strings.Join(own, ", "), `"`, "`")
}

// A copy of a forwarded request that finds no room turns nobody down: the first one is at work, or has been refused already.
func TestARefusedCopyOfAForwardIsNotMeasured(t *testing.T) {
	r := &raftActor{}
	r.overload.init()
	f, err := newForward(&Propose{}, func(proto.Message) {})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.overloaded(f)
	}
	if n := r.vitals.overloaded.Load(); n != 1 {
		t.Errorf("%d refusals are counted, want 1", n)
	}
}
