package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/persist"
)

const groupName = "chat"

// network is how the members of the room reach each other.
type network interface {
	Transport() raft.Transport
	Stop(ctx context.Context) error
}

// A connector connects an actor system, whose store has that number, to a network.
type connector func(system *actor.ActorSystem, o options, store uint64, logger hclog.Logger) (network, error)

// room is the place of one member in the chat.
type room struct {
	options options
	screen  *screen
	logger  hclog.Logger

	system  *actor.ActorSystem
	store   *persist.Store
	network network
	pid     *actor.PID
	// client asks this process's own member, which passes on to the leader what is the leader's.
	client *raft.Client
	guests *guests

	// said are lines that wait to be proposed, in the order in which they were typed.
	said chan string
	// shown is the index up to which lines have been shown.
	shown atomic.Uint64
	// commands limits those that take time.
	commands chan struct{}
	// over ends the room, with the cause why if it is not the end of the input.
	over context.CancelCauseFunc
	work sync.WaitGroup
}

// errLeft: the member leaves since it wants to.
var errLeft = errors.New("left")

const (
	// saidMax is how many lines wait that were typed; the input waits for more.
	saidMax = 256
	// commandsMax is how many commands run at a time that take time.
	commandsMax = 8
	// segmentBytes is the size of the store's files: small, since a chat is.
	segmentBytes = 8 << 20
	// patience is how long a line may take before that is worth a word.
	patience = 2 * time.Second
	// handOverTime and stopTime bound what leaving takes.
	handOverTime = time.Second
	stopTime     = 2 * time.Second
)

// enter starts a member. What has been started is ended again if it fails.
func enter(o options, connect connector, s *screen, logger hclog.Logger) (_ *room, err error) {
	r := &room{
		options: o, screen: s, logger: logger, system: newSystem(),
		said: make(chan string, saidMax), commands: make(chan struct{}, commandsMax),
	}
	r.guests = newGuests(s, o)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.store, err = openStore(o, logger); err != nil {
		return nil, err
	}
	if r.network, err = connect(r.system, o, r.store.ID(), logger); err != nil {
		return nil, err
	}
	return r, nil
}

// openStore opens the directory of the member.
func openStore(o options, logger hclog.Logger) (*persist.Store, error) {
	own := filepath.Join(o.dir, strconv.FormatUint(uint64(o.id), 10))
	store, err := persist.Open(own, persist.Options{Logger: logger, SegmentBytes: segmentBytes, ClusterID: o.cluster})
	var path *fs.PathError
	switch {
	case errors.Is(err, persist.ErrLocked):
		return nil, fmt.Errorf("another process is using %s; is member %d running already?", own, o.id)
	case errors.Is(err, persist.ErrOtherCluster):
		return nil, wrongFlag{err}
	case errors.Is(err, syscall.ENOSPC):
		return nil, fmt.Errorf("-dir is %q: there is no room left on its disk, of which a member takes %d MB to begin with: %w",
			o.dir, 2*segmentBytes>>20, err)
	case errors.As(err, &path):
		return nil, wrongFlag{fmt.Errorf("-dir is %q: a directory is wanted that can be written to: %w", o.dir, err)}
	}
	return store, err
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

// spawn starts the raft actor.
func (r *room) spawn() (err error) {
	o := r.options
	r.pid, err = raft.Spawn(r.system, raft.Config{
		Group: groupName, ID: o.id, Members: o.founders, Store: r.store, ClusterID: o.cluster, Transport: r.network.Transport(),
		Logger: r.logger, SnapshotEntries: o.snapshotLines, RetainEntries: o.snapshotLines,
	}, &history{})
	if errors.Is(err, raft.ErrFounding) {
		return wrongFlag{fmt.Errorf("-peers is not what the room was founded with; who has joined it has -join: %w", err)}
	}
	if err == nil {
		r.client = raft.NewClient(r.system, r.pid)
	}
	return err
}

// A lineSource gives take what is typed, until that does not want more or there is no more.
type lineSource func(take func(text string) bool) error

// stay takes part until ctx is done, the input has ended or the member cannot go on, and leaves.
func (r *room) stay(outer context.Context, input lineSource) (err error) {
	ctx, over := context.WithCancelCause(outer)
	defer over(nil)
	r.over = over
	events := r.system.EventStream.Subscribe(func(event any) { r.guests.note(event, over) })
	defer func() {
		if closed := r.close(); closed != nil && (err == nil || !strings.Contains(err.Error(), closed.Error())) {
			err = errors.Join(err, closed)
		}
	}()
	if err := r.spawn(); err != nil {
		return err
	}
	r.screen.notice("member %d is here, at %s; /help names the commands", r.options.id, r.options.advertise)
	r.work.Go(func() { r.listen(ctx) })
	r.work.Go(func() { r.speak(ctx) })
	r.attend(ctx, input)
	r.work.Wait()
	r.system.EventStream.Unsubscribe(events) // what happens while this member leaves is nothing to it
	r.screen.close()
	if cause := context.Cause(ctx); outer.Err() == nil && !errors.Is(cause, errLeft) {
		return cause
	}
	r.handOver()
	return nil
}

// attend takes what is typed until ctx is done.
func (r *room) attend(ctx context.Context, input lineSource) {
	texts, ended := make(chan string), make(chan error, 1)
	go func() { // not waited for: a terminal cannot be told that nobody reads any more
		ended <- input(func(text string) bool {
			select {
			case texts <- text:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	for ctx.Err() == nil {
		select {
		case text := <-texts:
			r.typed(ctx, text)
		case err := <-ended:
			ended = nil
			if err != nil {
				r.over(err)
			}
			close(r.said) // what waits is still proposed, and then speak ends the room
		case <-ctx.Done():
		}
	}
}

// typed takes what was typed.
func (r *room) typed(ctx context.Context, text string) {
	r.screen.ask()
	text, isCommand := commandOf(text)
	switch {
	case isCommand:
		r.command(ctx, text)
	case strings.TrimSpace(text) == "":
	case r.guests.isRemoved():
		r.screen.notice("this has not been said: %q: this member is in the room no more", text)
	default:
		select {
		case r.said <- text:
		case <-ctx.Done():
		}
	}
}

// speak proposes what is said, one line after the other, so that they stay in order. Each is sent as often as it takes,
// in the client's session: it appears once.
func (r *room) speak(ctx context.Context) {
	var last raft.Index
	for text := range r.waiting(ctx) {
		late := time.AfterFunc(patience, func() {
			r.screen.notice("what you say is sent as soon as a leader can be reached")
		})
		result, err := r.client.Propose(ctx, encodeCommand(r.options.name, text))
		late.Stop()
		switch {
		case err == nil:
			last = result.Index
		case errors.Is(err, raft.ErrUnknown):
			r.screen.notice("whether this has been said is not known: %q%s", text, whyNot(ctx, err))
		default:
			r.screen.notice("this has not been said: %q%s", text, whyNot(ctx, err))
		}
	}
	if ctx.Err() == nil { // the input has ended
		r.awaitShown(ctx, last)
		r.over(errLeft)
	}
}

// whyNot is what to say behind a line that was not said. Who leaves knows why.
func whyNot(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return ""
	}
	return ": " + plainly(err)
}

// waiting yields what is to be said, until ctx is done or the input has ended. What is left then has not been said.
func (r *room) waiting(ctx context.Context) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			select {
			case text, open := <-r.said:
				if !open {
					return
				}
				if ctx.Err() != nil {
					r.screen.notice("%d lines have not been said", 1+len(r.said))
					return
				}
				if !yield(text) {
					return
				}
			case <-ctx.Done():
				if n := len(r.said); n > 0 {
					r.screen.notice("%d lines have not been said", n)
				}
				return
			}
		}
	}
}

// awaitShown waits until a line has been shown.
func (r *room) awaitShown(ctx context.Context, index raft.Index) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for raft.Index(r.shown.Load()) < index {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// handOver lets another voter lead, if this member does, so that nobody need notice that it leaves.
func (r *room) handOver() {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	status, err := r.client.Status(ctx, r.pid)
	if err != nil || status.Role != raft.Status_LEADER {
		return
	}
	var heir *raft.MemberInfo
	for _, m := range status.Members {
		if m.Voter && m.Id != status.Id && (heir == nil || m.LastContactMs < heir.LastContactMs) {
			heir = m
		}
	}
	if heir != nil {
		_ = r.client.TransferLeadership(ctx, raft.ID(heir.Id)) // or else they elect one
	}
}

// close ends what has been started, in the order that loses nothing.
func (r *room) close() error {
	var faults []error
	if r.client != nil {
		r.client.Close()
	}
	if r.pid != nil {
		if err := r.system.Root.StopFuture(r.pid).Wait(); err != nil {
			faults = append(faults, fmt.Errorf("stopping member %d: %w", r.options.id, err))
		}
	}
	if r.network != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		faults = append(faults, r.network.Stop(ctx))
	}
	if r.store != nil {
		faults = append(faults, r.store.Close())
	}
	r.system.Shutdown()
	return errors.Join(faults...)
}
