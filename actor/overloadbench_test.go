package raft

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
)

// BenchmarkOverload asks a group of three, whose machines take 20 us of a processor for each command, for ten times
// what it can take. The best is what it does for senders that wait for their answers. One iteration is some seconds
// long: run it with -benchtime 1x.
func BenchmarkOverload(b *testing.B) {
	const window = 2 * time.Second
	best := 0.0
	b.Run("best", func(b *testing.B) {
		for b.Loop() {
			load := newBenchLoad(b)
			load.keep(1024, false)
			best = load.measure(b, window)
		}
	})
	b.Run("tenfold/whatever the answers", func(b *testing.B) {
		for b.Loop() {
			load := newBenchLoad(b)
			load.pour(10 * best)
			b.ReportMetric(load.measure(b, window)/best, "of-best")
		}
	})
	b.Run("tenfold/as the hints say", func(b *testing.B) {
		for b.Loop() {
			load := newBenchLoad(b)
			load.keep(10*pendingMaxDefault, true)
			b.ReportMetric(load.measure(b, window)/best, "of-best")
		}
	})
}

// spinner is a machine that takes its time.
type spinner struct{ counter }

const spinTime = 20 * time.Microsecond

// spins is how many rounds of spin take spinTime.
var spins = sync.OnceValue(func() int {
	const rounds = 1 << 22
	best := time.Hour
	for range 5 {
		start := time.Now()
		spin(rounds)
		best = min(best, time.Since(start))
	}
	return int(rounds * spinTime / best)
})

var spun atomic.Uint64

func spin(rounds int) {
	x := spun.Load()
	for range rounds {
		x = x*6364136223846793005 + 1442695040888963407
	}
	spun.Store(x)
}

func (s *spinner) Apply(c Command) ([]byte, error) {
	spin(spins())
	return s.counter.Apply(c)
}

// A benchLoad is a group and those who ask it. It is the process to which the answers go.
type benchLoad struct {
	system  *actor.ActorSystem
	leader  *actor.PID
	process actor.Process // of the leader
	pid     *actor.PID
	start   time.Time

	sent, done, overloaded, failed atomic.Int64
	// again: who has an answer asks again, and who was refused does so when the hint says.
	again, stopped atomic.Bool

	mu        sync.Mutex
	latencies []time.Duration // guarded by mu; of some
	later     [1024]int       // guarded by mu; how many ask again in each millisecond to come
	clock     int             // guarded by mu; in milliseconds
}

func newBenchLoad(b *testing.B) *benchLoad {
	b.Helper()
	spins()
	l := &benchLoad{start: time.Now()}
	l.system, l.leader = benchGroupOf(b, func() Machine { return &spinner{} })
	l.process, _ = l.system.ProcessRegistry.GetLocal(l.leader.Id)
	l.pid, _ = l.system.ProcessRegistry.Add(l, "load")
	b.Cleanup(func() { l.stopped.Store(true) })
	return l
}

// ask proposes. One of 64 is timed, by its tag.
func (l *benchLoad) ask() {
	m := &Propose{Command: make([]byte, 16)}
	if l.sent.Add(1)%64 == 0 {
		m.Tag = uint64(time.Since(l.start))
	}
	l.process.SendUserMessage(l.leader, &actor.MessageEnvelope{Message: m, Sender: l.pid})
}

// SendUserMessage takes an answer.
func (l *benchLoad) SendUserMessage(_ *actor.PID, message any) {
	switch m := message.(type) {
	case *Proposed:
		l.done.Add(1)
		if m.Tag != 0 {
			l.mu.Lock()
			l.latencies = append(l.latencies, time.Since(l.start)-time.Duration(m.Tag))
			l.mu.Unlock()
		}
		if l.again.Load() && !l.stopped.Load() {
			l.ask()
		}
	case *Rejected:
		if m.Code != Code_OVERLOADED || m.Outcome != Outcome_NOT_APPLIED || m.RetryAfterMs <= 0 {
			l.failed.Add(1)
		} else {
			l.overloaded.Add(1)
		}
		if l.again.Load() {
			l.mu.Lock()
			wait := int(m.RetryAfterMs) + int(l.sent.Load())%(int(m.RetryAfterMs)/2+1)
			l.later[(l.clock+min(max(wait, 1), len(l.later)-1))%len(l.later)]++
			l.mu.Unlock()
		}
	}
}

func (*benchLoad) SendSystemMessage(*actor.PID, any) {}
func (*benchLoad) Stop(*actor.PID)                   {}

// every calls f each millisecond, until the load is stopped, with the time since the start.
func (l *benchLoad) every(f func(time.Duration)) {
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for start := time.Now(); !l.stopped.Load(); <-ticker.C {
			f(time.Since(start))
		}
	}()
}

// pour proposes so often in a second.
func (l *benchLoad) pour(rate float64) {
	poured := 0
	l.every(func(elapsed time.Duration) {
		for ; poured < int(rate*elapsed.Seconds()) && !l.stopped.Load(); poured++ {
			l.ask()
		}
	})
}

// keep keeps so many proposals under way. With hints those that are refused wait for so long.
func (l *benchLoad) keep(users int, hints bool) {
	l.again.Store(true)
	begun := 0
	last := time.Duration(0)
	l.every(func(elapsed time.Duration) {
		for k := 0; begun < users && k < 4096; k++ {
			begun++
			l.ask()
		}
		for ; last < elapsed; last += time.Millisecond {
			l.mu.Lock()
			l.clock++
			due := &l.later[l.clock%len(l.later)]
			again := *due
			*due = 0
			l.mu.Unlock()
			for range again {
				l.ask()
			}
		}
	})
}

// measure returns how many are applied in a second, after a while, and reports what there is to it.
func (l *benchLoad) measure(b *testing.B, window time.Duration) float64 {
	b.Helper()
	await := func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C
	}
	await(window / 2)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	sent, done, overloaded := l.sent.Load(), l.done.Load(), l.overloaded.Load()
	l.mu.Lock()
	l.latencies = nil
	l.mu.Unlock()
	start, peak := time.Now(), before.HeapAlloc
	for time.Since(start) < window {
		await(50 * time.Millisecond)
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
	}
	seconds := time.Since(start).Seconds()
	applied := float64(l.done.Load()-done) / seconds
	l.stopped.Store(true)
	asked := float64(l.sent.Load()-sent) / seconds
	b.ReportMetric(applied, "applied/s")
	b.ReportMetric(asked, "asked/s")
	b.ReportMetric(float64(l.overloaded.Load()-overloaded)/seconds/asked*100, "%overloaded")
	b.ReportMetric(float64(peak)/(1<<20), "heap-MB")
	b.ReportMetric(float64(l.failed.Load()), "failed")
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Sort(l.latencies); len(l.latencies) > 0 {
		b.ReportMetric(float64(l.latencies[len(l.latencies)*99/100].Milliseconds()), "p99-ms")
	}
	return applied
}

// benchGroupOf starts three members in one actor system, in memory, and returns the PID of the leader.
func benchGroupOf(b *testing.B, machine func() Machine) (*actor.ActorSystem, *actor.PID) {
	b.Helper()
	system, store, transport := quietSystem(), NewMemoryStore(), NewMemoryTransport()
	leader := make(chan ID, 100)
	system.EventStream.Subscribe(func(event any) {
		if event, ok := event.(*LeaderChanged); ok && event.Leader == event.Member {
			leader <- event.Leader
		}
	})
	pids := map[ID]*actor.PID{}
	for id := ID(1); id <= 3; id++ {
		pid, err := Spawn(system, Config{
			Group: "bench", ID: id, Members: []Member{{ID: 1}, {ID: 2}, {ID: 3}}, Store: store, Transport: transport,
			Logger: hclog.NewNullLogger(),
		}, machine())
		if err != nil {
			b.Fatal(err)
		}
		pids[id] = pid
	}
	b.Cleanup(func() {
		for _, pid := range pids {
			if err := system.Root.StopFuture(pid).Wait(); err != nil {
				b.Error(err)
			}
		}
	})
	return system, pids[<-leader]
}
