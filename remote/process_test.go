package raftremote_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	raft "example.com/raftactor/actor"
	"example.com/raftactor/node"
	raftremote "example.com/raftactor/remote"
	"example.com/raftactor/remote/certtest"
)

// Proto.Actor's remoting changes what is global in gRPC, so two of them never run in one process here: this test binary
// runs itself again, as a system that does what it is told by its standard input, line by line.

const childVariable = "RAFTREMOTE_TEST_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "4") // they mostly wait for other processes
	}
	os.Exit(m.Run())
}

// deadline is how long a test waits for what must come.
const deadline = 10 * time.Second

// childConfig says what a child is.
type childConfig struct {
	Listen  string
	Cluster string
	// Certificates is the directory of its own, or empty for none.
	Certificates string
	// Members are the addresses of the group, the first of which is that of member 1. None: it is the only one. Self is its
	// own place among them.
	Members []string
	Self    int
	// Dir is where the member has its store. Empty: in memory.
	Dir string
	// Lonely: it does not start anything by itself.
	Lonely bool
	// Client: it has no member.
	Client bool
	// Base is who starts Proto.Actor's remoting. Empty: raftremote.Start.
	Base string
}

// childState is what a child tells of itself.
type childState struct {
	Term, Commit      uint64
	Alive             map[string]bool
	Echoed, Disturbed int64
	Terminated        []string
	// Lost are the addresses that were said to be reached no more.
	Lost        []string
	Refused     map[string]int64
	Connections int64
	HeapBytes   uint64
	Goroutines  int
}

// A command is what a child is told.
type command struct {
	Do            string
	Address, Name string
	Text          string
	Count         int
}

// An answer is what it says to that.
type answer struct {
	Text  string
	Error string
	State childState
	Took  time.Duration
}

// A process is a child, as its parent sees it.
type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	address string
}

func startProcess(t testing.TB, cfg childConfig) *process {
	t.Helper()
	p := &process{t: t}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	text, err := json.Marshal(cfg)
	check(t, err)
	p.cmd = exec.Command(os.Args[0], "-test.run=^$")
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	if cfg.Lonely {
		// Several remotes after one another in one process: a race on gRPC's logger, which is not ours.
		p.cmd.Env = append(p.cmd.Env, "GORACE=log_path=/dev/null exitcode=0")
	}
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	check(t, err)
	out, err := p.cmd.StdoutPipe()
	check(t, err)
	p.out = bufio.NewReader(out)
	check(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	if !cfg.Lonely && len(cfg.Members) == 0 {
		p.address = p.do(command{Do: "address"}).Text
	}
	return p
}

// do has the child do something. It fails the test if the child has died.
func (p *process) do(c command) answer {
	p.t.Helper()
	a, err := p.try(c)
	if err != nil {
		p.t.Fatalf("the process has died, or hangs, at %+v: %v", c, err)
	}
	return a
}

func (p *process) try(c command) (a answer, err error) {
	timer := time.AfterFunc(3*deadline, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	text, err := json.Marshal(c)
	if err != nil {
		return a, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return a, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(line, &a)
}

func (p *process) state() childState {
	p.t.Helper()
	return p.do(command{Do: "state"}).State
}

// await waits until the child's state is as wanted.
func (p *process) await(what string, is func(childState) bool) childState {
	p.t.Helper()
	var s childState
	again := time.NewTicker(10 * time.Millisecond) // what is so in another process is known by asking it
	defer again.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-again.C {
		if s = p.state(); is(s) {
			return s
		}
	}
	p.t.Fatalf("not within %v: %s; it is %+v", deadline, what, s)
	return s
}

func (p *process) signal(s os.Signal) { check(p.t, p.cmd.Process.Signal(s)) }

func (p *process) kill() {
	check(p.t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificates makes an authority, and a directory with a certificate for each identity, by its name.
func certificates(t testing.TB, identities map[string]string) func(name string) string {
	t.Helper()
	authority, err := certtest.NewAuthority()
	check(t, err)
	dir := t.TempDir()
	for name, identity := range identities {
		check(t, authority.WriteFiles(filepath.Join(dir, name), "own", identity, "127.0.0.1"))
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

func loadTLS(dir string) (*raftremote.TLS, error) {
	return raftremote.LoadTLS(filepath.Join(dir, "own.pem"), filepath.Join(dir, "own-key.pem"), filepath.Join(dir, "ca.pem"))
}

// A child is what runs in a process of its own.
type child struct {
	cfg        childConfig
	system     *actor.ActorSystem
	remote     *raftremote.Remote
	metrics    *sdkmetric.ManualReader
	member     *actor.PID
	watcher    *actor.PID
	echoed     atomic.Int64
	disturbed  atomic.Int64
	terminated chan string
	lost       chan string
	ended      []string
	client     *raft.Client
	pinging    *echo
	lostBefore []string
	cluster    *cluster.Cluster
}

func runChild(text string) error {
	c := &child{terminated: make(chan string, 4096), lost: make(chan string, 4096)}
	if err := json.Unmarshal([]byte(text), &c.cfg); err != nil {
		return err
	}
	if !c.cfg.Lonely {
		if err := c.start(); err != nil {
			return err
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var do command
		if err := json.Unmarshal(lines.Bytes(), &do); err != nil {
			return err
		}
		if err := out.Encode(c.obey(do)); err != nil {
			return err
		}
	}
	return nil
}

func newChildSystem(reader sdkmetric.Reader) *actor.ActorSystem {
	options := []actor.ConfigOption{actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		if os.Getenv("RAFTREMOTE_TEST_LOG") != "" {
			return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		return slog.New(slog.DiscardHandler)
	})}
	if reader != nil {
		options = append(options, actor.WithMetricProviders(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	}
	return actor.NewActorSystem(options...)
}

func (c *child) start() (err error) {
	c.metrics = sdkmetric.NewManualReader()
	c.system = newChildSystem(c.metrics)
	own := raftremote.Config{Listen: c.cfg.Listen, ClusterID: c.cfg.Cluster, Insecure: c.cfg.Certificates == ""}
	if !own.Insecure {
		if own.TLS, err = loadTLS(c.cfg.Certificates); err != nil {
			return err
		}
	}
	if c.remote, err = c.startRemoting(own); err != nil {
		return err
	}
	root := c.system.Root
	echo := actor.PropsFromFunc(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*wrapperspb.StringValue); ok {
			c.echoed.Add(1)
			if ctx.Sender() != nil {
				ctx.Respond(wrapperspb.String("echo " + m.GetValue()))
			}
		}
	})
	if _, err := root.SpawnNamed(echo, "echo"); err != nil {
		return err
	}
	c.remote.Expose("echo", &wrapperspb.StringValue{})
	hidden := actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); !ok {
			c.disturbed.Add(1)
		}
	})
	if _, err := root.SpawnNamed(hidden, "hidden"); err != nil {
		return err
	}
	if c.watcher, err = root.SpawnNamed(actor.PropsFromFunc(c.watch), "watcher"); err != nil {
		return err
	}
	c.system.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*wrapperspb.StringValue); ok {
			c.disturbed.Add(1) // somebody has reached the event stream
		}
		if lost, ok := event.(*raft.AddressUnreachable); ok {
			c.lost <- lost.Address
		}
	})
	if c.cfg.Client {
		return nil
	}
	return c.spawnMember()
}

// spawnMember spawns a member, and waits until it can be used.
func (c *child) spawnMember() (err error) {
	store, err := c.store()
	if err != nil {
		return err
	}
	cfg := raft.Config{
		Group: "g", ID: 1, Members: []raft.Member{{ID: 1, Address: c.remote.Address()}}, Store: store,
		Transport: c.remote.Transport(),
		// Alone it is elected at once, and stays so.
		TickInterval: 5 * time.Millisecond, HeartbeatInterval: 10 * time.Millisecond, ElectionTimeout: 50 * time.Millisecond,
	}
	if len(c.cfg.Members) > 0 {
		cfg.ID, cfg.Members = raft.ID(c.cfg.Self+1), nil
		cfg.TickInterval, cfg.HeartbeatInterval, cfg.ElectionTimeout = 0, 0, 0
		for i, address := range c.cfg.Members {
			cfg.Members = append(cfg.Members, raft.Member{ID: raft.ID(i + 1), Address: address})
		}
	}
	c.member, err = raft.Spawn(c.system, cfg, machine{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err = raft.Ready(ctx, c.system, c.member)
	return err
}

type watchCommand struct{ pid *actor.PID }

func (c *child) watch(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case watchCommand:
		ctx.Watch(m.pid)
		ctx.Respond(m)
	case *actor.Terminated:
		c.terminated <- fmt.Sprintf("%s %s", m.GetWho().GetId(), m.GetWhy())
	}
}

func (c *child) obey(do command) (a answer) {
	fail := func(err error) {
		if err != nil {
			a.Error = err.Error()
		}
	}
	began := time.Now()
	switch do.Do {
	case "address":
		a.Text = c.remote.Address()
	case "state":
		a.State = c.state()
	case "ask":
		result, err := c.system.Root.RequestFuture(
			actor.NewPID(do.Address, do.Name), wrapperspb.String(do.Text), deadline).Result()
		fail(err)
		a.Text = fmt.Sprintf("%T", result)
		if m, ok := result.(*wrapperspb.StringValue); ok {
			a.Text = m.GetValue()
		}
	case "status":
		result, err := c.system.Root.RequestFuture(actor.NewPID(do.Address, do.Name), &raft.GetStatus{}, deadline).Result()
		fail(err)
		a.Text = fmt.Sprintf("%T", result)
	case "client status":
		client := raft.NewClient(c.system, actor.NewPID(do.Address, do.Name))
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		_, err := client.Status(ctx, actor.NewPID(do.Address, do.Name))
		fail(err)
	case "watch":
		_, err := c.system.Root.RequestFuture(c.watcher, watchCommand{actor.NewPID(do.Address, do.Name)}, deadline).Result()
		fail(err)
	case "flood":
		payload := wrapperspb.Bytes(make([]byte, 64<<10))
		for range do.Count {
			c.system.Root.Send(actor.NewPID(do.Address, do.Name), payload)
		}
	case "broken":
		c.system.Root.Send(actor.NewPID(do.Address, do.Name), wrapperspb.String("\xff"))
	case "disturb": // a local actor ends
		fail(c.system.Root.StopFuture(c.system.NewLocalPID(do.Name)).Wait())
	case "join":
		_, err := c.remote.Transport().Join(do.Name, 7, nowhere{})
		fail(err)
	case "stop":
		fail(c.remote.Stop(context.Background()))
	case "start":
		fail(startCases[do.Name]())
	case "lead", "propose", "echo", "ping":
		fail(c.measure(do))
	case "grain", "gossip", "leave":
		text, err := c.askCluster(do)
		fail(err)
		a.Text = text
	case "cycle":
		fail(cycle(do.Count, do.Address))
	}
	a.Took = time.Since(began)
	return a
}

func (c *child) state() childState {
	s := childState{Alive: map[string]bool{}, Echoed: c.echoed.Load(), Disturbed: c.disturbed.Load(), Refused: map[string]int64{}}
	for _, name := range []string{"echo", "hidden", "watcher", "activator", "EndpointSupervisor"} {
		pid := c.system.NewLocalPID(name)
		if name == "EndpointSupervisor" || name == "hidden" {
			_, s.Alive[name] = c.system.ProcessRegistry.GetLocal(name)
			continue
		}
		_, err := c.system.Root.RequestFuture(pid, &actor.Touch{}, deadline).Result()
		s.Alive[name] = err == nil
	}
	if c.member != nil {
		result, err := c.system.Root.RequestFuture(c.member, &raft.GetStatus{}, deadline).Result()
		status, ok := result.(*raft.Status)
		s.Alive["member"] = err == nil && ok
		s.Term, s.Commit = status.GetTerm(), status.GetCommitIndex()
	}
	for more := true; more; {
		select {
		case text := <-c.terminated:
			c.ended = append(c.ended, text)
		case address := <-c.lost:
			c.lostBefore = append(c.lostBefore, address)
		default:
			more = false
		}
	}
	s.Terminated, s.Lost = c.ended, c.lostBefore
	s.Goroutines = runtime.NumGoroutine()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s.HeapBytes = memory.Sys - memory.HeapReleased
	var data metricdata.ResourceMetrics
	if c.metrics.Collect(context.Background(), &data) == nil {
		s.readMetrics(data)
	}
	return s
}

func (s *childState) readMetrics(data metricdata.ResourceMetrics) {
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok {
				continue
			}
			for _, point := range sum.DataPoints {
				switch m.Name {
				case "raftactor.guard.refused", "raftactor.link.refused", "raftactor.gate.dropped":
					reason, _ := point.Attributes.Value("reason")
					s.Refused[reason.AsString()] += point.Value
				case "raftactor.guard.connections":
					s.Connections = point.Value
				}
			}
		}
	}
}

// nowhere is the inbox of a member that hears nothing.
type nowhere struct{}

func (nowhere) Deliver(*raft.PeerEnvelope) {}
func (nowhere) Unreachable(raft.ID)        {}
func (nowhere) NewForward([]byte, func([]byte)) (raft.Forward, error) {
	return nil, errors.New("nobody is here")
}

// machine is one that does nothing.
type machine struct{}

func (machine) Apply(raft.Command) ([]byte, error) { return nil, nil }
func (machine) Query([]byte) ([]byte, error)       { return nil, nil }
func (machine) Snapshot() (raft.View, error)       { return view{}, nil }
func (machine) Restore(r io.Reader) error          { _, err := io.Copy(io.Discard, r); return err }

type view struct{}

func (view) WriteTo(io.Writer) (int64, error) { return 0, nil }
func (view) Release()                         {}

// cycle starts and stops a remote again and again, which sends to a system that is down.
func cycle(count int, down string) error {
	for range count {
		system := newChildSystem(nil)
		r, err := raftremote.Start(system, raftremote.Config{Listen: "127.0.0.1:0", Insecure: true})
		if err != nil {
			return err
		}
		link, err := r.Transport().Join("g", 1, nowhere{})
		if err != nil {
			return err
		}
		link.Send(2, down, &raft.PeerEnvelope{Group: "g", From: 1, To: 2, Messages: []node.Message{&node.Heartbeat{}}})
		future := system.Root.RequestFuture(actor.NewPID(down, "nobody"), wrapperspb.String("x"), 50*time.Millisecond)
		if _, err := future.Result(); err == nil {
			return errors.New("there was an answer of a system that is down")
		}
		began := time.Now()
		if err := r.Stop(context.Background()); err != nil {
			return err
		}
		if took := time.Since(began); took > time.Second {
			return fmt.Errorf("stopping took %v", took)
		}
		system.Shutdown()
	}
	// Proto.Actor's writers sleep for two seconds after a failure. That a goroutine has ended is known by looking, which
	// goleak does with pauses.
	var err error
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		if err = goleak.Find(); err == nil {
			return nil
		}
	}
	return err
}
