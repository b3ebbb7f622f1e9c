package node

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fed is a follower of 1 in term 2 whose machine has applied 1@1 2@1 3@2, and that may be handed so many bytes.
func fed(tb testing.TB, unappliedBytesMax int) *subject {
	tb.Helper()
	cfg := Config{SnapshotEntries: Unlimited, UnappliedBytesMax: unappliedBytesMax}
	s := start(tb, given{id: 2, terms: []Term{1, 2}, cfg: cfg}).follows(1, 2)
	s.gets(&Heartbeat{Header: s.from(1, 2), Commit: 3})
	for s.machine.applied < 3 {
		s.does(&MachineApplied{Index: s.applied})
	}
	return s
}

// ten is a command that counts ten bytes more than an entry without data.
func ten(i Index) Entry { return command(i, 2, strings.Repeat("x", 10)) }

// takes appends and commits entries from the leader, all durable, and returns what is handed over.
func (s *subject) takes(entries ...Entry) []string {
	s.tb.Helper()
	prev := Entry{Index: s.terms.last, Term: s.terms.lastTerm()}
	s.gets(s.append(1, 2, prev, entries[len(entries)-1].Index, entries...))
	return s.syncs()
}

func TestAMachineThatIsBehindIsHandedNoMore(t *testing.T) {
	const each = entryBytesOverhead + 10
	s := fed(t, 4*each)
	want(t, s.takes(ten(4), ten(5), ten(6)), "apply"+renderEntries([]Entry{ten(4), ten(5), ten(6)}))
	want(t, s.takes(ten(7), ten(8)), "apply"+renderEntries([]Entry{ten(7)}))
	want(t, s.takes(ten(9)))
	equal(t, "commit", s.commit, 9)
	equal(t, "handed over", s.applied, 7)
	equal(t, "bytes", s.Overview().UnappliedBytes, 4*each)

	want(t, s.does(&MachineApplied{Index: 5})) // in the middle of a run
	equal(t, "known", s.Overview().MachineApplied, 5)
	want(t, s.does(&MachineApplied{Index: 6}), "apply"+renderEntries([]Entry{ten(8), ten(9)}))
	want(t, s.does(&MachineApplied{Index: 9}))
	equal(t, "bytes", s.Overview().UnappliedBytes, 0)
	want(t, s.takes(ten(10)), "apply"+renderEntries([]Entry{ten(10)}))
}

func TestHandingOverGoesOnWhenHalfIsApplied(t *testing.T) {
	const each = entryBytesOverhead + 10
	s := fed(t, 4*each)
	for i := Index(4); i < 12; i++ {
		s.takes(ten(i))
	}
	want(t, s.does(&MachineApplied{Index: 4}))
	want(t, s.does(&MachineApplied{Index: 5}), "apply"+renderEntries([]Entry{ten(8), ten(9)}))
}

func TestOneEntryIsHandedOverHoweverSmallTheLimit(t *testing.T) {
	s := fed(t, 1)
	want(t, s.takes(ten(4), ten(5)), "apply"+renderEntries([]Entry{ten(4)}))
	want(t, s.does(&MachineApplied{Index: 4}), "apply"+renderEntries([]Entry{ten(5)}))
}

func TestReportsMayBeLateAndRepeated(t *testing.T) {
	s := fed(t, 1)
	s.takes(ten(4), ten(5), ten(6))
	s.does(&MachineApplied{Index: 4})
	for _, late := range []Index{4, 0, 2, 4} {
		before := s.state()
		want(t, s.does(&MachineApplied{Index: late}))
		equal(t, "state", s.state(), before)
	}
	want(t, s.does(&MachineApplied{Index: 5}), "apply"+renderEntries([]Entry{ten(6)}))
}

func TestReportOfWhatWasNotHandedOverIsADriversMistake(t *testing.T) {
	s := fed(t, 1)
	s.takes(ten(4), ten(5))
	err := panicked(func() { _, _ = s.Step(&MachineApplied{Index: 5}) })
	var broken *InvariantError
	if !errors.As(err, &broken) || !strings.Contains(broken.Detail, "MachineApplied 5: only 4") {
		t.Fatalf("got %v, want an InvariantError that says what was handed over", err)
	}
	if _, again := s.Step(&Tick{Elapsed: 1}); !errors.Is(again, err) {
		t.Errorf("later steps return %v, want %v", again, err)
	}
}

func TestWhatWasWithheldIsReadIfItIsNotInMemory(t *testing.T) {
	log := &absentLog{MemoryLog: given{id: 2, terms: []Term{1, 1, 1}}.log(t), absent: 3}
	n, err := New(Config{ID: 2, UnappliedBytesMax: 1}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	s.gets(s.append(1, 2, command(4, 1, ""), 4))
	first, second := configurationAt(1, 1, founders(1, 2, 3)), command(2, 1, "c2")
	want(t, s.does(&EntriesRead{For: 2, Lo: 1, Hi: 5, Entries: []Entry{first}}), "apply 1@1{1 2 3}")
	want(t, s.does(&Tick{Elapsed: 1})) // and reads nothing
	want(t, s.does(&MachineApplied{Index: 1}), "read for 2: 2 to 5")
	want(t, s.does(&MachineApplied{Index: 1})) // which is under way
	want(t, s.does(&EntriesRead{For: 2, Lo: 2, Hi: 5, Entries: []Entry{second}}), "apply 2@1=c2")
	want(t, s.does(&MachineApplied{Index: 2}), "read for 2: 3 to 5")
}

func TestNoMoreIsReadThanTheMachineHasRoomFor(t *testing.T) {
	log := &absentLog{MemoryLog: given{id: 2, terms: []Term{1, 1, 1}}.log(t), absent: 3}
	n, err := New(Config{ID: 2, UnappliedBytesMax: 1000}, log)
	must(t, err)
	s := &subject{Node: n, tb: t, store: log.MemoryLog}
	bytesMax := func(e Event) int {
		actions, err := s.Step(e)
		must(t, err)
		for _, a := range actions {
			if read, ok := a.(*ReadEntries); ok {
				return read.BytesMax
			}
		}
		return 0
	}
	equal(t, "room", bytesMax(&Receive{Message: s.append(1, 2, command(4, 1, ""), 4)}), 1000)
	first := configurationAt(1, 1, founders(1, 2, 3))
	equal(t, "room", bytesMax(&EntriesRead{For: 2, Lo: 1, Hi: 5, Entries: []Entry{first}}), 1000-first.bytes())
}

func TestSnapshotOfAMachineThatIsBehindCoversWhatItWasHanded(t *testing.T) {
	s := fed(t, 1)
	s.takes(ten(4), ten(5), ten(6))
	want(t, s.does(&RequestSnapshot{}), "take snapshot 4@2 {1 2 3}@1")
	s.does(&Snapshotted{Meta: metaAt(4, 2)})
	want(t, s.does(&MachineApplied{Index: 4}), "apply"+renderEntries([]Entry{ten(5)}))
}

func TestWhatAnInstalledSnapshotReplacesCountsUntilItIsRestored(t *testing.T) {
	s := fed(t, 100)
	s.takes(ten(4), ten(5), ten(6), ten(7))
	s.does(&SnapshotReceived{Message: s.offer(1, 2, metaAt(9, 2))})
	s.gets(s.append(1, 2, command(9, 2, ""), 11, ten(10), ten(11)))
	want(t, s.syncs())
	want(t, s.does(&Restored{Index: 5})) // which nobody asked for
	want(t, s.does(&Restored{Index: 9}), "apply"+renderEntries([]Entry{ten(10), ten(11)}))
	equal(t, "bytes", s.Overview().UnappliedBytes, 2*(entryBytesOverhead+10))
	want(t, s.does(&MachineApplied{Index: 7})) // from before
	equal(t, "known", s.Overview().MachineApplied, 9)
}

func TestReadIsReadyBeforeTheMachineIs(t *testing.T) {
	s := fed(t, 1)
	s.takes(ten(4), ten(5))
	s.does(&ReadIndex{ID: 7})
	want(t, s.gets(&ReadIndexReply{Header: s.re(1, 2), Batch: s.reads.batch, Index: 5}), "read 7 ready at 5")
}

func TestLeaderTakesNothingWhileItsMachineIsBehind(t *testing.T) {
	s := start(t, given{cfg: Config{UnappliedBytesMax: 150}}).leads()
	s.does(&MachineApplied{Index: s.applied})
	s.proposes("0123456789", "0123456789", "0123456789")
	s.syncs()
	s.gets(s.ack(2, 5))
	equal(t, "bytes", s.Overview().UnappliedBytes, 3*(entryBytesOverhead+10))
	wantSome(t, s.proposes("0123456789", "0123456789", "0123456789"), "accepted 0+3")
	s.syncs()
	s.gets(s.ack(2, 8))
	equal(t, "handed over", s.applied, 6)
	equal(t, "bytes", s.Overview().UnappliedBytes, 4*(entryBytesOverhead+10)+3*(entryBytesOverhead+10))
	want(t, s.proposes("a", "b"), "rejected 0+2: "+ErrOverloaded.Error())
	s.does(&MachineApplied{Index: 6})
	wantSome(t, s.proposes("a", "b"), "accepted 0+2")
}

// TestWhatTheLeadersDiskHoldsUpIsUnapplied: the followers commit, and the leader can hand nothing over.
func TestWhatTheLeadersDiskHoldsUpIsUnapplied(t *testing.T) {
	s := start(t, given{cfg: Config{UnappliedBytesMax: 150}}).leads()
	s.does(&MachineApplied{Index: s.applied})
	s.proposes("a", "b", "c", "d", "e")
	s.gets(s.ack(2, 7))
	s.gets(s.ack(3, 7))
	equal(t, "commit", s.commit, 7)
	equal(t, "handed over", s.applied, 2)
	equal(t, "bytes", s.Overview().UnappliedBytes, 5*(entryBytesOverhead+1))
	want(t, s.proposes("f"), "rejected 0+1: "+ErrOverloaded.Error())
	wantSome(t, s.syncs(), "apply 3@2=a")
	s.does(&MachineApplied{Index: s.applied})
	wantSome(t, s.proposes("f"), "accepted")
}

// TestMachineIsCountedAsAnOracleDoes: what counts is never less than what waits, and not much more.
func TestMachineIsCountedAsAnOracleDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machine{bytesMax: rapid.SampledFrom([]int{1, 100, 10_000, 1 << 20, Unlimited}).Draw(t, "limit")}
		share := min(m.bytesMax/64, applyBytesMax/4)
		var runs []flight
		handed := Index(0)
		t.Repeat(map[string]func(*rapid.T){
			"hand": func(t *rapid.T) {
				if m.full {
					t.Skip("full")
				}
				if m.room() < 1 {
					t.Fatalf("room for %d, and it is not full", m.room())
				}
				handed += Index(rapid.IntRange(1, 5).Draw(t, "entries"))
				run := flight{last: handed, bytes: rapid.IntRange(1, 300).Draw(t, "bytes")}
				runs = append(runs, run)
				m.hand(run.last, run.bytes)
			},
			"advance": func(t *rapid.T) {
				index := Index(rapid.IntRange(0, int(handed)).Draw(t, "index"))
				m.advance(index)
				for len(runs) > 0 && runs[0].last <= index {
					runs = runs[1:]
				}
			},
			"": func(t *rapid.T) {
				bytes := 0
				for _, run := range runs {
					bytes += run.bytes
				}
				switch {
				case m.bytes < bytes || m.bytes > bytes+share:
					t.Fatalf("%d bytes wait, counted %d", bytes, m.bytes)
				case len(runs) == 0 && (m.bytes != 0 || m.full):
					t.Fatalf("nothing waits, counted %d, full %v", m.bytes, m.full)
				case m.bytes >= m.bytesMax && !m.full:
					t.Fatalf("%d bytes wait, and it is not full", m.bytes)
				case m.full && m.bytes <= m.bytesMax/2:
					t.Fatalf("%d bytes wait, and it is still full", m.bytes)
				case share > 0 && m.runs.count > 2+2*m.bytes/share:
					t.Fatalf("%d bytes wait in %d runs", m.bytes, m.runs.count)
				}
			},
		})
	})
}
