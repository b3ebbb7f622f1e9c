package raft

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func jsonHclog(out *bytes.Buffer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: out, JSONFormat: true, Level: hclog.Trace})
}

func jsonSlog(out *bytes.Buffer) slog.Handler {
	return slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slogLevels[hclog.Trace]})
}

// opaque is a handler that nobody takes apart.
type opaque struct{ slog.Handler }

func (o opaque) WithAttrs(attrs []slog.Attr) slog.Handler { return opaque{o.Handler.WithAttrs(attrs)} }

func (o opaque) WithGroup(name string) slog.Handler { return opaque{o.Handler.WithGroup(name)} }

// ways are those in which what is logged by hclog can come out, as JSON.
var ways = []struct {
	name string
	to   func(out *bytes.Buffer) hclog.Logger
}{
	{"hclog", jsonHclog},
	{"hclog over slog", func(out *bytes.Buffer) hclog.Logger { return NewHclogLogger(slog.New(jsonSlog(out))) }},
	{"hclog over slog over hclog", func(out *bytes.Buffer) hclog.Logger {
		return NewHclogLogger(slog.New(opaque{NewSlogHandler(jsonHclog(out))}))
	}},
}

// readLine reads a line of JSON as if slog had written it: hclog's own keys are slog's, and a key with dots in it is
// one in groups.
func readLine(line []byte) map[string]any {
	got := parseLine(line)
	for from, to := range map[string]string{
		"@message": slog.MessageKey, "@level": slog.LevelKey, "@timestamp": slog.TimeKey, "@module": "logger",
	} {
		if value, ok := got[from]; ok {
			got[to] = value
			delete(got, from)
		}
	}
	for key, value := range maps.Clone(got) {
		in, names := got, strings.Split(key, ".")
		if len(names) == 1 {
			continue
		}
		delete(got, key)
		for _, name := range names[:len(names)-1] {
			if in[name] == nil {
				in[name] = map[string]any{}
			}
			in = in[name].(map[string]any)
		}
		in[names[len(names)-1]] = value
	}
	return got
}

func parseLine(line []byte) map[string]any {
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		panic(fmt.Sprintf("%v in %q", err, line))
	}
	return got
}

func TestSlogOverHclogKeepsTheRulesOfHandlers(t *testing.T) {
	var out *bytes.Buffer
	for name, over := range map[string]func() slog.Handler{
		"hclog": func() slog.Handler { return NewSlogHandler(jsonHclog(out)) },
		"hclog over slog over hclog": func() slog.Handler {
			return NewSlogHandler(NewHclogLogger(slog.New(opaque{NewSlogHandler(jsonHclog(out))})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			slogtest.Run(t, func(t *testing.T) slog.Handler {
				if strings.HasSuffix(t.Name(), "/zero-time") {
					t.Skip("hclog stamps what it writes itself, whatever the time of the record")
				}
				out = new(bytes.Buffer)
				return over()
			}, func(*testing.T) map[string]any { return readLine(out.Bytes()) })
		})
	}
}

// What goes to slog by way of hclog and back comes out of a handler of slog's as it should.
func TestSlogOverHclogOverSlogKeepsTheRulesOfHandlers(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		if strings.HasSuffix(t.Name(), "/zero-time") {
			t.Skip("hclog has no time to hand on")
		}
		out.Reset()
		return NewSlogHandler(NewHclogLogger(slog.New(jsonSlog(&out))))
	}, func(*testing.T) map[string]any { return readLine(out.Bytes()) })
}

type valuer struct{ value any }

func (v valuer) LogValue() slog.Value { return slog.AnyValue(v.value) }

// Whatever way it goes, what is logged by hclog means the same.
func TestHclogMeansTheSameOverSlog(t *testing.T) {
	for name, say := range map[string]func(hclog.Logger){
		"message":        func(l hclog.Logger) { l.Info("m") },
		"no message":     func(l hclog.Logger) { l.Info("") },
		"numbers":        func(l hclog.Logger) { l.Info("m", "i", -1, "u", uint64(7), "f", 1.5, "d", time.Second) },
		"values":         func(l hclog.Logger) { l.Info("m", "s", "a \"b\"\n", "t", true, "n", nil, "l", []int{1, 2}) },
		"error":          func(l hclog.Logger) { l.Error("m", "error", errors.New("why")) },
		"time":           func(l hclog.Logger) { l.Info("m", "when", time.Unix(5, 0).UTC()) },
		"format":         func(l hclog.Logger) { l.Info("m", "f", hclog.Fmt("%d beans", 3)) },
		"hclog's values": func(l hclog.Logger) { l.Info("m", "h", hclog.Hex(17), "q", hclog.Quote("a\tb")) },
		"odd":            func(l hclog.Logger) { l.Info("m", "a", 1, "left") },
		"stack":          func(l hclog.Logger) { l.Info("m", "a", 1, hclog.CapturedStacktrace("here")) },
		"empty key":      func(l hclog.Logger) { l.Info("m", "", "value") },
		"dots":           func(l hclog.Logger) { l.Info("m", "a.b", 1, "a.c", 2) },
		"twice":          func(l hclog.Logger) { l.Info("m", "k", 1, "k", 2) },
		"with":           func(l hclog.Logger) { l.With("b", 2, "a", 1).Info("m", "c", 3) },
		"with and with":  func(l hclog.Logger) { l.With("a", 1, "b", 2).With("a", 3).Info("m") },
		"with odd":       func(l hclog.Logger) { l.With("a", 1, "left").Info("m") },
		"with nothing":   func(l hclog.Logger) { l.With().Info("m") },
		"siblings": func(l hclog.Logger) {
			l = l.With("a", 1)
			l.With("b", 2)
			l.With("c", 3).Info("m")
		},
		"name":             func(l hclog.Logger) { l.Named("x").Warn("m") },
		"names":            func(l hclog.Logger) { l.Named("x").With("a", 1).Named("y").Warn("m") },
		"another name":     func(l hclog.Logger) { l.Named("x").ResetNamed("y").Warn("m") },
		"no name any more": func(l hclog.Logger) { l.Named("x").ResetNamed("").Warn("m") },
		"trace":            func(l hclog.Logger) { l.Trace("m") },
		"debug":            func(l hclog.Logger) { l.Debug("m") },
		"at a level":       func(l hclog.Logger) { l.Log(hclog.Warn, "m", "a", 1) },
		"at no level":      func(l hclog.Logger) { l.Log(hclog.NoLevel, "m") },
		"standard logger":  func(l hclog.Logger) { l.StandardLogger(nil).Print("[WARN] m") },
		"inferred level": func(l hclog.Logger) {
			l.With("a", 1).StandardLogger(&hclog.StandardLoggerOptions{InferLevels: true}).Print("[ERR] m")
		},
		"inferred behind a time": func(l hclog.Logger) {
			o := &hclog.StandardLoggerOptions{InferLevels: true, InferLevelsWithTimestamp: true}
			_, _ = l.Named("x").StandardWriter(o).Write([]byte("2026-01-02 10:00:00 [DEBUG] m\n"))
		},
		"forced level": func(l hclog.Logger) {
			_, _ = l.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}).Write([]byte("[DEBUG] m\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want any
			for _, way := range ways {
				var out bytes.Buffer
				say(way.to(&out))
				var got any
				if out.Len() > 0 {
					line := readLine(out.Bytes())
					line[slog.LevelKey] = levelName(line[slog.LevelKey])
					delete(line, slog.TimeKey)
					got = line
				}
				if way.name == ways[0].name {
					want = got
				} else if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v, want %v", way.name, got, want)
				}
			}
		})
	}
}

// levelName is a level as hclog calls it.
func levelName(name any) string {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.Replace(name.(string), "trace", "debug-4", 1))); err != nil {
		panic(err)
	}
	return hclogLevel(level).String()
}

func TestValuesAreResolvedForHclog(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(NewSlogHandler(jsonHclog(&out)))
	l.Info("m", "v", valuer{valuer{7}}, "g", valuer{slog.GroupValue(slog.Int("a", 1), slog.Any("b", valuer{2}))})
	got := readLine(out.Bytes())
	if got["v"] != 7.0 || !reflect.DeepEqual(got["g"], map[string]any{"a": 1.0, "b": 2.0}) {
		t.Errorf("got %v", got)
	}
}

func TestLevelsAreThoseOfTheLoggerBelow(t *testing.T) {
	is := func(l hclog.Logger) []bool {
		return []bool{l.IsTrace(), l.IsDebug(), l.IsInfo(), l.IsWarn(), l.IsError()}
	}
	for level := hclog.Trace; level <= hclog.Off; level++ {
		below := slog.LevelError + 1
		if level < hclog.Off {
			below = slogLevels[level]
		}
		native := hclog.New(&hclog.LoggerOptions{Output: new(bytes.Buffer), Level: level})
		for name, l := range map[string]hclog.Logger{
			"slog":            NewHclogLogger(slog.New(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: below}))),
			"slog over hclog": NewHclogLogger(slog.New(opaque{NewSlogHandler(native)})),
		} {
			if got, want := is(l), is(native); !slices.Equal(got, want) {
				t.Errorf("%v, %s: got %v, want %v", level, name, got, want)
			}
			if l.GetLevel() != level {
				t.Errorf("%v, %s: GetLevel is %v", level, name, l.GetLevel())
			}
		}
	}
}

func TestSlogsLevelsBetweenAreThoseBelow(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(NewSlogHandler(jsonHclog(&out)))
	for level, want := range map[slog.Level]string{
		-100: "trace", -5: "trace", -4: "debug", -1: "debug", 0: "info", 3: "info", 4: "warn", 7: "warn", 8: "error", 100: "error",
	} {
		out.Reset()
		l.Log(context.Background(), level, "m")
		if got := readLine(out.Bytes())[slog.LevelKey]; got != want {
			t.Errorf("level %d: got %v, want %s", level, got, want)
		}
	}
}

func TestSetLevelMakesQuieterOnly(t *testing.T) {
	var out bytes.Buffer
	root := NewHclogLogger(slog.New(slog.NewTextHandler(&out, nil)))
	child := root.Named("child").With("a", 1)
	root.SetLevel(hclog.Trace)
	if child.IsDebug() || child.GetLevel() != hclog.Info {
		t.Errorf("the handler's level is Info, and it is %v", child.GetLevel())
	}
	child.SetLevel(hclog.Error)
	root.Warn("m")
	if out.Len() > 0 || root.GetLevel() != hclog.Error {
		t.Errorf("%v, and logged %q", root.GetLevel(), out.String())
	}
	root.SetLevel(hclog.NoLevel)
	if !child.IsInfo() {
		t.Error("no level is set, and Info is not enabled")
	}
}

func TestAnHclogLoggerTellsWhatItHas(t *testing.T) {
	l := NewHclogLogger(slog.New(slog.DiscardHandler)).Named("x").With("a", 1, "b").Named("y")
	if got := l.ImpliedArgs(); !slices.Equal(got, []any{"a", 1, hclog.MissingKey, "b"}) || l.Name() != "x.y" {
		t.Errorf("%q has %v", l.Name(), got)
	}
}

// There and back again is the same logger.
func TestAnHclogLoggerBelowSlogIsFound(t *testing.T) {
	var out bytes.Buffer
	below := hclog.New(&hclog.LoggerOptions{Output: &out, DisableTime: true})
	NewHclogLogger(slog.New(NewSlogHandler(below.Named("raft"))).With("a", 1)).Info("m", "b", 2)
	if got := out.String(); got != "[INFO]  raft: m: a=1 b=2\n" {
		t.Errorf("got %q", got)
	}
	out.Reset()
	NewHclogLogger(slog.New(NewSlogHandler(below)).WithGroup("g")).Info("m", "b", 2)
	if got := out.String(); got != "[INFO]  m: g.b=2\n" {
		t.Errorf("got %q", got)
	}
}

// here is the line from which it is called.
func here() string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", file, line)
}

func TestTheSourceIsWhereItWasLogged(t *testing.T) {
	var out bytes.Buffer
	l := NewHclogLogger(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{AddSource: true})))
	for name, say := range map[string]func() string{
		"Info": func() string { l.Info("m"); return here() },
		"Log":  func() string { l.Log(hclog.Warn, "m"); return here() },
		"With": func() string { l.With("a", 1).Error("m"); return here() },
	} {
		out.Reset()
		want := say()
		source := parseLine(out.Bytes())[slog.SourceKey].(map[string]any)
		if got := fmt.Sprintf("%v:%v", source["file"], source["line"]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}

	out.Reset()
	s := slog.New(NewSlogHandler(hclog.New(&hclog.LoggerOptions{
		Output: &out, JSONFormat: true, IncludeLocation: true, AdditionalLocationOffset: 3,
	})))
	s.Info("m")
	_, _, line, _ := runtime.Caller(0)
	if got := parseLine(out.Bytes())["@caller"].(string); !strings.HasSuffix(got, fmt.Sprintf("slog_test.go:%d", line-1)) {
		t.Errorf("got %s, want line %d", got, line-1)
	}
}
