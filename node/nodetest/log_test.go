package nodetest_test

import (
	"errors"
	"testing"

	"example.com/raftactor/node"
	"example.com/raftactor/node/nodetest"
)

func entries(term node.Term, from, to node.Index) []node.Entry {
	var run []node.Entry
	for i := from; i <= to; i++ {
		run = append(run, node.Entry{Index: i, Term: term, Kind: node.EntryCommand, Data: []byte{byte(i)}})
	}
	return run
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	l := nodetest.NewLog(7)
	write := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(l.SetHardState(node.HardState{Term: 1}))
	write(l.Append(entries(1, 1, 3)))
	l.Sync(1)
	write(l.Append(entries(1, 4, 5)))
	l.Sync(2)
	write(l.Truncate(5))
	write(l.SetHardState(node.HardState{Term: 2}))
	l.Sync(3)
	write(l.Append(entries(2, 5, 9)))
	l.Complete(2) // covers the first, too

	if got := l.Durable().LastIndex(); got != 5 {
		t.Errorf("durable up to %d, want 5", got)
	}
	if got := l.LastIndex(); got != 9 {
		t.Errorf("written up to %d, want 9", got)
	}
	l.Complete(3) // what no Sync has named stays in doubt
	l.Crash()
	if got := l.LastIndex(); got != 4 {
		t.Errorf("up to %d after the crash, want 4", got)
	}
	if got := l.HardState().Term; got != 2 {
		t.Errorf("term %d after the crash, want 2", got)
	}
}

func TestOldEntriesAreWithheld(t *testing.T) {
	l := nodetest.NewLog(7)
	l.Withhold(2)
	if err := l.Append(entries(1, 1, 6)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Entries(4, 7, 1<<20); !errors.Is(err, node.ErrNotInMemory) {
		t.Errorf("entries from 4: %v, want %v", err, node.ErrNotInMemory)
	}
	if got, err := l.Entries(5, 7, 1<<20); err != nil || len(got) != 2 {
		t.Errorf("entries from 5: %v, %v, want two", got, err)
	}
	if got := l.Read(1, 99, 1<<20); len(got) != 6 {
		t.Errorf("read %v, want six entries", got)
	}
	if got := l.Read(7, 9, 1<<20); got != nil {
		t.Errorf("read %v, want nothing", got)
	}
}

func TestWritesFailWhenToldTo(t *testing.T) {
	l, broken := nodetest.NewLog(7), errors.New("broken")
	l.FailAfter(1, broken)
	if err := l.Append(entries(1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Append(entries(1, 2, 2)); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	}
	if got := l.LastIndex(); got != 1 {
		t.Errorf("written up to %d, want 1", got)
	}
}
