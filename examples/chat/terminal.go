package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// screen is where a member shows what there is to see. It is safe for concurrent use.
type screen struct {
	// mu keeps those who write apart, and guards the prompt.
	mu sync.Mutex
	// lines gets what was said, and notices all else. Both may be the same.
	lines, notices io.Writer
	// plain: one line per message, INDEX NAME TEXT.
	plain bool
	// prompt stands in the last row of a terminal, and is empty elsewhere.
	prompt string // guarded by mu
}

// newScreen shows everything on stdout, with a prompt if that is a terminal; or for scripts lines there, plainly, and all
// else on stderr.
func newScreen(o options, stdout, stderr io.Writer, terminal bool) *screen {
	if o.pipe {
		return &screen{lines: stdout, notices: stderr, plain: true}
	}
	s := &screen{lines: stdout, notices: stdout}
	if terminal {
		s.prompt = o.name + "> "
	}
	return s
}

// show shows a line that was said.
func (s *screen) show(l line) {
	if s.plain {
		s.write(s.lines, fmt.Sprintf("%d %s %s\n", l.index, plainName(l.name), printable(l.text)))
		return
	}
	s.again(l)
}

// again shows a line that has been shown before. Scripts find it among the notices: what is said they get once.
func (s *screen) again(l line) {
	s.write(s.notices, fmt.Sprintf("%6d  %s: %s\n", l.index, plainName(l.name), printable(l.text)))
}

// plainName is a name in which a space would be taken for its end.
func plainName(name string) string { return strings.ReplaceAll(printable(name), " ", "_") }

// notice shows what is to be known beside that.
func (s *screen) notice(format string, args ...any) {
	text := strings.Split(fmt.Sprintf(format, args...), "\n")
	for i := range text {
		text[i] = "* " + printable(text[i]) + "\n"
	}
	s.write(s.notices, strings.Join(text, ""))
}

// write puts text above the prompt. What somebody is typing there is the terminal's, and stays with it: Ctrl-R shows it
// again.
func (s *screen) write(to io.Writer, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompt != "" {
		text = "\r\x1b[K" + text + s.prompt
	}
	_, _ = io.WriteString(to, text) // nobody to tell
}

// ask shows the prompt, when a line has been typed.
func (s *screen) ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.lines, s.prompt)
}

// close takes the prompt away.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompt != "" {
		s.prompt = ""
		_, _ = io.WriteString(s.lines, "\r\x1b[K")
	}
}

// printable replaces what could do more to a terminal than show a character: controls, marks of direction, what is no
// UTF-8. So whatever somebody says is one line.
func printable(text string) string {
	const joiner = '\u200d' // part of many emoji
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsPrint(r) || r == joiner:
			return r
		}
		return utf8.RuneError
	}, text)
}

// readLines gives take each line of r, without its end, until that or r ends. tooLong is called for lines of more than
// textBytesMax.
func readLines(r io.Reader, take func(text string) bool, tooLong func()) error {
	in := bufio.NewReaderSize(r, textBytesMax+2) // a line and its end
	for {
		text, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		ended := err != nil
		text = trimEnd(text)
		switch {
		case long || len(text) > textBytesMax:
			tooLong()
		case len(text) > 0 || !ended:
			if !take(string(text)) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what is said: %w", err)
		}
	}
}

// trimEnd cuts off \n or \r\n.
func trimEnd(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
		if n > 1 && text[n-2] == '\r' {
			text = text[:n-2]
		}
	}
	return text
}
