package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// floorWAL is what disk and network leave to a replicated log, and no Raft:
// the leader sends whatever waits, as one batch, to two followers over TCP,
// writes it to its own disk meanwhile, and answers when its own write and that
// of one follower are durable. Nothing else is done: no terms, no checksums,
// no recovery.
var floorWAL = contender{
	name:     "floor-wal",
	kinds:    []kind{inProcess, inProcesses},
	settings: "not Raft: batches over TCP to two followers; all write and fdatasync at once, to files filled with zeros before",
	start: func(p plan) (replicas []replica, err error) {
		if p.groups > 1 {
			return nil, errNoGroups
		}
		for _, number := range p.here {
			var r replica
			if number == 1 {
				r, err = newWALLeader(p)
			} else {
				r, err = newWALFollower(p.members[number-1])
			}
			if err != nil {
				return nil, err
			}
			replicas = append(replicas, r)
		}
		return replicas, nil
	},
}

// walFile is a log file of a fixed size, filled with zeros so that a sync has
// no metadata to write, and used over and over, as logs reuse segments.
type walFile struct {
	*os.File
	at int64
}

const walFileBytes = 64 << 20

func newWALFile(dir string) (*walFile, error) {
	f, err := os.Create(filepath.Join(dir, "wal"))
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range walFileBytes / len(zeros) {
		if _, err := f.Write(zeros); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return &walFile{File: f}, f.Sync()
}

// append makes bytes durable.
func (f *walFile) append(b []byte) error {
	if f.at+int64(len(b)) > walFileBytes {
		f.at = 0
	}
	if _, err := f.WriteAt(b, f.at); err != nil {
		return err
	}
	f.at += int64(len(b))
	return syncData(f.File)
}

// A frame is a batch as it is sent and written: its length behind this header,
// its place among the batches, and the commands. An acknowledgement is the place.
const walHeaderBytes = 12

// walLeader is replica 1.
type walLeader struct {
	*intake
	machine
	file  *walFile
	peers []string
	done  chan struct{}

	conns  []net.Conn // from lead on
	frames []chan []byte
	acks   chan uint64 // places that a follower has; room for all that is under way
	failed chan error
	others sync.WaitGroup // goroutines of the connections
}

func newWALLeader(p plan) (*walLeader, error) {
	file, err := newWALFile(p.members[0].dir)
	if err != nil {
		return nil, err
	}
	l := &walLeader{intake: newIntake(), file: file, done: make(chan struct{})}
	l.acks, l.failed = make(chan uint64, 2*(walFollowerLag+2)), make(chan error, 4)
	for _, m := range p.members[1:] {
		l.peers = append(l.peers, m.address)
	}
	return l, nil
}

// walFollowerLag is by how many batches the slower follower may be late.
const walFollowerLag = 64

// lead connects with the followers.
func (l *walLeader) lead(ctx context.Context) error {
	for _, address := range l.peers {
		conn, err := dialUntil(ctx, address)
		if err != nil {
			return err
		}
		frames := make(chan []byte, walFollowerLag)
		l.conns, l.frames = append(l.conns, conn), append(l.frames, frames)
		l.others.Go(func() { // the writer
			for frame := range frames {
				if _, err := conn.Write(frame); err != nil {
					l.failed <- err
					return
				}
			}
		})
		l.others.Go(func() { // the reader
			in := bufio.NewReader(conn)
			var place [8]byte
			for {
				if _, err := io.ReadFull(in, place[:]); err != nil {
					l.failed <- err
					return
				}
				l.acks <- binary.LittleEndian.Uint64(place[:])
			}
		})
	}
	go l.run()
	return nil
}

func (l *walLeader) run() {
	defer close(l.done)
	var batch []*request
	for place := uint64(1); ; place++ {
		var more bool
		if batch, more = l.take(batch); !more {
			return
		}
		frame := pack(make([]byte, walHeaderBytes), batch)
		binary.LittleEndian.PutUint32(frame, uint32(len(frame)-walHeaderBytes))
		binary.LittleEndian.PutUint64(frame[4:], place)
		for _, f := range l.frames {
			f <- frame
		}
		err := l.file.append(frame)
		if err == nil {
			err = l.await(place)
		}
		if err == nil {
			for _, r := range batch {
				l.apply(r.command)
			}
		}
		answer(batch, err)
	}
}

// await returns when a follower has a batch.
func (l *walLeader) await(place uint64) error {
	for {
		select {
		case ack := <-l.acks:
			if ack == place { // older ones are those of the slower follower
				return nil
			}
		case err := <-l.failed:
			return fmt.Errorf("a follower is gone: %w", err)
		}
	}
}

func (l *walLeader) propose(ctx context.Context, cmd []byte) error { return l.put(ctx, cmd) }
func (l *walLeader) read(context.Context) error                    { return errNoReads }
func (l *walLeader) tally() tally                                  { return l.look() }

func (l *walLeader) stop() error {
	l.close()
	if l.conns != nil {
		<-l.done
	}
	for i, conn := range l.conns {
		close(l.frames[i])
		_ = conn.Close()
	}
	l.others.Wait()
	return l.file.Close()
}

// walFollower is replica 2 or 3.
type walFollower struct {
	machine
	file     *walFile
	listener net.Listener
	done     chan struct{}
	err      error // why it has ended; to be read after done
}

func newWALFollower(at endpoint) (*walFollower, error) {
	file, err := newWALFile(at.dir)
	if err != nil {
		return nil, err
	}
	f := &walFollower{file: file, done: make(chan struct{})}
	if f.listener, err = net.Listen("tcp", at.address); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	go func() {
		defer close(f.done)
		f.err = f.follow()
	}()
	return f, nil
}

// follow does as one leader says until that is gone.
func (f *walFollower) follow() error {
	conn, err := f.listener.Accept()
	if err != nil {
		return nil // stopped before there was a leader
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 256<<10)
	var frame []byte
	for {
		header, err := in.Peek(walHeaderBytes)
		if err != nil {
			return nil // the leader has gone
		}
		size := walHeaderBytes + int(binary.LittleEndian.Uint32(header))
		frame = append(frame[:0], make([]byte, size)...)
		if _, err := io.ReadFull(in, frame); err != nil {
			return nil
		}
		if err := f.file.append(frame); err != nil {
			return err
		}
		if _, err := conn.Write(frame[4:walHeaderBytes]); err != nil {
			return nil
		}
		for command := range unpack(frame[walHeaderBytes:]) {
			f.apply(command)
		}
	}
}

func (f *walFollower) lead(context.Context) error            { return errFollows }
func (f *walFollower) propose(context.Context, []byte) error { return errFollows }
func (f *walFollower) read(context.Context) error            { return errFollows }
func (f *walFollower) tally() tally                          { return f.look() }

func (f *walFollower) stop() error {
	_ = f.listener.Close()
	<-f.done
	return errors.Join(f.err, f.file.Close())
}

// dialUntil connects with somebody who may not listen yet.
func dialUntil(ctx context.Context, address string) (net.Conn, error) {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		pause(ctx, 10*time.Millisecond)
	}
}
