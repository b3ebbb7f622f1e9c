package persist

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage wait: a million stores are opened, and each is small.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	runtime.MemProfileRate = 0
	os.Exit(m.Run())
}
