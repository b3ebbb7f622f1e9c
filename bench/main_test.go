package main

import (
	"os"
	"testing"
)

// The program of the tests runs itself again for turns and replicas, too.
func TestMain(m *testing.M) {
	if code, is := beProcess(); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
