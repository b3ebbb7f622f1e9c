package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// counter is a machine that adds: a command is a number, or empty for 1; the result is the sum so far.
type counter struct{ value uint64 }

func (c *counter) Apply(command Command) ([]byte, error) {
	add := uint64(1)
	if len(command.Data) == 8 {
		add = binary.BigEndian.Uint64(command.Data)
	}
	c.value += add
	return c.Query(nil)
}

func (c *counter) Query([]byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, c.value), nil
}

func (c *counter) Snapshot() (View, error) { return counterView(c.value), nil }

func (c *counter) Restore(state io.Reader) error {
	return binary.Read(state, binary.BigEndian, &c.value)
}

type counterView uint64

func (v counterView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
	return int64(n), err
}

func (counterView) Release() {}

// A journal is a machine that keeps every command, and does what a test has it do. The result of a
// command is how many there are; a query is answered with how many there are, too.
type journal struct {
	// padding is how many bytes the state has besides the commands.
	padding int
	// empty: the state has no byte at all; only the number of commands is lost.
	empty bool
	// Called first, if set; what they return is returned.
	onApply    func(Command) error
	onQuery    func([]byte) error
	onSnapshot func() error
	onWrite    func() error
	onRestore  func() error

	mu       sync.Mutex
	entries  []Command // guarded by mu
	views    int       // guarded by mu; not released
	restored int       // guarded by mu; how often
}

func (j *journal) Apply(c Command) ([]byte, error) {
	if j.onApply != nil {
		if err := j.onApply(c); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, Command{c.Index, c.Term, slices.Clone(c.Data)})
	return j.count(), nil
}

func (j *journal) Query(payload []byte) ([]byte, error) {
	if j.onQuery != nil {
		if err := j.onQuery(payload); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count(), nil
}

// count is called with mu held.
func (j *journal) count() []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(len(j.entries)))
}

// all returns the commands that were applied.
func (j *journal) all() []Command {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

func (j *journal) Snapshot() (View, error) {
	if j.onSnapshot != nil {
		if err := j.onSnapshot(); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.views++
	return &journalView{j, slices.Clone(j.entries)}, nil
}

type journalView struct {
	journal *journal
	entries []Command
}

func (v *journalView) WriteTo(w io.Writer) (int64, error) {
	if v.journal.onWrite != nil {
		if err := v.journal.onWrite(); err != nil {
			return 0, err
		}
	}
	if v.journal.empty {
		return 0, nil
	}
	b := binary.AppendUvarint(nil, uint64(len(v.entries)))
	for _, e := range v.entries {
		b = binary.AppendUvarint(b, uint64(e.Index))
		b = binary.AppendUvarint(b, uint64(e.Term))
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	for i := len(b); i < v.journal.padding; i++ {
		b = append(b, byte(i*i>>8))
	}
	n, err := w.Write(b)
	return int64(n), err
}

func (v *journalView) Release() {
	v.journal.mu.Lock()
	defer v.journal.mu.Unlock()
	v.journal.views--
}

func (j *journal) Restore(state io.Reader) error {
	if j.onRestore != nil {
		if err := j.onRestore(); err != nil {
			return err
		}
	}
	b, err := io.ReadAll(state)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.restored++
	j.entries = nil
	if j.empty {
		if len(b) != 0 {
			return fmt.Errorf("journal: %d bytes of an empty state", len(b))
		}
		return nil
	}
	size := len(b)
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = errors.New("journal: the state is damaged")
			return 0
		}
		b = b[n:]
		return v
	}
	for range number() {
		index, term := Index(number()), Term(number())
		length := int(number())
		if err != nil || length > len(b) {
			return errors.Join(err, errors.New("journal: the state is cut off"))
		}
		j.entries = append(j.entries, Command{index, term, b[:length:length]})
		b = b[length:]
	}
	for i := size - len(b); i < size; i++ {
		if b[i-(size-len(b))] != byte(i*i>>8) {
			return fmt.Errorf("journal: byte %d of the padding is damaged", i)
		}
	}
	return err
}
