package raft

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestLogsGoToTheActorSystemsLogger(t *testing.T) {
	var logged bytes.Buffer
	handler := slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn})
	logger := newSlogAdapter(slog.New(handler)).Named("raft").With("group", "g", "member", 7)
	logger.Info("below the level")
	logger.Warn("something happened", "error", "why")
	text := logged.String()
	for _, want := range []string{"level=WARN", `msg="something happened"`, "group=g", "member=7", "error=why"} {
		if !strings.Contains(text, want) {
			t.Errorf("logged %q, want %q in it", text, want)
		}
	}
	if strings.Contains(text, "below") {
		t.Errorf("logged %q, which is below the level", text)
	}
}

func TestLevelsKeepTheirOrder(t *testing.T) {
	last := slog.Level(-100)
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error} {
		if now := slogLevel(level); now <= last {
			t.Errorf("%v is %v, not above %v", level, now, last)
		} else {
			last = now
		}
	}
}
