package mailbox

import (
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// A Scheduler runs mailboxes under a test's control: without goroutines, a turn at a time, on the
// goroutine that calls Step or Run. Turns, lanes and limits are those of [New]; only the choice of
// who is next is the caller's. If all actors of a system have mailboxes of one scheduler, and
// nothing else decides anything (no wall clock, no other goroutine, no map order), then equal
// choices give equal runs.
//
// Actors may spawn, stop, watch and fail within a turn. What they must not do is wait: not for a
// future either, since whoever would complete it cannot run. Outside, wait for a future after Run,
// and create it with a negative timeout, which Proto.Actor takes for none.
//
// The zero Scheduler is ready for use. Posting is safe from any goroutine; Step and Run belong to
// one at a time.
type Scheduler struct {
	// Trace, if set, is called before each turn with the actor and the message that it is about to
	// receive: a system message, a user message, or a *Batch. Set it before the first turn.
	Trace func(self *actor.PID, message any)

	mu    sync.Mutex
	ready []*Mailbox // guarded by mu; those that may have work, in the order in which they got it
}

// New returns a producer of mailboxes with lanes, as [New] does, whose turns this scheduler runs.
// It panics if the options are not valid.
func (s *Scheduler) New(options Options) actor.MailboxProducer {
	if err := options.Validate(); err != nil {
		panic(err)
	}
	return func() actor.Mailbox { return newMailbox(options, s) }
}

// Plain returns a producer of mailboxes without lanes, batches or bounds, whose turns this
// scheduler runs. Their actors receive one message at a time, as with Proto.Actor's own mailbox.
func (s *Scheduler) Plain() actor.MailboxProducer {
	return func() actor.Mailbox {
		m := newMailbox(Options{}, s)
		m.plain = true
		return m
	}
}

// Runnable returns the actors that have work, in the order in which they got it.
func (s *Scheduler) Runnable() []*actor.PID {
	s.mu.Lock()
	defer s.mu.Unlock()
	pids := make([]*actor.PID, len(s.ready))
	for i, m := range s.ready {
		pids[i] = m.self()
	}
	return pids
}

// Len returns the number of actors that have work.
func (s *Scheduler) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ready)
}

// Step runs one turn of the i-th runnable actor. If that has more work then, it is put at the end.
func (s *Scheduler) Step(i int) {
	s.mu.Lock()
	m := s.ready[i]
	s.ready = slices.Delete(s.ready, i, i+1)
	s.mu.Unlock()

	t := m.next()
	if t.kind == nothing {
		return
	}
	if s.Trace != nil {
		s.Trace(m.self(), t.message)
	}
	m.deliver(t)
	if m.stayAwake() {
		s.add(m)
	}
}

// Run runs turns, always of the first runnable actor, until there is none or turnsMax are done.
// It returns the number of turns: fewer than turnsMax if nothing is left to do.
func (s *Scheduler) Run(turnsMax int) (turns int) {
	for turns < turnsMax && s.Len() > 0 {
		s.Step(0)
		turns++
	}
	return turns
}

func (s *Scheduler) add(m *Mailbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, m)
}

func (s *Scheduler) start(m *Mailbox) {
	if m.stayAwake() {
		s.add(m)
	}
}

func (s *Scheduler) wake(m *Mailbox, _ bool) { s.add(m) }

// stayAwake tells if the mailbox has work; if not, it falls asleep, and the next post wakes it.
func (m *Mailbox) stayAwake() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.awake = m.system.len() > 0 || (!m.suspended && !m.stopped && m.userMessageCount() > 0)
	return m.awake
}
