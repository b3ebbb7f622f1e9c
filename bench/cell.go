package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A cell is one place in the table: what all contenders are asked to do.
type cell struct {
	Workload     string
	PayloadBytes int
	Outstanding  int
	Groups       int
}

// A workload is what is measured on which deployment.
type workload struct {
	name  string
	kind  kind
	reads bool
	idle  bool
	about string
}

var workloads = []workload{
	{name: "W1", kind: inMemory, about: "three replicas in one process, in memory"},
	{name: "W2", kind: inProcess, about: "three replicas in one process, TCP, durable"},
	{name: "W3", kind: inProcesses, about: "three processes, TCP, durable"},
	{name: "W5", kind: inMemory, idle: true, about: "idle groups of three replicas, in one process, in memory"},
	{name: "R1", kind: inMemory, reads: true, about: "linearizable reads on the leader; replicas as in W1"},
	{name: "R2", kind: inProcess, reads: true, about: "linearizable reads on the leader; replicas as in W2"},
	{name: "R3", kind: inProcesses, reads: true, about: "linearizable reads on the leader; replicas as in W3"},
}

// workloadNamed finds a workload; the flags have been checked.
func workloadNamed(name string) workload {
	i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
	return workloads[i]
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

func (c cell) String() string {
	if workloadNamed(c.Workload).idle {
		return fmt.Sprintf("%s, %d groups", c.Workload, c.Groups)
	}
	return fmt.Sprintf("%s, %d bytes, %d outstanding", c.Workload, c.PayloadBytes, c.Outstanding)
}

// settling is how many times as long a turn warms up where large commands go to disk: until logs write to files again that
// they have used before, which costs a fraction of what new ones do.
const settling = 5

// warmUp is how long a turn of this cell warms up, where others do for that long.
func (c cell) warmUp(usual time.Duration) time.Duration {
	if workloadNamed(c.Workload).kind != inMemory && c.PayloadBytes >= 1<<10 {
		return settling * usual
	}
	return usual
}

// A job is one turn of one contender.
type job struct {
	Cell             cell
	Contender        string
	WarmUp, Duration time.Duration
	Dir              string // an empty directory for durable stores
	Profiles         profiles
}

// A measurement is what one turn has shown.
type measurement struct {
	// Requests is how many were answered in Seconds.
	Requests uint64  `json:"requests"`
	Seconds  float64 `json:"seconds"`
	// PerSecond is Requests in a second.
	PerSecond float64 `json:"per_second"`
	P50Micros float64 `json:"p50_us"`
	P99Micros float64 `json:"p99_us"`
	// CPUMicros is CPU time for each request, which is as many seconds for a
	// million; of all processes.
	CPUMicros   float64 `json:"cpu_us_per_request"`
	Allocations float64 `json:"allocations_per_request"`
	AllocBytes  float64 `json:"alloc_bytes_per_request"`
	PeakBytes   float64 `json:"peak_bytes"`
	// Idle groups have these instead.
	IdleCPUPercent     float64 `json:"idle_cpu_percent"` // of one core, all groups
	BytesPerGroup      float64 `json:"bytes_per_group"`
	GoroutinesPerGroup float64 `json:"goroutines_per_group"`
}

// contenderNamed finds a contender by name.
func contenderNamed(name string) (contender, error) {
	var names []string
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
		names = append(names, c.name)
	}
	return contender{}, fmt.Errorf("there is no contender %q; there are %s", name, strings.Join(names, ", "))
}
