package raftremote

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A proxy is the [actor.Process] of all actors at an address. It works for as long as somebody has it, also when the remote
// has been stopped. No method blocks.
type proxy struct {
	gate    *gate
	address string
}

var _ actor.Process = (*proxy)(nil)

// SendUserMessage implements [actor.Process].
func (p *proxy) SendUserMessage(pid *actor.PID, envelope any) {
	header, message, sender := actor.UnwrapEnvelope(envelope)
	body, ok := message.(proto.Message)
	if _, private := message.(actor.AutoReceiveMessage); private {
		ok = false
	}
	wrapped, custom := message.(remote.RootSerializable)
	if !ok && !custom {
		p.gate.bounce(pid, message, sender, gateMessage)
		return
	}
	i := &letter{target: pid, header: header, body: body, custom: wrapped, sender: sender, bytes: letterOverhead}
	if !custom {
		i.bytes += proto.Size(body)
	}
	if i.bytes > p.gate.remote.cfg.frameBytesMax()-letterOverhead {
		p.gate.bounce(pid, message, sender, gateLarge)
		return
	}
	p.permitAnswers(message, sender)
	p.post(i)
}

// permitAnswers lets the other system answer who sends it something, or is named as the subscriber.
func (p *proxy) permitAnswers(message any, sender *actor.PID) {
	r := p.gate.remote
	named, ok := message.(interface{ GetSubscriber() *actor.PID })
	pids := [2]*actor.PID{sender}
	if ok {
		pids[1] = named.GetSubscriber()
	}
	for _, pid := range pids {
		if pid != nil && pid.GetAddress() == r.system.Address() {
			r.reach.permits.grant(r.system, p.address, pid.GetId())
		}
	}
}

// SendSystemMessage implements [actor.Process]. Only watches and what becomes of them go to others.
func (p *proxy) SendSystemMessage(pid *actor.PID, message any) {
	i := &letter{target: pid, bytes: letterOverhead, system: true}
	switch m := message.(type) {
	case *actor.Watch:
		i.body, i.watch = m, watchKey{m.GetWatcher().GetId(), pid.GetId()}
	case *actor.Unwatch:
		i.body, i.watch = m, watchKey{m.GetWatcher().GetId(), pid.GetId()}
	case *actor.Terminated:
		i.body = m
	default:
		p.gate.bounce(pid, message, nil, gateMessage)
		return
	}
	p.post(i)
}

// Stop implements [actor.Process]. Others cannot be stopped from here.
func (p *proxy) Stop(pid *actor.PID) { p.SendSystemMessage(pid, &actor.Stop{}) }

// post puts a letter into the outbox of its address, or says that it will not arrive.
func (p *proxy) post(i *letter) {
	for {
		o, reason := p.gate.outboxFor(p.address)
		if o != nil {
			var again bool
			if reason, again = o.post(i); again {
				continue // it has just been given up for having nothing to do
			}
		}
		if reason != "" {
			p.gate.lose(p.address, i, reason)
		}
		return
	}
}

// lose says that a letter has certainly not left.
func (g *gate) lose(address string, i *letter, reason gateReason) {
	switch i.body.(type) {
	case *actor.Watch:
		g.remote.counters.drop(reason)
		g.tell(address, i.watch, actor.TerminatedReason_AddressTerminated)
	case *actor.Unwatch:
	case *actor.Terminated:
		// Whoever watches must hear of it. It takes the end of its connection for that of all it watches.
		g.remote.counters.drop(reason)
		g.remote.guard.disconnect(address)
	default:
		g.bounce(i.target, i.message(), i.sender, reason)
	}
}

// letterOverhead is roughly what a message takes beside its body, on the wire and here.
const letterOverhead = 256

// A letter is a message on its way out. Proto.Actor takes it for one that is encoded in a form of its own, and so says when
// it takes it.
type letter struct {
	target *actor.PID
	header actor.ReadonlyMessageHeader
	body   proto.Message
	custom remote.RootSerializable // instead of body, where it is not nil
	sender *actor.PID
	bytes  int
	system bool
	watch  watchKey
	state  atomic.Int32
}

// States of a letter.
const (
	letterWaits int32 = iota
	letterTaken       // by Proto.Actor, which sends it or has sent it
	letterLost        // it will not be sent, and whoever sent it has been told
)

var errGivenUp = errors.New("raftremote: the connection has ended")

func (i *letter) message() any {
	if i.custom != nil {
		return i.custom
	}
	return i.body
}

// Serialize implements [remote.RootSerializable].
func (i *letter) Serialize() (remote.RootSerialized, error) {
	if !i.state.CompareAndSwap(letterWaits, letterTaken) {
		return nil, errGivenUp
	}
	if i.custom != nil {
		return i.custom.Serialize()
	}
	return i, nil
}

// Deserialize implements [remote.RootSerialized].
func (i *letter) Deserialize() (remote.RootSerializable, error) { return i, nil }

// ProtoReflect implements [proto.Message]: it is that of the message.
func (i *letter) ProtoReflect() protoreflect.Message { return i.body.ProtoReflect() }

// LogValue keeps the message out of Proto.Actor's logs.
func (i *letter) LogValue() slog.Value { return slog.StringValue(typeName(i.message())) }

// IgnoreDeadLetterLogging keeps it out of Proto.Actor's logs.
func (*letter) IgnoreDeadLetterLogging() {}
