package mailbox

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"
)

// New returns a producer for [actor.WithMailbox] whose mailboxes have a goroutine each: parked
// when there is nothing to do, and gone once the actor has stopped. It panics if the options are
// not valid.
func New(options Options) actor.MailboxProducer {
	if err := options.Validate(); err != nil {
		panic(err)
	}
	return func() actor.Mailbox { return newMailbox(options, &goroutine{make(chan struct{}, 1)}) }
}

// A goroutine runs the turns of one mailbox.
type goroutine struct {
	unpark chan struct{} // at most one token: only the post that finds the mailbox asleep sends
}

func (g *goroutine) start(m *Mailbox) { go g.run(m) }

func (g *goroutine) wake(m *Mailbox, stopped bool) {
	if stopped {
		go g.run(m) // the old one is gone; this one ends when it has done what there is
	} else {
		g.unpark <- struct{}{}
	}
}

func (g *goroutine) run(m *Mailbox) {
	for {
		for t := m.next(); t.kind != nothing; t = m.next() {
			m.deliver(t)
		}
		if m.stopped {
			return
		}
		<-g.unpark
	}
}

// Of returns the mailbox of the actor whose context this is. It panics if that is not one of this
// package's.
func Of(ctx actor.ExtensionContext) *Mailbox {
	return ctx.Get(extensionID).(extension).mailbox
}

var extensionID = ctxext.NextContextExtensionID()

// An extension hangs the mailbox on the actor's context.
type extension struct{ mailbox *Mailbox }

func (extension) ExtensionID() ctxext.ContextExtensionID { return extensionID }
