package raftremote

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pidName is Proto.Actor's PID.
const pidName protoreflect.FullName = "actor.PID"

// payloadDepthMax is how deep messages may be in each other.
const payloadDepthMax = 64

// payloadWalk looks through a message on the wire, for whom it names, and for how much it would become in memory.
type payloadWalk struct {
	// left is how many parts may still come: other messages, and elements of lists.
	left int
	// names are the actors in it, in their order.
	names []namedActor
}

type namedActor struct{ address, id string }

var errParts = errors.New("more parts than its length can honestly stand for")

// walkPayload looks through a message of a class. A part takes eight bytes on average, or more.
func walkPayload(c *class, data []byte) ([]namedActor, error) {
	if c.flat {
		return nil, nil
	}
	w := payloadWalk{left: 1024 + len(data)/8}
	err := w.message(c.descriptor, data, payloadDepthMax)
	return w.names, err
}

func (w *payloadWalk) message(d protoreflect.MessageDescriptor, data []byte, depth int) error {
	if depth == 0 {
		return fmt.Errorf("messages in messages, more than %d deep", payloadDepthMax)
	}
	fields := d.Fields()
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return protowire.ParseError(n)
		}
		if field := fields.ByNumber(number); field != nil {
			if err := w.field(field, kind, data[:n], depth); err != nil {
				return err
			}
		}
		data = data[n:]
	}
	return nil
}

// field looks through the value of a field.
func (w *payloadWalk) field(field protoreflect.FieldDescriptor, kind protowire.Type, value []byte, depth int) error {
	d := field.Message()
	if d == nil && !field.IsList() {
		return nil
	}
	if w.left--; w.left < 0 {
		return errParts
	}
	switch {
	case d == nil:
		return nil
	case kind == protowire.BytesType:
		value, _ = protowire.ConsumeBytes(value)
	case kind == protowire.StartGroupType:
		value, _ = protowire.ConsumeGroup(field.Number(), value)
	default:
		return nil // protobuf skips it, too
	}
	if d.FullName() == pidName {
		if len(value) > pidBytesMax {
			return fmt.Errorf("%w: an actor's address and name are %d bytes, more than %d", errParts, len(value), pidBytesMax)
		}
		w.names = append(w.names, pidIn(value))
	}
	return w.message(d, value, depth-1)
}

// pidIn is the address and the name in an encoded PID, which is well-formed at its top.
func pidIn(data []byte) (named namedActor) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return namedActor{}
		}
		data = data[n:]
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data)
			switch number {
			case 1:
				named.address = string(value)
			case 2:
				named.id = string(value)
			}
		}
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return namedActor{}
		}
		data = data[n:]
	}
	return named
}
