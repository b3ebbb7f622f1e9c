package raft

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
)

// benchGroup starts three members in one actor system, in memory, and returns the PID of the leader. They are stopped
// when the benchmark ends.
func benchGroup(b *testing.B) (*actor.ActorSystem, *actor.PID) {
	b.Helper()
	system, leader := spawnBenchGroup(b, func() Machine { return &counter{} })
	b.Cleanup(func() { stopBenchGroup(b, system) })
	return system, leader
}

func spawnBenchGroup(b *testing.B, machine func() Machine) (*actor.ActorSystem, *actor.PID) {
	b.Helper()
	system, store, transport := quietSystem(), NewMemoryStore(), NewMemoryTransport()
	leader := make(chan ID, 100)
	system.EventStream.Subscribe(func(event any) {
		if event, ok := event.(*LeaderChanged); ok && event.Leader == event.Member {
			leader <- event.Leader
		}
	})
	for id := ID(1); id <= 3; id++ {
		_, err := Spawn(system, Config{
			Group: "bench", ID: id, Members: []Member{{ID: 1}, {ID: 2}, {ID: 3}}, Store: store, Transport: transport,
			Logger: hclog.NewNullLogger(),
		}, machine())
		if err != nil {
			b.Fatal(err)
		}
	}
	return system, actor.NewPID(system.Address(), Name("bench", <-leader))
}

func stopBenchGroup(b *testing.B, system *actor.ActorSystem) {
	b.Helper()
	for id := ID(1); id <= 3; id++ {
		if err := system.Root.StopFuture(actor.NewPID(system.Address(), Name("bench", id))).Wait(); err != nil {
			b.Error(err)
		}
	}
}

// A benchAsker is an actor that keeps a number of requests under way until enough are answered.
type benchAsker struct {
	to           *actor.PID
	request      any
	left, flying int
	done         chan error
}

type askMany struct{ count, outstanding int }

func (a *benchAsker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *askMany:
		a.left, a.flying = m.count, 0
		for range min(m.outstanding, m.count) {
			a.ask(ctx)
		}
	case *Proposed, *Answer:
		a.flying--
		if a.left > 0 {
			a.ask(ctx)
		} else if a.flying == 0 {
			a.done <- nil
		}
	case *Rejected:
		a.done <- m.Err()
	}
}

func (a *benchAsker) ask(ctx actor.Context) {
	a.left--
	a.flying++
	ctx.Request(a.to, a.request)
}

func benchmarkRequest(b *testing.B, request any, outstanding int) {
	system, leader := benchGroup(b)
	asker := &benchAsker{to: leader, request: request, done: make(chan error, outstanding)}
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return asker }))
	ask := func(count int) {
		system.Root.Send(pid, &askMany{count, outstanding})
		if err := <-asker.done; err != nil {
			b.Fatal(err)
		}
	}
	ask(max(outstanding, 1000)) // the leader has committed in its term, and the buffers have their size
	b.ReportAllocs()
	b.ResetTimer()
	ask(b.N)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func BenchmarkPropose(b *testing.B) {
	for _, outstanding := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("outstanding=%d", outstanding), func(b *testing.B) {
			benchmarkRequest(b, &Propose{Command: make([]byte, 16)}, outstanding)
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	for name, consistency := range map[string]Consistency{
		"linearizable": Consistency_LINEARIZABLE, "local": Consistency_LOCAL,
	} {
		for _, outstanding := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("%s/outstanding=%d", name, outstanding), func(b *testing.B) {
				benchmarkRequest(b, &Query{Consistency: consistency}, outstanding)
			})
		}
	}
}

// BenchmarkPendingMaxReached is what it costs to turn a request down while as many wait as may.
func BenchmarkPendingMaxReached(b *testing.B) {
	cfg := Config{}.withDefaults()
	var cs calls
	for range cfg.PendingMax {
		cs.admit(&call{}, 0, &cfg)
	}
	c := &call{}
	b.ReportAllocs()
	for b.Loop() {
		if cs.admit(c, 0, &cfg) {
			b.Fatal("admitted")
		}
	}
}

// A proposal should cost few allocations, however many are under way: a leader of one, so that what other members
// allocate is not counted.
func TestAllocationsPerProposal(t *testing.T) {
	f := newFixture(t, 1)
	f.scheduler.Trace = nil
	f.configure = func(c *Config) { c.SnapshotEntries = node.Unlimited }
	f.spawnFounders()
	f.elect()
	sink := &countingProcess{}
	sink.pid, _ = f.system.ProcessRegistry.Add(sink, "sink")
	const batch = 256
	request := &actor.MessageEnvelope{Message: &Propose{Command: make([]byte, 16)}, Sender: sink.pid}
	process, _ := f.system.ProcessRegistry.GetLocal(f.pids[1].Id)
	all := testing.AllocsPerRun(100, func() {
		for range batch {
			process.SendUserMessage(f.pids[1], request)
		}
		for f.scheduler.Len() > 0 {
			f.scheduler.Step(0)
		}
	})
	if each := all / batch; each > 8 {
		t.Errorf("%.1f allocations per proposal", each)
	} else {
		t.Logf("%.1f allocations per proposal", each)
	}
	if sink.got < 100*batch {
		t.Errorf("%d proposals were answered", sink.got)
	}
}

type countingProcess struct {
	pid *actor.PID
	got int
}

func (p *countingProcess) SendUserMessage(_ *actor.PID, message any) {
	if _, ok := actor.UnwrapEnvelopeMessage(message).(*Proposed); ok {
		p.got++
	}
}
func (*countingProcess) SendSystemMessage(*actor.PID, any) {}
func (*countingProcess) Stop(*actor.PID)                   {}
