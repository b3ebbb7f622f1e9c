package raftactor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// readmeProgramLinesMax is how long the program in the README may be: it is there to be read.
const readmeProgramLinesMax = 40

// The program in the README runs, and prints what the README says.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	program, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("README.md has no block of Go")
	}
	if lines := strings.Count(program, "\n"); lines > readmeProgramLinesMax {
		t.Errorf("the program has %d lines, want at most %d", lines, readmeProgramLinesMax)
	}
	_, rest, _ = strings.Cut(string(readme), "It prints `")
	want, _, _ := strings.Cut(rest, "`")
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", file) // in this directory, so that it finds the module
	run.Stderr = os.Stderr
	out, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != want || want == "" {
		t.Errorf("the program prints %q, want %q", got, want)
	}
}
