package persist

import (
	"flag"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever moment a crash happens at, and whatever it leaves of what was not durable: the store opens again, has all that it had
// acknowledged, and nothing that had been truncated, released or deleted. A workload is run on a simulated disk. At each
// operation of the disk the states are made that a kill or a power loss may leave, and on each the store is opened
// and compared with what must be there.

var (
	crashStates = flag.Int("states", statesDefault, "how many crash states to explore")
	crashSeed   = flag.Uint64("seed", 0, "explore the crashes of the workload with this seed only; 0: of as many as it takes")
)

// explore explores the crashes of a workload, and returns what went wrong, or nil.
func explore(seed uint64, plant *mistake, perPoint int, drive func(*workload)) (x *explorer, failure *crashFailure) {
	x = newExplorer(seed, plant, perPoint)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *crashFailure:
			failure = r
		default:
			panic(r)
		}
	}()
	drive(newWorkload(seed, plant, x))
	return x, nil
}

// powerLosses is how many power losses are looked at of each moment, at most, and writtenPowerLosses that in workloads that are
// written by hand.
const (
	powerLosses        = 64
	writtenPowerLosses = statesDefault / 62_500
)

func TestNoCrashLosesWhatWasAcknowledged(t *testing.T) {
	if *crashSeed != 0 {
		exploreSeed(t, *crashSeed)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // what lives is little, and what is made is much
	var seeds, images, opened atomic.Int64
	var work sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 2) {
		work.Go(func() {
			for images.Load() < int64(*crashStates) && !t.Failed() {
				x := exploreSeed(t, uint64(seeds.Add(1)))
				images.Add(int64(len(x.images)))
				opened.Add(int64(x.opened))
			}
		})
	}
	work.Wait()
	t.Logf("%d states with different content, in %d workloads; the store was opened %d times",
		images.Load(), seeds.Load(), opened.Load())
	if images.Load() < int64(*crashStates) {
		t.Errorf("%d states have been explored, and should be %d", images.Load(), *crashStates)
	}
}

// exploreSeed explores the crashes of a workload that is drawn at random.
func exploreSeed(t *testing.T, seed uint64) *explorer {
	x, failure := explore(seed, nil, powerLosses, (*workload).random)
	if failure != nil {
		t.Errorf("%v\nagain: go test ./persist -run '^%s$' -seed %d", failure, t.Name(), seed)
	}
	return x
}

func TestNoCrashLosesWhatWasAcknowledgedInWrittenWorkloads(t *testing.T) {
	for name, drive := range writtenWorkloads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, failure := explore(1, nil, writtenPowerLosses, drive)
			if failure != nil {
				t.Errorf("%v\nagain: go test ./persist -run '^%s$'", failure, t.Name())
			}
			t.Logf("%d states with different content; the store was opened %d times", len(x.images), x.opened)
		})
	}
}
