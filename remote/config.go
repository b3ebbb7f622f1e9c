package raftremote

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"github.com/hashicorp/go-hclog"
)

// Config says how an actor system is reached, and by whom. The zero value of a field means its default.
type Config struct {
	// Listen is where to listen: HOST:PORT. Port 0 asks for any that is free.
	Listen string
	// Advertise is the address under which others reach this system, and under which its members are known: HOST:PORT. It
	// must be spelled the same everywhere. The default is Listen, if that names a host, with the port that was got.
	Advertise string
	// System is the name of this actor system in its cluster. The default is the name in the certificate, or without one
	// Advertise.
	System string
	// ClusterID is the name of the cluster: systems of another one are refused.
	ClusterID string
	// StoreID is that of the store, or zero if there is none: two systems with one store are refused.
	StoreID uint64
	// TLS proves who this system is, and says whom to believe. Without it Insecure must be set.
	TLS *TLS
	// Insecure allows anybody who reaches the port to speak for anybody.
	Insecure bool
	// PeerQueueBytesMax bounds what waits for one other system on its link. Default 16 MiB.
	PeerQueueBytesMax int
	// ClientQueueBytesMax bounds what waits for one other system of what users send. Default 8 MiB.
	ClientQueueBytesMax int
	// CommandBytesMax is the largest command of any group. Default 1 MiB.
	CommandBytesMax int
	// ConnectionsMax bounds how many connections are accepted at a time. Default 1,024.
	ConnectionsMax int
	// PeerTimeout is after how much silence a system counts as unreachable. Default 1 s.
	PeerTimeout time.Duration
	// Remoting are further options of Proto.Actor's.
	Remoting []remote.ConfigOption
	// Logger is where to log. Default: the actor system's own.
	Logger hclog.Logger
}

// TLS is what mutual TLS takes.
type TLS struct {
	// Certificate is that of this system, for servers and for clients. The URI raft://CLUSTER/SYSTEM among its names is who
	// it is; without one it is a client, which may send requests, and may not speak for members.
	Certificate tls.Certificate
	// Authorities are those whose certificates are believed.
	Authorities *x509.CertPool
}
