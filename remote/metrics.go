package raftremote

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A dropReason says why something that came, or was to be sent, was dropped.
type dropReason int

const (
	dropFull        dropReason = iota // the queue was
	dropStale                         // it had waited for too long
	dropReplaced                      // a newer one took its place
	dropUnreachable                   // there was no link
	dropLate                          // it came later than it can have been meant for
	dropMisplaced                     // its sender is placed elsewhere, or it is of the other connection
	dropNobody                        // the member is not here
	dropUnknown                       // of a kind that only a newer version knows
	dropMalformed                     // a request or an answer was none
	dropUnasked                       // an answer for which nobody waits
	dropTooLarge                      // for the peer
	dropReasons
)

var dropNames = [dropReasons]string{
	"full", "stale", "replaced", "unreachable", "late", "misplaced", "nobody", "unknown", "malformed", "unasked", "too_large",
}

// dropCounts counts what was dropped, by the reason.
type dropCounts [dropReasons]atomic.Int64

func (c *dropCounts) add(reason dropReason, count int) { c[reason].Add(int64(count)) }

// linkMetrics count what the links do. They are counted always; instruments read them when they are collected.
type linkMetrics struct {
	drops                                                dropCounts
	refused                                              [refusedFrame + 1]atomic.Int64
	dials, lost, malformed, timeouts                     atomic.Int64
	framesSent, framesReceived, bytesSent, bytesReceived atomic.Int64
	rtt                                                  metric.Float64Histogram
	registration                                         metric.Registration
}

func (m *linkMetrics) sent(bytes int) {
	m.framesSent.Add(1)
	m.bytesSent.Add(int64(bytes))
}

func (m *linkMetrics) received(bytes int) {
	m.framesReceived.Add(1)
	m.bytesReceived.Add(int64(bytes))
}

func (m *linkMetrics) refuse(code refusalCode) {
	if int(code) >= len(m.refused) {
		code = 0
	}
	m.refused[code].Add(1)
}

// roundTrip takes how long a ping and its pong have taken, in nanoseconds.
func (m *linkMetrics) roundTrip(took int64) {
	if m.rtt != nil {
		m.rtt.Record(context.Background(), float64(took)/1e9)
	}
}

// newLinkMetrics makes the instruments of the links. Without a meter there are none.
func newLinkMetrics(meter metric.Meter, l *links) *linkMetrics {
	m := &linkMetrics{}
	if meter == nil {
		return m
	}
	if err := m.register(meter, l); err != nil {
		l.logger.Warn("no metrics of the links", "error", err)
	}
	return m
}

func (m *linkMetrics) register(meter metric.Meter, l *links) error {
	var errs []error
	var observed []metric.Observable
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs, observed = append(errs, err), append(observed, c)
		return c
	}
	dropped := counter("raftactor.link.dropped", "{message}", "What was dropped on its way between systems, by the reason.")
	refusedBy := counter("raftactor.link.refused", "{handshake}", "Handshakes that were refused, by what did not fit.")
	dials := counter("raftactor.link.dials", "{attempt}", "Attempts to reach another system.")
	lost := counter("raftactor.link.lost", "{link}", "Links that were lost.")
	frames := counter("raftactor.link.frames", "{frame}", "Frames on all links, by the direction.")
	bytes := counter("raftactor.link.bytes", "By", "Bytes of frames on all links, by the direction.")
	up, err := meter.Int64ObservableGauge("raftactor.link.up", metric.WithUnit("1"),
		metric.WithDescription("1: there is a link to the system at the address. 0: there is none."))
	errs, observed = append(errs, err), append(observed, up)
	queued, err := meter.Int64ObservableUpDownCounter("raftactor.link.queue", metric.WithUnit("By"),
		metric.WithDescription("What waits for a system, by its size in memory."))
	errs, observed = append(errs, err), append(observed, queued)
	m.rtt, err = meter.Float64Histogram("raftactor.link.rtt", metric.WithUnit("s"),
		metric.WithDescription("From a ping to its pong."),
		metric.WithExplicitBucketBoundaries(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1))
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	sent, received := direction("sent"), direction("received")
	m.registration, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for reason := range m.drops {
			o.ObserveInt64(dropped, m.drops[reason].Load(), metric.WithAttributes(attribute.String("reason", dropNames[reason])))
		}
		for code := range m.refused {
			o.ObserveInt64(refusedBy, m.refused[code].Load(), metric.WithAttributes(attribute.String("reason", refusalCode(code).String())))
		}
		o.ObserveInt64(dials, m.dials.Load())
		o.ObserveInt64(lost, m.lost.Load())
		o.ObserveInt64(frames, m.framesSent.Load(), sent)
		o.ObserveInt64(frames, m.framesReceived.Load(), received)
		o.ObserveInt64(bytes, m.bytesSent.Load(), sent)
		o.ObserveInt64(bytes, m.bytesReceived.Load(), received)
		l.eachPeer(func(p *peer) {
			at := metric.WithAttributes(attribute.String("address", p.address))
			isUp, waiting := int64(0), int64(0)
			for _, line := range []*line{&p.control, &p.bulk} {
				line.mu.Lock()
				waiting += int64(line.queue.bytes)
				if line.stream != nil && !line.bulk {
					isUp = 1
				}
				line.mu.Unlock()
			}
			o.ObserveInt64(up, isUp, at)
			o.ObserveInt64(queued, waiting, at)
		})
		return nil
	}, observed...)
	return err
}

func direction(name string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("direction", name))
}

// stop gives the instruments back.
func (m *linkMetrics) stop() {
	if m.registration != nil {
		m.registration.Unregister()
	}
}
