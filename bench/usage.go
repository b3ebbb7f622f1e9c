package main

import (
	"fmt"
	"runtime"
	"syscall"
)

// A usage is what a process has taken so far.
type usage struct {
	CPUSeconds  float64
	Allocations uint64
	AllocBytes  uint64
	// PeakBytes is the most that the process has had resident, and LiveBytes
	// what its heap and stacks hold now.
	PeakBytes, LiveBytes uint64
	Goroutines           int
}

// ownUsage is that of this process.
func ownUsage() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("asking for this process's CPU time: %w", err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	peak := uint64(r.Maxrss) // KiB, but on macOS bytes
	if runtime.GOOS != "darwin" {
		peak *= 1024
	}
	return usage{
		CPUSeconds:  seconds(r.Utime) + seconds(r.Stime),
		Allocations: m.Mallocs, AllocBytes: m.TotalAlloc,
		PeakBytes: peak, LiveBytes: m.HeapAlloc + m.StackInuse,
		Goroutines: runtime.NumGoroutine(),
	}, nil
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// add sums up processes.
func (u usage) add(other usage) usage {
	u.CPUSeconds += other.CPUSeconds
	u.Allocations += other.Allocations
	u.AllocBytes += other.AllocBytes
	u.PeakBytes += other.PeakBytes
	u.LiveBytes += other.LiveBytes
	u.Goroutines += other.Goroutines
	return u
}
