package mailbox

import "github.com/asynkron/protoactor-go/actor"

// A turn is one call of the actor: next chooses what for, deliver makes it. Turns run one at a
// time, on whatever goroutine the runner has chosen; everything here is the same for all runners.
type turn struct {
	kind    turnKind
	message any // system message, solo, or *Batch
}

type turnKind uint8

const (
	nothing turnKind = iota
	systemMessage
	soloMessage
	batchMessage
)

// next takes the message of the next turn: system messages first, in order; then, unless the
// mailbox is suspended or the actor has stopped, user messages. When there is nothing, the mailbox
// falls asleep, and the next post wakes it.
func (m *Mailbox) next() turn {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.system.len() > 0 {
		message := m.system.pop()
		switch message.(type) {
		case *actor.SuspendMailbox:
			m.suspended = true
		case *actor.ResumeMailbox:
			m.suspended = false
		case *actor.Restart:
			if !m.stopped { // a stopped actor stays so; Proto.Actor's context would revive it
				return turn{systemMessage, message}
			}
		default:
			return turn{systemMessage, message}
		}
	}
	if !m.suspended && !m.stopped {
		if t := m.takeUser(); t.kind != nothing {
			return t
		}
	}
	m.awake = false
	return turn{}
}

// takeUser takes what is due of the user messages. It is called with mu held.
func (m *Mailbox) takeUser() turn {
	if m.takeBatch() {
		return turn{batchMessage, m.batch}
	}
	if m.solos.len() > 0 {
		message := m.solos.pop().message
		if isPoison(message) {
			m.poisoned = false
		}
		return turn{soloMessage, message}
	}
	return turn{}
}

// takeBatch fills the batch with what was posted before the first solo. It is called with mu held.
func (m *Mailbox) takeBatch() bool {
	fence := &unfenced
	if m.solos.len() > 0 {
		fence = &m.solos.front().after
	}
	take := func(lane Lane) []any {
		return m.queues[lane].take(m.options.BatchMessagesMax, m.options.BatchBytesMax, fence[lane])
	}
	m.batch.Control, m.batch.Peer, m.batch.Requests = take(Control), take(Peer), take(Request)
	return m.batch.Len() > 0
}

// deliver calls the actor. A panic is handed to Proto.Actor, whose supervision decides what
// follows.
func (m *Mailbox) deliver(t turn) {
	defer m.settle(t)
	switch t.kind {
	case systemMessage:
		m.invoker.InvokeSystemMessage(t.message)
	case soloMessage:
		m.invoker.InvokeUserMessage(t.message)
	case batchMessage:
		if m.batch.influencesReceiveTimeout() {
			m.envelope = actor.MessageEnvelope{Message: m.batch}
			m.invoker.InvokeUserMessage(&m.envelope)
		} else {
			m.invoker.InvokeUserMessage(m.batch)
		}
	}
}

// settle is deferred by deliver.
func (m *Mailbox) settle(t turn) {
	reason := recover()
	if reason != nil {
		if t.kind == batchMessage {
			t.message = m.batch.clone() // supervisors keep it
		}
		m.invoker.EscalateFailure(reason, t.message)
	}
	switch t.kind {
	case batchMessage:
		m.releaseBatch()
	case systemMessage:
		if !m.stopped && m.hasStopped() {
			m.stop()
		}
	}
}

func (m *Mailbox) releaseBatch() {
	*m.batch = Batch{}
	for lane := range m.queues {
		m.queues[lane].release()
	}
}

// hasStopped tells if the actor has handled Stopped. Proto.Actor offers no hook for that, but the
// last system message of an actor is the one in which it is taken out of the registry.
func (m *Mailbox) hasStopped() bool {
	if m.process == nil {
		return false
	}
	registered, _ := m.host.ActorSystem().ProcessRegistry.GetLocal(m.host.Self().Id)
	return registered != m.process
}

// stop sends what waits to the dead letters; from now on posters do so themselves.
func (m *Mailbox) stop() {
	m.intercept.Store(nil)
	takeRest := func() turn {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.stopped = true
		return m.takeUser()
	}
	for t := takeRest(); t.kind != nothing; t = takeRest() {
		if t.kind == soloMessage {
			deadLetter(m.host, t.message)
			continue
		}
		for _, messages := range [][]any{m.batch.Control, m.batch.Peer, m.batch.Requests} {
			for _, message := range messages {
				deadLetter(m.host, message)
			}
		}
		m.releaseBatch()
	}
}
