package raft

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// NewHclogLogger returns an hclog.Logger that logs to a slog.Logger: for [Config].Logger, where the rest
// of a program uses slog. The name of the logger is the attribute "logger". Trace is four below
// slog.LevelDebug. What is enabled is up to the handler; SetLevel can only make the logger, and all that
// come from the same one, quieter than that. The source of a record is where it was logged.
//
// A slog.Logger over [NewSlogHandler] is taken apart again: then the result is the hclog.Logger below it.
func NewHclogLogger(logger *slog.Logger) hclog.Logger {
	if h, ok := logger.Handler().(*hclogHandler); ok && h.prefix == "" {
		return h.logger
	}
	return &slogLogger{bare: logger.Handler(), handler: logger.Handler(), level: new(atomic.Int32)}
}

// slogLogger implements hclog.Logger. It does not change, but for its level.
type slogLogger struct {
	// bare is the handler below; handler is that with the name and the implied arguments.
	bare, handler slog.Handler
	name          string
	implied       []any // pairs; the keys are strings, each there once
	// level is what SetLevel has set, shared by all that come from one logger. Zero: nothing.
	level *atomic.Int32
}

// slogLevels are slog's for hclog's, from Trace to Error.
var slogLevels = [...]slog.Level{
	hclog.Trace: slog.LevelDebug - 4,
	hclog.Debug: slog.LevelDebug,
	hclog.Info:  slog.LevelInfo,
	hclog.Warn:  slog.LevelWarn,
	hclog.Error: slog.LevelError,
}

// isLevel tells whether something can be logged at a level: hclog has others that are none.
func isLevel(level hclog.Level) bool { return level >= hclog.Trace && level <= hclog.Error }

func (l *slogLogger) enabled(level hclog.Level) bool {
	return isLevel(level) && int32(level) >= l.level.Load() &&
		l.handler.Enabled(context.Background(), slogLevels[level])
}

// log is called by each of the methods itself, so that the caller is always as far away.
func (l *slogLogger) log(level hclog.Level, msg string, args []any) {
	if l.enabled(level) {
		l.logAt(time.Now(), caller(1), level, msg, args)
	}
}

// caller is the program counter of whoever called the function that is skip above the one that asks.
func caller(skip int) uintptr {
	var pc [1]uintptr
	runtime.Callers(3+skip, pc[:]) // behind Callers, caller and the function that asks
	return pc[0]
}

// logAt logs what was said at another time and place.
func (l *slogLogger) logAt(at time.Time, pc uintptr, level hclog.Level, msg string, args []any) {
	r := slog.NewRecord(at, slogLevels[level], msg, pc)
	r.AddAttrs(attrsOf(pairsOf(args))...)
	_ = l.handler.Handle(context.Background(), r) // there is nobody to tell, as with slog.Logger
}

func (l *slogLogger) Log(level hclog.Level, msg string, args ...any) { l.log(level, msg, args) }
func (l *slogLogger) Trace(msg string, args ...any)                  { l.log(hclog.Trace, msg, args) }

func (l *slogLogger) Debug(msg string, args ...any) { l.log(hclog.Debug, msg, args) }

func (l *slogLogger) Info(msg string, args ...any) { l.log(hclog.Info, msg, args) }

func (l *slogLogger) Warn(msg string, args ...any) { l.log(hclog.Warn, msg, args) }

func (l *slogLogger) Error(msg string, args ...any) { l.log(hclog.Error, msg, args) }

func (l *slogLogger) IsTrace() bool { return l.enabled(hclog.Trace) }
func (l *slogLogger) IsDebug() bool { return l.enabled(hclog.Debug) }
func (l *slogLogger) IsInfo() bool  { return l.enabled(hclog.Info) }
func (l *slogLogger) IsWarn() bool  { return l.enabled(hclog.Warn) }
func (l *slogLogger) IsError() bool { return l.enabled(hclog.Error) }

func (l *slogLogger) SetLevel(level hclog.Level) { l.level.Store(int32(level)) }

// GetLevel is the lowest that is enabled.
func (l *slogLogger) GetLevel() hclog.Level {
	for level := hclog.Trace; level <= hclog.Error; level++ {
		if l.enabled(level) {
			return level
		}
	}
	return hclog.Off
}

func (l *slogLogger) ImpliedArgs() []any { return slices.Clip(l.implied) }
func (l *slogLogger) Name() string       { return l.name }

// With adds arguments. As in hclog, they replace those of the same key.
func (l *slogLogger) With(args ...any) hclog.Logger {
	implied := slices.Clone(l.implied)
	for pair := range slices.Chunk(pairsOf(args), 2) {
		k := 0
		for k < len(implied) && implied[k] != pair[0] {
			k += 2
		}
		if k < len(implied) {
			implied[k+1] = pair[1]
		} else {
			implied = append(implied, pair...)
		}
	}
	return l.derive(l.name, implied)
}

func (l *slogLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.derive(name, l.implied)
}

func (l *slogLogger) ResetNamed(name string) hclog.Logger { return l.derive(name, l.implied) }

func (l *slogLogger) derive(name string, implied []any) *slogLogger {
	var attrs []slog.Attr
	if name != "" {
		attrs = append(attrs, slog.String("logger", name))
	}
	handler := l.bare
	if attrs = append(attrs, attrsOf(implied)...); len(attrs) > 0 {
		handler = handler.WithAttrs(attrs)
	}
	return &slogLogger{bare: l.bare, handler: handler, name: name, implied: implied, level: l.level}
}

func (l *slogLogger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

// StandardWriter has hclog itself find the levels in what is written.
func (l *slogLogger) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	if opts == nil {
		opts = &hclog.StandardLoggerOptions{}
	}
	parser := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	parser.RegisterSink(slogSink{l})
	return parser.StandardWriter(opts)
}

// slogSink passes on what hclog hands over.
type slogSink struct{ logger *slogLogger }

// Accept implements hclog.SinkAdapter.
func (s slogSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	s.logger.Log(level, msg, args...)
}

// pairsOf are arguments as hclog reads them: a last one without a key gets one, and keys are strings.
func pairsOf(args []any) []any {
	pairs := slices.Clone(args)
	if len(pairs)%2 != 0 {
		last := len(pairs) - 1
		key := hclog.MissingKey
		if _, ok := pairs[last].(hclog.CapturedStacktrace); ok {
			key = "stacktrace"
		}
		pairs = append(pairs[:last], key, pairs[last])
	}
	for k := 0; k < len(pairs); k += 2 {
		if _, ok := pairs[k].(string); !ok {
			pairs[k] = fmt.Sprint(pairs[k])
		}
	}
	return pairs
}

// attrsOf are the attributes for pairs of hclog's.
func attrsOf(pairs []any) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		value := pair[1]
		if f, ok := value.(hclog.Format); ok && len(f) > 0 {
			value = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		attrs = append(attrs, slog.Any(pair[0].(string), value))
	}
	return attrs
}
