package raftactor_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A block is what stands between fences in a text.
type block struct {
	language, text string
	line           int
}

func blocksOf(text string) (blocks []block) {
	var open *block
	for i, line := range strings.SplitAfter(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{language: fence, line: i + 1}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return blocks
}

// Every block of Go in the guides is a program. It runs, and prints what the block of text behind it says.
func TestGuides(t *testing.T) {
	guides, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		blocks := blocksOf(string(text))
		for i, b := range blocks {
			if b.language != "go" {
				continue
			}
			programs++
			if i+1 == len(blocks) || blocks[i+1].language != "text" {
				t.Errorf("%s:%d: no block of text behind the program says what it prints", guide, b.line)
				continue
			}
			t.Run(filepath.Base(guide), func(t *testing.T) {
				t.Parallel()
				if got := runProgram(t, b.text); got != strings.TrimSpace(blocks[i+1].text) {
					t.Errorf("%s:%d: the program prints\n%s\nwant\n%s", guide, b.line, got, blocks[i+1].text)
				}
			})
		}
	}
	if programs == 0 {
		t.Error("there is no program in docs/*.md")
	}
}

// runProgram runs a program, and returns what it prints.
func runProgram(t *testing.T, program string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", file) // in this directory, so that it finds the module
	var log bytes.Buffer
	run.Stderr = &log
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return strings.TrimSpace(string(out))
}

var (
	link    = regexp.MustCompile(`\]\(([^)]*)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile("[^a-z0-9 _-]")
)

// Links within the repository lead somewhere, also those to a heading.
func TestLinks(t *testing.T) {
	texts, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range append(texts, "README.md", "ARCHITECTURE.md", "CHANGELOG.md") {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllSubmatch(text, -1) {
			target := string(match[1])
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := from
			if file != "" {
				to = filepath.Join(filepath.Dir(from), file)
			}
			content, err := os.ReadFile(to)
			if err != nil {
				t.Errorf("%s links to %s: %v", from, target, err)
			} else if anchor != "" && !slices.Contains(anchorsOf(content), anchor) {
				t.Errorf("%s links to %s, which has no such heading", from, target)
			}
		}
	}
}

// anchorsOf are the names by which the headings of a text can be linked to.
func anchorsOf(text []byte) (anchors []string) {
	for _, match := range heading.FindAllSubmatch(text, -1) {
		name := dropped.ReplaceAllString(strings.ToLower(string(match[1])), "")
		anchors = append(anchors, strings.ReplaceAll(name, " ", "-"))
	}
	return anchors
}
