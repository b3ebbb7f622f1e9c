package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	raft "example.com/raftactor/actor"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// say applies a command of a line.
func say(t testing.TB, h *history, index raft.Index, name, text string) {
	t.Helper()
	result, err := h.Apply(raft.Command{Index: index, Data: encodeCommand(name, text)})
	if err != nil || len(result) > 0 {
		t.Fatalf("line %d gives %q, %v", index, result, err)
	}
}

func askAll(t testing.TB, h *history, question []byte) (all []line) {
	t.Helper()
	for {
		answer, err := h.Query(question)
		must(t, err)
		lines, more, err := decodeAnswer(answer)
		must(t, err)
		all = append(all, lines...)
		if !more {
			return all
		}
		question = fromQuestion(all[len(all)-1].index + 1)
	}
}

func TestLinesAreRememberedInOrder(t *testing.T) {
	h := &history{}
	want := []line{{3, "Ann", "hello"}, {4, "Bob", ""}, {9, "Ann", "one\ntwo \x1b[31m"}}
	for _, l := range want {
		say(t, h, l.index, l.name, l.text)
	}
	for _, c := range []struct {
		name     string
		question []byte
		want     []line
	}{
		{"all", fromQuestion(0), want},
		{"from the middle", fromQuestion(4), want[1:]},
		{"from where there is none", fromQuestion(5), want[2:]},
		{"beyond the end", fromQuestion(10), nil},
		{"newest", newestQuestion(2), want[1:]},
		{"more than there are", newestQuestion(1 << 40), want},
	} {
		if got := askAll(t, h, c.question); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWhatIsNoLineIsIgnored(t *testing.T) {
	h := &history{}
	for name, command := range map[string][]byte{
		"nothing":       nil,
		"no name":       {0, 'x'},
		"name cut off":  {5, 'A', 'n', 'n'},
		"name too long": encodeCommand(strings.Repeat("n", nameBytesMax+1), "x"),
		"text too long": encodeCommand("Ann", strings.Repeat("x", textBytesMax+1)),
	} {
		if result, err := h.Apply(raft.Command{Index: 1, Data: command}); err != nil || len(result) == 0 {
			t.Errorf("%s: got %q, %v, want a result that says what is wrong", name, result, err)
		}
	}
	if len(h.lines) > 0 {
		t.Errorf("it remembers %v, want nothing", h.lines)
	}
}

func TestWhatIsNoQuestionIsAnError(t *testing.T) {
	for name, question := range map[string][]byte{
		"nothing": nil, "no number": {askFrom}, "cut off": {askFrom, 0x80}, "too long": {askFrom, 1, 1}, "unknown": {9, 1},
	} {
		if answer, err := (&history{}).Query(question); err == nil {
			t.Errorf("%s: got %q, want an error", name, answer)
		}
	}
}

func TestTheOldestLinesAreForgotten(t *testing.T) {
	h := &history{}
	for i := range raft.Index(keptLinesMax + 10) {
		say(t, h, i+1, "Ann", "x")
	}
	if len(h.lines) != keptLinesMax || h.lines[0].index != 11 {
		t.Errorf("%d lines from %d on are kept, want %d from 11 on", len(h.lines), h.lines[0].index, keptLinesMax)
	}
	long := strings.Repeat("x", textBytesMax)
	for i := range raft.Index(2 * keptBytesMax / textBytesMax) {
		say(t, h, keptLinesMax+11+i, "Ann", long)
	}
	total := 0
	for _, l := range h.lines {
		total += l.bytes()
	}
	if total != h.bytes || total > keptBytesMax || total < keptBytesMax-2*textBytesMax {
		t.Errorf("%d bytes are kept, counted as %d, want almost %d", total, h.bytes, keptBytesMax)
	}
}

// snapshotOf is what a view writes.
func snapshotOf(t testing.TB, h *history) []byte {
	t.Helper()
	v, err := h.Snapshot()
	must(t, err)
	defer v.Release()
	var b bytes.Buffer
	n, err := v.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("the view says that it wrote %d bytes, %v, and wrote %d", n, err, b.Len())
	}
	return b.Bytes()
}

func TestASnapshotIsTheWholeState(t *testing.T) {
	h := &history{}
	for i := range raft.Index(1000) {
		say(t, h, 2*i+1, fmt.Sprint("name", i%7), strings.Repeat("text ", int(i)))
	}
	view, err := h.Snapshot()
	must(t, err)
	want := snapshotOf(t, h)
	say(t, h, 5000, "Ann", "later") // which the view does not see
	var b bytes.Buffer
	_, err = view.WriteTo(&b)
	must(t, err)
	if !bytes.Equal(b.Bytes(), want) {
		t.Error("a view has changed with what was applied after it")
	}
	restored := &history{}
	say(t, restored, 1, "Eve", "of another life")
	must(t, restored.Restore(&b))
	say(t, restored, 5000, "Ann", "later")
	if !slices.Equal(restored.lines, h.lines) || restored.bytes != h.bytes {
		t.Errorf("%d lines of %d bytes were restored, want %d of %d, the same",
			len(restored.lines), restored.bytes, len(h.lines), h.bytes)
	}
}

func TestASnapshotThatIsCutOffIsAnError(t *testing.T) {
	h := &history{}
	say(t, h, 1, "Ann", "hello")
	whole := snapshotOf(t, h)
	for n := 1; n < len(whole); n++ {
		if err := new(history).Restore(bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("%d of %d bytes were restored without an error", n, len(whole))
		}
	}
}

func FuzzDecodeLines(f *testing.F) {
	f.Add(append([]byte{1}, appendLine(nil, line{7, "Ann", "hello"})...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if lines, _, err := decodeAnswer(data); err == nil {
			for _, l := range lines {
				again, rest, err := cutLine(appendLine(nil, l))
				if again != l || len(rest) > 0 || err != nil {
					t.Errorf("%v is encoded and decoded as %v, %v", l, again, err)
				}
			}
		}
		if name, text, err := decodeCommand(data); err == nil && !bytes.Equal(encodeCommand(name, text), data) {
			t.Errorf("%q is decoded as %q, %q", data, name, text)
		}
		_ = new(history).Restore(bytes.NewReader(data)) // without a panic
	})
}
