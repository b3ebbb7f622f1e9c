package raftremote

import "context"

// An identity is who is at the other end of a connection.
type identity struct {
	// verified: a certificate says so. Otherwise it is a claim, and the rest is empty.
	verified bool
	// cluster and system are those of the URI raft://CLUSTER/SYSTEM in it. Empty: it is a client.
	cluster, system string
	// hosts is an error if the certificate does not cover a host. Nil if it is not verified.
	hosts func(host string) error
}

// identityOf is who is at the other end of the connection of a stream.
func identityOf(context.Context) identity { return identity{} }
