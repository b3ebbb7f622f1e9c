package main

import (
	"context"
	"errors"
	"fmt"

	raft "example.com/raftactor/actor"
)

// listen shows what is said, in the order of the log: what this member still has of it, and then all that comes.
func (r *room) listen(ctx context.Context) {
	next := raft.Index(1)
	for ctx.Err() == nil {
		for command, err := range r.client.Applied(ctx, next) {
			if gap := new(raft.GapError); errors.As(err, &gap) {
				err, next = nil, r.recall(ctx, gap)
				break
			}
			if err != nil {
				if ctx.Err() == nil {
					r.over(fmt.Errorf("following the room: %w", err))
				}
				return
			}
			if name, text, err := decodeCommand(command.Data); err == nil {
				r.screen.show(line{command.Index, name, text})
			}
			r.shown.Store(uint64(command.Index))
			next = command.Index + 1
		}
	}
}

// recall shows what a snapshot covers, from the machine, which remembers the newest lines. It returns the index from
// which the log goes on.
func (r *room) recall(ctx context.Context, gap *raft.GapError) raft.Index {
	for from := gap.Wanted; ; {
		lines, more, applied, err := r.ask(ctx, fromQuestion(from), gap.Resume-1)
		if err != nil {
			if ctx.Err() == nil {
				r.over(err)
			}
			return from
		}
		for _, l := range lines {
			r.screen.show(l)
			r.shown.Store(uint64(l.index))
			from = l.index + 1
		}
		if !more {
			r.shown.Store(uint64(applied))
			return applied + 1
		}
	}
}

// ask asks this member's machine for lines.
func (r *room) ask(
	ctx context.Context, question []byte, least raft.Index,
) (lines []line, more bool, applied raft.Index, err error) {
	answer, err := r.client.QueryLocal(ctx, question, least)
	if err == nil {
		lines, more, err = decodeAnswer(answer.Data)
	}
	if err != nil {
		return nil, false, 0, fmt.Errorf("asking for what was said: %w", err)
	}
	return lines, more, answer.Index, nil
}
