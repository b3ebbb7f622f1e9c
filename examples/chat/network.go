package main

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raftremote "example.com/raftactor/remote"
)

// listenOn starts remoting, with which the members of other processes are reached.
func listenOn(system *actor.ActorSystem, o options, store uint64, logger hclog.Logger) (network, error) {
	cfg := raftremote.Config{
		Listen: o.listen, Advertise: o.advertise, ClusterID: o.cluster, StoreID: store, Insecure: o.insecure,
		CommandBytesMax: 1 + nameBytesMax + textBytesMax, Logger: logger,
	}
	if !o.insecure {
		var err error
		if cfg.TLS, err = raftremote.LoadTLS(o.cert, o.key, o.ca); err != nil {
			return nil, wrongFlag{fmt.Errorf("-cert, -key and -ca: %w", err)}
		}
	}
	remote, err := raftremote.Start(system, cfg)
	if errors.As(err, new(*raftremote.StartError)) {
		return nil, fmt.Errorf("-listen is %s: it must be an address of this machine, with a port at which no other program "+
			"listens: %w", o.listen, err)
	}
	if err != nil {
		return nil, err
	}
	return remote, nil
}
