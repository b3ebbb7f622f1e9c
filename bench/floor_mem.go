package main

import (
	"context"
	"encoding/binary"
	"iter"
)

// floorMem is what memory leaves to a replicated log, and no Raft: the leader
// hands whatever waits, as one batch, to two followers, and answers when one
// of them has it. Nothing else is done: no terms, no log, no bounds.
var floorMem = contender{
	name:     "floor-mem",
	kinds:    []kind{inMemory},
	settings: "not Raft: batches handed to two goroutines, answered when one of them has it",
	start: func(p plan) ([]replica, error) {
		if p.groups > 1 {
			return nil, errNoGroups
		}
		leader := &memLeader{intake: newIntake(), followers: [2]chan memBatch{}, done: make(chan struct{})}
		leader.acks = make(chan uint64, 2*(memFollowerLag+1))
		replicas := []replica{leader}
		for i := range leader.followers {
			f := &memFollower{in: make(chan memBatch, memFollowerLag), acks: leader.acks, done: make(chan struct{})}
			leader.followers[i] = f.in
			replicas = append(replicas, f)
			go f.run()
		}
		go leader.run()
		return replicas, nil
	},
}

// memFollowerLag is by how many batches the slower follower may be late.
const memFollowerLag = 64

// A memBatch is some commands, packed, and its place among the batches.
type memBatch struct {
	place  uint64
	packed []byte
}

// memLeader is replica 1.
type memLeader struct {
	*intake
	machine
	followers [2]chan memBatch
	acks      chan uint64 // both followers' batches; room for all that one of them can lag
	done      chan struct{}
}

func (l *memLeader) run() {
	defer close(l.done)
	var batch []*request
	var place uint64
	for {
		var more bool
		if batch, more = l.take(batch); !more {
			break
		}
		place++
		packed := pack(nil, batch)
		for _, f := range l.followers {
			f <- memBatch{place, packed}
		}
		for <-l.acks != place { // older ones are those of the slower follower
		}
		for _, r := range batch {
			l.apply(r.command)
		}
		answer(batch, nil)
	}
	for _, f := range l.followers {
		close(f)
	}
}

func (l *memLeader) lead(context.Context) error                    { return nil }
func (l *memLeader) propose(ctx context.Context, cmd []byte) error { return l.put(ctx, cmd) }
func (l *memLeader) read(context.Context) error                    { return errNoReads }
func (l *memLeader) tally() tally                                  { return l.look() }
func (l *memLeader) stop() error {
	l.close()
	<-l.done
	return nil
}

// memFollower is replica 2 or 3.
type memFollower struct {
	machine
	in   chan memBatch
	acks chan<- uint64
	done chan struct{}
}

func (f *memFollower) run() {
	defer close(f.done)
	for batch := range f.in {
		f.acks <- batch.place
		for command := range unpack(batch.packed) {
			f.apply(command)
		}
	}
}

func (f *memFollower) lead(context.Context) error            { return errFollows }
func (f *memFollower) propose(context.Context, []byte) error { return errFollows }
func (f *memFollower) read(context.Context) error            { return errFollows }
func (f *memFollower) tally() tally                          { return f.look() }
func (f *memFollower) stop() error                           { <-f.done; return nil }

// pack appends commands to a buffer, each behind its length.
func pack(to []byte, batch []*request) []byte {
	if to == nil {
		bytes := 0
		for _, r := range batch {
			bytes += 4 + len(r.command)
		}
		to = make([]byte, 0, bytes)
	}
	for _, r := range batch {
		to = binary.LittleEndian.AppendUint32(to, uint32(len(r.command)))
		to = append(to, r.command...)
	}
	return to
}

// unpack yields what was packed.
func unpack(packed []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(packed) > 0 {
			end := 4 + binary.LittleEndian.Uint32(packed)
			if !yield(packed[4:end]) {
				return
			}
			packed = packed[end:]
		}
	}
}
