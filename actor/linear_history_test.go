package raft

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is what a history's key has to behave like: a value, and the operations on it, one after the other.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		next, result := input.(command).on(state.(string))
		got := output.(outcomeOf)
		return !got.known || got.result == result, next
	},
	Hash: func(state any) uint64 { return maphash.String(stateSeed, state.(string)) },
}

var stateSeed = maphash.MakeSeed()

// outcomeOf is what the client of an operation was told of it.
type outcomeOf struct {
	known  bool
	result string
}

// explain says what is wrong with a history, or nothing if it is linearizable. Keys have nothing to do with each other,
// so each is judged by itself.
func explain(history []*operation) string {
	byKey := map[string][]*operation{}
	var names []string
	for _, o := range history {
		if byKey[o.key] == nil {
			names = append(names, o.key)
		}
		byKey[o.key] = append(byKey[o.key], o)
	}
	for _, key := range names {
		operations := asOperations(byKey[key])
		result := porcupine.CheckOperationsTimeout(register, operations, time.Minute)
		if result != porcupine.Ok {
			return fmt.Sprintf("the history of %s is %v, want it to be linearizable:\n%s%s",
				key, result, table(byKey[key]), longest(operations))
		}
	}
	return ""
}

// asOperations leaves out what has no effect.
func asOperations(history []*operation) (operations []porcupine.Operation) {
	for _, o := range history {
		if o.fate == never || o.verb == get && o.fate != answered {
			continue
		}
		operations = append(operations, porcupine.Operation{
			ClientId: o.client, Input: o.command, Call: o.call, Return: o.end,
			Output: outcomeOf{o.fate == answered, o.result},
		})
	}
	return operations
}

// table is a history for people.
func table(history []*operation) string {
	byCall := func(a, b *operation) int { return cmp.Compare(a.call, b.call) }
	history = slices.SortedStableFunc(slices.Values(history), byCall)
	var b strings.Builder
	for _, o := range history {
		end, result := fmt.Sprint(o.end), fmt.Sprintf("-> %q", o.result)
		if o.end == math.MaxInt64 {
			end = "..."
		}
		if o.fate != answered {
			result = []string{"open", "", "unknown", "not applied"}[o.fate]
		}
		fmt.Fprintf(&b, "%6d to %6s  client %d: %v %s\n", o.call, end, o.client, o, result)
	}
	return b.String()
}

// longest is the longest order that could be found of operations that have none.
func longest(operations []porcupine.Operation) string {
	_, info := porcupine.CheckOperationsVerbose(register, operations, time.Minute)
	var longest []porcupine.Operation
	for _, order := range info.PartialLinearizationsOperations() {
		for _, o := range order {
			if len(o) > len(longest) {
				longest = o
			}
		}
	}
	var b strings.Builder
	b.WriteString("in this order they make sense, as far as it goes:\n")
	for _, o := range longest {
		fmt.Fprintf(&b, "%17s client %d: %v %v\n", "", o.ClientId, o.Input, o.Output)
	}
	return b.String()
}

// past is an operation that a client was told the result of.
func past(call, end int64, verb, value, result string) *operation {
	return &operation{
		command: command{verb: verb, key: "k", value: value}, call: call, end: end, fate: answered, result: result,
	}
}

// swapped is one that compares.
func swapped(call, end int64, expected, value, result string) *operation {
	o := past(call, end, compareSwap, value, result)
	o.expected = expected
	return o
}

// vague is one whose fate the client does not know.
func vague(call int64, verb, value string) *operation {
	return &operation{command: command{verb: verb, key: "k", value: value}, call: call, end: math.MaxInt64, fate: unknown}
}

func TestHistoriesAreToldFromOneAnother(t *testing.T) {
	failed := vague(1, put, "a")
	failed.fate = never
	elsewhere := past(3, 4, get, "", "")
	elsewhere.key = "other"
	for name, c := range map[string]struct {
		history      []*operation
		linearizable bool
	}{
		"nothing": {nil, true},
		"one after the other": {[]*operation{
			past(1, 2, put, "a", ""), past(3, 4, appendTo, "b", "ab"), past(5, 6, get, "", "ab"),
			swapped(7, 8, "ab", "c", "ab"), past(9, 10, get, "", "c"),
		}, true},
		"at the same time, in either order": {[]*operation{
			past(1, 9, appendTo, "a", "ba"), past(1, 9, appendTo, "b", "b"), past(2, 8, get, "", "b"),
		}, true},
		"a stale read": {[]*operation{
			past(1, 2, put, "a", ""), past(3, 4, put, "b", "a"), past(5, 6, get, "", "a"),
		}, false},
		"a read that goes back": {[]*operation{
			past(1, 9, put, "a", ""), past(2, 3, get, "", "a"), past(4, 5, get, "", ""), past(6, 7, get, "", "a"),
		}, false},
		"an acknowledged command that is lost": {[]*operation{past(1, 2, appendTo, "a", "a"), past(3, 4, appendTo, "b", "b")}, false},
		"a command that is applied twice":      {[]*operation{past(1, 2, appendTo, "a", "a"), past(3, 4, get, "", "aa")}, false},
		"a value that nobody has written":      {[]*operation{past(1, 2, put, "a", ""), past(3, 4, get, "", "x")}, false},
		"a read from the future":               {[]*operation{past(1, 2, get, "", "a"), past(3, 4, put, "a", "")}, false},
		"two swaps of the same":                {[]*operation{swapped(1, 8, "", "a", ""), swapped(2, 7, "", "b", "")}, false},
		"a swap that fails": {[]*operation{
			past(1, 2, put, "a", ""), swapped(3, 4, "b", "c", "a"), past(5, 6, get, "", "a"),
		}, true},
		"another key":           {[]*operation{past(1, 2, put, "a", ""), elsewhere}, true},
		"unknown, and seen":     {[]*operation{vague(1, put, "a"), past(5, 6, get, "", "a")}, true},
		"unknown, and not seen": {[]*operation{vague(1, put, "a"), past(5, 6, get, "", "")}, true},
		"unknown, and seen late": {[]*operation{
			vague(1, put, "a"), past(5, 6, get, "", ""), past(7, 8, get, "", "a"),
		}, true},
		"unknown, and seen before it was made": {[]*operation{past(1, 2, get, "", "a"), vague(3, put, "a")}, false},
		"unknown, and seen twice":              {[]*operation{vague(1, appendTo, "a"), past(5, 6, get, "", "aa")}, false},
		"unknown, and seen and gone": {[]*operation{
			vague(1, put, "a"), past(5, 6, get, "", "a"), past(7, 8, get, "", ""),
		}, false},
		"not applied, and seen": {[]*operation{failed, past(5, 6, get, "", "a")}, false},
	} {
		text := explain(c.history)
		if (text == "") != c.linearizable {
			t.Errorf("%s: linearizable is %v, want %v\n%s", name, text == "", c.linearizable, text)
		}
		for _, o := range c.history {
			if text != "" && !strings.Contains(text, o.String()) {
				t.Errorf("%s: %v is not in the text:\n%s", name, o, text)
			}
		}
	}
}
