package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func markdownReport() report {
	idle := seriesOf(ownName, 1, 1)
	idle.Cell.Workload, idle.Cell.Groups = "W5", 100
	idle.Rounds[0] = measurement{IdleCPUPercent: 1.25, BytesPerGroup: 2048, GoroutinesPerGroup: 3}
	large := seriesOf(ownName, 64, 1e4)
	large.Cell.PayloadBytes = 4096
	failed := seriesOf("null", 1024, 1e9)
	failed.Error = "lost"
	return report{Command: "go run . -rounds 3", Machine: machineInfo{CPU: "Z80"}, Series: []*series{
		seriesOf("floor-mem", 1, 1e6), seriesOf("null", 1, 2e6), seriesOf(ownName, 1, 400_000, 500_000, 450_000),
		seriesOf("etcd-io/raft", 1, 300_000, 300_000, 310_000), seriesOf(ownName, 1024, 1e6, 1.2e6, 1.1e6),
		seriesOf("etcd-io/raft", 1024, 1e6, 1.1e6, 1e6), failed, large, idle,
	}}
}

func TestTheTablesForREADMEHaveOurRowFirstAndRatiosBelow(t *testing.T) {
	var out strings.Builder
	renderMarkdown(&out, markdownReport())
	for _, want := range []string{
		"Thousand commands of 16 bytes committed per second, by how many are outstanding:\n\n" +
			"| | W1: 1 | 1,024 |\n" +
			"|---|---:|---:|\n" +
			"| **raftactor** | 450 | 1,100 |\n" +
			"| etcd-io/raft | 300 | 1,000 |\n" +
			"| floor-mem | 1,000 |  |\n" +
			"| null | 2,000 |  |\n" +
			"| raftactor / best library | 1.50 | 1.10 tie |\n" +
			"| raftactor / floor | 0.45 |  |\n\n",
		"commands of 4,096 bytes", "| **raftactor** | 1.2 | 2.0 | 3.0 |", "- etcd-io/raft: etcd-io/raft v3.7.0",
		"`go run . -rounds 3` on Z80",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &out)
		}
	}
}

func TestAReportThatWasWrittenIsShownAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	r := markdownReport()
	if err := writeJSON(file, r, nil); err != nil {
		t.Fatal(err)
	}
	var want, got, errors strings.Builder
	render(&want, r)
	if code := run([]string{"-show", file}, &got, &errors); code != exitOK || got.String() != want.String() {
		t.Errorf("exit code %d, %s\n%s\nwant\n%s", code, &errors, &got, &want)
	}
	if code := run([]string{"-show", "markdown_test.go"}, &got, &errors); code != exitFailed ||
		!strings.Contains(errors.String(), "no report") {
		t.Errorf("exit code %d, %s", code, &errors)
	}
}

func TestQuickHasAFewOfEverything(t *testing.T) {
	o, err := parse([]string{"-quick"}, &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, c := range o.cells() {
		count[c.Workload]++
	}
	if slices.ContainsFunc(o.contenders, isBolt) || len(o.contenders) < 8 || len(count) != 5 || count["W3"] != 3 || count["R1"] != 1 || count["W5"] != 1 {
		t.Errorf("got %v, %v", count, o.contenders)
	}
	if o, err = parse(strings.Fields("-quick -workloads R1 -concurrency 1,64"), &strings.Builder{}); err != nil || len(o.cells()) != 2 {
		t.Errorf("got %v, %v", o.cells(), err)
	}
}
