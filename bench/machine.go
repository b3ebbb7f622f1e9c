package main

import (
	"encoding/json"
	"sync"
)

// A machine is a tally that is applied to by one goroutine and looked at by
// others.
type machine struct {
	mu    sync.Mutex
	state tally // guarded by mu
}

// apply counts one command.
func (m *machine) apply(command []byte) {
	m.mu.Lock()
	m.state.apply(command)
	m.mu.Unlock()
}

// look returns a copy of the tally.
func (m *machine) look() tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.clone()
}

// save encodes the tally for a snapshot.
func (m *machine) save() ([]byte, error) {
	return json.Marshal(m.look())
}

// restore replaces the tally by a saved one.
func (m *machine) restore(saved []byte) error {
	var state tally
	if err := json.Unmarshal(saved, &state); err != nil {
		return err
	}
	m.mu.Lock()
	m.state = state
	m.mu.Unlock()
	return nil
}
