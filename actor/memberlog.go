package raft

import (
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	"example.com/raftactor/node"
)

// memberLog is what a member, its children included, logs with. What is enabled is asked at once; the rest is
// done on the turns of an outlet, so that a logger that blocks holds nobody up. It is safe for concurrent use.
type memberLog struct {
	to  hclog.Logger
	out outlet
}

// record is something to be logged.
type record struct {
	at      time.Time
	pc      uintptr
	level   hclog.Level
	message string
	args    []any
}

// IgnoreDeadLetterLogging keeps it out of Proto.Actor's logs.
func (*record) IgnoreDeadLetterLogging() {}

func newMemberLog(cfg Config, system *actor.ActorSystem, vitals *vitals) *memberLog {
	l := &memberLog{to: cfg.logger(system)}
	l.out.deliver = func(message any) { l.write(message.(*record)) }
	l.out.panicked = func(_, reason any) { reportPanic(system, reason) }
	l.out.dropped = func(count int) any {
		return &record{at: time.Now(), level: hclog.Warn, message: "log records dropped", args: []any{"count", count}}
	}
	l.out.open(cfg, system, vitals, "log")
	return l
}

// reportPanic tells the actor system's logger that the member's panics, unless that is the same one.
func reportPanic(system *actor.ActorSystem, reason any) {
	defer func() { _ = recover() }()
	system.Logger().Error("raft: the logger panics", "panic", reason)
}

// Trace is for messages: ask IsTrace before.
func (l *memberLog) Trace(message string, args ...any) { l.log(hclog.Trace, message, args) }

// Debug is for elections.
func (l *memberLog) Debug(message string, args ...any) { l.log(hclog.Debug, message, args) }

// Info is for changes of leadership and membership.
func (l *memberLog) Info(message string, args ...any) { l.log(hclog.Info, message, args) }

// Warn is for what the group recovers from by itself.
func (l *memberLog) Warn(message string, args ...any) { l.log(hclog.Warn, message, args) }

// Error is for what needs a person.
func (l *memberLog) Error(message string, args ...any) { l.log(hclog.Error, message, args) }

// failed logs why the member has failed, which it does once. That record is never dropped.
func (l *memberLog) failed(err error) {
	if isEnabled(l.to, hclog.Error) {
		l.out.postAlways(&record{
			at: time.Now(), pc: caller(0), level: hclog.Error, message: "member failed", args: []any{"error", err},
		})
	}
}

// IsTrace tells whether messages are logged.
func (l *memberLog) IsTrace() bool { return l.to.IsTrace() }

// log is called by each of the methods itself, so that the caller is always as far away.
func (l *memberLog) log(level hclog.Level, message string, args []any) {
	if !isEnabled(l.to, level) {
		return
	}
	m := &record{at: time.Now(), pc: caller(1), level: level, message: message, args: args}
	l.out.post(m)
}

// logLate is how old a record is that is logged with the time at which it was made, where the logger
// stamps its own.
const logLate = time.Second

// write logs a record. hclog takes no time from elsewhere.
func (l *memberLog) write(m *record) {
	if to, ok := l.to.(*slogLogger); ok {
		to.logAt(m.at, m.pc, m.level, m.message, m.args)
		return
	}
	args := m.args
	if time.Since(m.at) >= logLate {
		args = append(slices.Clip(args), "logged-at", m.at)
	}
	l.to.Log(m.level, m.message, args...)
}

// traceEnvelope logs what a member has sent or received, without the commands in it.
func (l *memberLog) traceEnvelope(message string, e *PeerEnvelope) {
	for _, m := range e.Messages {
		l.Trace(message, messageArgs(m)...)
	}
	if c := e.Chunk; c != nil {
		l.Trace(message, "type", "SnapshotChunk", "from", uint64(e.From), "to", uint64(e.To),
			"transfer", c.Transfer, "offset", c.Offset, "bytes", len(c.Data), "size", c.Size)
	}
	if a := e.Ack; a != nil {
		l.Trace(message, "type", "SnapshotAck", "from", uint64(e.From), "to", uint64(e.To),
			"transfer", a.Transfer, "received", a.Received, "done", a.Done, "failed", a.Failed)
	}
}

// messageArgs are the fields of a message for the log: of entries their number only.
func messageArgs(m node.Message) []any {
	h, v := m.Head(), reflect.ValueOf(m).Elem()
	args := []any{"type", v.Type().Name(), "from", uint64(h.From), "to", uint64(h.To), "term", uint64(h.Term)}
	for i := range v.NumField() {
		name := kebab(v.Type().Field(i).Name)
		switch field := v.Field(i).Interface().(type) {
		case []Entry:
			args = append(args, name, len(field))
		case SnapshotMeta:
			args = append(args, "snapshot-index", uint64(field.Index), "snapshot-term", uint64(field.Term))
		case bool:
			args = append(args, name, field)
		default:
			if v.Field(i).CanUint() {
				args = append(args, name, v.Field(i).Uint())
			}
		}
	}
	return args
}

// kebab spells a Go name as a key: PrevIndex is prev-index.
func kebab(name string) string {
	var key strings.Builder
	for i, letter := range name {
		if unicode.IsUpper(letter) && i > 0 {
			key.WriteByte('-')
		}
		key.WriteRune(unicode.ToLower(letter))
	}
	return key.String()
}
