package raftremote

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// The table in docs/metrics-remote.md is what is exported, but for the links.
func TestTheTableOfMetricsIsTrue(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics-remote.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(raftactor\\.(?:guard|gate)\\.[a-z_.]+)` \\| [a-z -]+ \\| `(.*?)` \\| .*? \\| (.*) \\|$")
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[2] + " | " + m[3]
	}
	reader := sdkmetric.NewManualReader()
	system := actor.NewActorSystem(actor.WithMetricProviders(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	r, err := New(Config{Listen: ourAddress, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(system); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(t.Context())
	for _, reason := range everyRefusal {
		r.counters.refuse(reason)
		if !strings.Contains(string(text), "| `"+string(reason)+"` |") {
			t.Errorf("the reason %s is not documented", reason)
		}
	}
	r.counters.drop(gateFull)
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	exported := 0
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if !strings.HasPrefix(m.Name, "raftactor.guard.") && !strings.HasPrefix(m.Name, "raftactor.gate.") {
				continue
			}
			exported++
			if got := m.Unit + " | " + m.Description; documented[m.Name] != got {
				t.Errorf("%s: documented as %q, exported as %q", m.Name, documented[m.Name], got)
			}
		}
	}
	if exported != len(documented) {
		t.Errorf("%d are exported, and %d documented", exported, len(documented))
	}
}

var everyRefusal = []refusalReason{
	reasonConnections, reasonHandshake, reasonSilent, reasonMethod, reasonHello, reasonAddress, reasonMalformed, reasonTooMuch,
	reasonSerializer, reasonPayload, reasonPanic, reasonUnknownType, reasonType, reasonTarget, reasonForeign, reasonNamed, reasonWatch,
}
