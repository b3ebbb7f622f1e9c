package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"

	raft "example.com/raftactor/actor"
)

// deadline is how long a test waits for what must come.
const deadline = 30 * time.Second

// hall is a network within this process.
type hall struct {
	*testing.T
	transport *raft.MemoryTransport
	dir       string
}

func newHall(t *testing.T) *hall {
	return &hall{T: t, transport: raft.NewMemoryTransport(), dir: t.TempDir()}
}

func (h *hall) connect(*actor.ActorSystem, options, uint64, hclog.Logger) (network, error) {
	return inMemory{h.transport}, nil
}

type inMemory struct{ transport raft.Transport }

func (n inMemory) Transport() raft.Transport { return n.transport }
func (inMemory) Stop(context.Context) error  { return nil }

// member is somebody in the hall.
type member struct {
	*testing.T
	// lines and notices are what is shown.
	lines, notices *transcript
	typing         *io.PipeWriter
	leave          context.CancelFunc
	ended          chan error
}

// start has a member take part: a founder, if there are any.
func (h *hall) start(id raft.ID, founders ...raft.Member) *member {
	h.Helper()
	o := options{
		id: id, advertise: fmt.Sprintf("member-%d:1", id), founders: founders, dir: h.dir, cluster: "chat",
		name: fmt.Sprint("name", id), pipe: true, snapshotLines: 5,
	}
	m := &member{T: h.T, lines: newTranscript(), notices: newTranscript(), ended: make(chan error, 1)}
	r, err := enter(o, h.connect, newScreen(o, m.lines, m.notices, false), hclog.NewNullLogger())
	must(h.T, err)
	ctx, cancel := context.WithCancel(context.Background())
	m.leave = cancel
	input, typing := io.Pipe()
	m.typing = typing
	go func() {
		m.ended <- r.stay(ctx, func(take func(string) bool) error { return readLines(input, take, func() {}) })
		_ = input.Close() // who types is told
	}()
	h.Cleanup(func() {
		cancel()
		_ = typing.Close()
		select {
		case <-m.ended:
		case <-time.After(deadline):
			h.Errorf("member %d does not leave", id)
		}
	})
	return m
}

func (m *member) say(texts ...string) {
	m.Helper()
	for _, text := range texts {
		_, err := io.WriteString(m.typing, text+"\n")
		must(m.T, err)
	}
}

// end waits until the member has left.
func (m *member) end() error {
	m.Helper()
	select {
	case err := <-m.ended:
		m.ended <- err
		return err
	case <-time.After(deadline):
		m.Fatalf("it does not leave; it has said %q", m.notices.all())
		return nil
	}
}

// transcript collects lines, and lets tests wait for them.
type transcript struct {
	mu      sync.Mutex
	lines   []string      // guarded by mu; whole lines
	rest    []byte        // guarded by mu; what has no end yet
	changed chan struct{} // guarded by mu; closed by the next write
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = append(t.rest, p...)
	for {
		l, rest, ended := bytes.Cut(t.rest, []byte("\n"))
		if !ended {
			break
		}
		t.lines, t.rest = append(t.lines, string(l)), rest
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return len(p), nil
}

func (t *transcript) all() []string {
	lines, _ := t.look()
	return lines
}

func (t *transcript) look() (lines []string, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.lines), t.changed
}

// await waits until there are lines that are enough.
func (t *transcript) await(test testing.TB, what string, enough func(lines []string) bool) []string {
	test.Helper()
	timeout := time.After(deadline)
	for {
		lines, changed := t.look()
		if enough(lines) {
			return lines
		}
		select {
		case <-changed:
		case <-timeout:
			test.Fatalf("there is no %s; the last lines are %.4000q", what, lines[max(0, len(lines)-20):])
		}
	}
}

// awaitLine waits for a line that contains a text.
func (t *transcript) awaitLine(test testing.TB, text string) {
	test.Helper()
	seen := 0
	t.await(test, text, func(lines []string) bool {
		fresh := lines[seen:]
		seen = len(lines)
		return slices.ContainsFunc(fresh, func(l string) bool { return strings.Contains(l, text) })
	})
}

// awaitLines waits until so many lines were said.
func (m *member) awaitLines(count int) []string {
	m.Helper()
	lines := m.lines.await(m.T, fmt.Sprint(count, " lines"), func(lines []string) bool { return len(lines) >= count })
	if len(lines) > count {
		m.Errorf("there are %d lines, want %d: %q", len(lines), count, lines)
	}
	return lines
}

// textsOf are lines without their indexes.
func textsOf(lines []string) (texts []string) {
	for _, l := range lines {
		_, text, _ := strings.Cut(l, " ")
		texts = append(texts, text)
	}
	return texts
}

var three = []raft.Member{{ID: 1, Address: "member-1:1"}, {ID: 2, Address: "member-2:1"}, {ID: 3, Address: "member-3:1"}}

func TestEverybodySeesEveryLineInTheSameOrder(t *testing.T) {
	h := newHall(t)
	members := []*member{h.start(1, three...), h.start(2, three...), h.start(3, three...)}
	const each = 40
	var talk sync.WaitGroup
	for _, m := range members {
		talk.Go(func() {
			for i := range each {
				m.say(fmt.Sprint("line ", i))
			}
		})
	}
	talk.Wait()
	want := members[0].awaitLines(3 * each)
	for _, m := range members[1:] {
		if got := m.awaitLines(3 * each); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for i := range members {
		var own []string
		for _, text := range textsOf(want) {
			if rest, is := strings.CutPrefix(text, fmt.Sprintf("name%d line ", i+1)); is {
				own = append(own, rest)
			}
		}
		for k, text := range own {
			if text != fmt.Sprint(k) {
				t.Fatalf("the lines of member %d stand in the order %q", i+1, own)
			}
		}
	}
}

func TestALineWithoutALeaderIsSaidOnceThereIsOne(t *testing.T) {
	h := newHall(t)
	first := h.start(1, three...)
	first.say("anybody there?", "//not a command")
	first.notices.awaitLine(t, "sent as soon as a leader can be reached")
	second := h.start(2, three...)
	want := []string{"name1 anybody there?", "name1 /not a command"}
	if got := textsOf(first.awaitLines(2)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	second.say("yes")
	if got := textsOf(second.awaitLines(3)); !slices.Equal(got, append(want, "name2 yes")) {
		t.Errorf("got %q", got)
	}
}

func TestWhoComesLaterSeesWhatWasSaidFromTheSnapshotAndTheLog(t *testing.T) {
	h := newHall(t)
	first := h.start(1, raft.Member{ID: 1, Address: "member-1:1"})
	for i := range 50 { // ten snapshots
		first.say(fmt.Sprint("line ", i))
	}
	want := first.awaitLines(50)
	second := h.start(2)
	second.notices.awaitLine(t, "member 2 is here")
	first.say("/add 2=member-2:1")
	first.notices.awaitLine(t, "member 2 comes")
	first.notices.awaitLine(t, "member 2 votes")
	if got := second.awaitLines(50); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	second.say("hello")
	first.awaitLines(51)

	// The same for who comes back.
	second.leave()
	must(t, second.end())
	again := h.start(2)
	if got := again.awaitLines(51); !slices.Equal(got[:50], want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMembersComeLeadAndGo(t *testing.T) {
	h := newHall(t)
	first := h.start(1, raft.Member{ID: 1, Address: "member-1:1"})
	first.notices.awaitLine(t, "member 1 leads")
	second := h.start(2)
	first.say("/add 2=member-2:1", "/status", "/members", "/history")
	second.notices.awaitLine(t, "member 2 votes")
	first.notices.awaitLine(t, "/add 2=member-2:1: done")
	second.say("/transfer 2")
	first.notices.awaitLine(t, "member 2 leads")
	second.say("/members")
	second.notices.awaitLine(t, "member 2 at member-2:1, leads, this one")
	first.say("/remove 1") // by the member itself, which does not lead
	second.notices.awaitLine(t, "member 1 goes")
	first.notices.awaitLine(t, "this member, 1, has been removed")
	second.say("alone", "/remove 2")
	second.notices.awaitLine(t, "the last voter")
	second.awaitLines(1)
}

func TestWhatCannotBeDoneIsSaid(t *testing.T) {
	h := newHall(t)
	m := h.start(1, raft.Member{ID: 1, Address: "member-1:1"})
	m.say("one", "two")
	m.awaitLines(2)
	for command, want := range map[string]string{
		"/nope":              "there is no command /nope",
		"/":                  "there is no command /",
		"/add 4":             `"4" is not ID=HOST:PORT`,
		"/add 0=a:1":         `"0" is not the number of a member`,
		"/add 1=elsewhere:1": "a member already",
		"/remove":            "/remove takes ID",
		"/remove 9":          "there is no member 9",
		"/transfer 9":        "/transfer: ",
		"/promote 9":         "there is no member 9",
		"/history none":      `"none" is not how many lines`,
		"/help":              "* /transfer ID",
		"/history 1":         "name1: two",
		"/members":           "* member 1 at member-1:1, leads, this one",
		"/status":            "* log: entries 1 to",
	} {
		m.say(command)
		m.notices.awaitLine(t, want)
	}
	if got := m.notices.all(); slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "name1: one") }) {
		t.Errorf("/history 1 has shown more than one line: %q", got)
	}
	m.say("/quit")
	if err := m.end(); err != nil {
		t.Errorf("it leaves with %v", err)
	}
}

func TestTheEndOfTheInputIsTheEndOnceAllIsSaid(t *testing.T) {
	h := newHall(t)
	m := h.start(1, raft.Member{ID: 1, Address: "member-1:1"})
	m.say("one", "two", "three") // before there is a leader
	must(t, m.typing.Close())
	must(t, m.end())
	m.awaitLines(3)
}

func TestWhoLeavesSaysWhatHasNotBeenSaid(t *testing.T) {
	h := newHall(t)
	m := h.start(1, three...)
	m.say("one", "two", "three", "/status")
	m.notices.awaitLine(t, "2 lines wait to be said")
	m.leave()
	must(t, m.end())
	m.notices.awaitLine(t, `"one"`)
	m.notices.awaitLine(t, "2 lines have not been said")
}

func TestADirectoryIsUsedByOneProcess(t *testing.T) {
	h := newHall(t)
	h.start(1, three...).notices.awaitLine(t, "is here")
	o := options{id: 1, dir: h.dir, cluster: "chat", founders: three, snapshotLines: 1}
	_, err := enter(o, h.connect, newScreen(o, io.Discard, io.Discard, false), hclog.NewNullLogger())
	if err == nil || !strings.Contains(err.Error(), "another process is using") || errors.As(err, new(wrongFlag)) {
		t.Errorf("got %v", err)
	}
}

func TestADirectoryOfAnotherRoomIsRefused(t *testing.T) {
	h := newHall(t)
	m := h.start(1, three...)
	m.notices.awaitLine(t, "is here")
	m.leave()
	must(t, m.end())
	start := func(o options) error {
		o.id, o.dir, o.snapshotLines = 1, h.dir, 1
		r, err := enter(o, h.connect, newScreen(o, io.Discard, io.Discard, false), hclog.NewNullLogger())
		if err == nil {
			err = r.stay(t.Context(), func(func(string) bool) error { return nil })
		}
		return err
	}
	for want, o := range map[string]options{
		"belongs to":                       {cluster: "other", founders: three},
		"is not what the room was founded": {cluster: "chat", founders: three[:2]},
	} {
		if err := start(o); err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, new(wrongFlag)) {
			t.Errorf("got %v, want %q, for which a flag is to blame", err, want)
		}
	}
}
