package raftremote_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raftremote "example.com/raftactor/remote"
)

// startCases are run each in a process of its own.
var startCases = map[string]func() error{
	"a busy port is an error, and another try may be made":      startBusy,
	"a second start is an error":                                startTwice,
	"remoting that runs already is an error":                    startForeign,
	"a name that is taken is an error":                          startNameTaken,
	"a start without TLS is refused":                            startInsecure,
	"who starts remoting themselves attaches":                   startAttached,
	"a member cannot join before the remoting it is reached by": startTooEarly,
	"what is stopped stays stopped":                             startStopped,
	"what is stopped while it starts is not left running":       startStoppedMeanwhile,
}

func TestStart(t *testing.T) {
	t.Parallel()
	for name := range startCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProcess(t, childConfig{Lonely: true})
			if got := p.do(command{Do: "start", Name: name}); got.Error != "" {
				t.Error(got.Error)
			}
		})
	}
}

// local is a configuration that works.
func local() raftremote.Config {
	return raftremote.Config{Listen: "127.0.0.1:0", Insecure: true}
}

// want is an error unless err has a text in it.
func want(err error, text string) error {
	if err == nil || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("got error %v, want %q in it", err, text)
	}
	return nil
}

func startBusy() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	system := newChildSystem(nil)
	cfg := local()
	cfg.Listen = l.Addr().String()
	_, err = raftremote.Start(system, cfg)
	var failed *raftremote.StartError
	if !errors.As(err, &failed) || failed.Listen != cfg.Listen {
		return fmt.Errorf("got %v", err)
	}
	if err := want(err, "address already in use"); err != nil {
		return err
	}
	if len(system.ProcessRegistry.RemoteHandlers) > 0 || raftremote.Of(system) != nil {
		return errors.New("something is left of the first try")
	}
	r, err := raftremote.Start(system, local())
	if err != nil {
		return err
	}
	if raftremote.Of(system) != r || r.Address() != system.Address() {
		return errors.New("it is not the system's")
	}
	return r.Stop(context.Background())
}

func startTwice() error {
	system := newChildSystem(nil)
	r, err := raftremote.Start(system, local())
	if err != nil {
		return err
	}
	if _, err := raftremote.Start(system, local()); !errors.Is(err, raftremote.ErrStarted) {
		return fmt.Errorf("got %v", err)
	}
	if err := r.Attach(newChildSystem(nil)); err == nil {
		return errors.New("one remote is that of two systems")
	}
	return r.Stop(context.Background())
}

func startForeign() error {
	system := newChildSystem(nil)
	remote.NewRemote(system, remote.Configure("127.0.0.1", 0)).Start()
	if _, err := raftremote.Start(system, local()); !errors.Is(err, raftremote.ErrStarted) {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func startNameTaken() error {
	system := newChildSystem(nil)
	if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {}), "activator"); err != nil {
		return err
	}
	_, err := raftremote.Start(system, local())
	return want(err, `an actor is called "activator"`)
}

func startInsecure() error {
	cfg := local()
	cfg.Insecure = false
	_, err := raftremote.Start(newChildSystem(nil), cfg)
	if !errors.Is(err, raftremote.ErrInsecure) {
		return fmt.Errorf("got %v", err)
	}
	return want(err, "LoadTLS")
}

// attached is a remote of a system whose remoting its user has yet to start.
func attached() (*raftremote.Remote, *remote.Remote, *actor.ActorSystem, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cfg := local()
	cfg.Advertise = fmt.Sprintf("127.0.0.1:%d", port)
	r, err := raftremote.New(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	system := newChildSystem(nil)
	base := remote.NewRemote(system, remote.Configure("127.0.0.1", port, r.Options()...))
	return r, base, system, r.Attach(system)
}

func startAttached() error {
	r, base, system, err := attached()
	if err != nil {
		return err
	}
	base.Start()
	if r.Address() != system.Address() {
		return fmt.Errorf("it is %q, and the system %q", r.Address(), system.Address())
	}
	if _, err := r.Transport().Join("g", 1, nowhere{}); err != nil {
		return err
	}
	h, err := newHostile(r.Address(), nil, methodReceive)
	if err != nil {
		return err
	}
	defer h.client.Close()
	h.send([]byte{0xff, 0xff})
	if err := h.awaitClosed(); err != nil {
		return fmt.Errorf("there is no guard: %w", err)
	}
	unset, err := raftremote.New(local())
	if err != nil {
		return err
	}
	if err := want(unset.Attach(newChildSystem(nil)), "Advertise"); err != nil {
		return err
	}
	return r.Stop(context.Background())
}

func startTooEarly() error {
	r, base, _, err := attached()
	if err != nil {
		return err
	}
	_, err = r.Transport().Join("g", 1, nowhere{})
	var wrong *raftremote.AddressError
	if !errors.As(err, &wrong) || wrong.Advertise != r.Address() {
		return fmt.Errorf("got %v", err)
	}
	base.Start()
	return r.Stop(context.Background())
}

func startStopped() error {
	system := newChildSystem(nil)
	r, err := raftremote.Start(system, local())
	if err != nil {
		return err
	}
	address := r.Address()
	began := time.Now()
	for range 2 {
		if err := r.Stop(context.Background()); err != nil {
			return err
		}
	}
	if took := time.Since(began); took > time.Second {
		return fmt.Errorf("stopping took %v", took)
	}
	if _, err := r.Transport().Join("g", 1, nowhere{}); !errors.Is(err, raftremote.ErrStopped) {
		return fmt.Errorf("joining afterwards: %v", err)
	}
	if _, err := raftremote.Start(system, local()); !errors.Is(err, raftremote.ErrStarted) {
		return fmt.Errorf("starting again: %v", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = system.Root.RequestFuture(actor.NewPID("127.0.0.1:1", "a"), wrapperspb.String("x"), deadline).Result()
	if !errors.Is(err, actor.ErrDeadLetter) {
		return fmt.Errorf("sending afterwards: %v", err)
	}
	return nil
}

// A stopper is a log handler that stops the remote of its system when Proto.Actor says that it starts.
type stopper struct {
	slog.Handler
	system *actor.ActorSystem
	stop   func(context.Context) error
}

func (s *stopper) Enabled(context.Context, slog.Level) bool { return true }

func (s *stopper) Handle(_ context.Context, record slog.Record) error {
	if s.stop == nil && strings.HasPrefix(record.Message, "Starting remote") {
		s.stop = raftremote.Of(s.system).Stop
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_ = s.stop(ctx)
	}
	return nil
}

func startStoppedMeanwhile() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cfg := local()
	cfg.Listen = l.Addr().String()
	l.Close()
	hook := &stopper{Handler: slog.DiscardHandler}
	hook.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(hook) }))
	if _, err := raftremote.Start(hook.system, cfg); !errors.Is(err, raftremote.ErrStopped) {
		return fmt.Errorf("got %v", err)
	}
	if hook.stop == nil {
		return errors.New("it was not stopped")
	}
	if err := hook.stop(context.Background()); err != nil {
		return err
	}
	l, err = net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("the server listens still: %w", err)
	}
	return l.Close()
}
