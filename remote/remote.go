package raftremote

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/extensions"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"example.com/raftactor/node"
)

var (
	// ErrStarted is what a system gets that has remoting already. What has been stopped cannot be started again in the same
	// actor system.
	ErrStarted = errors.New("raftremote: remoting has been started in this actor system before")
	// ErrStopped is what a member gets that joins when the remote has been stopped, or has not been started.
	ErrStopped = errors.New("raftremote: the remote is not running")
)

// A Remote is what an actor system has of the others: the transport of its members, the guard of what comes in, and the
// gate for what users send out. All methods are safe for concurrent use.
type Remote struct {
	cfg      Config
	logger   hclog.Logger
	accepted *connections // that others have made to this system
	dialed   *connections // that were made here, for what users send
	creds    *guardedCredentials
	guard    *guard
	gate     *gate
	reach    *reach
	counters *counters
	dead     outlet // of what could not be sent

	system  *actor.ActorSystem     // written by attach, before anything else can use it
	running atomic.Pointer[bearer] // nil before it has begun, and after it has been stopped

	mu       sync.Mutex
	starting chan struct{}  // nil unless Start has made it; closed at the end of Start
	attached bool           // guarded by mu
	stopped  chan struct{}  // guarded by mu; made by the first Stop, and closed at its end
	proto    *remote.Remote // guarded by mu; Proto.Actor's, when it is known
}

// A bearer is what there is between the beginning and the end.
type bearer struct {
	address string
	links   *links
}

var extensionID = extensions.NextExtensionID()

// ExtensionID implements Proto.Actor's extensions.Extension.
func (r *Remote) ExtensionID() extensions.ExtensionID { return extensionID }

// Of returns the remote that was attached to an actor system, or nil.
func Of(system *actor.ActorSystem) *Remote {
	r, _ := system.Extensions.Get(extensionID).(*Remote)
	return r
}

// Address is the address of this system, under which its members are known. It is empty unless the remote runs.
func (r *Remote) Address() string {
	if b := r.running.Load(); b != nil {
		return b.address
	}
	return ""
}

// Expose lets other systems send to the actor of this name, which has been spawned or will be. If messages are given, only
// those of their types pass; otherwise all but those which Proto.Actor itself or its Cluster acts on. A name that ends in a
// slash is that of all actors below: "kitchen/" exposes "kitchen/$1" and its children, but not "kitchen". Actors that have
// sent something elsewhere get the answers without this, from the system that was asked.
func (r *Remote) Expose(name string, messages ...proto.Message) { r.reach.expose(name, messages) }

// Transport is how members reach those in other systems. Members are spawned after the remote has been started, and stopped
// before it is.
func (r *Remote) Transport() node.Transport { return transport{r} }

// transport is the links, as long as the remote runs.
type transport struct{ remote *Remote }

var _ node.AddressChecker = transport{}

// CheckAddress implements [node.AddressChecker].
func (transport) CheckAddress(address string) error {
	if err := checkAddress(address); err != nil {
		return fmt.Errorf("raftremote: %w; a member's address is that of its system, as Remote.Address returns it there: "+
			"10.0.0.7:7001 or db-7.example.com:7001", err)
	}
	return nil
}

// Join implements [node.Transport].
func (t transport) Join(group string, id node.ID, inbox node.Inbox) (node.Link, error) {
	b := t.remote.running.Load()
	if b == nil {
		return nil, ErrStopped
	}
	if address := t.remote.system.Address(); address != b.address {
		return nil, &AddressError{Address: address, Advertise: b.address}
	}
	if t.remote.cfg.TLS != nil && t.remote.cfg.TLS.identity().system == "" {
		return nil, fmt.Errorf("raftremote: joining member %d of group %q: the certificate names no system, so it is a client's, "+
			"and the others would not link with it: it needs the URI raft://CLUSTER/SYSTEM", id, group)
	}
	return b.links.Join(group, id, inbox)
}
