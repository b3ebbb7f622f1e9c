package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	if code, is := beProcess(); is {
		os.Exit(code)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// beProcess does what this process was started for by another one of this
// program, if it was.
func beProcess() (code int, is bool) {
	part := map[string]func() error{turnProcess: beTurn, replicaProcess: beReplica}[os.Getenv(roleEnv)]
	if part == nil {
		return exitOK, false
	}
	// The terminal tells all processes of an interrupt; these end by their
	// standard input.
	signal.Ignore(os.Interrupt, syscall.SIGTERM)
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed, true
	}
	return exitOK, true
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	defer stop()
	if o.show != "" {
		if err := showAgain(o, stdout); err != nil {
			fmt.Fprintln(stderr, "bench:", err)
			return exitFailed
		}
		return exitOK
	}
	if err := bench(ctx, o, args, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailed
	}
	return exitOK
}

// bench fills the table and shows it, also as much as there is of it when it
// was interrupted.
func bench(ctx context.Context, o options, args []string, stdout, stderr io.Writer) (err error) {
	base, err := makeBase(o, stderr)
	if err != nil {
		return err
	}
	r := report{Command: strings.Join(append([]string{"go run ."}, args...), " "), Machine: describeMachine(base)}
	d := &driver{options: o, base: base, progress: stderr}
	interrupted := errors.Join(d.run(ctx), os.RemoveAll(base)) // before something is said that may have no reader
	r.Series = d.series
	err = show(o, r, stdout)
	failures := d.failures()
	for _, f := range failures {
		fmt.Fprintf(stderr, "\nFAILED: %s\n", f)
	}
	if len(failures) > 0 {
		err = errors.Join(err, fmt.Errorf("%d contenders have failed", len(failures)))
	}
	return errors.Join(err, interrupted)
}

// show writes a report wherever the flags say.
func show(o options, r report, stdout io.Writer) (err error) {
	if o.json != "" {
		err = writeJSON(o.json, r, stdout)
	}
	if o.markdown != "" {
		err = errors.Join(err, writeMarkdown(o.markdown, r, stdout))
	}
	if o.json != "-" && o.markdown != "-" {
		render(stdout, r)
	}
	return err
}

// showAgain shows a report of an earlier run.
func showAgain(o options, stdout io.Writer) error {
	r, err := readJSON(o.show)
	if err != nil {
		return fmt.Errorf("-show: %w", err)
	}
	return show(o, r, stdout)
}
