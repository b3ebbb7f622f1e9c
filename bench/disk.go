package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// errNoDisk is what durable workloads get where nothing is durable.
var errNoDisk = errors.New("nothing is durable there: name a directory on a disk with -dir")

// makeBase makes the directory below which all stores are. On a file system in
// memory it warns, or refuses if nobody has asked for that one.
func makeBase(o options, stderr io.Writer) (string, error) {
	durable := false
	for _, name := range o.workloads {
		durable = durable || workloadNamed(name).kind != inMemory
	}
	places := []string{o.dir}
	if o.dir == "" {
		places = []string{os.TempDir(), "/var/tmp"}
		if own, err := os.UserCacheDir(); err == nil {
			places = append(places, own)
		}
	}
	for _, place := range places {
		if durable && inRAM(fileSystem(place)) && o.dir == "" {
			continue
		}
		if durable && inRAM(fileSystem(place)) {
			fmt.Fprintf(stderr, "WARNING: %s is on %s, in memory: the durable figures of this run are worth nothing\n",
				place, fileSystem(place))
		}
		base, err := os.MkdirTemp(place, "raftactor-bench-")
		if err != nil && o.dir != "" {
			return "", fmt.Errorf("-dir: %w", err)
		}
		if err == nil {
			return base, nil
		}
	}
	return "", fmt.Errorf("tried %s: %w", strings.Join(places, ", "), errNoDisk)
}

// inRAM tells whether a file system keeps nothing.
func inRAM(name string) bool { return name == "tmpfs" || name == "ramfs" }

// machineInfo is where a run was made.
type machineInfo struct {
	CPU        string
	Cores      int
	Kernel     string
	FileSystem string
	Go         string
}

func (m machineInfo) String() string {
	return fmt.Sprintf("%s, %d cores; %s; %s; %s", m.CPU, m.Cores, m.Kernel, m.FileSystem, m.Go)
}

// describeMachine says where this run is made, and on which file system dir is.
func describeMachine(dir string) machineInfo {
	m := machineInfo{
		CPU: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), Kernel: runtime.GOOS,
		FileSystem: fileSystem(dir), Go: runtime.Version(),
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(text))
	}
	return m
}
