package raft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/hashicorp/go-hclog"
)

// logTo has members log lines without their time.
func (f *fixture) logTo(out *bytes.Buffer, level hclog.Level) {
	logger := hclog.New(&hclog.LoggerOptions{Output: out, Level: level, DisableTime: true})
	f.configure = func(c *Config) { c.Logger = logger }
}

func TestLogsTellWhatHappens(t *testing.T) {
	for level, want := range map[hclog.Level][]string{
		hclog.Trace: {"[TRACE] raft: sent", "[DEBUG] raft: role changed", "[INFO]  raft: role changed"},
		hclog.Debug: {"[DEBUG] raft: role changed", "role=candidate", "role=leader", "leader changed", "membership changed"},
		hclog.Info:  {"[INFO]  raft: role changed", "role=leader", "leader changed", "membership changed"},
	} {
		t.Run(level.String(), func(t *testing.T) {
			var out bytes.Buffer
			f := newFixture(t, 1, 2, 3)
			f.logTo(&out, level)
			f.spawnFounders()
			f.elect()
			for _, text := range want {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing in:\n%s", text, out.String())
				}
			}
			if level == hclog.Info && strings.Contains(out.String(), "candidate") {
				t.Errorf("more than asked for:\n%s", out.String())
			}
		})
	}
}

// Whatever happens, and however much is logged: no command, question, result or state is.
func TestContentsAreNeverLogged(t *testing.T) {
	var out bytes.Buffer
	f := newFixture(t, 1, 2, 3)
	logger := hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Trace, DisableTime: true})
	f.configure = func(c *Config) { c.Logger, c.RetainEntries = logger, -1 }
	f.spawnFounders()
	leader := f.elect()
	f.apply(leader, "secret")
	done[*Answer](f, leader, &Query{Payload: []byte("secret")})
	done[*SnapshotTaken](f, leader, &TakeSnapshot{})
	f.spawnJoiner(4, &journal{})
	done[*MembersChanged](f, leader, addLearner(4, ""))
	f.pass(20)
	for id := ID(1); id <= 3; id++ {
		f.machines[id].onApply = func(Command) error { return errors.New("no") }
	}
	f.propose(leader, "secret")
	f.pass(5)
	text := out.String()
	for _, want := range []string{
		"type=AppendEntries", "entries=1", "type=InstallSnapshot", "type=SnapshotChunk", "type=SnapshotAck",
		"type=RequestVoteReply", "granted=true", "[ERROR]",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q was not logged", want)
		}
	}
	for _, secret := range []string{"secret", fmt.Sprint([]byte("secret")), fmt.Sprintf("%x", "secret")} {
		if strings.Contains(text, secret) {
			t.Errorf("%q was logged", secret)
		}
	}
}

// Messages are constant and in lower case, keys in kebab case, and everything names its group and member.
func TestLogsKeepTheirForm(t *testing.T) {
	var out bytes.Buffer
	f := newFixture(t, 1, 2, 3)
	f.logTo(&out, hclog.Trace)
	f.spawnFounders()
	f.apply(f.elect(), "a")
	line := regexp.MustCompile(`^\[[A-Z]+\] +raft: [a-z' ]+: group=g member=[123]( [a-z-]+=("[^"]*"|[^" ]+))*$`)
	for _, text := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if !line.MatchString(text) {
			t.Errorf("logged %q", text)
		}
	}
}

// A logger that blocks for ever, as with a pipe that nobody reads, costs a member its records and nothing else.
func TestALoggerThatBlocksForEverHoldsNobodyUp(t *testing.T) {
	g := newRealGroup(t, 3)
	release := make(chan struct{})
	logger := hclog.New(&hclog.LoggerOptions{
		Level: hclog.Trace, Output: writerFunc(func(p []byte) (int, error) { <-release; return len(p), nil }),
	})
	g.configure = func(c *Config) { c.Logger = logger }
	for id := ID(1); id <= 3; id++ {
		g.stop(id)
		g.spawn(id)
	}
	leader := g.leader()
	for g.status(leader).Queues.NoticesDropped == 0 {
		g.propose(leader, "a")
	}
	if waiting := g.status(leader).Queues.LogRecords; waiting > outletMax+10 {
		t.Errorf("%d records wait", waiting)
	}
	g.stop(leader)
	if next := g.leader(); next == leader {
		t.Errorf("%d leads, which has stopped", next)
	}
	close(release)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// When a logger is free again, everything comes in order, and what is missing is told.
func TestRecordsThatAreMissingAreTold(t *testing.T) {
	var out bytes.Buffer
	f := newFixture(t, 1)
	f.logTo(&out, hclog.Info)
	f.spawnFounders()
	f.elect()
	out.Reset()
	log := f.outletOf(1, "log")
	f.held[log] = true
	for changes := 0; changes < outletMax/2+50; changes++ { // two records each
		change := addLearner(7, "")
		if changes%2 == 1 {
			change = &ChangeMembers{Change: &ChangeMembers_Remove{Remove: &RemoveMember{Id: 7}}}
		}
		done[*MembersChanged](f, 1, change)
	}
	s := f.status(1)
	if s.Queues.LogRecords != outletMax || s.Queues.NoticesDropped != 100 || out.Len() > 0 {
		t.Fatalf("%d records wait, and %d were dropped", s.Queues.LogRecords, s.Queues.NoticesDropped)
	}
	delete(f.held, log)
	f.settle()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := "[WARN]  raft: log records dropped: group=g member=1 count=100"; lines[len(lines)-1] != want {
		t.Errorf("got %q, want %q", lines[len(lines)-1], want)
	}
	last := uint64(0)
	for _, line := range lines[:len(lines)-1] {
		_, rest, _ := strings.Cut(line, " index=")
		var index uint64
		if _, err := fmt.Sscan(rest, &index); err != nil || index < last {
			t.Fatalf("%q behind index %d", line, last)
		}
		last = index
	}
	if len(lines) != outletMax+1 {
		t.Errorf("%d lines, want %d", len(lines), outletMax+1)
	}
}

// A record has the time and the place at which it was made, however late it is written, where slog is below.
func TestRecordsKeepTheirTimeWithSlog(t *testing.T) {
	var records []slog.Record
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(handlerFunc(func(r slog.Record) { records = append(records, r) }))
	}))
	f := newFixtureIn(t, system, 1)
	f.configure = func(c *Config) { c.Logger = nil }
	f.spawnFounders()
	f.held[f.outletOf(1, "log")] = true
	f.elect()
	records = nil
	before := time.Now()
	clear(f.held)
	f.settle()
	if len(records) == 0 {
		t.Fatal("nothing was logged")
	}
	for _, r := range records {
		if source := r.Source(); r.Time.After(before) || source == nil || !strings.Contains(source.File, "actor/") ||
			strings.Contains(source.File, "memberlog") {
			t.Errorf("%q has the time %v, behind %v, and is of %v", r.Message, r.Time, before, source)
		}
	}
}

type handlerFunc func(r slog.Record)

func (handlerFunc) Enabled(context.Context, slog.Level) bool { return true }

func (f handlerFunc) Handle(_ context.Context, r slog.Record) error { f(r); return nil }
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f handlerFunc) WithGroup(string) slog.Handler                 { return f }

func TestLateRecordsTellTheirTimeWithHclog(t *testing.T) {
	var out bytes.Buffer
	l := &memberLog{to: hclog.New(&hclog.LoggerOptions{Output: &out})}
	l.write(&record{at: time.Now().Add(-time.Hour), level: hclog.Info, message: "late", args: []any{"a", 1}})
	l.write(&record{at: time.Now().Add(time.Hour), level: hclog.Info, message: "fresh", args: []any{"a", 1}})
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "late") != strings.Contains(line, "logged-at=") {
			t.Errorf("logged %q", line)
		}
	}
}

// A logger that panics concerns nobody else.
func TestALoggerThatPanicsHoldsNobodyUp(t *testing.T) {
	f := newFixture(t, 1)
	panics := 0
	logger := hclog.New(&hclog.LoggerOptions{Output: writerFunc(func([]byte) (int, error) {
		panics++
		panic("the logger panics")
	}), Mutex: hclog.NoopLocker{}})
	f.configure = func(c *Config) { c.Logger = logger }
	f.spawnFounders()
	f.apply(f.elect(), "a")
	if panics < 3 {
		t.Errorf("the logger was called %d times", panics)
	}
}

func TestNothingIsMadeOfRecordsThatAreNotEnabled(t *testing.T) {
	f := newFixture(t, 1)
	l := newMemberLog(f.config(1), f.system, new(vitals))
	if n := testing.AllocsPerRun(100, func() { l.Debug("nothing") }); n > 0 || l.out.depth() > 0 {
		t.Errorf("%v allocations, and %d records", n, l.out.depth())
	}
}
