package node

import (
	"errors"
	"strings"
	"testing"
)

func TestSyncIsAskedForOncePerStagedStep(t *testing.T) {
	s := start(t, given{}).leads()
	wantSome(t, s.proposes("a"), "sync 3")
	wantSome(t, s.proposes("b"), "sync 4")
	want(t, s.does(&Synced{Seq: 4})) // merged: it covers 3
	equal(t, "durable", s.disk.durable, 4)
	want(t, s.does(&Synced{Seq: 3}))
	equal(t, "durable", s.disk.durable, 4)
}

func TestSyncsCompleteInParts(t *testing.T) {
	s := start(t, given{}).leads()
	s.proposes("a")
	s.proposes("b")
	s.does(&Synced{Seq: 3})
	equal(t, "durable", s.disk.durable, 3)
	equal(t, "unsynced", s.disk.unsynced(), true)
}

// TestLateCompletionDoesNotVouchForWhatReplacedIt is the ABA race of asynchronous appends: entry 4
// is written in term 2, replaced in term 3, and its first content comes again in term 4.
func TestLateCompletionDoesNotVouchForWhatReplacedIt(t *testing.T) {
	s := follower2(t)
	s.gets(s.append(1, 2, c3, 0, command(4, 2, "a")))
	equal(t, "seq of a", s.disk.seq, 1)
	s.gets(s.append(3, 3, c3, 0, command(4, 3, "b")))
	equal(t, "seq of b", s.disk.seq, 2)
	want(t, s.does(&Synced{Seq: 1}))
	equal(t, "durable, since a is gone", s.disk.durable, 3)
	want(t, s.gets(s.append(1, 4, c3, 4, command(4, 4, "a"))),
		"apply 1@1{1 2 3} 2@1=c2 3@2=c3",
		"members {1 2 3}@1 committed=true",
		"leader 1 t4",
		"sync 3",
		"->1 AppendEntriesReply t4 match 4 commit 4")
	want(t, s.does(&Synced{Seq: 2}))
	equal(t, "durable, since b is gone", s.disk.durable, 3)
	want(t, s.does(&Synced{Seq: 3}), "apply 4@4=a")
}

func TestLateCompletionOfATruncatedWriteKeepsItsPrefix(t *testing.T) {
	s := follower2(t)
	s.gets(s.append(1, 2, c3, 0, command(4, 2, "a"), command(5, 2, "b"), command(6, 2, "c")))
	s.gets(s.append(3, 3, command(5, 2, ""), 0, command(6, 3, "d")))
	s.does(&Synced{Seq: 1})
	equal(t, "durable", s.disk.durable, 5)
	s.does(&Synced{Seq: 2})
	equal(t, "durable", s.disk.durable, 6)
}

func TestSyncedBeyondWhatWasAskedForIsABrokenInvariant(t *testing.T) {
	s := start(t, given{})
	err := panicked(func() { _, _ = s.Step(&Synced{Seq: 1}) })
	var broken *InvariantError
	if !errors.As(err, &broken) || broken.ID != 1 {
		t.Fatalf("got %v, want an InvariantError of member 1", err)
	}
	if _, again := s.Step(&Tick{Elapsed: 1}); !errors.Is(again, err) || !errors.Is(s.Err(), err) {
		t.Errorf("later steps return %v, want %v", again, err)
	}
}

func panicked(f func()) (err error) {
	defer func() { err, _ = recover().(error) }()
	f()
	return nil
}

// failingLog fails every write from the one on with number at.
type failingLog struct {
	*MemoryLog
	writes, at int
}

var errDisk = errors.New("disk on fire")

func (l *failingLog) write() error {
	l.writes++
	if l.writes >= l.at {
		return errDisk
	}
	return nil
}

func (l *failingLog) Append(entries []Entry) error {
	return errors.Join(l.write(), l.MemoryLog.Append(entries))
}

func (l *failingLog) Truncate(from Index) error {
	return errors.Join(l.write(), l.MemoryLog.Truncate(from))
}

func (l *failingLog) SetHardState(h HardState) error {
	return errors.Join(l.write(), l.MemoryLog.SetHardState(h))
}

func (l *failingLog) SetMet(a Acquaintance) error {
	return errors.Join(l.write(), l.MemoryLog.SetMet(a))
}

func (l *failingLog) SetFounding(c Configuration) error {
	return errors.Join(l.write(), l.MemoryLog.SetFounding(c))
}

func (l *failingLog) Compact(meta SnapshotMeta, through Index) error {
	return errors.Join(l.write(), l.MemoryLog.Compact(meta, through))
}

func (l *failingLog) Install(meta SnapshotMeta) error {
	return errors.Join(l.write(), l.MemoryLog.Install(meta))
}

// TestStorageErrorIsFinal: the step in which a write fails returns no action, so that nothing
// leaves which rests on it, and neither does any later one, whatever the log says then.
func TestStorageErrorIsFinal(t *testing.T) {
	offer := SnapshotMeta{Index: 9, Term: 2, Configuration: founders(1, 2, 3), ConfigurationIndex: 1}
	for name, c := range map[string]struct {
		members Configuration
		event   func(s *subject) Event
		at      int
	}{
		"hard state": {founders(1, 2, 3), func(s *subject) Event {
			return &Receive{Message: s.voteOf(1, 5, 3, 2)}
		}, 1},
		"append": {founders(1, 2, 3), func(s *subject) Event {
			return &Receive{Message: s.append(1, 2, c3, 0, command(4, 2, "a"))}
		}, 1},
		"truncate": {founders(1, 2, 3), func(s *subject) Event {
			return &Receive{Message: s.append(1, 2, command(2, 1, ""), 0, empty(3, 2))}
		}, 1},
		"append behind a truncation": {founders(1, 2, 3), func(s *subject) Event {
			return &Receive{Message: s.append(1, 3, command(2, 1, ""), 0, empty(3, 3))}
		}, 3},
		"life of a peer": {Voters(1, 2, 3), func(s *subject) Event {
			return &Receive{Message: s.preVoteOf(1, 2, 3, 2)}
		}, 1},
		"install": {founders(1, 2, 3), func(s *subject) Event {
			return &SnapshotReceived{Message: &InstallSnapshot{Header: s.from(1, 2), Meta: offer}}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			terms := []Term{1, 2}
			if name == "truncate" {
				terms = []Term{1, 1}
			}
			log := &failingLog{
				MemoryLog: given{id: 2, members: c.members, terms: terms, hard: HardState{Term: 2}}.log(t), at: c.at,
			}
			n, err := New(Config{ID: 2}, log)
			must(t, err)
			s := &subject{Node: n, tb: t, store: log.MemoryLog}
			event := c.event(s)
			actions, err := s.Step(event)
			if len(actions) != 0 || !errors.Is(err, errDisk) {
				t.Fatalf("got %d actions and %v, want none and %v", len(actions), err, errDisk)
			}
			if !strings.Contains(err.Error(), "member 2") {
				t.Errorf("%q does not say who it was", err)
			}
			log.at = 1 << 30 // the disk is well again, or says so
			for _, e := range []Event{event, &Tick{Elapsed: 1}, &Synced{Seq: 1}} {
				if actions, again := s.Step(e); len(actions) != 0 || again != err {
					t.Errorf("%T: %d actions and %v, want none and %v", e, len(actions), again, err)
				}
			}
		})
	}
}

func TestFailureToCompactIsFinal(t *testing.T) {
	log := &failingLog{MemoryLog: given{members: founders(1)}.log(t), at: 1 << 30}
	n, err := New(Config{ID: 1, SnapshotEntries: 2}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	s.becomes(Leader)
	log.at = 0
	_, err = s.Step(&Snapshotted{Meta: SnapshotMeta{Index: 2, Term: 2, Configuration: founders(1), ConfigurationIndex: 1}})
	if !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
}

func TestActionsAreWipedInCheckedBuilds(t *testing.T) {
	if !checked {
		t.Skip("only checked builds wipe them")
	}
	s := start(t, given{})
	s.ticks(s.election.timeout - s.election.elapsed - 1)
	actions, err := s.Step(&Tick{Elapsed: 1})
	must(t, err)
	kept := actions[0].(*Send)
	s.ticks(1)
	if kept.Message != nil {
		t.Errorf("what was kept across a step still says %v", kept.Message)
	}
}

func TestUnknownEventPanics(t *testing.T) {
	s := start(t, given{})
	defer func() {
		if recover() == nil {
			t.Error("nil is taken for an event")
		}
	}()
	_, _ = s.Step(nil)
}

// cutLog takes a number of writes and then loses all others, as a crash does.
type cutLog struct {
	*MemoryLog
	left int
}

func (l *cutLog) takes() bool { l.left--; return l.left >= 0 }

func (l *cutLog) Append(entries []Entry) error {
	if l.takes() {
		return l.MemoryLog.Append(entries)
	}
	return nil
}

func (l *cutLog) SetHardState(s HardState) error {
	if l.takes() {
		return l.MemoryLog.SetHardState(s)
	}
	return nil
}

func (l *cutLog) SetFounding(c Configuration) error {
	if l.takes() {
		return l.MemoryLog.SetFounding(c)
	}
	return nil
}

// TestCrashDuringBootstrapIsSurvived: whatever prefix of the first writes is left.
func TestCrashDuringBootstrapIsSurvived(t *testing.T) {
	for writes := range 4 {
		log := &cutLog{MemoryLog: NewMemoryLog(life(1)), left: writes}
		cfg := Config{ID: 1, Bootstrap: founders(1, 2, 3)}
		_, err := New(cfg, log)
		must(t, err)
		s := startOn(t, cfg, log.MemoryLog)
		equal(t, "commit", s.commit, 1)
		equal(t, "founding", log.Founding().Equal(cfg.Bootstrap), true)
	}
}
