package raftremote

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// A fieldReader goes through the fields of one encoded message. What it gives out aliases the data. After the first error
// there are no more fields, and the rest of what it gives out is zero.
//
// While it reads it changes numbers only: pointers cost more to change while garbage is being collected.
type fieldReader struct {
	// message is what is read, for errors.
	message string
	data    []byte
	// at is how far it has read.
	at  int
	err error

	// Of the field that next has found: its number, its type, and its value, as a number or, if it has a length, from begins
	// to at.
	field  protowire.Number
	kind   protowire.Type
	value  uint64
	begins int
}

// next goes on to the next field, and is false at the end or after an error.
func (r *fieldReader) next() bool {
	if r.at >= len(r.data) || r.err != nil {
		return false
	}
	tag, ok := r.varint()
	if !ok || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		r.field = 0
		return r.fail("its field has no number")
	}
	r.field, r.kind = protowire.Number(tag>>3), protowire.Type(tag&7)
	switch r.kind {
	case protowire.BytesType:
		length, ok := r.varint()
		if !ok || length > uint64(len(r.data)-r.at) {
			return r.fail("the length goes beyond the end")
		}
		r.begins = r.at
		r.at += int(length)
	case protowire.VarintType:
		if r.value, ok = r.varint(); !ok {
			return r.fail("the number is cut off, or too large")
		}
	case protowire.Fixed64Type:
		if len(r.data)-r.at < 8 {
			return r.fail("the number is cut off")
		}
		r.value = binary.LittleEndian.Uint64(r.data[r.at:])
		r.at += 8
	case protowire.Fixed32Type:
		if len(r.data)-r.at < 4 {
			return r.fail("the number is cut off")
		}
		r.value = uint64(binary.LittleEndian.Uint32(r.data[r.at:]))
		r.at += 4
	default: // groups, which proto3 has not
		return r.fail("wire type %d is not known", r.kind)
	}
	return true
}

// varint reads on by a number.
func (r *fieldReader) varint() (uint64, bool) {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		r.at++
		return uint64(r.data[r.at-1]), true
	}
	v, n := protowire.ConsumeVarint(r.data[r.at:])
	if n < 0 {
		return 0, false
	}
	r.at += n
	return v, true
}

// fail ends the reading, and is false.
func (r *fieldReader) fail(format string, args ...any) bool {
	if r.err == nil {
		r.err = malformed(r.message, "field %d: %s", r.field, fmt.Sprintf(format, args...))
	}
	return false
}

// adopt ends the reading if there is an error in a message within this one.
func (r *fieldReader) adopt(err error) {
	if r.err == nil {
		r.err = err
	}
}

func malformed(message, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", errMalformed, message, fmt.Sprintf(format, args...))
}

func (r *fieldReader) is(kind protowire.Type) bool {
	return r.kind == kind || r.fail("wire type %d stands where %d belongs", r.kind, kind)
}

// uint is the value of a field that is a number up to a largest one.
func (r *fieldReader) uint(largest uint64) uint64 {
	if !r.is(protowire.VarintType) {
		return 0
	}
	if r.value > largest {
		r.fail("%d is more than %d", r.value, largest)
		return 0
	}
	return r.value
}

func (r *fieldReader) uint64() uint64 { return r.uint(math.MaxUint64) }
func (r *fieldReader) uint32() uint32 { return uint32(r.uint(math.MaxUint32)) }
func (r *fieldReader) int64() int64   { return int64(r.uint(math.MaxInt64)) }
func (r *fieldReader) bool() bool     { return r.uint64() != 0 }

func (r *fieldReader) fixed64() uint64 {
	if !r.is(protowire.Fixed64Type) {
		return 0
	}
	return r.value
}

func (r *fieldReader) fixed32() uint32 {
	if !r.is(protowire.Fixed32Type) {
		return 0
	}
	return uint32(r.value)
}

// raw is the value of a field that has a length. Empty is nil.
func (r *fieldReader) raw() []byte {
	if !r.is(protowire.BytesType) || r.begins == r.at {
		return nil
	}
	return r.data[r.begins:r.at:r.at]
}

// text is the value of a field that is text of at most so many bytes.
func (r *fieldReader) text(bytesMax int) string {
	b := r.raw()
	switch {
	case len(b) > bytesMax:
		r.fail("%d bytes, at most %d", len(b), bytesMax)
		return ""
	case !utf8.Valid(b):
		r.fail("it is no UTF-8")
		return ""
	}
	return string(b)
}

// once is raw for a message that may stand there once. Encoders write it once; merging what stands there several times
// would be work without an end.
func (r *fieldReader) once(seen bool) []byte {
	if seen {
		r.fail("it is there twice")
		return nil
	}
	return r.raw()
}

// countFields counts how often two fields stand in a message. What is malformed in it is found when it is read.
func countFields(data []byte, a, b protowire.Number) (countA, countB int) {
	r := fieldReader{data: data}
	for r.next() {
		switch r.field {
		case a:
			countA++
		case b:
			countB++
		}
	}
	return countA, countB
}
