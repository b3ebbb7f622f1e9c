package raft

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// typedSum adds numbers that are not negative; the question is a factor for the answer.
type typedSum struct {
	sum  int64
	last Position
}

var errNegative = errors.New("it is negative")

func (s *typedSum) Apply(at Position, add *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
	s.last = at
	if add.Value < 0 {
		return nil, errNegative
	}
	s.sum += add.Value
	return wrapperspb.Int64(s.sum), nil
}

func (s *typedSum) Query(factor *wrapperspb.Int64Value) (*wrapperspb.StringValue, error) {
	if factor.Value == 0 {
		return nil, errors.New("zero is no factor")
	}
	return wrapperspb.String(strings.Repeat("I", int(s.sum*factor.Value))), nil
}

func (s *typedSum) Snapshot() (View, error) { return counterView(s.sum), nil }
func (s *typedSum) Restore(io.Reader) error { return nil }

func TestTypedMachineAndClient(t *testing.T) {
	system, machine := quietSystem(), &typedSum{}
	pid, err := Spawn(system, Config{
		Group: "g", ID: 1, Members: []Member{{ID: 1}}, Store: NewMemoryStore(), Transport: NewMemoryTransport(),
	}, Typed(machine))
	if err != nil {
		t.Fatal(err)
	}
	defer stopAll(t, system, []*actor.PID{pid})
	untyped := NewClient(system, pid)
	defer untyped.Close()
	c := NewTypedClient(untyped, machine)
	ctx := within(t, 20*time.Second)
	for i, want := range []int64{1, 3, 6} {
		if got, err := c.Propose(ctx, wrapperspb.Int64(int64(i+1))); err != nil || got.Value != want {
			t.Errorf("got %v, %v, want %d", got, err, want)
		}
	}
	var refused *CommandError
	if got, err := c.Propose(ctx, wrapperspb.Int64(-1)); !errors.As(err, &refused) || err.Error() != errNegative.Error() || got != nil {
		t.Errorf("got %v, %v, want %v", got, err, errNegative)
	}
	// What is no message is a result as well, and the machine goes on.
	result, err := untyped.Propose(ctx, []byte{0xff})
	if err != nil || !strings.Contains(string(result.Data), "not a google.protobuf.Int64Value") {
		t.Errorf("got %q, %v", result.Data, err)
	}
	if machine.last.Index == 0 || machine.last.Index >= result.Index || machine.last.Term == 0 {
		t.Errorf("the last command was at %v, and another one at %d", machine.last, result.Index)
	}
	ended := make(chan error, 1)
	if err := c.ProposeAsync(ctx, wrapperspb.Int64(-1), func(_ *wrapperspb.Int64Value, err error) { ended <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.As(err, &refused) {
		t.Errorf("got %v, want a CommandError", err)
	}
	if got, err := c.Query(ctx, wrapperspb.Int64(2)); err != nil || got.Value != "IIIIIIIIIIII" {
		t.Errorf("got %v, %v", got, err)
	}
	// A callback proposes without waiting for room.
	chained := make(chan *wrapperspb.Int64Value, 1)
	err = c.TryProposeAsync(ctx, wrapperspb.Int64(0), func(*wrapperspb.Int64Value, error) {
		err := c.TryProposeAsync(ctx, wrapperspb.Int64(0), func(sum *wrapperspb.Int64Value, _ error) { chained <- sum })
		if err != nil {
			t.Error(err)
			close(chained)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-chained; got.GetValue() != 6 {
		t.Errorf("got %v", got)
	}
	if got, err := c.QueryLocal(ctx, wrapperspb.Int64(1), result.Index); err != nil || got.Value != "IIIIII" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.QueryLocal(ctx, wrapperspb.Int64(0), 0); !errors.Is(err, ErrQueryFailed) || got != nil {
		t.Errorf("got %v, %v, want ErrQueryFailed", got, err)
	}
	if got, err := c.Query(ctx, wrapperspb.Int64(0)); !errors.Is(err, ErrQueryFailed) || got != nil {
		t.Errorf("got %v, %v, want ErrQueryFailed", got, err)
	}
	if _, err := untyped.Query(ctx, []byte{0xff}); !errors.Is(err, ErrQueryFailed) {
		t.Errorf("got %v, want ErrQueryFailed", err)
	}
}

// Equal states give equal bytes, whatever the order of a map.
func TestTypedResultsAreDeterministic(t *testing.T) {
	m := Typed(echo{})
	fields := map[string]any{}
	for _, c := range "abcdefghijklmnop" {
		fields[string(c)] = float64(c)
	}
	command, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	encoded, _ := encode("proposing", command)
	want, _ := m.Apply(Command{Data: encoded})
	for range 50 {
		if got, _ := m.Apply(Command{Data: encoded}); string(got) != string(want) {
			t.Fatalf("got %x, and before %x", got, want)
		}
	}
	if got, err := decodeResult[*structpb.Struct](Result{Data: want}, nil); err != nil || got.Fields["c"].GetNumberValue() != 'c' {
		t.Errorf("got %v, %v", got, err)
	}
}

type echo struct{}

func (echo) Apply(_ Position, c *structpb.Struct) (*structpb.Struct, error) { return c, nil }
func (echo) Query(q *structpb.Struct) (*structpb.Struct, error)             { return q, nil }
func (echo) Snapshot() (View, error)                                        { return nil, nil }
func (echo) Restore(io.Reader) error                                        { return nil }

// What another machine returned is an error, not a panic.
func TestATypedClientOfAnotherMachine(t *testing.T) {
	for _, data := range []string{"", "\x00\xff", "\x07"} {
		if got, err := decodeResult[*wrapperspb.Int64Value](Result{Data: []byte(data)}, nil); err == nil || got != nil {
			t.Errorf("%x: got %v, %v", data, got, err)
		}
	}
	c := NewTypedClient[*wrapperspb.StringValue, *wrapperspb.StringValue, *wrapperspb.StringValue, *wrapperspb.StringValue](nil, nil)
	if _, err := c.Propose(context.Background(), wrapperspb.String("\xff")); !errors.Is(err, ErrNotApplied) {
		t.Errorf("got %v: it is not UTF-8, so it cannot be sent", err)
	}
}
