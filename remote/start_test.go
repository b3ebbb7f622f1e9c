package raftremote

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

func TestStartRunsAndStops(t *testing.T) {
	r, err := Start(quietSystem(), Config{Listen: "127.0.0.1:0", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := checkAddress(r.Address()); err != nil {
		t.Error(err)
	}
	conn, err := net.DialTimeout("tcp", r.Address(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("stopping took %v", took)
	}
	if _, err := r.Transport().Join("g", 1, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("joining afterwards: %v", err)
	}
}
