package raft

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"example.com/raftactor/node"
)

// openSession opens a session through a member.
func (f *fixture) openSession(id ID) uint64 {
	f.Helper()
	return done[*SessionOpened](f, id, &OpenSession{}).Session
}

func inSession(session, sequence, lowest uint64, command string) *Propose {
	return &Propose{Command: []byte(command), Session: session, Sequence: sequence, LowestUnanswered: lowest}
}

// A client may outlive its group, whose members come back with nothing. What it proposes in its session is then of no
// session, and not somebody else's.
func TestASessionIsUnknownToAnotherGroup(t *testing.T) {
	var sessions []uint64
	for seed := range uint64(3) {
		f := newFixture(t, 1, 2, 3)
		f.seed = seed + 1
		f.spawnFounders()
		leader := f.elect()
		for _, session := range sessions {
			in := f.ask(leader, inSession(session, 1, 1, "x"))
			f.pass(1)
			f.rejected(in, Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)
		}
		sessions = append(sessions, f.openSession(leader), f.openSession(leader))
	}
}

func TestNoTwoSessionsHaveOneName(t *testing.T) {
	var table sessions
	names := map[uint64]bool{}
	for _, drawn := range []uint64{5, 5, 6, 0, 1, math.MaxUint64, math.MaxUint64} {
		name := table.open(&frame{sessionPlace: sessionPlace{session: drawn}, sessionsMax: 10, bytesMax: 1 << 20})
		if name == 0 || names[name] || table.byID[name] == nil {
			t.Errorf("%d is named %d, after %v", drawn, name, names)
		}
		names[name] = true
	}
}

func TestACommandOfASessionIsAppliedOnce(t *testing.T) {
	f, leader := newGroup(t)
	session := f.openSession(leader)
	first := done[*Proposed](f, leader, inSession(session, 1, 1, "once"))
	f.apply(leader, "another")
	for _, member := range []ID{leader, f.others(leader)[0], f.others(leader)[1]} {
		again := done[*Proposed](f, member, inSession(session, 1, 1, "once"))
		if again.Index != first.Index || again.Term != first.Term || !bytes.Equal(again.Result, first.Result) {
			t.Errorf("member %d answers %v, want %v as at first", member, again, first)
		}
	}
	f.pass(2)
	f.agree(1, 2, 3)
	if got := f.machines[leader].all(); len(got) != 2 {
		t.Errorf("applied %v", texts(got))
	}
}

func TestAttemptsThatAreUnderWayTogetherAreAppliedOnce(t *testing.T) {
	f, leader := newGroup(t)
	session := f.openSession(leader)
	var answers []*inbox
	for range 5 {
		for _, member := range []ID{1, 2, 3} {
			answers = append(answers, f.ask(member, inSession(session, 1, 1, "once")))
		}
	}
	f.pass(2)
	want := only[*Proposed](f, answers[0])
	for _, in := range answers {
		if got := only[*Proposed](f, in); got.Index != want.Index {
			t.Errorf("got %v and %v", got, want)
		}
	}
	if got := f.machines[leader].all(); len(got) != 1 {
		t.Errorf("applied %v", texts(got))
	}
}

func TestSequencesMayComeInAnyOrder(t *testing.T) {
	f, leader := newGroup(t)
	session := f.openSession(leader)
	for _, sequence := range []uint64{5, 2, 4, 1, 3, 2, 5} {
		done[*Proposed](f, leader, inSession(session, sequence, 1, fmt.Sprint(sequence)))
	}
	if got := strings.Join(texts(f.machines[leader].all()), " "); strings.Count(got, ":") != 5 {
		t.Errorf("applied %s", got)
	}
}

func TestASequenceThatWasGivenUpIsNeverApplied(t *testing.T) {
	f, leader := newGroup(t)
	session := f.openSession(leader)
	done[*Proposed](f, leader, inSession(session, 9, 7, "nine"))
	in := f.ask(leader, inSession(session, 3, 1, "late"))
	f.settle()
	f.rejected(in, Code_SESSION_EXPIRED, Outcome_UNKNOWN)
	done[*Proposed](f, leader, inSession(session, 8, 8, "eight"))
	if got := f.machines[leader].all(); len(got) != 2 {
		t.Errorf("applied %v", texts(got))
	}
}

func TestTheSessionNotUsedForLongestIsForgottenEverywhere(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.SessionsMax = 3 }
	f.spawnFounders()
	leader := f.elect()
	var all []uint64
	for range 3 {
		all = append(all, f.openSession(leader))
	}
	done[*Proposed](f, leader, inSession(all[0], 1, 1, "a")) // so that the second is the oldest
	f.openSession(leader)
	expectExpired := func(asked ID) {
		in := f.ask(asked, inSession(all[1], 1, 1, "b"))
		f.pass(1)
		f.rejected(in, Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)
	}
	expectExpired(leader)
	f.stop(leader)
	next := f.elect()
	expectExpired(next)
	done[*Proposed](f, next, inSession(all[2], 1, 1, "c"))
	f.pass(2)
	f.agree(f.others(0)...)
	if got := len(f.machines[next].all()); got != 2 {
		t.Errorf("%d commands were applied", got)
	}
}

func TestResultsOfSessionsAreBoundedInBytes(t *testing.T) {
	var table sessions
	f := frame{sessionsMax: 100, bytesMax: 10_000}
	for i := Index(1); i <= 50; i++ {
		f.session = uint64(i)
		table.open(&f)
		p := sessionPlace{uint64(i), 1, 1}
		if v, _ := table.judge(&p); v != sessionApply {
			t.Fatalf("session %d: %v", i, v)
		}
		table.note(&p, sessionResult{index: i, result: make([]byte, 1000)})
		if table.bytes > 10_000 {
			t.Fatalf("%d bytes are held", table.bytes)
		}
	}
	if n := len(table.byID); n < 5 || n > 10 {
		t.Errorf("%d sessions are left", n)
	}
	huge := sessionPlace{50, 2, 1}
	table.judge(&huge)
	table.note(&huge, sessionResult{index: 51, result: make([]byte, 20_000)})
	if len(table.byID) != 0 || table.bytes != 0 {
		t.Errorf("%d sessions of %d bytes are left", len(table.byID), table.bytes)
	}
}

// However little they may take, a session is there when its first command comes: otherwise it would be opened for ever.
func TestAGroupThatKeepsHardlyAnySessionsStillDoesItsWork(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.SessionBytesMax = 1 }
	f.spawnFounders()
	leader := f.elect()
	client := f.client(ClientConfig{}, leader)
	defer client.Close()
	for i := range 3 {
		a := f.end(f.proposes(context.Background(), client, fmt.Sprint(i)))
		if a.ended != 1 || a.err != nil || number(a.result.Data) != uint64(i+1) {
			t.Fatalf("proposal %d has ended %d times: %v, %v", i, a.ended, a.result, a.err)
		}
	}
}

func TestSessionsSurviveSnapshotsAndRestarts(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries = -1 }
	f.spawnFounders()
	leader := f.elect()
	session := f.openSession(leader)
	first := done[*Proposed](f, leader, inSession(session, 1, 1, "once"))
	behind := f.others(leader)[0]
	f.network.isolate(behind, f.others(behind)...)
	second := done[*Proposed](f, leader, inSession(session, 2, 1, "twice"))
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.network.heal()
	f.elect()
	f.stop(leader)
	f.spawn(leader, &journal{})
	f.elect()
	f.pass(10)
	for _, member := range []ID{1, 2, 3} {
		f.until("it leads", func() bool {
			if f.leader() != member && f.leader() != 0 {
				f.ask(f.leader(), &TransferLeadership{Target: uint64(member)})
			}
			return f.leader() == member
		})
		f.elect()
		for _, want := range []*Proposed{first, second} {
			sequence := uint64(1)
			if want == second {
				sequence = 2
			}
			if got := done[*Proposed](f, member, inSession(session, sequence, 1, "")); got.Index != want.Index ||
				!bytes.Equal(got.Result, want.Result) {
				t.Errorf("member %d answers %v, want %v", member, got, want)
			}
		}
		if got := len(f.machines[member].all()); got != 2 {
			t.Errorf("member %d has applied %d commands", member, got)
		}
	}
}

func TestAPlaceInASessionIsChecked(t *testing.T) {
	f, leader := newGroup(t)
	for name, c := range map[string]struct {
		request *Propose
		want    string
	}{
		"no session":      {&Propose{Sequence: 1}, "OpenSession"},
		"lowest alone":    {&Propose{LowestUnanswered: 1}, "OpenSession"},
		"no sequence":     {&Propose{Session: 1}, "from 1 up"},
		"lowest above":    {inSession(1, 2, 3, ""), "lowest"},
		"too far ahead":   {inSession(1, sessionWindow+1, 1, ""), "65535"},
		"far ahead, zero": {inSession(1, sessionWindow+1, 0, ""), "65535"},
	} {
		in := f.ask(leader, c.request)
		f.settle()
		if r := f.rejected(in, Code_INVALID, Outcome_NOT_APPLIED); !strings.Contains(r.Detail, c.want) {
			t.Errorf("%s: got %q, want %q in it", name, r.Detail, c.want)
		}
	}
	if in := f.ask(leader, inSession(99, 1, 0, "")); true {
		f.settle()
		f.rejected(in, Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)
	}
}

// A model of one command's fate: what was answered for it first, and whether it was given up.
type sessionModel struct {
	lowest  uint64
	results map[uint64]Index
}

// The table does what a plain map would do, and is the same after each detour through its encoding.
func TestTheTableOfSessionsIsWhatAModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, models := new(sessions), map[uint64]*sessionModel{}
		limits := frame{sessionsMax: 4, bytesMax: 1 << 40}
		var order []uint64 // by last use
		use := func(id uint64) {
			for i, o := range order {
				if o == id {
					order = append(order[:i:i], order[i+1:]...)
					break
				}
			}
			order = append(order, id)
		}
		for at := Index(1); at <= 60; at++ {
			if rapid.IntRange(0, 4).Draw(t, "open") == 0 {
				limits.session = uint64(at)
				table.open(&limits)
				models[uint64(at)] = &sessionModel{1, map[uint64]Index{}}
				use(uint64(at))
				if len(order) > 4 {
					delete(models, order[0])
					order = order[1:]
				}
				continue
			}
			p := sessionPlace{session: rapid.Uint64Range(1, uint64(at)).Draw(t, "session")}
			p.sequence = rapid.Uint64Range(1, 12).Draw(t, "sequence")
			p.lowest = rapid.Uint64Range(1, p.sequence).Draw(t, "lowest")
			m, want, known := models[p.session], sessionExpired, Index(0)
			if m != nil {
				use(p.session)
				m.lowest = max(m.lowest, p.lowest)
				switch known = m.results[p.sequence]; {
				case p.sequence < m.lowest:
					want, known = sessionGivenUp, 0
				case known != 0:
					want = sessionDuplicate
				default:
					want = sessionApply
				}
			}
			got, r := table.judge(&p)
			if got != want || r.index != known {
				t.Fatalf("%+v at %d: verdict %d of index %d, want %d of %d", p, at, got, r.index, want, known)
			}
			if got == sessionApply {
				m.results[p.sequence] = at
				table.note(&p, sessionResult{index: at, term: 3, result: fmt.Append(nil, at)})
			} else {
				table.unpublished.note(at)
			}
			if rapid.IntRange(0, 5).Draw(t, "recode") == 0 {
				table = recode(t, table)
			}
		}
	})
}

func recode(t *rapid.T, table *sessions) *sessions {
	encoded := table.append(nil)
	decoded, err := parseSessions(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if again := decoded.append(nil); !bytes.Equal(again, encoded) || decoded.bytes != table.bytes {
		t.Fatalf("%d bytes are encoded as %x, and then %d as %x", table.bytes, encoded, decoded.bytes, again)
	}
	return decoded
}

func FuzzParseSessions(f *testing.F) {
	var table sessions
	table.open(&frame{sessionPlace: sessionPlace{session: 1}, sessionsMax: 3, bytesMax: 100})
	table.note(&sessionPlace{1, 2, 1}, sessionResult{index: 2, term: 1, result: []byte("x")})
	table.unpublished.note(7)
	f.Add(table.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if table, err := parseSessions(b); err == nil {
			if again, err := parseSessions(table.append(nil)); err != nil || again.bytes != table.bytes {
				t.Errorf("encoded again: %v", err)
			}
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	f.Add(frameCommand([]byte("x")))
	f.Add(frameSessionCommand(sessionPlace{300, 5, 2}, []byte("x")))
	f.Add(frameOpenSession(77, 10, 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := parseFrame(b)
		if err != nil {
			return
		}
		again := frameCommand(frame.command)
		switch frame.kind {
		case frameKindSessionCommand:
			if err := frame.validate(); err != nil {
				t.Fatalf("%x is parsed as %+v: %v", b, frame, err)
			}
			again = frameSessionCommand(frame.sessionPlace, frame.command)
		case frameKindOpenSession:
			again = frameOpenSession(frame.session, int(frame.sessionsMax), int(frame.bytesMax))
		}
		if got, err := parseFrame(again); err != nil || !reflect.DeepEqual(got, frame) {
			t.Errorf("%x is %+v, and again %+v, %v", b, frame, got, err)
		}
	})
}

func TestAFrameThatIsNotKnownStopsTheMember(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": {}, "unknown kind": {200}, "cut off": {frameKindSessionCommand, 1}, "no sequence": {frameKindSessionCommand, 1, 0, 0},
		"below zero": {frameKindSessionCommand, 1, 2, 2}, "no limits": {frameKindOpenSession},
	} {
		a := &applier{machine: &journal{}, feed: new(feed)}
		if err := a.apply([]Entry{{Index: 1, Term: 1, Kind: 1, Data: data}}); err == nil {
			t.Errorf("%s: applied", name)
		}
	}
}

func TestAForeignStateIsRefused(t *testing.T) {
	whole := append(stateHeader(&sessions{}), "machine"...)
	for name, data := range map[string][]byte{
		"empty": nil, "short": whole[:10], "foreign": append([]byte("foreign!"), whole[8:]...),
		"newer": append([]byte("raftsta\x02"), whole[8:]...), "no sessions": whole[:stateHeaderBytes],
		"malformed": append(bytes.Clone(whole[:stateHeaderBytes]), bytes.Repeat([]byte{0xff}, 20)...),
	} {
		if _, _, err := readState(memorySnapshotReader{bytes.NewReader(data)}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, _, err := readState(memorySnapshotReader{bytes.NewReader(whole)}); err != nil {
		t.Error(err)
	}
}

// Neither those who were there from the beginning nor those who read the log later see what was not applied: in the log,
// after a restart, and on a member that has it from another one's snapshot.
func TestDuplicatesAreNotPublished(t *testing.T) {
	f := newFixture(t, 1, 2, 3)
	f.configure = func(c *Config) { c.RetainEntries = 1000 }
	f.spawnFounders()
	leader := f.elect()
	live := f.subscribe(leader, 1)
	session := f.openSession(leader)
	for _, sequence := range []uint64{1, 1, 2, 1, 3, 2} {
		done[*Proposed](f, leader, inSession(session, sequence, 1, fmt.Sprint(sequence)))
	}
	in := f.ask(leader, inSession(session+1, 1, 1, "of no session"))
	f.pass(2)
	f.rejected(in, Code_SESSION_EXPIRED, Outcome_NOT_APPLIED)
	live.expect("1", "2", "3")
	f.subscribe(leader, 1).expect("1", "2", "3")

	for _, id := range []ID{1, 2, 3} {
		done[*SnapshotTaken](f, id, &TakeSnapshot{})
		f.stop(id)
		f.spawn(id, &journal{})
		f.elect()
		f.subscribe(id, 1).expect("1", "2", "3")
	}
}

func TestWhatIsNotKnownToHaveBeenAppliedIsNotPublished(t *testing.T) {
	system := quietSystem()
	a := &applier{machine: &journal{}, feed: &feed{system: system, feeder: newInbox(system).pid}}
	a.sessions.unpublished.from = 5
	m := &logServed{asked: true, entries: []Entry{{Index: 4, Kind: node.EntryCommand, Data: frameCommand(nil)}}}
	a.publish(m)
	if !m.gone || m.first != 5 || len(m.entries) > 0 {
		t.Errorf("got %+v, want that what is before 5 is gone", m)
	}
}

func TestASessionThatMovesOnAllocatesNothing(t *testing.T) {
	var table sessions
	place := sessionPlace{session: table.open(&frame{sessionPlace: sessionPlace{session: 5}, sessionsMax: 1, bytesMax: 1 << 20})}
	next := func(unanswered uint64) {
		place.sequence++
		place.lowest = max(place.sequence, unanswered) - unanswered + 1
		if verdict, _ := table.judge(&place); verdict != sessionApply {
			t.Fatalf("command %d: %d", place.sequence, verdict)
		}
		table.note(&place, sessionResult{index: Index(place.sequence), term: 1})
	}
	for _, unanswered := range []uint64{1, 2, 100} {
		for range 1000 {
			next(unanswered)
		}
		if n := testing.AllocsPerRun(1000, func() { next(unanswered) }); n > 0 {
			t.Errorf("%d unanswered: %v allocations for each command", unanswered, n)
		}
		if got, want := table.bytes, sessionBytes+unanswered*sessionResultBytes; got != want {
			t.Errorf("%d unanswered: %d bytes are counted, want %d", unanswered, got, want)
		}
		for k := range unanswered {
			at := sessionPlace{session: place.session, sequence: place.sequence - k}
			if verdict, r := table.find(&at); verdict != sessionDuplicate || r.index != Index(at.sequence) {
				t.Errorf("command %d: %d, %d", at.sequence, verdict, r.index)
			}
		}
	}
}
