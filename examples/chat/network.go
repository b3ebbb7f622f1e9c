package main

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
)

func listenOn(*actor.ActorSystem, options, uint64, hclog.Logger) (network, error) {
	return nil, errors.New("not yet")
}
