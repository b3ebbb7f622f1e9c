package mailbox

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// A Mailbox is a Proto.Actor mailbox with lanes and batches. Proto.Actor calls its Post methods,
// RegisterHandlers and Start; an actor finds its own mailbox with [Of].
//
// All methods are safe for concurrent use.
type Mailbox struct {
	options Options
	plain   bool // every user message is a solo
	runner  runner

	intercept atomic.Pointer[func(request any, sender *actor.PID) bool]

	// Set by RegisterHandlers, before any turn.
	invoker actor.MessageInvoker
	process actor.Process // ours in the registry; nil if the invoker is no actor

	mu sync.Mutex
	// Guarded by mu.
	host      host // nil until RegisterHandlers
	system    fifo[any]
	queues    [lanes]laneQueue
	solos     fifo[solo]
	awake     bool // a turn is running or about to; a post need not wake anybody
	suspended bool
	stopped   bool
	poisoned  bool // a PoisonPill waits, and one is enough

	// Owned by whoever runs the turn.
	batch    *Batch
	envelope actor.MessageEnvelope // around batch
}

// A runner gives a mailbox the goroutine that runs its turns, one at a time.
type runner interface {
	// start is called once, by Start.
	start(m *Mailbox)
	// wake is called when a mailbox that had nothing to do has something again. stopped tells that
	// the actor had stopped by then.
	wake(m *Mailbox, stopped bool)
}

// A host is the actor that a mailbox belongs to, as far as every goroutine may ask it.
type host interface {
	ActorSystem() *actor.ActorSystem
	Self() *actor.PID
}

func newMailbox(options Options, runner runner) *Mailbox {
	m := &Mailbox{
		options: options.withDefaults(),
		runner:  runner,
		awake:   true, // Start will look
		batch:   new(Batch),
	}
	for lane := range m.queues {
		m.queues[lane].messagesMax, m.queues[lane].bytesMax = Unlimited, Unlimited
	}
	return m
}

// Intercept has f asked for every request before it is queued, on the goroutine that posts it. If
// f returns true, it has dealt with the request, and the mailbox forgets it: this answers requests
// that need no turn, from state that the actor has published. f must not block. The actor calls
// Intercept when it starts; once it has stopped, f is not asked any more.
func (m *Mailbox) Intercept(f func(request any, sender *actor.PID) bool) { m.intercept.Store(&f) }

// PostUserMessage queues a message for a batch, or refuses it. It is called by Proto.Actor.
func (m *Mailbox) PostUserMessage(posted any) {
	message, sender := posted, (*actor.PID)(nil)
	if envelope, ok := posted.(*actor.MessageEnvelope); ok {
		message, sender = envelope.Message, envelope.Sender
	}
	switch message := message.(type) {
	case *actor.PoisonPill, *actor.ReceiveTimeout:
		m.postSolo(posted, false)
		return
	case actor.AutoRespond:
		m.postSolo(posted, true)
		return
	case actor.MessageBatch:
		// Proto.Actor delivers the elements, and then the batch.
		for _, element := range message.GetMessages() {
			m.PostUserMessage(element)
		}
	}
	if m.plain {
		m.postSolo(posted, false)
		return
	}
	lane, bytes := m.options.Classify(message)
	queue := &m.queues[lane]
	if lane == Request {
		if f := m.intercept.Load(); f != nil && (*f)(message, sender) {
			return
		}
	}

	m.lockAmongMany()
	accepted := !m.stopped && queue.push(posted, max(bytes, MessageBytesMin))
	stopped, owner := m.stopped, m.host
	m.unlockAfterPost(accepted && !m.suspended)
	if !accepted {
		m.refuse(lane, posted, stopped, owner)
	}
}

// lockAmongMany locks mu, and gives way a few times before it waits. A mutex that many wait for
// hands itself from one waiter to the next, at the price of a switch of goroutines per message.
func (m *Mailbox) lockAmongMany() {
	for range 4 {
		if m.mu.TryLock() {
			return
		}
		runtime.Gosched()
	}
	m.mu.Lock()
}

// postSolo queues a message that is delivered on its own. If bounded, it counts as a request.
func (m *Mailbox) postSolo(posted any, bounded bool) {
	m.mu.Lock()
	if isPoison(posted) {
		if m.poisoned {
			m.mu.Unlock()
			return
		}
		m.poisoned = !m.stopped
	}
	full := bounded && m.solos.len() >= m.queues[Request].messagesMax
	stopped, owner := m.stopped, m.host
	accepted := !m.stopped && !full
	if accepted {
		entry := solo{message: posted}
		for lane := range m.queues {
			entry.after[lane] = m.queues[lane].posted
		}
		m.solos.push(entry)
	} else if !m.stopped {
		m.queues[Request].refused++
	}
	m.unlockAfterPost(accepted && !m.suspended)
	if !accepted {
		m.refuse(Request, posted, stopped, owner)
	}
}

func isPoison(posted any) bool {
	_, ok := actor.UnwrapEnvelopeMessage(posted).(*actor.PoisonPill)
	return ok
}

// PostSystemMessage queues a system message. It is called by Proto.Actor.
func (m *Mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system.push(message)
	m.unlockAfterPost(true)
}

// unlockAfterPost unlocks mu and, if there is work now and nobody is about to do it, wakes the
// runner.
func (m *Mailbox) unlockAfterPost(work bool) {
	wake, stopped := work && !m.awake, m.stopped
	if wake {
		m.awake = true
	}
	m.mu.Unlock()
	if wake {
		m.runner.wake(m, stopped)
	}
}

// refuse says what becomes of a message that was not accepted, on the goroutine that has posted it. stopped and owner
// are as they were then.
func (m *Mailbox) refuse(lane Lane, posted any, stopped bool, owner host) {
	message := actor.UnwrapEnvelopeMessage(posted)
	switch {
	case stopped:
		deadLetter(owner, posted)
	case lane == Peer:
		m.options.Dropped(message)
	default:
		reply := m.options.Overloaded(message)
		sender := actor.UnwrapEnvelopeSender(posted)
		if reply != nil && sender != nil && owner != nil {
			defer func() { _ = recover() }() // some processes panic when they are sent anything, and anybody may name one
			owner.ActorSystem().Root.Send(sender, reply)
		}
	}
}

// deadLetter sends a message to where Proto.Actor sends what is posted to a stopped actor. A
// sender is told.
func deadLetter(owner host, posted any) {
	if owner != nil {
		owner.ActorSystem().DeadLetter.SendUserMessage(owner.Self(), posted)
	}
}

// RegisterHandlers is called by Proto.Actor when it spawns the actor, after which come Started and
// Start. Messages may have been posted before. The dispatcher is not used.
func (m *Mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.invoker = invoker
	owner, ok := invoker.(host)
	if ok {
		m.process, _ = owner.ActorSystem().ProcessRegistry.GetLocal(owner.Self().Id)
	}
	if ctx, ok := invoker.(actor.ExtensionContext); ok {
		ctx.Set(extension{m})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.host = owner
	// Only now is there somebody in whose name to refuse.
	m.queues[Peer].bytesMax = m.options.PeerBytesMax
	m.queues[Request].bytesMax = m.options.RequestBytesMax
	m.queues[Request].messagesMax = m.options.RequestsMax
}

// Start is called by Proto.Actor when it spawns the actor, last.
func (m *Mailbox) Start() { m.runner.start(m) }

// UserMessageCount returns the number of user messages that wait, in all lanes.
func (m *Mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.userMessageCount()
}

// userMessageCount is called with mu held.
func (m *Mailbox) userMessageCount() int {
	count := m.solos.len()
	for lane := range m.queues {
		count += m.queues[lane].waiting()
	}
	return count
}

// self returns the actor's PID, or nil if it is not known.
func (m *Mailbox) self() *actor.PID {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.host == nil {
		return nil
	}
	return m.host.Self()
}
