package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	raft "example.com/raftactor/actor"
)

// Bounds of what somebody says. They are the same on every member.
const (
	nameBytesMax = 64
	textBytesMax = 64 << 10
)

// line is what somebody has said, and where in the log that stands.
type line struct {
	index      raft.Index
	name, text string
}

// bytes is about what it takes in memory.
func (l line) bytes() int { return len(l.name) + len(l.text) + 64 }

var errNoLine = errors.New("that is no line of a chat")

// encodeCommand makes a command of what somebody says: the length of the name in one byte, the name, the text.
func encodeCommand(name, text string) []byte {
	command := append(make([]byte, 0, 1+len(name)+len(text)), byte(len(name)))
	return append(append(command, name...), text...)
}

// decodeCommand is its inverse. A command of anybody is refused that no member of this program makes.
func decodeCommand(command []byte) (name, text string, err error) {
	if len(command) == 0 || int(command[0]) > min(nameBytesMax, len(command)-1) || command[0] == 0 ||
		len(command)-1-int(command[0]) > textBytesMax {
		return "", "", errNoLine
	}
	n := 1 + int(command[0])
	return string(command[1:n]), string(command[n:]), nil
}

// appendLine appends a line to b as it stands in answers and snapshots: the index and the lengths of name and text as
// varints, then both.
func appendLine(b []byte, l line) []byte {
	b = binary.AppendUvarint(b, uint64(l.index))
	b = binary.AppendUvarint(b, uint64(len(l.name)))
	b = binary.AppendUvarint(b, uint64(len(l.text)))
	return append(append(b, l.name...), l.text...)
}

// cutLine reads a line at the start of b, and returns the rest.
func cutLine(b []byte) (l line, rest []byte, err error) {
	var numbers [3]uint64
	for i := range numbers {
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return line{}, nil, errNoLine
		}
		numbers[i], b = value, b[n:]
	}
	index, name, text := raft.Index(numbers[0]), numbers[1], numbers[2]
	if name > nameBytesMax || text > textBytesMax || name+text > uint64(len(b)) {
		return line{}, nil, fmt.Errorf("%w: it ends too early, or is too long", errNoLine)
	}
	return line{index, string(b[:name]), string(b[name : name+text])}, b[name+text:], nil
}
