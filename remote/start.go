package raftremote

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// Start starts remoting in an actor system, guarded and bounded. Actors that others are to know are spawned afterwards. After
// an error nothing is left running, and another try may be made.
func Start(system *actor.ActorSystem, cfg Config) (*Remote, error) {
	r, err := New(cfg)
	if err != nil {
		return nil, err
	}
	host, port, _ := splitAddress(cfg.Listen)
	options := remote.Configure(hostInURL(host), int(port), r.Options()...)
	starting.Lock()
	defer starting.Unlock()
	if err := canStart(system); err != nil {
		return nil, err
	}
	r.starting = make(chan struct{})
	err = r.start(system, options)
	close(r.starting)
	if err == nil {
		return r, nil
	}
	r.mu.Lock()
	stopped := r.stopped
	r.mu.Unlock()
	if stopped != nil { // somebody has found it by Of, and called Stop, which ends what has been started
		<-stopped
	}
	return nil, err
}

// start is Start with starting held.
func (r *Remote) start(system *actor.ActorSystem, options *remote.Config) error {
	if err := r.attach(system); err != nil {
		return err
	}
	proto := remote.NewRemote(system, options)
	if err := startProto(proto); err != nil {
		r.detach()
		return &StartError{Listen: r.cfg.Listen, Err: err}
	}
	return r.begin(system.Address(), proto)
}

// New makes a remote for who starts Proto.Actor's remoting themselves:
//
//	r, err := raftremote.New(cfg)    // cfg.Advertise, or else cfg.Listen, names the port
//	base := remote.NewRemote(system, remote.Configure(host, port, r.Options()...))
//	err = r.Attach(system)           // before base.Start()
//	base.Start()
//
// or Proto.Actor's Cluster, which makes its remoting and starts it in one go:
//
//	r, err := raftremote.New(cfg)
//	c := cluster.New(system, cluster.Configure(name, provider, lookup, remote.Configure(host, port, r.Options()...)))
//	err = r.Attach(system)           // before c.StartMember() or c.StartClient()
//	c.StartMember()
//
// Host and port are those of cfg.Listen: New itself listens nowhere. Members are spawned after the start.
func New(cfg Config) (*Remote, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	r := &Remote{cfg: cfg, counters: newCounters(), dialed: newConnections(0), accepted: newConnections(cfg.ConnectionsMax)}
	r.accepted.unused = func() { r.counters.refuse(reasonSilent) }
	r.reach = newReach(r)
	r.guard = newGuard(r)
	r.creds = newGuardedCredentials(cfg.TLS, r.accepted, r.counters.refuse, r.guard.link)
	r.gate = newGate(r)
	r.dead.publish = r.publish
	return r, nil
}

// Attach makes the remote that of an actor system. It is called before Proto.Actor's remoting, which has the Options, is
// started there, so that the gate stands in front of it; whether that has been made by then does not matter. Until it has been
// started no member can join ([AddressError]).
func (r *Remote) Attach(system *actor.ActorSystem) error {
	if r.cfg.Advertise == "" {
		return fmt.Errorf("raftremote: cannot attach: Listen is %q, so the port is not known yet: name one, or set Advertise",
			r.cfg.Listen)
	}
	starting.Lock()
	defer starting.Unlock()
	if err := canStart(system); err != nil {
		return err
	}
	if err := r.attach(system); err != nil {
		return err
	}
	return r.begin(r.cfg.Advertise, nil)
}

// starting is held by who starts or attaches, since an actor system can have one remote.
var starting sync.Mutex

// canStart returns why remoting cannot be started in a system. Proto.Actor would panic half-way.
func canStart(system *actor.ActorSystem) error {
	if Of(system) != nil {
		return ErrStarted
	}
	if address := system.Address(); address != localAddress {
		return fmt.Errorf("%w: it is called %q; the gate must stand in front of Proto.Actor's remoting, so attach before that is "+
			"started", ErrStarted, address)
	}
	for _, name := range []string{"activator", "EndpointSupervisor"} {
		if _, taken := system.ProcessRegistry.GetLocal(name); taken {
			return fmt.Errorf("raftremote: an actor is called %q, which Proto.Actor's remoting needs for itself", name)
		}
	}
	return nil
}

// attach makes the remote that of a system. It is called with starting held.
func (r *Remote) attach(system *actor.ActorSystem) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return fmt.Errorf("%w: it has been stopped; make another with New", ErrStopped)
	}
	if r.attached {
		return fmt.Errorf("%w: make another with New", ErrStarted)
	}
	r.attached = true
	r.system = system
	r.logger = loggerOf(r.cfg, system)
	if err := r.counters.register(system, r.observed); err != nil {
		r.logger.Warn("no metrics", "error", err)
	}
	system.Extensions.Register(r)
	system.ProcessRegistry.RegisterAddressResolver(r.gate.resolve)
	return nil
}

// detach takes attach back. Proto.Actor has started nothing then.
func (r *Remote) detach() {
	r.system.Extensions.Register(vacant{})
	handlers := r.system.ProcessRegistry.RemoteHandlers
	r.system.ProcessRegistry.RemoteHandlers = handlers[:len(handlers)-1]
	r.counters.unregister()
	r.dead.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attached = false // who calls Stop has nothing to end
}

// vacant is in the place of a remote that could not be started.
type vacant struct{ *Remote }

// begin lets everything through from now on, unless somebody has called Stop meanwhile, which ends what there is.
func (r *Remote) begin(address string, proto *remote.Remote) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.proto = proto
	if r.stopped != nil {
		return ErrStopped
	}
	r.gate.begin()
	system := r.cfg.System
	if system == "" {
		system = address
	}
	r.running.Store(&bearer{address: address, links: newLinks(linkConfig{
		cluster: r.cfg.ClusterID, system: system, address: address,
		store: r.cfg.StoreID, life: randomLife(),
		creds: r.creds, dial: dialHost,
		queueBytesMax: r.cfg.PeerQueueBytesMax, commandBytesMax: r.cfg.CommandBytesMax, peerTimeout: r.cfg.PeerTimeout,
		logger: r.logger, publish: r.publish, meter: meterOf(r.system),
	})})
	r.logger.Info("remoting is running", "address", address, "system", system, "insecure", r.cfg.Insecure)
	return nil
}

// startProto starts Proto.Actor's remoting, which panics where it cannot listen.
func startProto(proto *remote.Remote) (err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case error:
			err = reason
		default:
			err = fmt.Errorf("%v", reason)
		}
	}()
	proto.Start()
	return nil
}

// Options are what Proto.Actor's remoting is to be configured with. Server options and dial options that come after them
// would take their place, and so remove the guard.
func (r *Remote) Options() []remote.ConfigOption {
	options := []remote.ConfigOption{
		remote.WithServerOptions(r.serverOptions()...),
		remote.WithDialOptions(r.dialOptions()...),
		remote.WithEndpointWriterBatchSize(writerBatch),
		remote.WithEndpointWriterQueueSize(4 * writerBatch),
		// Each try that fails leaks a connection, but for the last. The gate tries again.
		func(c *remote.Config) { c.MaxRetryCount = 1 },
	}
	if r.cfg.Advertise != "" {
		options = append(options, remote.WithAdvertisedHost(r.cfg.Advertise))
	}
	return append(options, r.cfg.Remoting...)
}

// writerBatch is how many messages of users are in a frame at the most.
const writerBatch = 64

func (r *Remote) serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(r.creds),
		grpc.ForceServerCodecV2(serverCodec{}),
		grpc.StreamInterceptor(r.guard.stream),
		grpc.UnaryInterceptor(r.guard.unary),
		grpc.UnknownServiceHandler(r.guard.unknown),
		grpc.MaxRecvMsgSize(r.cfg.frameBytesMax()),
		grpc.MaxSendMsgSize(r.cfg.frameBytesMax()),
		grpc.MaxConcurrentStreams(streamsMax),
		grpc.ConnectionTimeout(2 * time.Second), // for TLS, and for the first words of HTTP/2
		grpc.MaxHeaderListSize(16 << 10),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(2 * windowBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 30 * time.Second, Time: 5 * time.Second, Timeout: 3 * time.Second,
		}),
	}
}

const (
	streamsMax  = 16
	windowBytes = 1 << 20
)

func (r *Remote) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.TransportCredentials(r.creds)),
		grpc.WithContextDialer(r.gate.takeConnection),
		grpc.WithNoProxy(),
		grpc.WithChainStreamInterceptor(r.gate.stream),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: time.Second, Multiplier: 1, MaxDelay: time.Second}, MinConnectTimeout: time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 2 * time.Second, PermitWithoutStream: true,
		}),
		grpc.WithInitialWindowSize(64 << 10),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(64<<10), // a server has nothing but a ConnectResponse to say
			grpc.MaxCallSendMsgSize(2*r.cfg.frameBytesMax()),
		),
		grpc.WithDisableServiceConfig(),
	}
}

// dialHost makes a connection to an address that users or configurations name.
func dialHost(ctx context.Context, address string) (net.Conn, error) {
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: time.Second, KeepAlive: 5 * time.Second}
	return dialer.DialContext(ctx, "tcp", address)
}

// hostInURL is a host as it stands in front of a port, which is how Proto.Actor wants it.
func hostInURL(host string) string {
	if joined := net.JoinHostPort(host, ""); len(joined) > len(host)+1 {
		return joined[:len(joined)-1]
	}
	return host
}

// randomLife tells this run of the system from others.
func randomLife() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}

// protoRemote is Proto.Actor's remote in this system, or an error as long as it is not there.
func (r *Remote) protoRemote() (proto *remote.Remote, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proto != nil {
		return r.proto, nil
	}
	defer func() {
		if recover() != nil {
			err = errors.New("raftremote: Proto.Actor's remoting has not been made in this actor system")
		}
	}()
	r.proto = remote.GetRemote(r.system) // panics if there is none
	return r.proto, nil
}
