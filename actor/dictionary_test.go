package raft

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A dictionary is a machine of keys and values that keeps a record of all that it has applied. The record is a part
// of its state: whatever a member's past, it tells of every command.
type dictionary struct {
	values map[string]string
	record []deed
	// Called first, if set.
	onApply func(Command) error
	onQuery func() error
}

// A deed is a command that was applied, with what came of it.
type deed struct {
	index Index
	term  Term
	command
	result string
}

// What a command, or a read, does to its key.
const (
	get         = "get"
	put         = "put"
	appendTo    = "append"
	compareSwap = "swap"
)

// A command as clients name it. Its words have no spaces.
type command struct {
	// client and number say whose it is, and which of that client's. attempt tells those apart that are made of the same.
	client, number, attempt int
	verb, key, value        string
	expected                string // of a swap: what the value has to be
}

func (c command) encode() []byte {
	return fmt.Appendf(nil, "%d %d %d %s %s %s %s",
		c.client, c.number, c.attempt, c.verb, c.key, c.value, c.expected)
}

func decodeCommand(data []byte) (c command, err error) {
	words := strings.Split(string(data), " ")
	if len(words) != 7 {
		return c, fmt.Errorf("dictionary: %q is no command", data)
	}
	for i, number := range []*int{&c.client, &c.number, &c.attempt} {
		if *number, err = strconv.Atoi(words[i]); err != nil {
			return c, err
		}
	}
	c.verb, c.key, c.value, c.expected = words[3], words[4], words[5], words[6]
	return c, nil
}

// on is what the command makes of a value, and its result.
func (c command) on(value string) (next, result string) {
	switch c.verb {
	case put:
		return c.value, value
	case appendTo:
		return value + c.value, value + c.value
	case compareSwap:
		if value == c.expected {
			return c.value, value
		}
	}
	return value, value
}

func (c command) String() string {
	switch c.verb {
	case get:
		return "get " + c.key
	case compareSwap:
		return fmt.Sprintf("swap %s from %q to %q", c.key, c.expected, c.value)
	default:
		return fmt.Sprintf("%s %s %q", c.verb, c.key, c.value)
	}
}

func (d *dictionary) Apply(c Command) ([]byte, error) {
	if d.onApply != nil {
		if err := d.onApply(c); err != nil {
			return nil, err
		}
	}
	return d.do(c.Index, c.Term, c.Data)
}

func (d *dictionary) do(index Index, term Term, data []byte) ([]byte, error) {
	c, err := decodeCommand(data)
	if err != nil {
		return nil, err
	}
	if d.values == nil {
		d.values = map[string]string{}
	}
	next, result := c.on(d.values[c.key])
	d.values[c.key] = next
	d.record = append(d.record, deed{index, term, c, result})
	return []byte(result), nil
}

// Query answers a key with its value.
func (d *dictionary) Query(key []byte) ([]byte, error) {
	if d.onQuery != nil {
		if err := d.onQuery(); err != nil {
			return nil, err
		}
	}
	return []byte(d.values[string(key)]), nil
}

func (d *dictionary) Snapshot() (View, error) { return dictionaryView(slices.Clone(d.record)), nil }

// Restore does again what the record tells.
func (d *dictionary) Restore(state io.Reader) error {
	text, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	d.values, d.record = nil, nil
	for line := range bytes.Lines(text) {
		var index, term uint64
		at, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(": "))
		if _, err := fmt.Sscanf(string(at), "%d/%d", &index, &term); err != nil {
			return err
		}
		if _, err := d.do(Index(index), Term(term), rest); err != nil {
			return err
		}
	}
	return nil
}

// dictionaryView is the record, a line for each deed.
type dictionaryView []deed

func (v dictionaryView) WriteTo(w io.Writer) (int64, error) {
	var b []byte
	for _, d := range v {
		b = fmt.Appendf(b, "%d/%d: %s\n", d.index, d.term, d.encode())
	}
	n, err := w.Write(b)
	return int64(n), err
}

func (dictionaryView) Release() {}

// valueAt is the value that a key had when all up to an index was applied.
func valueAt(record []deed, key string, index Index) (value string) {
	for _, d := range record {
		if d.index <= index && d.key == key {
			value, _ = d.on(value)
		}
	}
	return value
}

func sameState(a, b *dictionary) bool {
	return maps.Equal(a.values, b.values) && slices.Equal(a.record, b.record)
}
