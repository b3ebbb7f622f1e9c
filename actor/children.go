package raft

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/node"
)

// childProps are those of an actor of our own beside the raft actor.
func (c Config) childProps(producer actor.Producer) *actor.Props {
	if c.scheduler != nil {
		return actor.PropsFromProducer(producer, actor.WithMailbox(c.scheduler.Plain()))
	}
	return actor.PropsFromProducer(producer)
}

// guardedProps are childProps of an actor whose panic finishes the member: none is ever restarted with
// an empty memory.
func (c Config) guardedProps(owner *actor.PID, producer actor.Producer) *actor.Props {
	return c.childProps(func() actor.Actor { return &guard{actor: producer(), owner: owner} })
}

// guard reports the panic of an actor, and lets nothing through to it afterwards but that it is to stop:
// then it lets go of what it holds.
type guard struct {
	actor  actor.Actor
	owner  *actor.PID
	failed bool
}

func (g *guard) Receive(ctx actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			g.failed = true
			fail(ctx, g.owner, fmt.Errorf("raft: panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if _, stopping := ctx.Message().(*actor.Stopping); stopping || !g.failed {
		g.actor.Receive(ctx)
	}
}

// fail tells the raft actor that a child cannot go on.
func fail(ctx actor.Context, owner *actor.PID, err error) {
	ctx.Send(owner, &childFailed{err: err})
}

// reader reads entries from the storage for other members, where it may wait for a disk.
type reader struct {
	storage Storage
	owner   *actor.PID
}

func (r *reader) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *readEntries:
		read(ctx, r.storage, r.owner, m)
	case *readLog:
		r.readLog(ctx, m)
	}
}

func read(ctx actor.Context, storage Storage, owner *actor.PID, m *readEntries) {
	entries, err := storage.ReadEntries(m.lo, m.hi, m.bytesMax)
	ctx.Send(owner, &entriesFetched{
		event: node.EntriesRead{For: m.id, Lo: m.lo, Hi: m.hi, Entries: entries}, err: err,
	})
}

// snapshotter writes a view of the machine to the storage, reports, and is gone.
type snapshotter struct {
	storage Storage
	owner   *actor.PID
	meta    SnapshotMeta
	asked   *call // who asked for the snapshot, or nil
	header  []byte
	view    View
	// stopping: nobody wants it any more.
	stopping *atomic.Bool
}

func (s *snapshotter) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		handle, err := s.write()
		s.meta.Handle = handle
		ctx.Send(s.owner, &snapshotEnded{meta: s.meta, asked: s.asked, err: err})
		ctx.Stop(ctx.Self())
	}
}

func (s *snapshotter) write() (handle any, err error) {
	defer s.view.Release()
	writer, err := s.storage.CreateSnapshot(s.meta)
	if err != nil {
		return nil, &storageError{fmt.Errorf("raft: creating the snapshot at %d: %w", s.meta.Index, err)}
	}
	defer writer.Abort()
	written := &notingWriter{to: writer, stopping: s.stopping}
	if err := s.writeState(written); written.err != nil {
		return nil, &storageError{fmt.Errorf("raft: writing the snapshot at %d: %w", s.meta.Index, written.err)}
	} else if err != nil {
		return nil, fmt.Errorf("raft: the machine failed to write the snapshot at %d: %w", s.meta.Index, err)
	}
	if handle, err = writer.Commit(); err != nil {
		return nil, &storageError{fmt.Errorf("raft: making the snapshot at %d durable: %w", s.meta.Index, err)}
	}
	return handle, nil
}

func (s *snapshotter) writeState(to io.Writer) error {
	if _, err := to.Write(s.header); err != nil {
		return err
	}
	_, err := s.view.WriteTo(to)
	return err
}

// storageError is an error of the storage under a child. Unlike one of the machine, or of another
// member, it is final.
type storageError struct{ err error }

func (e *storageError) Error() string { return e.err.Error() }
func (e *storageError) Unwrap() error { return e.err }

// notingWriter tells the errors of the storage from those of the machine that writes to it, and fails when
// the member stops.
type notingWriter struct {
	to       io.Writer
	stopping *atomic.Bool
	err      error
}

func (w *notingWriter) Write(p []byte) (int, error) {
	if w.stopping.Load() {
		return 0, errStopping
	}
	n, err := w.to.Write(p)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// isStorageError tells whether the member must not go on.
func isStorageError(err error) bool {
	var storage *storageError
	return errors.As(err, &storage)
}

var errStopping = errors.New("raft: the member is stopping")

var errTransferGone = errors.New("raft: the transfer of the snapshot was given up")
