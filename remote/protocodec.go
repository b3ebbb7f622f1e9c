package raftremote

import (
	"fmt"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// serverCodec is the one codec of the server, whatever a client asks for. It decodes what it knows, with limits, and nothing
// else.
type serverCodec struct{}

// Name implements gRPC's encoding.CodecV2.
func (serverCodec) Name() string { return "proto" }

// Marshal implements gRPC's encoding.CodecV2.
func (serverCodec) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("raftremote: a %T is no message", v)
	}
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal implements gRPC's encoding.CodecV2. A request of a unary method is not looked at: the guard refuses it.
func (serverCodec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *inbound:
		v.decode(data.Materialize())
		return nil
	case proto.Message:
		return nil
	default:
		return fmt.Errorf("raftremote: a %T is no message", v)
	}
}

// inbound is a frame of Proto.Actor's that has come in.
type inbound struct {
	message *remote.RemoteMessage
	// fault says why there is none.
	fault refusalReason
	err   error
}

func (in *inbound) decode(data []byte) {
	in.message, in.fault = &remote.RemoteMessage{}, ""
	scan := frameScan{left: partsMax}
	if in.fault, in.err = scan.message(data); in.fault != "" {
		return
	}
	if err := proto.Unmarshal(data, in.message); err != nil {
		in.fault, in.err = reasonMalformed, err
	}
}

const (
	// partsMax is how many envelopes, names, and actors may be in a frame together. Empty ones take two bytes on the wire and
	// a hundred in memory, so they are counted before they are decoded.
	partsMax = 16 << 10
	// headerBytesMax is how long the header of a message may be, for the same reason.
	headerBytesMax = 16 << 10
)

// The fields of remote.proto that are counted.
const (
	fieldBatch          = 1 // in RemoteMessage
	fieldTypeNames      = 1 // in MessageBatch
	fieldSenders        = 4
	fieldEnvelopes      = 3
	fieldEnvelopeHeader = 6 // in MessageEnvelope
)

// frameScan counts what a frame would become, without decoding it.
type frameScan struct{ left int }

func (s *frameScan) message(data []byte) (refusalReason, error) {
	return eachField(data, func(number protowire.Number, value []byte) (refusalReason, error) {
		if number == fieldBatch {
			return s.batch(value)
		}
		return "", nil
	})
}

func (s *frameScan) batch(data []byte) (refusalReason, error) {
	return eachField(data, func(number protowire.Number, value []byte) (refusalReason, error) {
		if number >= fieldTypeNames && number <= fieldSenders {
			if s.left--; s.left < 0 {
				return reasonTooMuch, fmt.Errorf("more than %d envelopes, names and actors in one frame", partsMax)
			}
		}
		if number == fieldEnvelopes {
			return s.envelope(value)
		}
		return "", nil
	})
}

func (s *frameScan) envelope(data []byte) (refusalReason, error) {
	bytes := 0
	return eachField(data, func(number protowire.Number, value []byte) (refusalReason, error) {
		if number == fieldEnvelopeHeader {
			if bytes += len(value); bytes > headerBytesMax {
				return reasonTooMuch, fmt.Errorf("a header of more than %d bytes", headerBytesMax)
			}
		}
		return "", nil
	})
}

// eachField calls visit with the fields of a message that have a length, until that finds a fault.
func eachField(data []byte, visit func(protowire.Number, []byte) (refusalReason, error)) (refusalReason, error) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return reasonMalformed, protowire.ParseError(n)
		}
		data = data[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return reasonMalformed, protowire.ParseError(n)
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return reasonMalformed, protowire.ParseError(n)
		}
		data = data[n:]
		if fault, err := visit(number, value); fault != "" {
			return fault, err
		}
	}
	return "", nil
}
