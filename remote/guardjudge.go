package raftremote

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// A verdict is what becomes of an envelope. If nothing is set, the gate has taken it.
type verdict struct {
	pass bool
	drop refusalReason
	// fault: the connection is closed.
	fault error
}

// judgeEnvelope judges one message by whom it is from, for, and of what it is.
func (s *guardedStream) judgeEnvelope(p parts) verdict {
	if p.target.GetAddress() != s.ours || p.target.GetId() == "" {
		return verdict{drop: reasonForeign}
	}
	if p.sender != nil && (p.sender.GetAddress() != s.address || p.sender.GetId() == "") {
		return verdict{drop: reasonForeign}
	}
	if p.class == nil {
		return verdict{drop: reasonUnknownType}
	}
	if p.class.kind == classTerminated {
		return s.judgeTerminated(p)
	}
	if drop := s.guard.remote.reach.judge(p.target.GetId(), p.class, s.address); drop != "" {
		return verdict{drop: drop}
	}
	names, err := walkPayload(p.class, p.data)
	if err != nil {
		return verdict{fault: err}
	}
	if p.class.watches() {
		return s.judgeWatch(p)
	}
	toMember := s.guard.remote.reach.hosts(p.target.GetId())
	for _, named := range names {
		if !s.mayName(named, toMember) {
			return verdict{drop: reasonNamed}
		}
	}
	return verdict{pass: true}
}

// mayName tells whether a message may have an actor in it. Whoever gets it may send that something, so it must be one that
// the sender could send something itself. A raft actor is only told of actors where the request comes from.
func (s *guardedStream) mayName(named namedActor, toMember bool) bool {
	switch {
	case named.id == "" || named.address == "" || named.address == localAddress:
		return false
	case named.address == s.address:
		return true
	case toMember:
		return false
	case named.address == s.ours:
		return s.guard.remote.reach.knows(named.id, s.address)
	}
	return checkAddress(named.address) == nil
}

// judgeWatch lets an actor of the stream's system watch one of this, or end that.
func (s *guardedStream) judgeWatch(p parts) verdict {
	watcher, err := watcherIn(p)
	if err != nil {
		return verdict{fault: err}
	}
	if watcher.GetAddress() != s.address || watcher.GetId() == "" {
		return verdict{drop: reasonNamed}
	}
	w := heldWatch{s.address, watcher.GetId(), p.target.GetId()}
	if p.class.kind == classUnwatch {
		s.guard.unwatch(w)
		return verdict{pass: true}
	}
	if !s.guard.watch(s, w) {
		return verdict{drop: reasonWatch}
	}
	return verdict{pass: true}
}

func watcherIn(p parts) (*actor.PID, error) {
	var watcher *actor.PID
	if p.class.kind == classUnwatch {
		var m actor.Unwatch
		if err := proto.Unmarshal(p.data, &m); err != nil {
			return nil, err
		}
		watcher = m.GetWatcher()
	} else {
		var m actor.Watch
		if err := proto.Unmarshal(p.data, &m); err != nil {
			return nil, err
		}
		watcher = m.GetWatcher()
	}
	if watcher == nil {
		return nil, errors.New("it has no watcher")
	}
	return watcher, nil
}

// judgeTerminated gives the end of a watched actor to the gate, which knows who watches.
func (s *guardedStream) judgeTerminated(p parts) verdict {
	var m actor.Terminated
	if err := proto.Unmarshal(p.data, &m); err != nil {
		return verdict{fault: err}
	}
	who := m.GetWho()
	if who == nil {
		return verdict{fault: errors.New("it does not say who")}
	}
	if who.GetAddress() != s.address {
		return verdict{fault: fmt.Errorf("it says that an actor of %q has terminated", who.GetAddress())}
	}
	if !s.guard.remote.gate.terminated(s.address, watchKey{p.target.GetId(), who.GetId()}, m.GetWhy()) {
		return verdict{drop: reasonWatch}
	}
	return verdict{}
}

// bounce tells a sender, or a watcher, that its message does not arrive. The address is that of the stream, whatever the
// message says.
func (s *guardedStream) bounce(reason refusalReason, p parts) {
	system := s.guard.remote.system
	if p.class != nil && p.class.kind == classWatch && (reason == reasonTarget || reason == reasonWatch) {
		watcher, err := watcherIn(p)
		if err != nil || watcher.GetAddress() != s.address {
			return
		}
		s.guard.remote.gate.process(s.address).SendSystemMessage(watcher, &actor.Terminated{
			Who: actor.NewPID(s.ours, p.target.GetId()), Why: actor.TerminatedReason_NotFound,
		})
		return
	}
	if p.sender == nil || p.sender.GetAddress() != s.address || p.class != nil && p.class.kind == classReply {
		return
	}
	sender := &actor.PID{Address: s.address, Id: p.sender.GetId(), RequestId: p.senderRequest}
	// Without the target, as Proto.Actor says it of an actor that is not there. With it, it would be what the sender's own gate
	// says of a system that cannot be reached.
	system.Root.Send(sender, &actor.DeadLetterResponse{})
}
