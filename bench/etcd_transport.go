package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// etcdInbox is the messages that have come and are not stepped yet.
type etcdInbox struct {
	mu      sync.Mutex
	waiting []*raftpb.Message // guarded by mu
	spare   []*raftpb.Message // guarded by mu
	wake    chan struct{}
}

// etcdQueueMax is how many messages may wait in one place; more are lost.
const etcdQueueMax = 1 << 14

func (in *etcdInbox) put(messages ...*raftpb.Message) {
	in.mu.Lock()
	if len(in.waiting)+len(messages) <= etcdQueueMax {
		in.waiting = append(in.waiting, messages...)
	}
	in.mu.Unlock()
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// poll takes all. They are valid until the next poll.
func (in *etcdInbox) poll() []*raftpb.Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	clear(in.spare)
	taken := in.waiting
	in.waiting, in.spare = in.spare[:0], taken
	return taken
}

// etcdMemory is the way to each node of a group in one process.
type etcdMemory map[uint64]*etcdNode

func (t etcdMemory) send(messages []*raftpb.Message) {
	for len(messages) > 0 {
		to, count := messages[0].GetTo(), 1
		for count < len(messages) && messages[count].GetTo() == to {
			count++
		}
		if n := t[to]; n != nil {
			n.inbox.put(messages[:count]...)
		}
		messages = messages[count:]
	}
}

func (etcdMemory) close() {}

// etcdTCP is a node's way to the others: a connection to each, on which it only
// writes, and those on which it only reads.
type etcdTCP struct {
	node     *etcdNode
	listener net.Listener
	peers    map[uint64]*etcdInbox
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool // guarded by mu
	closed chan struct{}
}

func newEtcdTCP(n *etcdNode, members []endpoint) (*etcdTCP, error) {
	l, err := net.Listen("tcp", members[n.number-1].address)
	if err != nil {
		return nil, err
	}
	t := &etcdTCP{node: n, listener: l, peers: map[uint64]*etcdInbox{}, conns: map[net.Conn]bool{}, closed: make(chan struct{})}
	for _, m := range members {
		if m.number != n.number {
			out := &etcdInbox{wake: make(chan struct{}, 1)}
			t.peers[m.number] = out
			t.running.Go(func() { t.write(m, out) })
		}
	}
	t.running.Go(t.accept)
	return t, nil
}

func (t *etcdTCP) send(messages []*raftpb.Message) {
	for _, m := range messages {
		if out := t.peers[m.GetTo()]; out != nil {
			out.put(m)
		}
	}
}

func (t *etcdTCP) close() {
	t.mu.Lock()
	close(t.closed)
	for conn := range t.conns {
		_ = conn.Close()
	}
	t.mu.Unlock()
	_ = t.listener.Close()
	t.running.Wait()
}

// hold keeps a connection, to be closed with the others.
func (t *etcdTCP) hold(conn net.Conn) (held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.closed:
		_ = conn.Close()
		return false
	default:
		t.conns[conn] = true
		return true
	}
}

func (t *etcdTCP) drop(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = conn.Close()
	delete(t.conns, conn)
}

// write sends what waits, and connects anew when that fails.
func (t *etcdTCP) write(to endpoint, out *etcdInbox) {
	for {
		conn, err := net.DialTimeout("tcp", to.address, time.Second)
		if err == nil && t.hold(conn) {
			t.writeTo(conn, out)
			t.drop(conn)
		}
		out.poll() // stale
		t.node.inbox.put(&raftpb.Message{Type: raftpb.MsgUnreachable.Enum(), From: proto.Uint64(to.number)})
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.closed:
			return
		}
	}
}

func (t *etcdTCP) writeTo(conn net.Conn, out *etcdInbox) {
	var buffer []byte
	for {
		messages := out.poll()
		if len(messages) == 0 {
			select {
			case <-out.wake:
				continue
			case <-t.closed:
				return
			}
		}
		buffer = buffer[:0]
		for _, m := range messages {
			at := len(buffer)
			buffer = append(buffer, 0, 0, 0, 0)
			var err error
			buffer, err = proto.MarshalOptions{}.MarshalAppend(buffer, m)
			must(err)
			binary.LittleEndian.PutUint32(buffer[at:], uint32(len(buffer)-at-4))
		}
		if _, err := conn.Write(buffer); err != nil {
			return
		}
	}
}

func (t *etcdTCP) accept() {
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return
		}
		if t.hold(conn) {
			t.running.Go(func() {
				t.read(conn)
				t.drop(conn)
			})
		}
	}
}

// read hands over the messages that come, all at once that are there.
func (t *etcdTCP) read(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 256<<10)
	var body []byte
	var come []*raftpb.Message
	for {
		header, err := in.Peek(4)
		if err != nil {
			return
		}
		size := int(binary.LittleEndian.Uint32(header))
		_, _ = in.Discard(4)
		if cap(body) < size {
			body = make([]byte, size)
		}
		body = body[:size]
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		m := &raftpb.Message{}
		if err := proto.Unmarshal(body, m); err != nil {
			return
		}
		if come = append(come, m); in.Buffered() == 0 {
			t.node.inbox.put(come...)
			clear(come)
			come = come[:0]
		}
	}
}
