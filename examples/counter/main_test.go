package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// lastLine is what scripts look at.
func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

func TestRuns(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"three members": {[]string{"-increments", "2000"}, `^ok: 2000 increments, value 2000 on 3 of 3 members$`},
		"one member":    {[]string{"-members", "1", "-increments", "100"}, `^ok: 100 increments, value 100 on 1 of 1 members$`},
		"leader killed": {
			[]string{"-increments", "2000", "-kill-leader"},
			`^ok: \d+ acknowledged, \d+ unknown, value \d+ on 2 of 2 members$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(c.args, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit code %d, want %d; it says %q", code, exitOK, stderr.String())
			}
			if got := lastLine(stdout.String()); !regexp.MustCompile(c.want).MatchString(got) {
				t.Errorf("the last line is %q, want %s", got, c.want)
			}
		})
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown":            {[]string{"-nope"}, "-nope"},
		"no number":          {[]string{"-members", "many"}, "many"},
		"no members":         {[]string{"-members", "0"}, "-members is 0"},
		"too many members":   {[]string{"-members", "10"}, "-members is 10"},
		"no increments":      {[]string{"-increments", "0"}, "-increments is 0"},
		"no majority left":   {[]string{"-members", "2", "-kill-leader"}, "-kill-leader"},
		"unknown log level":  {[]string{"-log", "loud"}, `"loud"`},
		"argument, not flag": {[]string{"fast"}, `"fast"`},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(c.args, &stdout, &stderr); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
				t.Errorf("it says %q and prints %q, want %q and nothing", stderr.String(), stdout.String(), c.want)
			}
		})
	}
}

// A value that acknowledged increments do not explain is never called ok.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		killed                bool
		acknowledged, unknown int64
		value                 uint64
		ok                    bool
	}{
		"exact":                   {false, 10, 0, 10, true},
		"lost":                    {false, 10, 0, 9, false},
		"twice":                   {false, 10, 0, 11, false},
		"unknown without a cause": {false, 9, 1, 10, false},
		"killed, all unknown in":  {true, 8, 2, 10, true},
		"killed, none of them in": {true, 8, 2, 8, true},
		"killed, lost":            {true, 8, 2, 7, false},
		"killed, twice":           {true, 8, 2, 11, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := options{members: 3, increments: 10, killLeader: c.killed}
			if line, err := judge(o, c.acknowledged, c.unknown, c.value, 2); (err == nil) != c.ok {
				t.Errorf("got %q, %v, want ok: %v", line, err, c.ok)
			}
		})
	}
}
