package raft

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A feed is where subscribers, on goroutines of their own, meet the feeder of a member, and where the applier tells it
// what is new. What one subscriber asks for keeps its order. The feed is bounded by Config.SubscribersMax; a grant of
// credit takes no room.
type feed struct {
	system         *actor.ActorSystem
	vitals         *vitals
	feeder         *actor.PID
	subscribersMax int

	// applied is the index up to which the machine has applied, or the snapshot that it starts from. Written by the
	// applier.
	applied atomic.Uint64
	// away is how many subscribers live in other systems. Written by the feeder.
	away atomic.Int64
	// probed is the raft actor's clock when they were looked after last. Owned by the raft actor.
	probed int64
	// waits: everybody who may be given more has all that is applied. The feeder says so, and who takes the word back
	// owes it a chunk.
	waits atomic.Bool

	mu sync.Mutex
	// Guarded by mu.
	newest map[subscriberKey]*subscription // what each subscriber has asked for last
	asked  []subscriberRequest             // what the feeder has not looked at, in order
	topped []*subscription                 // those that were parked and may go on
	woken  bool                            // the feeder has been told to look
	closed bool
}

// subscriberKey tells subscribers apart.
type subscriberKey struct{ address, id string }

func keyOf(pid *actor.PID) subscriberKey { return subscriberKey{pid.Address, pid.Id} }

// subscriberRequest is a Subscribe, or the Unsubscribe of a subscriber.
type subscriberRequest struct {
	subscribe   *subscription
	unsubscribe *actor.PID
}

// feederWoken has the feeder look at its feed.
type feederWoken struct{}

// subscribersProbed has the feeder make sure that subscribers in other systems are still there: the word that one is gone
// may be lost on its way.
type subscribersProbed struct{}

// probeInterval is how often that is done.
const probeInterval = time.Minute

const (
	// creditDefault is the credit of a Subscribe that names none, and creditBytesDefault that in bytes, if the subscriber
	// lives in another system.
	creditDefault      = 1024
	creditBytesDefault = 4 << 20
	// creditBytesMax limits how far ahead of what it was given a subscriber in another system can be granted bytes.
	creditBytesMax = 16 << 20
)

func (f *feed) init(system *actor.ActorSystem, vitals *vitals, subscribersMax int, applied Index) {
	f.system, f.vitals, f.subscribersMax = system, vitals, subscribersMax
	f.newest = map[subscriberKey]*subscription{}
	f.applied.Store(uint64(applied))
}

// intercept takes what subscribers ask for, on the goroutines of those who post. It leaves the grant of a subscriber
// that is not known to the request lane, where the Subscribe may be that it has overtaken: one that was posted before
// the member had started.
func (f *feed) intercept(request any, sender *actor.PID) bool {
	switch m := request.(type) {
	case *Subscribe:
		f.subscribe(m, orSender(m.Subscriber, sender))
	case *Unsubscribe:
		f.unsubscribe(orSender(m.Subscriber, sender))
	case *GrantCredit:
		return f.grant(m, orSender(m.Subscriber, sender))
	default:
		return false
	}
	return true
}

// subscribe begins where the subscriber wants it, which for "from now on" is decided here: whatever it proposes after
// this it gets. Nobody is heard of again who cannot be reached.
func (f *feed) subscribe(m *Subscribe, subscriber *actor.PID) {
	process, there := f.system.ProcessRegistry.Get(subscriber)
	if !there || isFacility(subscriber) {
		return
	}
	s := &subscription{subscriber: subscriber, key: keyOf(subscriber), next: Index(m.FromIndex)}
	s.process, _ = process.(*actor.ActorProcess)
	s.local = s.process != nil || isHere(f.system, subscriber)
	if s.next == 0 {
		s.next = Index(f.applied.Load()) + 1
	}
	s.previous = s.next - 1
	s.allow(m)
	f.mu.Lock()
	closed, full := f.closed, len(f.asked) >= f.subscribersMax
	if f.newest[s.key] == nil && len(f.newest) >= f.subscribersMax {
		full = true
	}
	wake := false
	if !closed && !full {
		f.newest[s.key] = s
		f.asked = append(f.asked, subscriberRequest{subscribe: s})
		wake = f.wakes()
	}
	f.mu.Unlock()
	switch {
	case closed:
		tell(f.system, subscriber, endOf(SubscriptionEnded_STOPPED, s.next))
	case full:
		f.turnAway(subscriber)
	case wake:
		f.wake()
	}
}

// unsubscribe has the feeder end what the subscriber has, and say so. Whoever has subscribed is never refused that: it
// could be gone then, and nobody would give its place back. So no more is asked than twice as much as there may be
// subscribers.
func (f *feed) unsubscribe(subscriber *actor.PID) {
	if subscriber == nil {
		return
	}
	key := keyOf(subscriber)
	f.mu.Lock()
	closed, full := f.closed, len(f.asked) >= f.subscribersMax && f.newest[key] == nil
	wake := false
	if !closed && !full {
		delete(f.newest, key)
		f.asked = append(f.asked, subscriberRequest{unsubscribe: subscriber})
		wake = f.wakes()
	}
	f.mu.Unlock()
	switch {
	case closed:
		tell(f.system, subscriber, endOf(SubscriptionEnded_STOPPED, Index(f.applied.Load())+1))
	case full:
		f.turnAway(subscriber)
	case wake:
		f.wake()
	}
}

func (f *feed) turnAway(subscriber *actor.PID) {
	rejected := tooManySubscribers()
	f.vitals.rejected(rejected.Code)
	tell(f.system, subscriber, rejected)
}

func tooManySubscribers() *Rejected {
	return overloadedRejection("there are as many subscribers as Config.SubscribersMax allows; try again later, or at another member")
}

// grant raises the credit of what the subscriber has asked for last. It tells whether that is known.
func (f *feed) grant(m *GrantCredit, subscriber *actor.PID) bool {
	if subscriber == nil {
		return true
	}
	f.mu.Lock()
	s := f.newest[keyOf(subscriber)]
	known, wake := f.closed || s != nil, false
	if s != nil && s.raise(m) && s.parked {
		s.parked = false
		f.topped = append(f.topped, s)
		wake = f.wakes()
	}
	f.mu.Unlock()
	if wake {
		f.wake()
	}
	return known
}

// wakes tells whether the feeder has to be woken. It is called with mu held.
func (f *feed) wakes() bool {
	wake := !f.woken
	f.woken = true
	return wake
}

func (f *feed) wake() { tell(f.system, f.feeder, feederWoken{}) }

// take gives the feeder what has come since.
func (f *feed) take() (asked []subscriberRequest, topped []*subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked, topped = f.asked, f.topped
	f.asked, f.topped, f.woken = nil, nil, false
	return asked, topped
}

// park lets a subscription wait for credit, unless it has got some.
func (f *feed) park(s *subscription) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.parked = s.isSpent()
	return s.parked
}

// forget makes room where a subscription was, unless its subscriber has asked for another one.
func (f *feed) forget(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newest[s.key] == s {
		delete(f.newest, s.key)
	}
}

// close lets nobody in any more. Who asks from now on is told that the member has stopped.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// subscribers is how many there are.
func (f *feed) subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.newest)
}

// advance says that the machine has applied an entry. Only the applier calls it.
func (f *feed) advance(index Index) { f.applied.Store(uint64(index)) }

// rest says that nothing is left to give up to an index, and whether anybody waits for more. It tells whether the feeder
// may rest: not if there is more by now, and nobody who will hand it over.
func (f *feed) rest(applied Index, anybody bool) bool {
	f.waits.Store(anybody)
	return Index(f.applied.Load()) == applied || !f.owed()
}

// owed tells whether the feeder waits for what has been applied last, and is to be given it.
func (f *feed) owed() bool { return f.waits.Load() && f.waits.CompareAndSwap(true, false) }

// pass lets time pass, in ticks of the raft actor's clock.
func (f *feed) pass(clock int64, interval int) {
	if clock-f.probed >= int64(interval) {
		f.probed = clock
		if f.away.Load() > 0 {
			tell(f.system, f.feeder, subscribersProbed{})
		}
	}
}

// hand gives the feeder a chunk of the log.
func (f *feed) hand(chunk *logServed) { tell(f.system, f.feeder, chunk) }
