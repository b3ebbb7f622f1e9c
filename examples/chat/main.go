// Command chat is a chat room that is a replicated log: each member is a process, what is typed in one of them is
// proposed to all, and everybody sees every line in the same order, also who comes later or comes back.
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

	"github.com/hashicorp/go-hclog"
)

// Exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// wrongFlag is a flag that does not fit what it names.
type wrongFlag struct{ error }

func (w wrongFlag) Unwrap() error { return w.error }

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := start(args, stdin, stdout, stderr)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, new(wrongFlag)):
		fmt.Fprintln(stderr, "chat:", oneLine(err))
		return exitUsage
	}
	fmt.Fprintln(stderr, "chat:", oneLine(err))
	return exitFailed
}

// oneLine is what to say of an error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func start(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "certs" {
		return certificates(args[1:], stdout)
	}
	o, err := parse(args, stdout)
	if err != nil {
		return wrongFlag{err}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	defer stop()
	logger := hclog.New(&hclog.LoggerOptions{Name: "chat", Level: o.level, Output: stderr})
	s := newScreen(o, stdout, stderr, isTerminal(stdin) && isTerminal(stdout))
	r, err := enter(o, listenOn, s, logger)
	if err != nil {
		return err
	}
	return r.stay(ctx, func(take func(string) bool) error {
		return readLines(stdin, take, func() { s.notice("a line has at most %d bytes; this one has not been said", textBytesMax) })
	})
}

// isTerminal tells whether a person is at the other end.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
