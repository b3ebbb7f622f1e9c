package raftactor_test

import (
	"os"
	"slices"
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
	blocks := blocksOf(string(readme))
	k := slices.IndexFunc(blocks, func(b block) bool { return b.language == "go" })
	if k < 0 {
		t.Fatal("README.md has no block of Go")
	}
	program := blocks[k].text
	if lines := strings.Count(program, "\n"); lines > readmeProgramLinesMax {
		t.Errorf("the program has %d lines, want at most %d", lines, readmeProgramLinesMax)
	}
	_, rest, _ := strings.Cut(string(readme), "It prints `")
	want, _, _ := strings.Cut(rest, "`")
	if got := runProgram(t, program); got != want || want == "" {
		t.Errorf("the program prints %q, want %q", got, want)
	}
}
