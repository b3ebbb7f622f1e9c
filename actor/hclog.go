package raft

import (
	"context"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// NewSlogHandler returns a slog.Handler that logs to an hclog.Logger. With it Proto.Actor, which logs to
// slog, writes where the rest of a program does:
//
//	actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
//		return slog.New(raft.NewSlogHandler(logger.Named("actors")))
//	}))
//
// The levels between hclog's are those below them, and what is below Debug is Trace. hclog knows no groups:
// an attribute "a" in a group "g" gets the key "g.a". It stamps the time itself, so that of the record is
// lost. For the places that it adds with IncludeLocation, an AdditionalLocationOffset of 3 gives those where
// slog was called.
func NewSlogHandler(logger hclog.Logger) slog.Handler {
	return &hclogHandler{logger: logger}
}

// hclogHandler implements slog.Handler. It does not change.
type hclogHandler struct {
	logger hclog.Logger // it has the attributes
	prefix string       // of keys: the names of the open groups, each with a dot behind it
}

func (h *hclogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return isEnabled(h.logger, hclogLevel(level))
}

func (h *hclogHandler) Handle(_ context.Context, r slog.Record) error {
	args := make([]any, 0, 2*r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		args = appendAttr(args, h.prefix, a)
		return true
	})
	h.logger.Log(hclogLevel(r.Level), r.Message, args...)
	return nil
}

func (h *hclogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var args []any
	for _, a := range attrs {
		args = appendAttr(args, h.prefix, a)
	}
	if len(args) == 0 {
		return h
	}
	return &hclogHandler{logger: h.logger.With(args...), prefix: h.prefix}
}

func (h *hclogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &hclogHandler{logger: h.logger, prefix: h.prefix + name + "."}
}

// appendAttr appends an attribute as a key and a value, and a group as those of its attributes.
func appendAttr(args []any, prefix string, a slog.Attr) []any {
	a.Value = a.Value.Resolve()
	switch {
	case a.Value.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range a.Value.Group() {
			args = appendAttr(args, prefix, member)
		}
	case !a.Equal(slog.Attr{}):
		args = append(args, prefix+a.Key, a.Value.Any())
	}
	return args
}

// hclogLevel is the level at or below slog's.
func hclogLevel(level slog.Level) hclog.Level {
	for l := hclog.Error; l > hclog.Trace; l-- {
		if level >= slogLevels[l] {
			return l
		}
	}
	return hclog.Trace
}

// isEnabled tells whether a logger would log at a level.
func isEnabled(logger hclog.Logger, level hclog.Level) bool {
	switch level {
	case hclog.Trace:
		return logger.IsTrace()
	case hclog.Debug:
		return logger.IsDebug()
	case hclog.Info:
		return logger.IsInfo()
	case hclog.Warn:
		return logger.IsWarn()
	case hclog.Error:
		return logger.IsError()
	default:
		return false
	}
}
