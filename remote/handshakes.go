package raftremote

import (
	"errors"
	"net"
	"net/netip"
	"slices"
)

// handshakesMin is how many handshakes may be under way at least, however few connections there may be.
const handshakesMin = 16

var errDisplaced = errors.New("raftremote: there were too many handshakes at once, and this was the oldest one of the host with most of them")

// handshakes are connections whose handshake is under way, by the host that has made them, the oldest first. Who floods this
// system with connections displaces its own: one that is quick, or comes from another host, gets through. Whoever owns it
// has a lock.
type handshakes struct {
	hosts map[string][]*trackedConn
	count int
}

func (h *handshakes) add(t *trackedConn) {
	if h.hosts == nil {
		h.hosts = map[string][]*trackedConn{}
	}
	host := hostOf(t.RemoteAddr())
	h.hosts[host] = append(h.hosts[host], t)
	h.count++
}

func (h *handshakes) remove(t *trackedConn) {
	host := hostOf(t.RemoteAddr())
	all := h.hosts[host]
	k := slices.Index(all, t)
	if k < 0 {
		return
	}
	h.count--
	if len(all) == 1 {
		delete(h.hosts, host)
		return
	}
	h.hosts[host] = slices.Delete(all, k, k+1)
}

// takeOldest removes the oldest one of the host that has most, and returns it, or nil.
func (h *handshakes) takeOldest() *trackedConn {
	var most []*trackedConn
	for _, all := range h.hosts {
		if len(all) > len(most) || len(all) == len(most) && len(all) > 0 && all[0].at < most[0].at {
			most = all
		}
	}
	if most == nil {
		return nil
	}
	t := most[0]
	h.remove(t)
	return t
}

// hostOf is whom an address counts for: of IPv6 that is a network, since each has as many addresses as it likes.
func hostOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	parsed, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := parsed.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.WithZone("").Prefix(64)
	return network.String()
}
