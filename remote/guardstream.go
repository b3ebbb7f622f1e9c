package raftremote

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// A guardedStream is a stream of Proto.Actor's, as its reader sees it: only frames that are in order come out of it.
type guardedStream struct {
	grpc.ServerStream
	guard    *guard
	identity identity
	ours     string
	// address is what the stream speaks for. It is written by its first message, before entered is.
	address string
	entered atomic.Bool
	// ended: there is nothing more to come, or it was refused. The handler's error says nothing new then.
	ended   atomic.Bool
	watches int // guarded by guard.mu
}

// RecvMsg implements [grpc.ServerStream].
func (s *guardedStream) RecvMsg(m any) error {
	out, ok := m.(*remote.RemoteMessage)
	if !ok {
		return s.refuse(reasonMethod, fmt.Errorf("a message of type %T", m))
	}
	for {
		var in inbound
		if err := s.ServerStream.RecvMsg(&in); err != nil {
			return s.broken(err)
		}
		if in.fault != "" {
			return s.refuse(in.fault, in.err)
		}
		pass, fault, err := s.judge(in.message)
		if fault != "" {
			return s.refuse(fault, err)
		}
		if pass {
			out.MessageType = in.message.MessageType
			return nil
		}
	}
}

// broken returns the error with which a stream has ended, and refuses what gRPC could not read.
func (s *guardedStream) broken(err error) error {
	if !errors.Is(err, io.EOF) {
		switch status.Code(err) {
		case codes.ResourceExhausted:
			return s.refuse(reasonTooMuch, err)
		case codes.Internal, codes.Unimplemented, codes.InvalidArgument:
			return s.refuse(reasonMalformed, err)
		}
	}
	s.ended.Store(true)
	return err
}

func (s *guardedStream) refuse(reason refusalReason, err error) error {
	s.ended.Store(true)
	return s.guard.refuse(s.Context(), reason, err)
}

// drop counts a message that does not pass.
func (s *guardedStream) drop(reason refusalReason, typeName, target string) {
	s.guard.remote.counters.refuse(reason)
	s.guard.log("message dropped", "reason", string(reason), "from", s.address, "type", typeName, "target", target)
}

// tooLate closes a connection that has not said who it is.
func (s *guardedStream) tooLate() {
	if !s.entered.Load() {
		_ = s.refuse(reasonSilent, fmt.Errorf("no connect request within %v", helloTime))
	}
}

// end is called when the stream has ended.
func (s *guardedStream) end() {
	s.ended.Store(true)
	if s.entered.Load() {
		s.guard.leave(s)
	}
}

// judge tells whether a frame is to be passed on, with what is left of it, or why the connection is to be closed.
func (s *guardedStream) judge(m *remote.RemoteMessage) (pass bool, fault refusalReason, err error) {
	switch t := m.GetMessageType().(type) {
	case *remote.RemoteMessage_ConnectRequest:
		if s.entered.Load() {
			return false, reasonHello, errors.New("a second connect request")
		}
		if err := s.check(t.ConnectRequest); err != nil {
			return false, reasonAddress, err
		}
		s.address = t.ConnectRequest.GetServerConnection().GetAddress()
		s.guard.enter(s)
		s.entered.Store(true)
		return true, "", nil
	case *remote.RemoteMessage_MessageBatch:
		if !s.entered.Load() {
			return false, reasonHello, errors.New("messages before the connect request")
		}
		fault, err := s.judgeBatch(t.MessageBatch)
		return fault == "" && len(t.MessageBatch.GetEnvelopes()) > 0, fault, err
	default:
		return false, reasonHello, fmt.Errorf("a %T, which no client sends", t)
	}
}

// pidBytesMax is how long an actor's address and name may be together. Proto.Actor copies those in a frame for each of its
// messages, with whatever else is in them, and who watches or subscribes is remembered.
const pidBytesMax = 1 << 10

// judgeBatch leaves in a batch what passes.
func (s *guardedStream) judgeBatch(b *remote.MessageBatch) (refusalReason, error) {
	if b == nil {
		return reasonMalformed, errors.New("no batch")
	}
	for _, pids := range [][]*actor.PID{b.GetTargets(), b.GetSenders()} {
		for _, pid := range pids {
			if size := proto.Size(pid); size > pidBytesMax {
				return reasonTooMuch, fmt.Errorf("the address and the name of an actor are %d bytes, more than %d", size, pidBytesMax)
			}
		}
	}
	kept := b.Envelopes[:0]
	for i, e := range b.Envelopes {
		parts, err := partsOf(b, e)
		if err != nil {
			return reasonMalformed, fmt.Errorf("envelope %d: %w", i, err)
		}
		if e.GetSerializerId() != 0 {
			return reasonSerializer, fmt.Errorf("envelope %d: serializer %d", i, e.GetSerializerId())
		}
		verdict := s.judgeEnvelope(parts)
		if verdict.fault != nil {
			return reasonPayload, fmt.Errorf("envelope %d, %q: %w", i, parts.typeName, verdict.fault)
		}
		if verdict.drop != "" {
			s.drop(verdict.drop, parts.typeName, parts.target.GetId())
			s.bounce(verdict.drop, parts)
			continue
		}
		if verdict.pass {
			kept = append(kept, e)
		}
	}
	clear(b.Envelopes[len(kept):])
	b.Envelopes = kept
	return "", nil
}

// parts are what an envelope refers to.
type parts struct {
	typeName string
	class    *class // nil if this program does not have the type
	target   *actor.PID
	sender   *actor.PID // nil if there is none
	data     []byte
	// targetRequest and senderRequest tell requests of one actor apart.
	senderRequest uint32
}

// partsOf resolves the indices of an envelope.
func partsOf(b *remote.MessageBatch, e *remote.MessageEnvelope) (p parts, err error) {
	names, targets, senders := b.GetTypeNames(), b.GetTargets(), b.GetSenders()
	name, target, sender := int(e.GetTypeId()), int(e.GetTarget()), int(e.GetSender())
	switch {
	case e == nil:
		return parts{}, errors.New("it is nil")
	case name < 0 || name >= len(names):
		return parts{}, fmt.Errorf("type %d of %d", name, len(names))
	case target < 0 || target >= len(targets) || targets[target] == nil:
		return parts{}, fmt.Errorf("target %d of %d", target, len(targets))
	case sender < 0 || sender > len(senders) || sender > 0 && senders[sender-1] == nil:
		return parts{}, fmt.Errorf("sender %d of %d", sender, len(senders))
	}
	p = parts{
		typeName: names[name], class: classOf(names[name]), target: targets[target], data: e.GetMessageData(),
		senderRequest: e.GetSenderRequestId(),
	}
	if sender > 0 {
		p.sender = senders[sender-1]
	}
	return p, nil
}
