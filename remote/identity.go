package raftremote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
)

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
func identityOf(ctx context.Context) identity {
	if c := connectionOf(ctx); c != nil {
		return c.identity
	}
	return identity{}
}

// identityBehind is who is at the other end of a connection that was made here.
func identityBehind(auth credentials.AuthInfo) identity {
	if info, ok := auth.(*connectionInfo); ok {
		return info.identity
	}
	return identity{}
}

// connectionOf is what is known of the connection of a stream, or nil if it was made by other credentials than ours.
func connectionOf(ctx context.Context) *connectionInfo {
	if p, ok := grpcpeer.FromContext(ctx); ok {
		info, _ := p.AuthInfo.(*connectionInfo)
		return info
	}
	return nil
}

// identityScheme is that of the URI by which a certificate names a system.
const identityScheme = "raft"

// identityIn is who a certificate is for. It is an error if it names more than one system, or one in a wrong way.
func identityIn(certificate *x509.Certificate) (identity, error) {
	id := identity{verified: true, hosts: certificate.VerifyHostname}
	for _, uri := range certificate.URIs {
		if uri.Scheme != identityScheme {
			continue
		}
		if id.system != "" {
			return identity{}, errors.New("the certificate names two systems; it must have one raft://CLUSTER/SYSTEM at most")
		}
		cluster, system, err := parseIdentity(uri)
		if err != nil {
			return identity{}, err
		}
		id.cluster, id.system = cluster, system
	}
	return id, nil
}

// parseIdentity takes raft://CLUSTER/SYSTEM apart. The cluster may be empty.
func parseIdentity(uri *url.URL) (cluster, system string, err error) {
	system = strings.TrimPrefix(uri.Path, "/")
	plain := uri.Opaque == "" && uri.User == nil && uri.RawQuery == "" && uri.Fragment == ""
	if !plain || system == "" || strings.Contains(system, "/") || len(system) > nameBytesMax || len(uri.Host) > nameBytesMax {
		return "", "", fmt.Errorf("the certificate's URI %q is no raft://CLUSTER/SYSTEM", uri)
	}
	return uri.Host, system, nil
}
