//go:build !linux

package raftremote

import "net"

// tune does nothing where it is not known how.
func tune(net.Conn) {}
