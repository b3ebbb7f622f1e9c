// Package proxytest is a TCP proxy for tests that can do to connections what networks do: delay, loss of a connection,
// silence in one direction, little bandwidth, connections of which one side does not know that they are gone, and refusing.
//
// It stands between who dials and a server:
//
//	p, err := proxytest.New(server.Addr().String())
//	defer p.Close()
//	dial(p.Addr())
//	p.Silence(proxytest.ToServer, true)
package proxytest
