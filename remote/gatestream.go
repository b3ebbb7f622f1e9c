package raftremote

import (
	"errors"
	"net"
	"time"

	"google.golang.org/grpc"
)

// takeConnection gives gRPC the connection that has been made, once.
func (o *outbox) takeConnection() net.Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	conn := o.conn
	o.conn = nil
	return conn
}

// A gateStream tells an outbox how Proto.Actor gets on.
type gateStream struct {
	grpc.ClientStream
	outbox *outbox
}

// SendMsg implements [grpc.ClientStream]. It blocks while the other end takes nothing.
func (s *gateStream) SendMsg(m any) error {
	s.outbox.sends(true)
	err := s.ClientStream.SendMsg(m)
	if err == nil {
		s.outbox.sends(false)
	}
	return err
}

// RecvMsg implements [grpc.ClientStream]. The end of the stream is that of the connection; Proto.Actor would go on as if
// nothing had happened.
func (s *gateStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.outbox.opened()
		return nil
	}
	return errors.Join(errLost, err)
}

// opened notes that the other end is there.
func (o *outbox) opened() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.used = true, time.Now()
	signal(o.wake)
}

// sends notes that a frame is being sent, with all that Proto.Actor has taken, or that it has left.
func (o *outbox) sends(begin bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending, o.used = begin, time.Now()
	if !begin {
		o.release()
	}
}

// release makes room for more: all that Proto.Actor had taken has left. It is called with mu held.
func (o *outbox) release() {
	left := 0
	for left < len(o.handed) && o.handed[left].state.Load() == letterTaken {
		bytes := o.handed[left].bytes
		o.bytes -= bytes
		o.flying -= bytes
		o.gate.bytes.Add(-int64(bytes))
		left++
	}
	clear(o.handed[:left])
	o.handed = o.handed[left:]
	signal(o.wake)
}
