package raftremote

import (
	"slices"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestTheInstrumentsOfTheLinksTellWhatTheyDo(t *testing.T) {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	a, b := startSystem(t, "a", func(c *linkConfig) { c.meter = provider.Meter("test") }), startSystem(t, "b")
	one, two := a.join("g", 1), b.join("g", 2)
	one.tell(2, b, heartbeat(1, 1))
	eventually(t, "it is heard", func() bool { return len(two.heard()) == 1 })
	collect := func() map[string]metricdata.Aggregation {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		found := map[string]metricdata.Aggregation{}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				found[m.Name] = m.Data
			}
		}
		return found
	}
	eventually(t, "a ping has come back", func() bool {
		rtt, ok := collect()["raftactor.link.rtt"].(metricdata.Histogram[float64])
		return ok && rtt.DataPoints[0].Count > 0 && rtt.DataPoints[0].Sum > 0
	})
	got := collect()
	for _, name := range []string{
		"raftactor.link.dropped", "raftactor.link.refused", "raftactor.link.dials", "raftactor.link.lost", "raftactor.link.frames",
		"raftactor.link.bytes", "raftactor.link.queue",
	} {
		if got[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	if up := got["raftactor.link.up"].(metricdata.Gauge[int64]).DataPoints; len(up) != 1 || up[0].Value != 1 {
		t.Errorf("raftactor.link.up is %v, want 1", up)
	}
	isNone := func(p metricdata.DataPoint[int64]) bool { return p.Value == 0 }
	byAndBy(t, "frames are counted both ways", func() bool { // one is counted when it has been sent, which may be after it was answered
		frames := collect()["raftactor.link.frames"].(metricdata.Sum[int64]).DataPoints
		return len(frames) == 2 && !slices.ContainsFunc(frames, isNone)
	})
	a.links.stop()
	if left := collect(); left["raftactor.link.up"] != nil {
		t.Error("the links are observed after their end")
	}
}
