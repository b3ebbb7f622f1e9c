package raft

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// TypedMachine is a [Machine] whose commands, results, questions and answers are protobuf messages: pointers to
// generated structs. One with several kinds of commands has a message with a oneof. What is said of Machine holds.
type TypedMachine[Command, Result, Question, Answer proto.Message] interface {
	// Apply carries out a committed command. An error is what is wrong with the command: it is the command's
	// result, which the proposer gets as a [*CommandError], and its text must be the same on every member.
	// Apply may keep the command.
	Apply(at Position, command Command) (Result, error)
	// Query answers a question without changing anything. An error is what the asker gets, as QUERY_FAILED.
	Query(question Question) (Answer, error)
	// Snapshot and Restore are those of Machine.
	Snapshot() (View, error)
	Restore(state io.Reader) error
}

// Position is the place of a command in the log.
type Position struct {
	Index Index
	Term  Term
}

// CommandError is what a [TypedMachine] has against a command, or that the command could not be decoded. The command
// has been applied, with this as its result, the same on all members.
type CommandError struct{ Reason string }

func (e *CommandError) Error() string { return e.Reason }

// Typed makes a [Machine] of a typed one. It is used by a [TypedClient] with the same four types. A command that
// cannot be decoded does not reach the machine; it has a [*CommandError] as its result.
func Typed[C, R, Q, A proto.Message](machine TypedMachine[C, R, Q, A]) Machine {
	return &typedMachine[C, R, Q, A]{machine}
}

type typedMachine[C, R, Q, A proto.Message] struct {
	machine TypedMachine[C, R, Q, A]
}

// The first byte of a result.
const (
	typedResult byte = iota
	typedError
)

// marshal is deterministic, as far as that goes: results are part of what members agree on.
var marshal = proto.MarshalOptions{Deterministic: true}

// Apply implements Machine. The texts of protobuf's errors differ from one build to the next, so they are not used.
func (m *typedMachine[C, R, Q, A]) Apply(command Command) ([]byte, error) {
	c := newMessage[C]()
	if proto.Unmarshal(command.Data, c) != nil {
		return commandError(fmt.Sprintf("the command is not a %s", c.ProtoReflect().Descriptor().FullName())), nil
	}
	r, err := m.machine.Apply(Position{command.Index, command.Term}, c)
	if err != nil {
		return commandError(err.Error()), nil
	}
	result, err := marshal.MarshalAppend([]byte{typedResult}, r)
	if err != nil {
		return commandError(fmt.Sprintf("the result cannot be encoded as a %s", r.ProtoReflect().Descriptor().FullName())), nil
	}
	return result, nil
}

func commandError(reason string) []byte { return append([]byte{typedError}, reason...) }

func (m *typedMachine[C, R, Q, A]) Query(payload []byte) ([]byte, error) {
	q := newMessage[Q]()
	if err := proto.Unmarshal(payload, q); err != nil {
		return nil, fmt.Errorf("the question is not a %s: %w", q.ProtoReflect().Descriptor().FullName(), err)
	}
	a, err := m.machine.Query(q)
	if err != nil {
		return nil, err
	}
	return marshal.Marshal(a)
}

func (m *typedMachine[C, R, Q, A]) Snapshot() (View, error)       { return m.machine.Snapshot() }
func (m *typedMachine[C, R, Q, A]) Restore(state io.Reader) error { return m.machine.Restore(state) }

// newMessage makes an empty message of the type, which is a pointer.
func newMessage[M proto.Message]() M {
	var none M
	return none.ProtoReflect().New().Interface().(M)
}

// TypedClient is a [Client] of a group whose machines were made by [Typed] with the same four types. It is safe for
// concurrent use.
type TypedClient[C, R, Q, A proto.Message] struct{ client *Client }

// NewTypedClient makes a typed client of a client, which goes on to be the caller's to close, and is there for all that
// has nothing to do with types. The machine only says what the four types are: a nil pointer does, as in
//
//	accounts := raft.NewTypedClient(client, (*account)(nil))
//
// It may be nil where the types are given.
func NewTypedClient[C, R, Q, A proto.Message](client *Client, _ TypedMachine[C, R, Q, A]) *TypedClient[C, R, Q, A] {
	return &TypedClient[C, R, Q, A]{client}
}

// Propose is [Client.Propose]. If the machine has something against the command, the error is a [*CommandError].
func (c *TypedClient[C, R, Q, A]) Propose(ctx context.Context, command C) (R, error) {
	var none R
	encoded, err := encode("proposing", command)
	if err != nil {
		return none, err
	}
	return decodeResult[R](c.client.Propose(ctx, encoded))
}

// ProposeAsync is [Client.ProposeAsync], for done with what Propose would return.
func (c *TypedClient[C, R, Q, A]) ProposeAsync(ctx context.Context, command C, done func(R, error)) error {
	return c.proposeAsync(ctx, command, done, true)
}

// TryProposeAsync is [Client.TryProposeAsync], for done with what Propose would return.
func (c *TypedClient[C, R, Q, A]) TryProposeAsync(ctx context.Context, command C, done func(R, error)) error {
	return c.proposeAsync(ctx, command, done, false)
}

func (c *TypedClient[C, R, Q, A]) proposeAsync(ctx context.Context, command C, done func(R, error), wait bool) error {
	encoded, err := encode("proposing", command)
	if err != nil {
		return err
	}
	ended := func(result Result, err error) { done(decodeResult[R](result, err)) }
	return c.client.proposeAsync(ctx, encoded, ended, wait)
}

// Query is [Client.Query].
func (c *TypedClient[C, R, Q, A]) Query(ctx context.Context, question Q) (A, error) {
	return c.ask(ctx, question, c.client.Query)
}

// QueryLocal is [Client.QueryLocal].
func (c *TypedClient[C, R, Q, A]) QueryLocal(ctx context.Context, question Q, minIndex Index) (A, error) {
	return c.ask(ctx, question, func(ctx context.Context, payload []byte) (Result, error) {
		return c.client.QueryLocal(ctx, payload, minIndex)
	})
}

func (c *TypedClient[C, R, Q, A]) ask(
	ctx context.Context, question Q, query func(context.Context, []byte) (Result, error),
) (A, error) {
	var none A
	encoded, err := encode("querying", question)
	if err != nil {
		return none, err
	}
	result, err := query(ctx, encoded)
	if err != nil {
		return none, err
	}
	return decode[A](result.Data)
}

func encode(doing string, message proto.Message) ([]byte, error) {
	encoded, err := marshal.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("raft: %s: %w: %w", doing, ErrNotApplied, err)
	}
	return encoded, nil
}

func decodeResult[R proto.Message](result Result, err error) (R, error) {
	var none R
	switch data := result.Data; {
	case err != nil:
		return none, err
	case len(data) > 0 && data[0] == typedError:
		return none, &CommandError{Reason: string(data[1:])}
	case len(data) > 0 && data[0] == typedResult:
		return decode[R](data[1:])
	default:
		return none, fmt.Errorf("raft: the command was applied at index %d, by a machine that was not made by Typed", result.Index)
	}
}

func decode[M proto.Message](data []byte) (M, error) {
	m := newMessage[M]()
	if err := proto.Unmarshal(data, m); err != nil {
		var none M
		return none, fmt.Errorf("raft: what the machine returned is not a %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return m, nil
}
