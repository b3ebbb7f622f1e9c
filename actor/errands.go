package raft

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
)

// errands are a client's requests to members in other actor systems, where a call cannot be handed over as it is. Each goes
// as a message, and the errands are its sender: a process, as a future is, and no actor. The number of an errand is the
// RequestId of that PID, which every reply brings back. A reply that comes late, twice, or to another question is nobody's.
//
// What is heard of addresses belongs here, too. It is safe for concurrent use.
type errands struct {
	client *Client

	mu sync.Mutex
	// Guarded by mu.

	pid    *actor.PID // nil before the first errand
	open   map[uint32]*errand
	last   uint32
	closed bool
	// heardFrom is the address that something came from last, at heardAt of the courier's clock; silent are those that
	// something was asked of in vain since they were heard from, and when that was noted.
	heardFrom string
	heardAt   int64
	silent    map[string]int64
}

// An errand asks for what a call does, or else for a status.
type errand struct {
	to   *actor.PID
	call *call
	// status is called once, with the status or with why there is none, by whoever has it.
	status func(*Status, *Rejected)
}

var _ actor.Process = (*errands)(nil)

const (
	// silentTicks is for how long a member that was asked in vain is not asked directly, if another one reaches it.
	silentTicks = 1000
	// silentMax limits the addresses of which it is remembered that they are silent.
	silentMax = 1 << 10
	// congestedTicks is how long ago an address was heard from at most of which it is taken that it can be reached.
	congestedTicks = 100
)

// isHere tells whether a PID is of that actor system.
func isHere(system *actor.ActorSystem, pid *actor.PID) bool {
	return pid.Address == localAddress || pid.Address == system.Address()
}

// add takes an errand in and numbers it. Zero: the client is closed.
func (l *errands) add(to *errand) (number uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0
	}
	if l.pid == nil {
		l.open, l.silent = map[uint32]*errand{}, map[string]int64{}
		// Nobody is to guess the name, and a reply to a client of an earlier process must not find this one.
		registry := l.client.system.ProcessRegistry
		l.pid, _ = registry.Add(l, fmt.Sprintf("raft-replies%s-%016x", registry.NextId(), rand.Uint64()))
	}
	for l.last++; l.last == 0 || l.open[l.last] != nil; {
		l.last++
	}
	l.open[l.last] = to
	return l.last
}

// send sends an errand off. Where there is no way to its address, it is answered before send returns.
func (l *errands) send(to *actor.PID, number uint32, request proto.Message) {
	sender := actor.NewPID(l.pid.Address, l.pid.Id)
	sender.RequestId = number
	l.client.system.Root.RequestWithCustomSender(to, request, sender)
}

// askStatus asks a member for its status. Zero: the client is closed.
func (l *errands) askStatus(to *actor.PID, answer func(*Status, *Rejected)) (number uint32) {
	if number = l.add(&errand{to: to, status: answer}); number != 0 {
		l.send(to, number, &GetStatus{})
	}
	return number
}

// forget has nobody wait for a reply any more.
func (l *errands) forget(number uint32) {
	if number != 0 {
		l.take(number)
	}
}

// take returns an errand that waits for its reply, and lets go of it.
func (l *errands) take(number uint32) *errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	errand := l.open[number]
	delete(l.open, number)
	return errand
}

func (l *errands) look(number uint32) *errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[number]
}

// SendUserMessage takes a reply, on the goroutine of whoever has it.
func (l *errands) SendUserMessage(pid *actor.PID, message any) {
	number := pid.GetRequestId()
	errand := l.look(number)
	if errand == nil {
		return
	}
	message = actor.UnwrapEnvelopeMessage(message)
	if m, ok := message.(*actor.DeadLetterResponse); ok {
		if l.take(number) != nil {
			errand.fail(l.client.system, l.undelivered(errand.to, m))
		}
		return
	}
	reply, ok := message.(proto.Message)
	if !ok {
		return
	}
	deliver := errand.read(l.client.system, reply)
	if deliver != nil && l.take(number) != nil {
		l.heard(errand.to.Address)
		deliver()
	}
}

// SendSystemMessage ignores it: nobody is watched.
func (*errands) SendSystemMessage(*actor.PID, any) {}

// Stop is asked for by nobody who knows what this is.
func (*errands) Stop(*actor.PID) {}

// read returns what hands the reply over, or nil if it is none to this errand.
func (t *errand) read(system *actor.ActorSystem, message proto.Message) (deliver func()) {
	if t.call != nil {
		r, err := replyOf(t.call.kind, message)
		if err != nil {
			return nil
		}
		return func() { t.call.answer(system, r) }
	}
	switch m := message.(type) {
	case *Status:
		return func() { t.status(m, nil) }
	case *Rejected:
		return func() { t.status(nil, m) }
	default:
		return nil
	}
}

func (t *errand) fail(system *actor.ActorSystem, rejected *Rejected) {
	if t.call != nil {
		t.call.reject(system, rejected)
		return
	}
	t.status(nil, rejected)
}

// hasEffect tells whether what is asked for is more than a question.
func (t *errand) hasEffect() bool { return t.call != nil && t.call.hasEffect() }

// undelivered says why an errand has not come to its receiver, which is certain. On the other side there is no such actor;
// or the errand has not left this one, as is said of it by its name. That may be for want of room, if the address was
// heard from just now.
func (l *errands) undelivered(to *actor.PID, m *actor.DeadLetterResponse) *Rejected {
	rejected := &Rejected{Outcome: Outcome_NOT_APPLIED, RetryAfterMs: retryAfterMs}
	switch {
	case m.GetTarget() == nil:
		rejected.Code, rejected.RetryAfterMs = Code_STOPPED, 0
		rejected.Detail = fmt.Sprintf("there is no actor %s at %s any more, or no way there", to.Id, to.Address)
	case l.isCongested(to.Address):
		rejected.Code = Code_OVERLOADED
		rejected.Detail = fmt.Sprintf("there was no room on the way to %s; try again later", to.Address)
	default:
		rejected.Code = Code_UNREACHABLE
		rejected.Detail = fmt.Sprintf("the actor system at %s cannot be reached; nothing was sent", to.Address)
		l.noteSilence(to.Address)
	}
	return rejected
}

// unreachable ends what was sent to an address that cannot be reached any more.
func (l *errands) unreachable(address string) {
	l.noteSilence(address)
	l.mu.Lock()
	var lost []*errand
	for number, errand := range l.open {
		if errand.to.Address == address {
			lost = append(lost, errand)
			delete(l.open, number)
		}
	}
	l.mu.Unlock()
	for _, errand := range lost {
		rejected := &Rejected{
			Code: Code_UNREACHABLE, Outcome: Outcome_NOT_APPLIED, RetryAfterMs: retryAfterMs,
			Detail: fmt.Sprintf("the actor system at %s cannot be reached any more", address),
		}
		if errand.hasEffect() {
			rejected.Outcome = Outcome_UNKNOWN
			rejected.Detail += "; whether it got the request cannot be told"
		}
		errand.fail(l.client.system, rejected)
	}
}

func (l *errands) now() int64 { return l.client.courier.clock.Load() }

func (l *errands) heard(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heardFrom, l.heardAt = address, l.now()
	delete(l.silent, address)
}

func (l *errands) isCongested(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heardFrom == address && l.now()-l.heardAt < congestedTicks
}

// noteSilence says that an address was asked in vain.
func (l *errands) noteSilence(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pid == nil { // nothing was ever asked
		return
	}
	if len(l.silent) >= silentMax {
		clear(l.silent)
	}
	l.silent[address] = l.now()
	if l.heardFrom == address {
		l.heardFrom = ""
	}
}

// silentUntil is until when nothing is asked directly of an address that is silent. It is past for any other.
func (l *errands) silentUntil(address string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.silent[address]; ok {
		return at + silentTicks
	}
	return 0
}

// close lets go of all. The courier ends what is under way.
func (l *errands) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	clear(l.open)
	if l.pid != nil {
		l.client.system.ProcessRegistry.Remove(l.pid)
	}
}
