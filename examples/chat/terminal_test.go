package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestWhatIsSaidCannotCommandTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain, Grüße, 日本語 🙂":     "plain, Grüße, 日本語 🙂",
		"👩\u200d💻":                "👩\u200d💻",
		"\x1b[2Jgone":             "\ufffd[2Jgone",
		"one\ntwo\rthree":         "one\ufffdtwo\ufffdthree",
		"tab\there":               "tab here",
		"\u202ereversed":          "\ufffdreversed",
		"not utf-8 \xff":          "not utf-8 \ufffd",
		"\u009b31m, of one byte":  "\ufffd31m, of one byte",
		"line\u2028and paragraph": "line\ufffdand paragraph",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestScriptsGetOneLinePerMessage(t *testing.T) {
	var stdout, stderr bytes.Buffer
	s := newScreen(options{pipe: true, name: "Ann"}, &stdout, &stderr, true)
	s.show(line{7, "Bob", "hello there"})
	s.show(line{8, "Bad name", "two\nlines"})
	s.again(line{7, "Bob", "hello there"})
	s.notice("member %d leads\nalone", 1)
	s.ask()
	s.close()
	if got, want := stdout.String(), "7 Bob hello there\n8 Bad_name two\ufffdlines\n"; got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
	if got, want := stderr.String(), "     7  Bob: hello there\n* member 1 leads\n* alone\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestATerminalHasItsPromptBelow(t *testing.T) {
	var stdout bytes.Buffer
	s := newScreen(options{name: "Ann"}, &stdout, nil, true)
	s.notice("here")
	s.ask()
	s.show(line{7, "Bob", "hello"})
	s.close()
	s.notice("gone")
	const erase, prompt = "\r\x1b[K", "Ann> "
	want := erase + "* here\n" + prompt + prompt + erase + "     7  Bob: hello\n" + prompt + erase + "* gone\n"
	if got := stdout.String(); got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
	stdout.Reset()
	newScreen(options{name: "Ann"}, &stdout, nil, false).show(line{7, "Bob", "hello"})
	if got, want := stdout.String(), "     7  Bob: hello\n"; got != want {
		t.Errorf("what is no terminal gets %q, want %q", got, want)
	}
}

func TestLinesAreReadWhateverTheirEnds(t *testing.T) {
	longest := strings.Repeat("x", textBytesMax)
	for name, c := range map[string]struct {
		input   string
		want    []string
		tooLong int
	}{
		"nothing":       {"", nil, 0},
		"ends":          {"a\nb\r\n\nc", []string{"a", "b", "", "c"}, 0},
		"longest":       {longest + "\r\n" + longest + "\nz", []string{longest, longest, "z"}, 0},
		"too long":      {"a\n" + longest + "y\n" + longest + longest + longest + "\nz\n", []string{"a", "z"}, 2},
		"ends too long": {longest + longest, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			tooLong := 0
			take := func(text string) bool { got = append(got, text); return true }
			must(t, readLines(iotest.HalfReader(strings.NewReader(c.input)), take, func() { tooLong++ }))
			if !slices.Equal(got, c.want) || tooLong != c.tooLong {
				t.Errorf("%d lines were read and %d too long, want %d and %d", len(got), tooLong, len(c.want), c.tooLong)
			}
		})
	}
}

func TestReadingEndsWithAnErrorOrWhenItIsEnough(t *testing.T) {
	broken := errors.New("broken")
	take := func(string) bool { return false }
	if err := readLines(io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(broken)), take, nil); err != nil {
		t.Errorf("got %v, want nothing: it was told to stop", err)
	}
	if err := readLines(iotest.ErrReader(broken), take, nil); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
