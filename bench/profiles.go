package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
)

// Profiles are the files to write profiles of one turn to. Empty: none.
type profiles struct {
	CPU, Memory, Mutex, Block, Trace string
}

func (p profiles) any() bool { return p != profiles{} }

// profiling is what is under way for them. Nil is nothing.
type profiling struct {
	profiles
	files []*os.File
}

// begin starts them. What has been allocated before is in the profile of
// memory, too: it samples everything since the process began.
func (p profiles) begin() (*profiling, error) {
	if !p.any() {
		return nil, nil
	}
	run := &profiling{profiles: p}
	if p.CPU != "" {
		f, err := run.create(p.CPU)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			return nil, fmt.Errorf("the CPU profile: %w", err)
		}
	}
	if p.Trace != "" {
		f, err := run.create(p.Trace)
		if err == nil {
			err = trace.Start(f)
		}
		if err != nil {
			return nil, fmt.Errorf("the trace: %w", err)
		}
	}
	if p.Mutex != "" {
		runtime.SetMutexProfileFraction(10)
	}
	if p.Block != "" {
		runtime.SetBlockProfileRate(10_000) // ns of blocking for a sample
	}
	return run, nil
}

func (p *profiling) create(name string) (*os.File, error) {
	f, err := os.Create(name)
	if err == nil {
		p.files = append(p.files, f)
	}
	return f, err
}

// end writes what has been gathered.
func (p *profiling) end() error {
	if p == nil {
		return nil
	}
	if p.CPU != "" {
		pprof.StopCPUProfile()
	}
	if p.Trace != "" {
		trace.Stop()
	}
	var faults []error
	for name, file := range map[string]string{"allocs": p.Memory, "mutex": p.Mutex, "block": p.Block} {
		if file == "" {
			continue
		}
		f, err := p.create(file)
		if err == nil {
			err = pprof.Lookup(name).WriteTo(f, 0)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("the profile %s: %w", name, err))
		}
	}
	for _, f := range p.files {
		faults = append(faults, f.Close())
	}
	return errors.Join(faults...)
}
