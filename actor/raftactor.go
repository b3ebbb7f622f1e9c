package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"example.com/raftactor/mailbox"
	"example.com/raftactor/node"
)

// raftActor drives one node. Its fields belong to its mailbox's goroutine, but where said otherwise.
//
// It never waits: not for the disk, which reports by syncDone; not for the network; and not for the
// machine, which belongs to the applier.
type raftActor struct {
	cfg     Config
	machine Machine
	// runs: an actor has started as this one. Set by whoever does.
	runs   atomic.Bool
	system *actor.ActorSystem
	self   *actor.PID
	ctx    actor.Context
	box    *mailbox.Mailbox
	logger *memberLog

	storage Storage
	node    *node.Node
	link    Link
	applier *actor.PID
	reader  *actor.PID
	// events publishes; it and the logger outlive this actor, to tell how that ended.
	events *outlet
	// meter makes the metrics; nil where there are none.
	meter *actor.PID
	// cancelTicks ends the subscription to the timer.
	cancelTicks func()
	// ticks have passed and are not taken note of yet. Written by the timer too.
	ticks atomic.Int64
	// clock counts ticks taken note of.
	clock int64
	// toRestore is the index of the newest snapshot that the machine is to restore. Read by the applier.
	toRestore atomic.Uint64
	// wanted is up to where the storage wants entries released, until that is taken note of; then it is zero. Written
	// by the storage too.
	wanted atomic.Uint64

	calls    calls
	queries  queries
	overload overload
	// feed is where subscribers ask, without a turn.
	feed     feed
	barrier  barrier
	outgoing outgoing
	lost     lostPeers
	// unreached are the members that the transport does not reach, and that have not been heard from since.
	unreached []ID
	removal   removal
	work      *work
	snapshots snapshotTransfers
	// names are drawn for new sessions.
	names *rand.Rand
	// proposals are the calls of the Propose that is being stepped, and asked is the call of any other
	// request that is.
	proposals []*call
	asked     *call
	// untaken are the requests of the turn that have not been looked at.
	untaken []any
	// transfer waits for a TransferEnded.
	transfer *call

	published published
	vitals    vitals
	// role is what was logged last.
	role node.Role
	// failure is why this member has stopped for good, or nil.
	failure error
	stopped bool

	// Reused events.
	receive node.Receive
	propose node.Propose
	tick    node.Tick
	synced  node.Synced
	applied node.MachineApplied
}

// Receive takes a turn. A panic in it, of the core or here, finishes the member: an actor that was
// restarted with an empty memory could vote twice.
func (r *raftActor) Receive(ctx actor.Context) {
	defer r.catch()
	r.ctx = ctx
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.start(ctx)
	case *mailbox.Batch:
		r.turn(m)
	case *actor.Restarting:
		r.fail(errRestarted)
	case *actor.Stopping:
		r.stop()
	case *actor.Stopped:
		r.close()
	}
}

var errRestarted = errors.New("raft: it was to be restarted in place, with an empty memory, and could then have voted twice")

func (r *raftActor) catch() {
	if p := recover(); p != nil {
		err, ok := p.(error)
		if !ok {
			err = fmt.Errorf("%v", p)
		}
		var invariant *node.InvariantError
		if !errors.As(err, &invariant) {
			err = fmt.Errorf("raft: panic: %w\n%s", err, debug.Stack())
		}
		r.fail(err)
		for _, m := range r.untaken { // the rest of the turn that did not come to its end
			_, request, sender := actor.UnwrapEnvelope(m)
			r.turnDown(request, sender)
		}
		r.untaken = nil
	}
}

// start takes office. Whatever fails here is Failed, and the actor stops.
func (r *raftActor) start(ctx actor.Context) {
	r.system, r.self = ctx.ActorSystem(), ctx.Self()
	r.logger = newMemberLog(r.cfg, r.system, &r.vitals)
	r.events = newPublisher(r.cfg, r.system, &r.vitals, r.logger)
	if want := pidName(r.cfg.Group, r.cfg.ID); r.self.Id != want {
		r.fail(fmt.Errorf("raft: spawned as %q: other members look for it as %q; use raft.Spawn", r.self.Id, want))
		return
	}
	if err := r.open(); err != nil {
		r.fail(err)
		return
	}
	r.publishStatus()
	from := r.storage.Log().Snapshot().Index
	r.vitals.restoring.Store(from > 0)
	r.feed.init(r.system, &r.vitals, r.cfg.SubscribersMax, from)
	r.feed.feeder = r.spawnChild("feeder", func() actor.Actor { return newFeeder(r.self, &r.feed) })
	r.box = mailbox.Of(ctx)
	r.box.Intercept(r.intercept)
	r.spawnMeter()
	link, err := r.cfg.Transport.Join(r.cfg.Group, r.cfg.ID, memberInbox{r.box, &r.lost})
	if err != nil {
		r.fail(fmt.Errorf("raft: joining the transport: %w", err))
		return
	}
	r.link = link
	r.link.Configure(r.node.Configuration())
	r.noteMembership(false)
	r.applier = r.spawnChild("applier", func() actor.Actor { return newApplier(r) })
	r.reader = r.spawnChild("reader", func() actor.Actor { return &reader{r.storage, r.self} })
	r.work = newWork()
	r.snapshots.attempts = r.cfg.seed
	r.names = rand.New(rand.NewPCG(r.cfg.seed, r.cfg.seed))
	r.cancelTicks = r.cfg.timerSource().Subscribe(r.cfg.TickInterval, func(elapsed int) {
		if r.ticks.Add(int64(elapsed)) == int64(elapsed) {
			r.box.PostUserMessage(tickPassed{})
		}
	}).Cancel
	r.storage.OnReleaseWanted(r.wantRelease)
	r.storage.OnFailure(func(err error) { r.box.PostUserMessage(&childFailed{err: err}) })
	r.logger.Info("member started", "term", uint64(r.node.Term()), "last-index", uint64(r.node.Status().LastIndex))
	r.step(&node.Tick{}) // what a start asks for: restoring the snapshot, syncing the bootstrap
	r.endTurn()
}

// open opens the storage and makes the node, unless Spawn has done so already.
func (r *raftActor) open() error {
	if r.node != nil {
		return nil
	}
	if r.cfg.ClusterID != "" {
		if err := r.cfg.Store.Claim(r.cfg.ClusterID); err != nil {
			return fmt.Errorf("raft: claiming the store for cluster %q (Config.ClusterID): %w", r.cfg.ClusterID, err)
		}
	}
	storage, err := r.cfg.Store.Open(r.cfg.Group, r.cfg.ID)
	if err != nil {
		return fmt.Errorf("raft: opening the store: %w", err)
	}
	n, err := node.New(r.cfg.nodeConfig(), storage.Log())
	if err != nil {
		return errors.Join(fmt.Errorf("raft: recovering the member: %w", err), storage.Close())
	}
	r.storage, r.node = storage, n
	r.barrier.vitals = &r.vitals
	r.barrier.done = func(seq uint64, err error) {
		done := &syncDone{seq: seq, err: err}
		if err == nil {
			done.at = r.vitals.syncDone(seq)
		}
		r.box.PostUserMessage(done) // by its PID a later life of the member might get it
	}
	return nil
}

// spawnChild spawns a child that lives as long as this actor.
func (r *raftActor) spawnChild(name string, producer actor.Producer) *actor.PID {
	pid, err := r.ctx.SpawnNamed(r.cfg.guardedProps(r.self, producer), name)
	if err != nil {
		panic(fmt.Errorf("raft: spawning %s: %w", name, err))
	}
	return pid
}

// spawnMeter spawns the meter if there is something to measure with. It is no child: stopping does not wait for
// a provider.
func (r *raftActor) spawnMeter() {
	provider := r.system.Config.MetricsProvider
	if provider == nil {
		return
	}
	r.meter = r.system.Root.SpawnPrefix(r.cfg.childProps(func() actor.Actor {
		return &meter{provider: provider, cfg: r.cfg, vitals: &r.vitals, logger: r.logger, status: r.status}
	}), pidName(r.cfg.Group, r.cfg.ID)+"/meter/")
}

// fail finishes the member. It comes back by being spawned again, from what its store holds.
func (r *raftActor) fail(err error) {
	if r.failure != nil || r.stopped {
		return
	}
	r.failure = err
	r.logger.failed(err)
	r.events.postAlways(&Failed{Group: r.cfg.Group, Member: r.cfg.ID, Err: err})
	r.release()
	r.ctx.Stop(r.self)
}

// stop answers everything that is pending.
func (r *raftActor) stop() {
	r.release()
	if r.failure == nil {
		r.logger.Info("member stopped")
	}
	r.stopped = true
}

// release lets go of what reaches this actor, and answers all who wait.
func (r *raftActor) release() {
	if r.cancelTicks != nil {
		r.cancelTicks()
		r.cancelTicks = nil
	}
	if r.link != nil {
		r.link.Leave()
	}
	r.calls.rejectAll(r.system)
	r.published.stop()
}

// close runs when all children have stopped: nobody uses the storage any more.
func (r *raftActor) close() {
	if r.storage != nil {
		if err := r.storage.Close(); err != nil {
			r.logger.Error("closing the storage", "error", err)
		}
	}
	if r.meter != nil {
		r.system.Root.Stop(r.meter)
	}
	r.events.close()
	r.logger.out.close()
}

func (r *raftActor) publish(event any) { r.events.post(event) }
