package raft

import (
	"context"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// newSlogAdapter makes an hclog.Logger of the actor system's slog.Logger.
func newSlogAdapter(logger *slog.Logger) hclog.Logger {
	adapter := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	adapter.RegisterSink(slogSink{logger})
	return adapter
}

// slogSink hands what is logged by hclog to slog.
type slogSink struct{ logger *slog.Logger }

// Accept implements hclog.SinkAdapter.
func (s slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	l := slogLevel(level)
	if s.logger.Enabled(context.Background(), l) {
		s.logger.Log(context.Background(), l, msg, append([]any{"logger", name}, args...)...)
	}
}

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace:
		return slog.LevelDebug - 4
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}
