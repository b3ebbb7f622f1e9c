package raft_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	raft "example.com/raftactor/actor"
)

// What a liveness probe and a readiness probe look at.
func ExampleHealth() {
	system := newSystem()
	member := spawnOne(system)
	probe := func() {
		err := raft.Health(context.Background(), system, member)
		fmt.Println("live:", !errors.Is(err, raft.ErrNotLive), "ready:", !errors.Is(err, raft.ErrNotReady), err)
	}
	probe()
	stop(system, []*actor.PID{member})
	probe()
	// Output:
	// live: true ready: true <nil>
	// live: false ready: false raft: member raft/counter/1: its actor has stopped, or was never started
}

// Members log with hclog; this is how they get to a program's slog.
func ExampleNewHclogLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // so that the output is always the same
			}
			return a
		},
	}))
	cfg := raft.Config{Logger: raft.NewHclogLogger(logger)}
	cfg.Logger.Named("raft").With("group", "g").Info("leader changed", "leader", 2)
	cfg.Logger.Debug("not enabled by the handler")
	// Output:
	// level=INFO msg="leader changed" logger=raft group=g leader=2
}

// Proto.Actor logs to slog; this is how it gets to a program's hclog.
func ExampleNewSlogHandler() {
	logger := hclog.New(&hclog.LoggerOptions{Name: "app", Level: hclog.Warn, Output: os.Stdout, DisableTime: true})
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(raft.NewSlogHandler(logger.Named("actors")))
	}))
	system.Logger().Warn("something", slog.Group("of", "lib", "Proto.Actor"))
	// Output:
	// [WARN]  app.actors: something: of.lib=Proto.Actor
}

// Metrics go to the meter provider of the actor system.
func ExampleSpawn_metrics() {
	reader := sdkmetric.NewManualReader()
	system := actor.NewActorSystem(
		actor.WithMetricProviders(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
	)
	member := spawnOne(system)
	client := raft.NewClient(system, member)
	defer client.Close()
	for range 3 {
		if _, err := client.Propose(context.Background(), []byte("increment")); err != nil {
			log.Fatal(err)
		}
	}

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		log.Fatal(err)
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "raftactor.proposal.duration" {
				fmt.Println(m.Name, h.DataPoints[0].Count)
			}
		}
	}
	stop(system, []*actor.PID{member})
	// Output:
	// raftactor.proposal.duration 3
}
