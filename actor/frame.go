package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What stands in the log for a command is a frame: a byte that says of which kind it is, and what follows from that.
// Numbers are unsigned varints.
//
//	frameKindCommand         command
//	frameKindSessionCommand  session, sequence, sequence - lowest unanswered, command
//	frameKindOpenSession     name, most sessions, most bytes of results
const (
	frameKindCommand byte = iota
	frameKindSessionCommand
	frameKindOpenSession
)

// frameBytesMax is the most that a frame adds to a command.
const frameBytesMax = 1 + 3*binary.MaxVarintLen64

// sessionWindow is how far a sequence may be ahead of the lowest one that is not answered.
const sessionWindow = 1 << 16

// A sessionPlace is the place of a command in a session.
type sessionPlace struct{ session, sequence, lowest uint64 }

func (p sessionPlace) validate() error {
	switch {
	case p.sequence == 0:
		return errors.New("Propose has a session and no sequence: number its commands from 1 up")
	case p.lowest > p.sequence:
		return fmt.Errorf("the lowest unanswered sequence (%d) is above the command's own (%d)", p.lowest, p.sequence)
	case p.sequence-p.lowest >= sessionWindow:
		return fmt.Errorf("sequence %d is %d above the lowest unanswered one: at most %d; wait for earlier answers",
			p.sequence, p.sequence-p.lowest, sessionWindow-1)
	}
	return nil
}

func frameCommand(command []byte) []byte {
	frame := make([]byte, 1+len(command)) // its first byte is frameKindCommand
	copy(frame[1:], command)
	return frame
}

func frameSessionCommand(p sessionPlace, command []byte) []byte {
	var header [frameBytesMax]byte
	h := append(header[:0], frameKindSessionCommand)
	h = binary.AppendUvarint(h, p.session)
	h = binary.AppendUvarint(h, p.sequence)
	h = binary.AppendUvarint(h, p.sequence-p.lowest)
	frame := make([]byte, len(h)+len(command))
	copy(frame[copy(frame, h):], command)
	return frame
}

func frameOpenSession(name uint64, sessionsMax, bytesMax int) []byte {
	frame := binary.AppendUvarint([]byte{frameKindOpenSession}, name)
	frame = binary.AppendUvarint(frame, uint64(sessionsMax))
	return binary.AppendUvarint(frame, uint64(bytesMax))
}

// A frame is a command as it stands in the log.
type frame struct {
	kind byte
	sessionPlace
	command []byte
	// Of an opening, which names the session, too: the limits from there on.
	sessionsMax, bytesMax uint64
}

// parseFrame reads a frame. The command is a part of data.
func parseFrame(data []byte) (f frame, err error) {
	if len(data) == 0 {
		return f, errors.New("raft: an entry of the log has no kind")
	}
	f.kind = data[0]
	r := uvarints{data: data[1:]}
	switch f.kind {
	case frameKindCommand:
		f.command = r.data
	case frameKindSessionCommand:
		f.session, f.sequence = r.next(), r.next()
		behind := r.next()
		f.lowest, f.command = f.sequence-behind, r.data
		if behind >= f.sequence || behind >= sessionWindow {
			r.bad = true
		}
	case frameKindOpenSession:
		f.session, f.sessionsMax, f.bytesMax = r.next(), r.next(), r.next()
	default:
		return f, fmt.Errorf("raft: an entry of the log is of kind %d, which this version does not know: it is likely to be a "+
			"newer version's; run that on this member, too", f.kind)
	}
	if r.bad {
		return f, fmt.Errorf("raft: an entry of the log, of kind %d, is malformed", f.kind)
	}
	return f, nil
}

// commandBytes is the length of a frame's command, without the frame.
func commandBytes(data []byte) int {
	f, _ := parseFrame(data)
	return len(f.command)
}

// uvarints reads numbers from the front of data. After one that is not there all are zero.
type uvarints struct {
	data []byte
	bad  bool
}

func (r *uvarints) next() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.data = r.data[n:]
	return v
}

// bytes reads a length, and as many bytes.
func (r *uvarints) bytes() []byte {
	n := r.next()
	if r.bad || n > uint64(len(r.data)) {
		r.bad = true
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}
