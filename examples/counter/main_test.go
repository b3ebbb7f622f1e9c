package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
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
		"leader stopped": {[]string{"-increments", "2000"}, "ok: 2000 increments, value 2000 on 2 of 2 members"},
		"five members":   {[]string{"-members", "5", "-increments", "1000"}, "ok: 1000 increments, value 1000 on 4 of 4 members"},
		"leader spared":  {[]string{"-increments", "2000", "-kill-leader=false"}, "ok: 2000 increments, value 2000 on 3 of 3 members"},
		"one member":     {[]string{"-members", "1", "-increments", "100"}, "ok: 100 increments, value 100 on 1 of 1 members"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(c.args, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit code %d, want %d; it says %q", code, exitOK, stderr.String())
			}
			if got := lastLine(stdout.String()); got != c.want {
				t.Errorf("the last line is %q, want %q", got, c.want)
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
		"unknown log level":  {[]string{"-log", "loud"}, `"loud"`},
		"argument, not flag": {[]string{"fast"}, `"fast"`},

		"one member without all":   {[]string{"-listen", "127.0.0.1:7001"}, "-listen goes with -id"},
		"all members with one":     {oneMember("-members", "5"), "-members does not go with -id"},
		"member 0":                 {oneMember("-id", "0"), "-id is 0"},
		"one without a directory":  {oneMember("-dir", ""), "-dir is missing"},
		"one that does not listen": {oneMember("-listen", ""), "-listen is missing"},
		"one with TLS":             {oneMember("-insecure=false"), "-insecure is missing"},
		"one alone":                {oneMember("-peers", ""), "-peers is"},
		"one that is not there":    {oneMember("-id", "4"), "does not name member 4"},
		"peers without a port":     {oneMember("-peers", "1=localhost"), "ID=HOST:PORT"},
		"peers twice":              {oneMember("-peers", "1=a:1,1=b:1"), "named twice"},
		"peers at one address":     {oneMember("-peers", "1=a:1,2=a:1"), "members 1 and 2 are both at a:1"},
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

// oneMember are the flags of a member in a process of its own, and more.
func oneMember(more ...string) []string {
	return append([]string{
		"-id", "1", "-listen", "127.0.0.1:7001", "-peers", "1=127.0.0.1:7001,2=127.0.0.1:7002", "-dir", "DIR", "-insecure",
	}, more...)
}

// mustRun runs the counter, and wants that last line.
func mustRun(t *testing.T, want string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d, want %d; it says %q", code, exitOK, stderr.String())
	}
	if got := lastLine(stdout.String()); got != want {
		t.Fatalf("the last line is %q, want %q", got, want)
	}
}

// mustFail runs the counter, and wants that exit code and a word of why.
func mustFail(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(args, &stdout, &stderr); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if !strings.Contains(stderr.String(), want) {
		t.Errorf("it says %q, want %q", stderr.String(), want)
	}
}

// Whoever has had enough is told how far it was, whenever that is.
func TestAnInterruptSaysHowFarItWas(t *testing.T) {
	for name, kill := range map[string]bool{"before the leader is stopped": true, "with the leader spared": false} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := options{members: 3, increments: 1 << 40, killLeader: kill, level: hclog.Off}
			_, err := count(ctx, o, cancelling(cancel), io.Discard)
			if err == nil || !strings.HasPrefix(err.Error(), "interrupted after ") || !strings.HasSuffix(err.Error(), " increments") {
				t.Errorf("got %v, want how many increments there were", err)
			}
		})
	}
}

// cancelling is called with what is printed, which is progress.
type cancelling func()

func (c cancelling) Write(p []byte) (int, error) {
	c()
	return len(p), nil
}

// A value that is not what was proposed is never called ok.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		base         uint64
		acknowledged int64
		value        uint64
		ok           bool
	}{
		"exact": {0, 10, 10, true}, "lost": {0, 10, 9, false}, "twice": {0, 10, 11, false}, "not acknowledged": {0, 9, 10, false},
		"exact later": {5, 10, 15, true}, "lost later": {5, 10, 14, false}, "twice later": {5, 10, 16, false},
	} {
		t.Run(name, func(t *testing.T) {
			if line, err := judge(c.base, 10, c.acknowledged, c.value, 2); (err == nil) != c.ok {
				t.Errorf("got %q, %v, want ok: %v", line, err, c.ok)
			}
		})
	}
}

// Others count beside a process that is one of several: what is missing is noticed.
func TestJudgeOfOneProcess(t *testing.T) {
	for name, c := range map[string]struct {
		acknowledged int64
		value        uint64
		ok           bool
	}{
		"alone": {10, 15, true}, "with others": {10, 99, true}, "lost": {10, 14, false}, "not acknowledged": {9, 15, false},
	} {
		if line, err := judgeOwn(5, 10, c.acknowledged, c.value, 3); (err == nil) != c.ok {
			t.Errorf("%s: got %q, %v, want ok: %v", name, line, err, c.ok)
		}
	}
}
