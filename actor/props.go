package raft

import (
	"errors"
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/timer"
)

// Spawn starts a member in an actor system, and returns its PID. The machine must be new, in its initial
// state, also when a member is spawned again: it is given the member's snapshot, if there is one, and then
// everything behind it. An error names every fault of cfg, or says what could not be opened or
// recovered; then nothing has been started. What goes wrong later is published as [Failed].
//
// The store is opened on the caller's goroutine, and may read a long log: call it where that may wait, which is not
// the turn of an actor.
func Spawn(system *actor.ActorSystem, cfg Config, machine Machine) (*actor.PID, error) {
	r, err := newRaftActor(cfg, machine)
	if err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	pid, err := system.Root.SpawnNamed(r.props(), pidName(cfg.Group, cfg.ID))
	if err != nil {
		r.storage.Close()
		if errors.Is(err, actor.ErrNameExists) {
			err = errors.Join(ErrInUse, err) // an earlier actor of the member has not terminated
		}
		return nil, fmt.Errorf("raft: spawning member %d of group %q: %w", cfg.ID, cfg.Group, err)
	}
	return pid, nil
}

// Props describe a member for those who spawn it themselves. It must be spawned at the root, under the
// name of [Name], and once: a raft actor that finds itself under another name publishes [Failed] and
// stops. A cfg that cannot work is an error that names every fault. What cannot be opened or recovered is published as
// [Failed]: the actor opens the store itself when it starts, which nobody waits for.
func Props(cfg Config, machine Machine) (*actor.Props, error) {
	r, err := newRaftActor(cfg, machine)
	if err != nil {
		return nil, err
	}
	return r.props(), nil
}

// Name is the name under which a member's actor lives in its actor system.
func Name(group string, id ID) string { return pidName(group, id) }

func newRaftActor(cfg Config, machine Machine) (*raftActor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if machine == nil {
		return nil, fmt.Errorf("raft: spawning member %d of group %q: the machine is nil", cfg.ID, cfg.Group)
	}
	r := &raftActor{cfg: cfg.withDefaults(), machine: machine}
	r.overload.init()
	return r, nil
}

// props run the actor once. A second one made of the same props stops: two actors must not share a
// machine, and none may be restarted with an empty memory.
func (r *raftActor) props() *actor.Props {
	producer := func() actor.Actor { return &single{raft: r} }
	return actor.PropsFromProducer(producer, actor.WithMailbox(r.mailboxProducer()))
}

// single runs the raft actor if it is the first that starts. A spawn that fails, as when the name is still
// taken, starts none, so that the same props can be spawned again.
type single struct {
	raft *raftActor
	runs bool
}

func (s *single) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		if s.runs = s.raft.runs.CompareAndSwap(false, true); !s.runs {
			ctx.Stop(ctx.Self())
		}
	}
	if s.runs {
		s.raft.Receive(ctx)
	}
}

func (r *raftActor) mailboxProducer() actor.MailboxProducer {
	options := r.cfg.mailboxOptions()
	options.Overloaded = r.overloaded
	options.Dropped = func(any) { r.vitals.metrics.Load().dropPeer() }
	if r.cfg.scheduler != nil {
		return r.cfg.scheduler.New(options)
	}
	return mailbox.New(options)
}

// sharedTimer is the tick source of all members that are given none. Its goroutine runs while there are
// any.
var sharedTimer = sync.OnceValue(func() timer.Source { return timer.NewReal() })

func (c Config) timerSource() timer.Source {
	if c.Timer != nil {
		return c.Timer
	}
	return sharedTimer()
}
