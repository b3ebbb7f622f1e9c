package raftremote

import (
	"fmt"
	"net"
	"time"
)

const (
	// handshakeTimeout is how long a handshake may take.
	handshakeTimeout = 2 * time.Second
	// helloBytesMax is the largest frame that is taken from somebody who has not said hello.
	helloBytesMax = 64 << 10
)

// The handshake: who has dialed says hello, the other answers with its own hello, and who has dialed sends any frame,
// which says that the answer is fine. Either may refuse the other's hello instead, with a reason. Then the stream is
// installed, on both sides.

// hello is what this system says of itself to the one at an address.
func (l *links) hello(dialed string, bulk bool) *hello {
	c := &l.cfg
	return &hello{
		versionMin: linkVersionMin, versionMax: linkVersionMax, cluster: c.cluster, system: c.system, store: c.store,
		address: c.address, dialed: dialed, life: c.life, bulk: bulk, frameBytesMax: uint32(c.frameBytesMax()),
	}
}

// judge says what is wrong with a peer's hello, which came over a connection of that identity. Nil: nothing.
func (l *links) judge(h *hello, id identity) *refusal {
	c := &l.cfg
	switch {
	case h.versionMin > linkVersionMax || h.versionMax < linkVersionMin || h.versionMin > h.versionMax:
		return refuse(refusedVersion, "%s speaks the versions %d to %d of the protocol, and %s %d to %d: upgrade one of them",
			h.system, h.versionMin, h.versionMax, c.system, linkVersionMin, linkVersionMax)
	case h.cluster != c.cluster:
		return refuse(refusedCluster, "%s belongs to the cluster %q, and %s to %q: see ClusterID", h.system, h.cluster, c.system, c.cluster)
	case h.system == "":
		return refuse(refusedSystem, "a system without a name: see System")
	}
	if r := l.judgeIdentity(h, id); r != nil {
		return r
	}
	switch {
	case h.life == c.life:
		return refuse(refusedAddress, "%s has dialed itself, as %s: the address of a member leads to the wrong system", h.system, h.dialed)
	case h.dialed != c.address:
		return refuse(refusedAddress, "%s has dialed %q, and is to call %s %q, as it calls itself: see Advertise and the addresses of the members",
			h.system, h.dialed, c.system, c.address)
	case h.address == c.address:
		return refuse(refusedAddress, "%s says that it is reached at %s, as %s is: see Advertise", h.system, h.address, c.system)
	case h.system == c.system:
		return refuse(refusedSystem, "the system at %s has the same name as the one at %s, %q: see System", h.address, c.address, h.system)
	case h.store != 0 && h.store == c.store:
		return refuse(refusedStore, "%s and %s have the same store, %x: a directory has been copied; empty one of the two",
			h.system, c.system, h.store)
	case h.frameBytesMax < frameBytesMin:
		return refuse(refusedFrame, "%s takes frames of %d bytes at most, and the protocol asks for %d at least: upgrade it",
			h.system, h.frameBytesMax, frameBytesMin)
	default:
		return nil
	}
}

// judgeIdentity is judge of what a certificate says.
func (l *links) judgeIdentity(h *hello, id identity) *refusal {
	host, _, err := net.SplitHostPort(h.address)
	switch {
	case err != nil || host == "":
		return refuse(refusedAddress, "%s says that it is reached at %q, which is no HOST:PORT: see Advertise", h.system, h.address)
	case !l.cfg.isSecure():
		return nil
	case !id.verified:
		return refuse(refusedIdentity, "%s has no certificate that is believed", h.system)
	case id.system == "":
		return refuse(refusedIdentity, "the certificate of %s names no system, so it is a client's: a URI raft://%s/%s is missing in it",
			h.system, l.cfg.cluster, h.system)
	case id.cluster != l.cfg.cluster || id.system != h.system:
		return refuse(refusedIdentity, "%s of the cluster %q has a certificate for raft://%s/%s", h.system, h.cluster, id.cluster, id.system)
	}
	if id.hosts != nil {
		if err := id.hosts(host); err != nil {
			return refuse(refusedIdentity, "the certificate of %s does not cover its address %s: %v", h.system, h.address, err)
		}
	}
	return nil
}

func refuse(code refusalCode, format string, values ...any) *refusal {
	return &refusal{code: code, reason: fmt.Sprintf(format, values...)}
}

// A refusedError is the error of a handshake that one of the two has refused.
type refusedError struct {
	refusal refusal
	// here: by this system.
	here bool
}

func (e *refusedError) Error() string {
	who := "the peer"
	if e.here {
		who = "this system"
	}
	return fmt.Sprintf("raftremote: %s refuses the link: %s", who, e.refusal.reason)
}

// accepts makes a stream that of its line, if no other system claims the same name or store meanwhile.
func (l *links) accepts(s *stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return errStopped
	}
	if r := l.claimed(s.hello); r != nil {
		return &refusedError{*r, true}
	}
	p := l.peerLocked(s.hello.address)
	line := &p.control
	if s.hello.bulk {
		line = &p.bulk
	}
	s.line = line
	if err := line.install(s); err != nil {
		s.line = nil
		return err
	}
	l.cfg.observe()
	return nil
}

// claimed says whether another system that is linked has the name or the store of a peer. It is called with mu held.
func (l *links) claimed(h *hello) *refusal {
	for _, p := range l.peers {
		for _, line := range []*line{&p.control, &p.bulk} {
			line.mu.Lock()
			s := line.stream
			line.mu.Unlock()
			if s == nil {
				continue
			}
			other := s.hello
			switch {
			case other.system == h.system && (other.store != h.store || other.life != h.life || other.address != h.address):
				return refuse(refusedSystem, "another process that calls itself %q is linked, at %s: two systems have one name, or it is just being replaced",
					h.system, other.address)
			case other.address == h.address && other.system != h.system:
				return refuse(refusedSystem, "another process, %q, is linked as the one at %s: two systems have one address, or it is just being replaced",
					other.system, h.address)
			case other.store == h.store && h.store != 0 && other.system != h.system:
				return refuse(refusedStore, "the store %x is linked already, as that of %s: a directory has been copied; empty one of the two",
					h.store, other.system)
			}
		}
	}
	return nil
}

// isTakenBy says why who is not on a link may not call itself by an address: it is that of a member, or of another system. A
// certificate covers a host, and many processes may run there.
func (l *links) isTakenBy(address string, id identity) error {
	l.mu.RLock()
	p := l.peers[address]
	l.mu.RUnlock()
	if p == nil {
		return nil
	}
	if id.system == "" && p.placed.Load() > 0 {
		return fmt.Errorf("members are at %q, and its certificate names no system, so it is a client's", address)
	}
	p.control.mu.Lock()
	s := p.control.stream
	p.control.mu.Unlock()
	if s != nil && s.hello.system != id.system {
		return fmt.Errorf("the system %q is linked at %q, and its certificate is for %q", s.hello.system, address, id.system)
	}
	return nil
}
