package main

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	raft "example.com/raftactor/actor"
)

// Bounds of what the machine remembers: the newest lines, as many as both allow. They are part of how the machine
// works, and the same on every member.
const (
	keptLinesMax = 10_000
	keptBytesMax = 64 << 20
)

// history is the replicated state: the newest lines, in the order of the log.
type history struct {
	lines []line // oldest first
	bytes int
}

// Apply takes a line in. What is no line is ignored, by every member alike.
func (h *history) Apply(command raft.Command) ([]byte, error) {
	name, text, err := decodeCommand(command.Data)
	if err != nil {
		return []byte(err.Error()), nil
	}
	h.take(line{command.Index, name, text})
	return nil, nil
}

// take adds a line, and forgets the oldest ones that there is no room for.
func (h *history) take(l line) {
	h.lines = append(h.lines, l)
	h.bytes += l.bytes()
	forget := 0
	for len(h.lines)-forget > keptLinesMax || h.bytes > keptBytesMax {
		h.bytes -= h.lines[forget].bytes()
		forget++
	}
	clear(h.lines[:forget]) // so that their text can be collected
	h.lines = h.lines[forget:]
}

// The first byte of a question, which a varint follows.
const (
	askNewest byte = iota // so many lines
	askFrom               // lines from an index on
)

// answerBytesMax is about how much is answered at once.
const answerBytesMax = 1 << 20

func newestQuestion(lines int) []byte {
	return binary.AppendUvarint([]byte{askNewest}, uint64(lines))
}

func fromQuestion(index raft.Index) []byte {
	return binary.AppendUvarint([]byte{askFrom}, uint64(index))
}

// Query answers with lines, oldest first. The first byte says whether there are more than these.
func (h *history) Query(question []byte) ([]byte, error) {
	if len(question) < 2 {
		return nil, errors.New("a question is a byte and a varint")
	}
	number, n := binary.Uvarint(question[1:])
	if n != len(question)-1 {
		return nil, errors.New("a question is a byte and a varint")
	}
	var first int
	switch question[0] {
	case askNewest:
		first = len(h.lines) - int(min(number, uint64(len(h.lines))))
	case askFrom:
		first, _ = slices.BinarySearchFunc(h.lines, raft.Index(number), func(l line, index raft.Index) int {
			return cmp.Compare(l.index, index)
		})
	default:
		return nil, fmt.Errorf("there is no question %d", question[0])
	}
	answer := []byte{0}
	for _, l := range h.lines[first:] {
		if len(answer) >= answerBytesMax {
			answer[0] = 1
			break
		}
		answer = appendLine(answer, l)
	}
	return answer, nil
}

// decodeAnswer reads what Query answers.
func decodeAnswer(answer []byte) (lines []line, more bool, err error) {
	if len(answer) == 0 {
		return nil, false, errNoLine
	}
	more, answer = answer[0] != 0, answer[1:]
	for len(answer) > 0 {
		var l line
		if l, answer, err = cutLine(answer); err != nil {
			return nil, false, err
		}
		lines = append(lines, l)
	}
	return lines, more, nil
}

// Snapshot captures the lines.
func (h *history) Snapshot() (raft.View, error) { return view(slices.Clone(h.lines)), nil }

// Restore takes lines over.
func (h *history) Restore(state io.Reader) error {
	r := bufio.NewReader(state)
	*h = history{}
	var b []byte
	for {
		bytes, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || bytes > nameBytesMax+textBytesMax+3*binary.MaxVarintLen64 {
			return fmt.Errorf("the snapshot of a chat is cut off, or has a line of %d bytes: %w", bytes, errors.Join(errNoLine, err))
		}
		b = slices.Grow(b[:0], int(bytes))[:bytes]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("the snapshot of a chat is cut off: %w", err)
		}
		l, rest, err := cutLine(b)
		if err != nil || len(rest) > 0 {
			return fmt.Errorf("the snapshot of a chat: %w", errors.Join(errNoLine, err))
		}
		h.take(l)
	}
}

// view is captured lines.
type view []line

// WriteTo writes what Restore reads: each line behind its length.
func (v view) WriteTo(w io.Writer) (written int64, err error) {
	buffered := bufio.NewWriterSize(w, 64<<10)
	var prefix, b []byte
	for _, l := range v {
		b = appendLine(b[:0], l)
		prefix = binary.AppendUvarint(prefix[:0], uint64(len(b)))
		for _, part := range [][]byte{prefix, b} {
			n, err := buffered.Write(part)
			written += int64(n)
			if err != nil {
				return written, err
			}
		}
	}
	return written, buffered.Flush()
}

// Release has nothing to release.
func (view) Release() {}
