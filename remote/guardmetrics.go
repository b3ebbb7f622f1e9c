package raftremote

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A refusalReason says why the guard has refused something that came from outside.
type refusalReason string

// Those after which the connection is closed, since nobody means well who sends that.
const (
	reasonConnections refusalReason = "connections" // too many
	reasonHandshake   refusalReason = "handshake"   // no certificate, or none that is believed
	reasonHandshakes  refusalReason = "handshakes"  // too many under way at once
	reasonMethod      refusalReason = "method"      // no service that there is
	reasonHello       refusalReason = "hello"       // the first message is no connect request, or there is another one
	reasonSilent      refusalReason = "silent"      // nothing that HTTP/2 knows, or no hello within the time for it
	reasonAddress     refusalReason = "address"     // announced by a connect request: wrong, or not covered by the certificate
	reasonMalformed   refusalReason = "malformed"   // no protobuf, or indices that point nowhere
	reasonTooMuch     refusalReason = "too-much"    // more in a frame than there can honestly be
	reasonSerializer  refusalReason = "serializer"  // another than protobuf
	reasonPayload     refusalReason = "payload"     // a message that is not of the type that it is said to be
	reasonPanic       refusalReason = "panic"       // what Proto.Actor did with a frame
)

// Those after which the connection lives on, and one message is dropped.
const (
	reasonUnknownType refusalReason = "unknown-type" // as from a newer version
	reasonType        refusalReason = "type"         // system messages, spawning, and what was not exposed
	reasonTarget      refusalReason = "target"       // not a member, not exposed, and has asked nothing
	reasonForeign     refusalReason = "foreign"      // a target or sender that lives elsewhere
	reasonNamed       refusalReason = "named"        // an actor named in the message that is not the sender's business
	reasonWatch       refusalReason = "watch"        // a Terminated for what is not watched, or too many watches
)

// A gateReason says why the gate has dropped a message of a user's.
type gateReason string

const (
	gateUnreachable gateReason = "unreachable"
	gateFull        gateReason = "full"
	gateCrowded     gateReason = "crowded" // by what waits for other systems
	gateMessage     gateReason = "message" // it cannot be encoded, or is not for others
	gateLarge       gateReason = "large"
	gateSystems     gateReason = "systems" // too many
	gateStopped     gateReason = "stopped"
)

// counters count what is refused and dropped, and say so to the actor system's meter provider, if there is one. They are
// safe for concurrent use.
type counters struct {
	made atomic.Pointer[instruments]
}

type instruments struct {
	refused, dropped metric.Int64Counter
	registration     metric.Registration
}

func newCounters() *counters { return &counters{} }

func (c *counters) refuse(reason refusalReason) {
	if i := c.made.Load(); i != nil {
		i.refused.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", string(reason))))
	}
}

func (c *counters) drop(reason gateReason) {
	if i := c.made.Load(); i != nil {
		i.dropped.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", string(reason))))
	}
}

// observations are what is read when metrics are collected.
type observations struct{ connections, queueBytes, systems int64 }

// register makes the instruments. Those that are observed call read on the collector's goroutine.
func (c *counters) register(system *actor.ActorSystem, read func() observations) error {
	meter := meterOf(system)
	if meter == nil {
		return nil
	}
	refused, err1 := meter.Int64Counter("raftactor.guard.refused", metric.WithUnit("{refusal}"),
		metric.WithDescription("What came from other systems and was refused, by the reason."))
	dropped, err2 := meter.Int64Counter("raftactor.gate.dropped", metric.WithUnit("{message}"),
		metric.WithDescription("Messages of users to other systems that were dropped, by the reason."))
	connections, err3 := meter.Int64ObservableUpDownCounter("raftactor.guard.connections", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections that others have made to this system."))
	bytes, err4 := meter.Int64ObservableUpDownCounter("raftactor.gate.bytes", metric.WithUnit("By"),
		metric.WithDescription("What waits of what users send to other systems."))
	systems, err5 := meter.Int64ObservableUpDownCounter("raftactor.gate.systems", metric.WithUnit("{system}"),
		metric.WithDescription("Systems that users have sent something to lately."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := read()
		o.ObserveInt64(connections, now.connections)
		o.ObserveInt64(bytes, now.queueBytes)
		o.ObserveInt64(systems, now.systems)
		return nil
	}, connections, bytes, systems)
	c.made.Store(&instruments{refused: refused, dropped: dropped, registration: registration})
	return err
}

// meterOf is the meter of an actor system, or nil if it has none.
func meterOf(system *actor.ActorSystem) metric.Meter {
	if provider := system.Config.MetricsProvider; provider != nil {
		return provider.Meter("example.com/raftactor")
	}
	return nil
}

// unregister gives the instruments back.
func (c *counters) unregister() {
	if i := c.made.Swap(nil); i != nil && i.registration != nil {
		_ = i.registration.Unregister()
	}
}

func (r *Remote) observed() observations {
	bytes, systems := r.gate.load()
	return observations{connections: int64(r.accepted.count()), queueBytes: bytes, systems: systems}
}
