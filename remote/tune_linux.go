package raftremote

import (
	"net"
	"syscall"
)

const (
	// What the kernel holds of what could not be sent yet, so that what is urgent does not wait behind megabytes.
	unsentBytesMax  = 128 << 10
	tcpNotSentLowat = 25 // not in package syscall
)

// tune makes a TCP connection hold back little. What does not work does no harm.
func tune(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := t.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsentBytesMax)
		})
	}
}
