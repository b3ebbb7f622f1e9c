package raftremote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/resolver"
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
	// ClusterID is the name of the cluster: systems of another one are refused. The default is the one in the certificate.
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
	// ClientBytesMax bounds what waits for all other systems of what users send. What waits for one is no more than what is
	// left then for the others, but for one message. Default eight times ClientQueueBytesMax.
	ClientBytesMax int
	// CommandBytesMax is the largest command of any group. Default 1 MiB.
	CommandBytesMax int
	// ConnectionsMax bounds how many connections are accepted at a time, beside a quarter as many whose handshakes are under
	// way, and to how many systems users can send: where
	// one has had nothing to do for a second, it makes room for another. Default 1,024.
	ConnectionsMax int
	// PeerTimeout is after how much silence a system counts as unreachable. Default 1 s.
	PeerTimeout time.Duration
	// Remoting are further options of Proto.Actor's. Its server options and dial options are not for use here: they would
	// take the place of those that protect the process.
	Remoting []remote.ConfigOption
	// Logger is where to log. Default: the actor system's own.
	Logger hclog.Logger
}

// TLS is what mutual TLS takes. [LoadTLS] reads it from files.
type TLS struct {
	// Certificate is that of this system, for servers and for clients. The URI raft://CLUSTER/SYSTEM among its names is who
	// it is; without one it is a client, which may send requests, and may not speak for members.
	Certificate tls.Certificate
	// Authorities are those whose certificates are believed.
	Authorities *x509.CertPool
}

// Defaults of [Config].
const (
	defaultPeerQueueBytesMax   = 16 << 20
	defaultClientQueueBytesMax = 8 << 20
	defaultClientQueues        = 8
	defaultCommandBytesMax     = 1 << 20
	defaultConnectionsMax      = 1024
	defaultPeerTimeout         = time.Second
)

// ErrInsecure is what a configuration without TLS gets that does not say Insecure.
var ErrInsecure = errors.New("there is no TLS material, so anybody who reaches the port could speak for any member: " +
	"set TLS (LoadTLS reads it from files), or accept the risk with Insecure: true")

// Validate returns all faults of the configuration at once. It changes nothing.
func (c Config) Validate() error {
	faults := []error{c.validateAddresses(), c.validateTrust()}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"PeerQueueBytesMax", int64(c.PeerQueueBytesMax)},
		{"ClientQueueBytesMax", int64(c.ClientQueueBytesMax)},
		{"ClientBytesMax", int64(c.ClientBytesMax)},
		{"CommandBytesMax", int64(c.CommandBytesMax)},
		{"ConnectionsMax", int64(c.ConnectionsMax)},
		{"PeerTimeout", int64(c.PeerTimeout)},
	} {
		if field.value < 0 {
			faults = append(faults, fmt.Errorf("%s is %d, it cannot be negative; 0 means the default", field.name, field.value))
		}
	}
	if len(c.System) > nameBytesMax || len(c.ClusterID) > nameBytesMax {
		faults = append(faults, faultf("System and ClusterID must not be longer than %d bytes", nameBytesMax))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("raftremote: invalid configuration: %w", err)
	}
	return nil
}

// faultf is a fault of a field, whose name it begins with.
func faultf(format string, args ...any) error { return fmt.Errorf(format, args...) }

func (c Config) validateAddresses() error {
	host, _, err := splitAddress(c.Listen)
	if err != nil {
		return faultf("Listen is %q: %w", c.Listen, err)
	}
	if c.Advertise == "" {
		if !namesHost(host) {
			return faultf("Listen is %q, which names no host, so others would not know how to call this system: "+
				"set Advertise to HOST:PORT as they reach it", c.Listen)
		}
		return nil
	}
	host, port, err := splitAddress(c.Advertise)
	switch {
	case err != nil:
		return faultf("Advertise is %q: %w", c.Advertise, err)
	case !namesHost(host):
		return faultf("Advertise is %q, which names no host that others can reach", c.Advertise)
	case port == 0:
		return faultf("Advertise is %q: it needs the port that others reach, or none of it: "+
			"the default is Listen with the port that was got", c.Advertise)
	}
	return checkAddress(c.Advertise)
}

func (c Config) validateTrust() error {
	switch {
	case c.TLS == nil && !c.Insecure:
		return ErrInsecure
	case c.TLS == nil:
		return nil
	case c.Insecure:
		return errors.New("both TLS and Insecure are set: choose one")
	}
	return c.TLS.validate(c)
}

// withDefaults is the configuration with its defaults, but for those that need the port.
func (c Config) withDefaults() Config {
	c.PeerQueueBytesMax = orDefault(c.PeerQueueBytesMax, defaultPeerQueueBytesMax)
	c.ClientQueueBytesMax = orDefault(c.ClientQueueBytesMax, defaultClientQueueBytesMax)
	c.ClientBytesMax = orDefault(c.ClientBytesMax, defaultClientQueues*min(c.ClientQueueBytesMax, math.MaxInt/defaultClientQueues))
	c.CommandBytesMax = orDefault(c.CommandBytesMax, defaultCommandBytesMax)
	c.ConnectionsMax = orDefault(c.ConnectionsMax, defaultConnectionsMax)
	c.PeerTimeout = orDefault(c.PeerTimeout, defaultPeerTimeout)
	if _, port, err := splitAddress(c.Listen); err == nil && port != 0 && c.Advertise == "" {
		c.Advertise = c.Listen
	}
	if c.TLS != nil {
		id := c.TLS.identity()
		if c.System == "" {
			c.System = id.system
		}
		if c.ClusterID == "" {
			c.ClusterID = id.cluster
		}
	}
	return c
}

// frameBytesMax is how large a frame may be that is received: a large command, with what goes with it.
func (c Config) frameBytesMax() int { return max(frameBytesMin, c.CommandBytesMax+1<<20) }

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

const (
	nameBytesMax    = 256
	addressBytesMax = 262 // a host name, brackets, a colon and a port
)

func splitAddress(address string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New("it must be HOST:PORT")
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || strconv.FormatUint(number, 10) != digits {
		return "", 0, fmt.Errorf("its port %q is no number from 0 to 65535", digits)
	}
	return host, uint16(number), nil
}

// namesHost tells whether a host is one that others can reach, as opposed to all of this machine's.
func namesHost(host string) bool {
	ip := net.ParseIP(host)
	return host != "" && (ip == nil || !ip.IsUnspecified())
}

// checkAddress is an error for what cannot be the address of an actor system. What gRPC would take for something else than
// a host is none.
func checkAddress(address string) error {
	if len(address) > addressBytesMax {
		return fmt.Errorf("an address of %d bytes is too long", len(address))
	}
	host, port, err := splitAddress(address)
	switch {
	case err != nil:
		return fmt.Errorf("the address %q is wrong: %w", address, err)
	case port == 0 || !namesHost(host):
		return fmt.Errorf("the address %q names no host and port that can be reached", address)
	case resolver.Get(host) != nil:
		return fmt.Errorf("the host of the address %q has a name that gRPC gives another meaning", address)
	}
	for _, b := range []byte(host) {
		if b <= ' ' || b >= 0x7f || b == '/' || b == '@' || b == '?' || b == '#' {
			return fmt.Errorf("the address %q has a character in it that no host name has", address)
		}
	}
	return nil
}
