package raft

import (
	"fmt"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A remoting connects actor systems of one process as Proto.Actor's remoting does those of several: everything is encoded
// on the way. What is sent waits until the test delivers it, in order; one that is immediate delivers at once.
type remoting struct {
	testing.TB
	immediate bool
	// fault, if set, says how often a parcel arrives: 1 if nothing is wrong.
	fault func(*parcel) int

	mu      sync.Mutex
	systems map[string]*actor.ActorSystem // guarded by mu
	queue   []*parcel                     // guarded by mu
	// cut are addresses that nothing goes to, and nothing comes from. Guarded by mu.
	cut map[string]bool
	// lost are those of them that everybody knows of: nothing is sent there. Guarded by mu.
	lost map[string]bool
	// watches are those that processes of one system keep of another's. Guarded by mu.
	watches []watch
}

// A parcel is one message on its way.
type parcel struct {
	from     string
	target   *actor.PID
	sender   *actor.PID // or nil
	isSystem bool
	kind     protoreflect.FullName
	data     []byte
}

type watch struct{ watcher, watchee *actor.PID }

func newRemoting(tb testing.TB) *remoting {
	return &remoting{TB: tb, systems: map[string]*actor.ActorSystem{}, cut: map[string]bool{}, lost: map[string]bool{}}
}

// join makes an actor system with that address.
func (w *remoting) join(address string) *actor.ActorSystem {
	system := quietSystem()
	w.connect(address, system)
	return system
}

// connect gives an actor system an address, before anything is spawned there.
func (w *remoting) connect(address string, system *actor.ActorSystem) {
	system.ProcessRegistry.Address = address
	system.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) {
		return &foreign{w, system}, true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.systems[address] = system
}

// foreign stands in a system for the processes of all others.
type foreign struct {
	remoting *remoting
	home     *actor.ActorSystem
}

func (p *foreign) SendUserMessage(to *actor.PID, message any) {
	_, message, sender := actor.UnwrapEnvelope(message)
	p.send(to, sender, message, false)
}

func (p *foreign) SendSystemMessage(to *actor.PID, message any) {
	w := p.remoting
	w.mu.Lock()
	switch m := message.(type) {
	case *actor.Watch:
		w.watches = append(w.watches, watch{m.Watcher, to})
	case *actor.Unwatch:
		w.unwatch(m.Watcher, to)
	}
	w.mu.Unlock()
	p.send(to, nil, message, true)
}

func (p *foreign) Stop(pid *actor.PID) { p.remoting.Errorf("%s is stopped from another system", pid) }

func (p *foreign) send(to, sender *actor.PID, message any, isSystem bool) {
	m, ok := message.(proto.Message)
	if !ok {
		p.remoting.Errorf("%T is sent to %s: it cannot travel", message, to)
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		p.remoting.Errorf("%T is sent to %s: %v", message, to, err)
		return
	}
	if sender != nil && sender.Address != p.home.Address() {
		p.remoting.Errorf("%T is sent to %s in the name of %s", message, to, sender)
	}
	p.remoting.accept(&parcel{
		from: p.home.Address(), target: copied(to), sender: copied(sender), isSystem: isSystem,
		kind: m.ProtoReflect().Descriptor().FullName(), data: data,
	})
}

// copied is a PID without what it knows of this process.
func copied(pid *actor.PID) *actor.PID {
	if pid == nil {
		return nil
	}
	return &actor.PID{Address: pid.Address, Id: pid.Id, RequestId: pid.RequestId}
}

func (w *remoting) accept(p *parcel) {
	if w.immediate {
		w.arrive(p)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, p)
}

// deliver delivers what waits, and tells whether there was anything.
func (w *remoting) deliver() bool {
	w.mu.Lock()
	waiting := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, p := range waiting {
		w.arrive(p)
	}
	return len(waiting) > 0
}

func (w *remoting) arrive(p *parcel) {
	w.mu.Lock()
	system, isCut := w.systems[p.target.Address], w.cut[p.from] || w.cut[p.target.Address]
	isLost := w.lost[p.target.Address] && !w.cut[p.from]
	w.mu.Unlock()
	if system == nil || isLost {
		w.bounce(p)
		return
	}
	times := 1
	if w.fault != nil {
		times = w.fault(p)
	}
	if isCut {
		return
	}
	for range times {
		w.hand(p, system)
	}
}

// hand gives a parcel to its receiver.
func (w *remoting) hand(p *parcel, system *actor.ActorSystem) {
	message := p.message()
	if !p.isSystem {
		system.Root.Send(copied(p.target), &actor.MessageEnvelope{Message: message, Sender: copied(p.sender)})
		return
	}
	if m, ok := message.(*actor.Terminated); ok {
		w.mu.Lock()
		w.unwatch(p.target, m.Who)
		w.mu.Unlock()
	}
	process, _ := system.ProcessRegistry.GetLocal(p.target.Id)
	process.SendSystemMessage(copied(p.target), message)
}

// bounce tells a sender that nothing was sent.
func (w *remoting) bounce(p *parcel) {
	w.mu.Lock()
	home := w.systems[p.from]
	w.mu.Unlock()
	if p.sender != nil {
		home.Root.Send(copied(p.sender), &actor.DeadLetterResponse{Target: copied(p.target)})
	}
}

// message is what the parcel holds, decoded anew.
func (p *parcel) message() proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(p.kind)
	if err != nil {
		panic(err)
	}
	m := kind.New().Interface()
	if err := proto.Unmarshal(p.data, m); err != nil {
		panic(err)
	}
	return m
}

// unwatch is called with mu held.
func (w *remoting) unwatch(watcher, watchee *actor.PID) {
	kept := w.watches[:0]
	for _, x := range w.watches {
		if keyOf(x.watcher) != keyOf(watcher) || keyOf(x.watchee) != keyOf(watchee) {
			kept = append(kept, x)
		}
	}
	w.watches = kept
}

// lose cuts an address off, for good or until it is healed, and has all others hear of it.
func (w *remoting) lose(address string) {
	w.mu.Lock()
	w.cut[address], w.lost[address] = true, true
	var lost []watch
	for _, x := range w.watches {
		if x.watchee.Address == address || x.watcher.Address == address {
			lost = append(lost, x)
		}
	}
	systems := map[string]*actor.ActorSystem{}
	for name, system := range w.systems {
		systems[name] = system
	}
	w.mu.Unlock()
	for _, x := range lost {
		w.mu.Lock()
		w.unwatch(x.watcher, x.watchee)
		w.mu.Unlock()
		if process, there := systems[x.watcher.Address].ProcessRegistry.GetLocal(x.watcher.Id); there {
			process.SendSystemMessage(x.watcher, &actor.Terminated{Who: x.watchee, Why: actor.TerminatedReason_AddressTerminated})
		}
	}
	for name, system := range systems {
		if name != address {
			system.EventStream.Publish(&AddressUnreachable{Address: address})
		}
	}
}

func (w *remoting) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
	clear(w.lost)
}

// silence cuts an address off, and nobody hears of it.
func (w *remoting) silence(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[address] = true
}

// newScattered is a fixture whose members each live in an actor system of their own. The fixture's own has none.
func newScattered(tb testing.TB, members ...ID) *fixture {
	w := newRemoting(tb)
	f := newFixtureIn(tb, w.join("client:1"))
	f.remoting, f.homes = w, map[ID]*actor.ActorSystem{}
	f.network.fault = throughBytes
	for _, id := range members {
		address := hostOf(id)
		f.homes[id] = w.join(address)
		f.founders = append(f.founders, Member{ID: id, Address: address})
	}
	return f
}

// hostOf is the address of a member's actor system.
func hostOf(id ID) string { return fmt.Sprintf("host-%d:1", id) }

// newScatteredGroup is a scattered fixture of three members, one of which leads.
func newScatteredGroup(tb testing.TB) (f *fixture, leader ID) {
	f = newScattered(tb, 1, 2, 3)
	f.spawnFounders()
	return f, f.elect()
}

// crash stops a member and cuts its system off, as the end of a process does.
func (f *fixture) crash(id ID) {
	f.Helper()
	f.remoting.silence(hostOf(id))
	f.stop(id)
	f.remoting.lose(hostOf(id))
	f.settle()
}

// revive starts a process again that has crashed.
func (f *fixture) revive(id ID) {
	f.Helper()
	f.remoting.mu.Lock()
	delete(f.remoting.cut, hostOf(id))
	delete(f.remoting.lost, hostOf(id))
	f.remoting.mu.Unlock()
	f.spawn(id, &journal{})
}
