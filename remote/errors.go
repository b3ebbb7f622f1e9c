package raftremote

import "fmt"

// An AddressError says that an actor system has another address than its remote says to others, so that answers would go
// astray.
type AddressError struct {
	// Address is that of the actor system, "nonhost" if its remoting has not been started.
	Address string
	// Advertise is what the remote says.
	Advertise string
}

func (e *AddressError) Error() string {
	if e.Address == localAddress {
		return fmt.Sprintf("raftremote: Proto.Actor's remoting has not been started yet: start it first, so that this system is "+
			"called %q by itself as well", e.Advertise)
	}
	return fmt.Sprintf("raftremote: this actor system calls itself %q, and others are told %q: give Config.Advertise and "+
		"Proto.Actor's advertised host the same spelling", e.Address, e.Advertise)
}

// A StartError says why remoting could not be started. Nothing of it is left running.
type StartError struct {
	// Listen is where it was to listen.
	Listen string
	Err    error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("raftremote: cannot start on %q: %v", e.Listen, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }

// localAddress is what Proto.Actor calls a system without remoting.
const localAddress = "nonhost"
