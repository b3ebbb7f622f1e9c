package main

import (
	"strings"
	"testing"
)

func seriesOf(contender string, outstanding int, perSecond ...float64) *series {
	s := &series{Cell: cell{Workload: "W1", PayloadBytes: 16, Outstanding: outstanding}, Contender: contender}
	for _, p := range perSecond {
		s.Rounds = append(s.Rounds, measurement{PerSecond: p, CPUMicros: 1e6 / p})
	}
	return s
}

func TestTheTableShowsMediansSpreadAndRatios(t *testing.T) {
	var out strings.Builder
	render(&out, report{Command: "go run .", Series: []*series{
		seriesOf("floor-mem", 64, 1e6), seriesOf("null", 64, 2e6),
		seriesOf(ownName, 64, 400_000, 500_000, 450_000), seriesOf("etcd-io/raft", 64, 300_000, 300_000, 310_000),
		seriesOf(ownName, 1024, 100_000),
		{Cell: cell{Workload: "W1", PayloadBytes: 16, Outstanding: 1024}, Contender: "null", Error: "lost"},
	}})
	for _, want := range []string{
		"W1: three replicas in one process, in memory; 16 bytes", "64 outstanding", "1024 outstanding",
		"450 (400 to 500)  1.50  0.45", "300 (300 to 310)  -  0.30", "2.22 (1.72)", "etcd-io/raft: etcd-io/raft v3.7.0", "go run .",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
}

func TestMediansThatDifferByLessThanTheSpreadAreATie(t *testing.T) {
	own, peer := seriesOf(ownName, 1, 100, 110, 120), seriesOf("etcd-io/raft", 1, 90, 105, 106)
	v, found := against(own, []*series{own, peer}, rolePeer)
	if !found || !v.tie {
		t.Errorf("got %+v, %v", v, found)
	}
	far := seriesOf("etcd-io/raft", 1, 50, 51, 52)
	if v, _ := against(own, []*series{own, far}, rolePeer); v.tie || v.ratio < 2 {
		t.Errorf("got %+v", v)
	}
}

func TestQuantilesAreAtMostThreePercentTooHigh(t *testing.T) {
	for _, ns := range []uint64{0, 1, 31, 32, 33, 63, 64, 65, 1000, 123_456, 1 << 40, 1<<63 - 1} {
		got := upper(bucketOf(ns))
		if got < ns || float64(got-ns) > float64(ns)/31+1 {
			t.Errorf("%d became %d", ns, got)
		}
	}
	var h, other histogram
	for i := range 100 {
		(map[bool]*histogram{true: &h, false: &other})[i%2 == 0].add(1000)
	}
	other.add(1_000_000)
	h.merge(&other)
	if p50, p100 := h.quantile(0.5), h.quantile(1); p50 < 1000 || p50 > 1032 || p100 < 1_000_000 || p100 > 1_032_000 {
		t.Errorf("got %v and %v", p50, p100)
	}
}

func TestFlagsThatAreWrongSayWhatIsAllowed(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-workloads W9", "W1, W2, W3"},
		{"-contenders nobody", ownName},
		{"-payload 8", "from 16"},
		{"-concurrency many", "list of numbers"},
		{"-rounds 0", "from 1"},
		{"-groups -1", "from 1"},
		{"-duration 1ns", "from 10ms"},
		{"-cpuprofile x", "one turn"},
		{"extra", "no flag"},
	} {
		_, err := parse(strings.Fields(test.args), &strings.Builder{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.args, err)
		}
	}
}

func TestQuickLeavesWhatWasAskedFor(t *testing.T) {
	o, err := parse(strings.Fields("-quick -workloads W2 -payload 256"), &strings.Builder{})
	if err != nil || len(o.workloads) != 1 || o.payloads[0] != 256 || o.rounds != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
}
