package main

import (
	"encoding/binary"
	"fmt"
)

// commandBytesMin is how long a command must be to carry its number.
const commandBytesMin = 16

// number writes into a command who proposes it, and its place among those of
// that proposer, the first being 1.
func number(command []byte, proposer, place uint64) {
	binary.LittleEndian.PutUint64(command, proposer)
	binary.LittleEndian.PutUint64(command[8:], place)
}

// A tally is the state machine of all contenders: it counts commands, and
// notes those that come out of their proposer's order. Two replicas that have
// applied the same commands in the same order have equal tallies.
type tally struct {
	// Applied is the number of commands applied.
	Applied uint64
	// Sum depends on each command's number and on the order of all.
	Sum uint64
	// Last has the place of the newest command of each proposer.
	Last []uint64
	// Fault is the first command that was not the next of its proposer.
	Fault string
}

// apply counts a command.
func (t *tally) apply(command []byte) {
	if len(command) < commandBytesMin {
		t.fault(fmt.Sprintf("a command of %d bytes", len(command)))
		return
	}
	proposer := binary.LittleEndian.Uint64(command)
	place := binary.LittleEndian.Uint64(command[8:])
	t.Applied++
	t.Sum = (t.Sum ^ proposer<<32 ^ place) * 0x9e3779b97f4a7c15
	for uint64(len(t.Last)) <= proposer {
		t.Last = append(t.Last, 0)
	}
	if place != t.Last[proposer]+1 {
		t.fault(fmt.Sprintf("command %d of proposer %d was applied after its command %d", place, proposer, t.Last[proposer]))
	}
	t.Last[proposer] = place
}

func (t *tally) fault(what string) {
	if t.Fault == "" {
		t.Fault = what
	}
}

// clone returns a copy that later commands do not change.
func (t *tally) clone() tally {
	c := *t
	c.Last = append([]uint64(nil), t.Last...)
	return c
}
