package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The state in a snapshot is the sessions and then the machine's own, to the end:
//
//	8 bytes  stateMagic; the last one is the version
//	8 bytes  length of the sessions, big-endian
//	         the sessions
//	         what the machine's View has written
const stateMagic = "raftsta\x01"

const stateHeaderBytes = len(stateMagic) + 8

// stateHeader is what stands before the machine's state.
func stateHeader(t *sessions) []byte {
	header := make([]byte, stateHeaderBytes, 256)
	copy(header, stateMagic)
	header = t.append(header)
	binary.BigEndian.PutUint64(header[len(stateMagic):], uint64(len(header)-stateHeaderBytes))
	return header
}

var errState = errors.New("raft: this is not the state of a member, or that of a newer version")

// readState returns the sessions of a state, and a reader of the machine's.
func readState(state SnapshotReader) (*sessions, io.Reader, error) {
	var header [stateHeaderBytes]byte
	if _, err := io.ReadFull(io.NewSectionReader(state, 0, state.Size()), header[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil, errState // it is too short
		}
		return nil, nil, fmt.Errorf("raft: reading the state: %w", err)
	}
	rest := state.Size() - int64(stateHeaderBytes)
	n := binary.BigEndian.Uint64(header[len(stateMagic):])
	if string(header[:len(stateMagic)]) != stateMagic || n > uint64(rest) {
		return nil, nil, errState
	}
	encoded := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(state, int64(stateHeaderBytes), int64(n)), encoded); err != nil {
		return nil, nil, fmt.Errorf("raft: reading the sessions: %w", err)
	}
	sessions, err := parseSessions(encoded)
	if err != nil {
		return nil, nil, err
	}
	return sessions, io.NewSectionReader(state, int64(stateHeaderBytes)+int64(n), rest-int64(n)), nil
}
