package nodetest

import (
	"hash/fnv"

	"example.com/raftactor/node"
)

// State is what a member's machine holds: all that it has applied. A State that was captured shares
// what it has in common with later ones, and never changes.
type State struct {
	// Index is that of the last entry applied.
	Index node.Index
	// Entries are all that was applied, of every kind, from index 1 on.
	Entries []node.Entry
	// Hash is over Entries.
	Hash uint64
}

// apply takes one more entry in.
func (s *State) apply(e node.Entry) {
	s.Index = e.Index
	s.Entries = append(s.Entries, e)
	s.Hash = chain(s.Hash, &e)
}

// capture returns the state as it is now.
func (s *State) capture() *State {
	c := *s
	c.Entries = c.Entries[:len(c.Entries):len(c.Entries)]
	return &c
}

// Commands returns the commands applied, in order.
func (s *State) Commands() [][]byte {
	var commands [][]byte
	for i := range s.Entries {
		if s.Entries[i].Kind == node.EntryCommand {
			commands = append(commands, s.Entries[i].Data)
		}
	}
	return commands
}

// chain continues a hash over entries.
func chain(hash uint64, e *node.Entry) uint64 {
	for _, v := range [...]uint64{uint64(e.Index), uint64(e.Term), uint64(e.Kind), sum(e.Data)} {
		hash = (hash ^ v) * 0x9e3779b97f4a7c15
		hash ^= hash >> 29
	}
	return hash
}

func sum(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data)
	return h.Sum64()
}
