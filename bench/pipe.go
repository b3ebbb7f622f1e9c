package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// This program runs itself again: for each turn, so that contenders do not
// share a heap, a crash is one turn's, and what is left behind ends with it;
// and in W3 for each replica. Such a process reads requests from its standard
// input, answers on its standard output, one JSON value each, and ends when
// its input does: it does not survive who started it.

// roleEnv is the variable of the environment that says what a process is to be.
const roleEnv = "RAFTACTOR_BENCH_ROLE"

const (
	turnProcess    = "turn"
	replicaProcess = "replica"
)

// killTime is how long a process may take to end when it was asked to.
const killTime = 10 * time.Second

// A pipe is the way to a process that was started.
type pipe struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *json.Decoder
	saids *tail
}

// startProcess runs this program again.
func startProcess(what string) (*pipe, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &pipe{cmd: exec.Command(own), saids: &tail{}}
	p.cmd.Env = append(os.Environ(), roleEnv+"="+what)
	p.cmd.Stderr = p.saids
	p.cmd.WaitDelay = killTime
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(bufio.NewReader(out))
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process for a %s: %w", what, err)
	}
	return p, nil
}

// ask sends a request and waits for its answer. When the context is done the
// process is killed.
func (p *pipe) ask(ctx context.Context, request, reply any) error {
	kill := context.AfterFunc(ctx, p.kill)
	defer kill()
	err := json.NewEncoder(p.in).Encode(request)
	if err == nil {
		err = p.out.Decode(reply)
	}
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("the process has ended: %w", err))
	}
	return nil
}

func (p *pipe) kill() { _ = p.cmd.Process.Kill() } // an error says that it has ended

// close has the process end, and returns its last words if it failed.
func (p *pipe) close() error {
	_ = p.in.Close()
	late := time.AfterFunc(killTime, p.kill)
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, p.saids)
	}
	return nil
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte // guarded by mu
}

const tailBytesMax = 16 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if excess := len(t.kept) - tailBytesMax; excess > 0 {
		t.kept = append(t.kept[:0], t.kept[excess:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// serve answers the requests on standard input with handle, until it ends or
// handle fails. What libraries write to standard output goes to standard error.
func serve[Q, A any](handle func(context.Context, Q) (A, error)) error {
	out := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	requests := make(chan Q)
	go func() {
		defer cancel()
		in := json.NewDecoder(bufio.NewReader(os.Stdin))
		for {
			var q Q
			if in.Decode(&q) != nil {
				return
			}
			select {
			case requests <- q:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case q := <-requests:
			a, err := handle(ctx, q)
			if err != nil {
				return err
			}
			if err := out.Encode(a); err != nil {
				return err
			}
		}
	}
}
