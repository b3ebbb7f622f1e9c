package raft

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// BenchmarkOverload asks a group of three, whose machines take 20 us of a processor for each command, for ten times
// what it can take. In each iteration, of some seconds, that is compared with what it does at best, for senders that
// wait for their answers: run it with -benchtime 5x. The median is reported.
func BenchmarkOverload(b *testing.B) {
	for name, ask := range map[string]func(l *benchLoad, best float64){
		"whatever the answers": func(l *benchLoad, best float64) { l.pour(10 * best) },
		"as the hints say":     func(l *benchLoad, _ float64) { l.keep(10 * pendingMaxDefault) },
	} {
		b.Run(name, func(b *testing.B) {
			var parts, applied []float64
			for b.Loop() {
				l := newBenchLoad(b)
				l.keep(1024)
				best := l.measure(nil)
				ask(l, best)
				tenfold := l.measure(b)
				parts, applied = append(parts, tenfold/best), append(applied, tenfold)
				stopBenchGroup(b, l.system)
			}
			slices.Sort(parts)
			slices.Sort(applied)
			b.ReportMetric(parts[len(parts)/2], "of-best")
			b.ReportMetric(applied[len(applied)/2], "applied/s")
		})
	}
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
	// asking is what goes on, or nil.
	asking atomic.Pointer[benchAsking]

	mu        sync.Mutex
	latencies []time.Duration // guarded by mu; of some
}

// benchAsking is one way of asking, until it is stopped.
type benchAsking struct {
	stopped atomic.Bool
	// again: who has an answer asks again, and who was refused does so when the hint says.
	again bool

	mu    sync.Mutex
	later [2048]int // guarded by mu; how many ask again in each millisecond to come
	clock int       // guarded by mu; in milliseconds
}

func newBenchLoad(b *testing.B) *benchLoad {
	b.Helper()
	spins()
	l := &benchLoad{start: time.Now()}
	l.system, l.leader = spawnBenchGroup(b, func() Machine { return &spinner{} })
	l.process, _ = l.system.ProcessRegistry.GetLocal(l.leader.Id)
	l.pid, _ = l.system.ProcessRegistry.Add(l, "load")
	return l
}

// ask proposes. One of 64 is timed, by its tag.
func (l *benchLoad) ask(again bool) {
	m := &Propose{Command: make([]byte, 16), Retry: again}
	if l.sent.Add(1)%64 == 0 {
		m.Tag = uint64(time.Since(l.start))
	}
	l.process.SendUserMessage(l.leader, &actor.MessageEnvelope{Message: m, Sender: l.pid})
}

// SendUserMessage takes an answer.
func (l *benchLoad) SendUserMessage(_ *actor.PID, message any) {
	a := l.asking.Load()
	switch m := message.(type) {
	case *Proposed:
		l.done.Add(1)
		if m.Tag != 0 {
			l.mu.Lock()
			l.latencies = append(l.latencies, time.Since(l.start)-time.Duration(m.Tag))
			l.mu.Unlock()
		}
		if a.again && !a.stopped.Load() {
			l.ask(false)
		}
	case *Rejected:
		if m.Code != Code_OVERLOADED || m.Outcome != Outcome_NOT_APPLIED || m.RetryAfterMs <= 0 {
			l.failed.Add(1)
		} else {
			l.overloaded.Add(1)
		}
		if a.again {
			a.askLater(int(m.RetryAfterMs))
		}
	}
}

func (*benchLoad) SendSystemMessage(*actor.PID, any) {}
func (*benchLoad) Stop(*actor.PID)                   {}

// askLater has somebody ask again, after up to half as long again.
func (a *benchAsking) askLater(ms int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait := max(ms, 1) + rand.IntN(ms/2+1)
	a.later[(a.clock+min(wait, len(a.later)-1))%len(a.later)]++
}

// due is how many ask again in the next millisecond.
func (a *benchAsking) due() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clock++
	due := &a.later[a.clock%len(a.later)]
	again := *due
	*due = 0
	return again
}

// begin asks in a new way: f is called each millisecond, with the time since then.
func (l *benchLoad) begin(again bool, f func(*benchAsking, time.Duration)) {
	a := &benchAsking{again: again}
	l.asking.Store(a)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for start := time.Now(); !a.stopped.Load(); <-ticker.C {
			f(a, time.Since(start))
		}
	}()
}

// pour proposes so often in a second.
func (l *benchLoad) pour(rate float64) {
	poured := 0
	l.begin(false, func(a *benchAsking, elapsed time.Duration) {
		for ; poured < int(rate*elapsed.Seconds()) && !a.stopped.Load(); poured++ {
			l.ask(false)
		}
	})
}

// keep keeps so many proposals under way. Those that are refused wait for as long as the hint says.
func (l *benchLoad) keep(users int) {
	begun, last := 0, time.Duration(0)
	l.begin(true, func(a *benchAsking, elapsed time.Duration) {
		for range min(4096, users-begun) {
			begun++
			l.ask(false)
		}
		for ; last < elapsed; last += time.Millisecond {
			for range a.due() {
				l.ask(true)
			}
		}
	})
}

// measure returns how many are applied in a second, after a while, and reports what there is to it.
func (l *benchLoad) measure(b *testing.B) float64 {
	await := func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C
	}
	await(time.Second)
	runtime.GC()
	var now runtime.MemStats
	sent, done, overloaded := l.sent.Load(), l.done.Load(), l.overloaded.Load()
	l.mu.Lock()
	l.latencies = nil
	l.mu.Unlock()
	start, peak := time.Now(), uint64(0)
	for time.Since(start) < 2*time.Second {
		await(50 * time.Millisecond)
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
	}
	seconds := time.Since(start).Seconds()
	applied, asked := float64(l.done.Load()-done)/seconds, float64(l.sent.Load()-sent)/seconds
	refused := float64(l.overloaded.Load()-overloaded) / seconds
	l.asking.Load().stopped.Store(true)
	if b == nil {
		return applied
	}
	b.ReportMetric(asked, "asked/s")
	b.ReportMetric(refused/asked*100, "%overloaded")
	b.ReportMetric(float64(peak)/(1<<20), "heap-MB")
	b.ReportMetric(float64(l.failed.Load()), "failed")
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Sort(l.latencies); len(l.latencies) > 0 {
		b.ReportMetric(float64(l.latencies[len(l.latencies)*99/100].Milliseconds()), "p99-ms")
	}
	return applied
}
