package raftremote

import (
	"context"
	"io"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
)

// loggerOf is where a remote logs: where it was told to, or else where its actor system does.
func loggerOf(cfg Config, system *actor.ActorSystem) hclog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger.Named("remote")
	}
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{
		Name: "remote", Level: hclog.Off, Output: io.Discard,
	})
	logger.RegisterSink(slogSink{system.Logger()})
	return logger
}

// slogSink logs what an hclog.Logger gets to a slog.Logger.
type slogSink struct{ logger *slog.Logger }

var slogLevels = map[hclog.Level]slog.Level{
	hclog.Trace: slog.LevelDebug - 4,
	hclog.Debug: slog.LevelDebug,
	hclog.Info:  slog.LevelInfo,
	hclog.Warn:  slog.LevelWarn,
	hclog.Error: slog.LevelError,
}

// Accept implements [hclog.SinkAdapter].
func (s slogSink) Accept(name string, level hclog.Level, message string, args ...any) {
	s.logger.Log(context.Background(), slogLevels[level], message, append([]any{"logger", name}, args...)...)
}
