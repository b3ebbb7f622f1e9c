//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	rounds = flag.Int("rounds", 5, "how often TestKilledAtAnyMoment kills the counter")
	seed   = flag.Uint64("seed", 0, "what TestKilledAtAnyMoment draws from; 0: at random")
)

// The test binary is the counter, too, if this is set in its environment: to "1", or to the moment at which its disk
// gets full.
const (
	processVariable = "COUNTER_PROCESS"
	fullAtOnce      = "full at once"
	fullLater       = "full later"
)

func TestMain(m *testing.M) {
	var stdout io.Writer = os.Stdout
	switch os.Getenv(processVariable) {
	case "":
		os.Exit(m.Run())
	case fullAtOnce:
		fillDisk()
	case fullLater:
		stdout = &fuse{to: os.Stdout, burn: fillDisk}
	}
	os.Exit(run(os.Args[1:], stdout, os.Stderr))
}

// fillDisk has every write behind the first blocks of a file fail, as it does on a full disk.
func fillDisk() {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 8192, Max: 8192}); err != nil {
		panic(err)
	}
}

// fuse burns after a while, which is when the load begins.
type fuse struct {
	to   io.Writer
	burn func()
}

func (f *fuse) Write(p []byte) (int, error) {
	n, err := f.to.Write(p)
	if bytes.Contains(p, []byte("going on from")) {
		f.burn()
	}
	return n, err
}

// process is a counter that runs in a process of its own.
type process struct {
	*testing.T
	command *exec.Cmd
	began   time.Time
	// lines has what it prints. It is closed when that ends.
	lines  chan string
	stderr output
}

// output is what a process writes, which may be read while it does.
type output struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func startProcess(t *testing.T, role string, args ...string) *process {
	t.Helper()
	p := &process{T: t, command: exec.CommandContext(t.Context(), os.Args[0], args...), lines: make(chan string, 1000)}
	p.command.Env = append(os.Environ(), processVariable+"="+role)
	p.command.Stderr = &p.stderr
	out, err := p.command.StdoutPipe()
	must(t, err)
	p.began = time.Now()
	must(t, p.command.Start())
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	return p
}

// await waits until the process prints a line that begins so, and returns what follows. It is false if the process has
// ended without.
func (p *process) await(prefix string) (rest string, ok bool) {
	p.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-p.lines:
			if rest, ok = strings.CutPrefix(line, prefix); ok || !open {
				return rest, ok
			}
		case <-deadline:
			p.Fatalf("no line begins with %q after 2 minutes; it says %q", prefix, p.stderr.String())
		}
	}
}

// kill kills it after a while. It is false if the process has ended by itself before.
func (p *process) kill(after time.Duration) (killed bool) {
	p.Helper()
	timer := time.AfterFunc(after, func() { _ = p.command.Process.Kill() })
	defer timer.Stop()
	return p.wait() == -1
}

// wait waits until the process has ended, and returns its exit code: -1 if it was killed.
func (p *process) wait() int {
	p.Helper()
	for range p.lines {
	}
	err := p.command.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		p.Fatal(err)
	}
	return p.command.ProcessState.ExitCode()
}

// promised is what the file of a directory says.
func promised(t *testing.T, dir string) uint64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, ledgerName))
	if errors.Is(err, os.ErrNotExist) || len(text) == 0 {
		return 0
	}
	must(t, err)
	return numberIn(t, strings.TrimSpace(string(text)))
}

func numberIn(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

// siege kills one counter after the other in a directory.
type siege struct {
	*testing.T
	dir    string
	random *rand.Rand
	// least is what the value must be, for all that the counters have written down.
	least uint64
	// opened is how long the counters took to open everything and elect a leader.
	opened []time.Duration
	// killed counts by the moment, and dropped the ends of logs that were torn.
	killed  map[string]int
	dropped int
}

// upTo draws a time.
func (s *siege) upTo(most time.Duration) time.Duration {
	return time.Duration(s.random.Int64N(int64(most)))
}

// round runs a counter, and kills it at a moment that it draws.
func (s *siege) round() {
	increments, moment := "1000000", "under load"
	switch draw := s.random.IntN(10); {
	case draw < 3:
		moment = "while opening"
	case draw < 5:
		increments, moment = strconv.Itoa(2+s.random.IntN(400)), "around the leader's stop"
	}
	p := startProcess(s.T, "1", "-dir", s.dir, "-increments", increments, "-log", "warn")
	killed := false
	if moment == "while opening" {
		killed = p.kill(s.upTo(500 * time.Millisecond))
	} else {
		if _, ok := s.goesOn(p); ok && moment == "around the leader's stop" {
			p.await("stopping the leader")
		}
		killed = p.kill(s.upTo(100 * time.Millisecond))
	}
	s.dropped += strings.Count(p.stderr.String(), "has been dropped")
	switch code := p.command.ProcessState.ExitCode(); {
	case killed:
		s.killed[moment]++
	case code != exitOK:
		s.Fatalf("the counter fails with code %d; it says %q", code, p.stderr.String())
	}
	now := promised(s.T, s.dir)
	if now < s.least {
		s.Fatalf("the counters have written down %d, and %d before", now, s.least)
	}
	s.least = now
}

// goesOn waits until a counter knows the value with which it goes on, and checks that. Nothing that was acknowledged
// is missing, and of what was not there is no more than those who propose had under way.
func (s *siege) goesOn(p *process) (value uint64, ok bool) {
	s.Helper()
	text, ok := p.await("going on from ")
	if !ok {
		return 0, false
	}
	s.opened = append(s.opened, time.Since(p.began))
	value = numberIn(s.T, text)
	if value < s.least || value > s.least+goroutines+actors {
		s.Fatalf("the counter goes on from %d, want %d to %d", value, s.least, s.least+goroutines+actors)
	}
	return value, true
}

// A counter is killed at any moment, again and again, and never is an acknowledged increment lost, counted twice, or
// what it left refused.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := &siege{T: t, dir: t.TempDir(), killed: map[string]int{}}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("again, with the same draws: go test ./examples/counter -run TestKilledAtAnyMoment -v -rounds %d -seed %d",
		*rounds, *seed)
	s.random = rand.New(rand.NewPCG(*seed, 0))
	start := time.Now()
	for range *rounds {
		s.round()
	}
	took := time.Since(start)
	p := startProcess(t, "1", "-dir", s.dir, "-increments", "100", "-kill-leader=false")
	value, ok := s.goesOn(p)
	if !ok {
		t.Fatalf("the last counter does not go on, and says %q", p.stderr.String())
	}
	want := fmt.Sprintf("%d on 3 of 3 members", value+100)
	if got, _ := p.await("ok: 100 increments, value "); got != want || p.wait() != exitOK {
		t.Errorf("at the end the value is %q, want %q; it says %q", got, want, p.stderr.String())
	}
	var opening time.Duration
	for _, d := range s.opened {
		opening += d
	}
	t.Logf("%d rounds in %v: killed %v; %d torn ends dropped; %d acknowledged, none lost",
		*rounds, took.Round(time.Millisecond), s.killed, s.dropped, s.least)
	t.Logf("opening and electing took %v on average", (opening / time.Duration(len(s.opened))).Round(time.Millisecond))
}

// Three processes with a member each count together, each increment once. A run with all members goes on from that.
func TestAMemberPerProcess(t *testing.T) {
	t.Parallel()
	dir, peers := t.TempDir(), ""
	addresses := freeAddresses(t, 3)
	for i, address := range addresses {
		peers += fmt.Sprintf(",%d=%s", i+1, address)
	}
	const each = 1000
	start := func() (all []*process) {
		for i, address := range addresses {
			all = append(all, startProcess(t, "1", "-id", strconv.Itoa(i+1), "-listen", address, "-peers", peers[1:], "-dir", dir,
				"-insecure", "-increments", strconv.Itoa(each)))
		}
		return all
	}
	for run := range 2 {
		all := start()
		least := uint64(run*len(all)*each + each)
		for _, p := range all {
			text, ok := p.await(fmt.Sprintf("ok: %d increments, value ", each))
			value, rest, _ := strings.Cut(text, " ")
			if !ok || numberIn(t, value) < least || rest != "on 1 of 3 members" {
				t.Errorf("got %q, want at least %d on 1 of 3 members; it says %q", text, least, p.stderr.String())
			}
		}
		for i, p := range all { // none is left alone before it is done
			if run == 0 && i == 0 {
				must(t, p.command.Process.Kill())
				p.wait()
				continue
			}
			must(t, p.command.Process.Signal(os.Interrupt))
			if code := p.wait(); code != exitOK {
				t.Errorf("exit code %d, want %d; it says %q", code, exitOK, p.stderr.String())
			}
		}
	}
	total := 2 * len(addresses) * each
	mustRun(t, fmt.Sprintf("ok: 10 increments, value %d on 2 of 2 members", total+10), "-dir", dir, "-increments", "10")
}

// freeAddresses finds ports to listen on. They are none that the system gives to connections: those of a member that is
// started again would be taken, now and then.
func freeAddresses(t *testing.T, count int) (all []string) {
	t.Helper()
	for len(all) < count {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", address); err == nil {
			defer l.Close()
			all = append(all, address)
		}
	}
	return all
}

func TestABusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	address := l.Addr().String()
	p := startProcess(t, "1", "-id", "1", "-listen", address, "-peers", "1="+address, "-dir", t.TempDir(), "-insecure")
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), syscall.EADDRINUSE.Error()) {
		t.Errorf("exit code %d, want %d; it says %q", code, exitFailed, p.stderr.String())
	}
}

// On a full disk the members fail, and say so. What was acknowledged is there when there is room again.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustRun(t, "ok: 10 increments, value 10 on 2 of 2 members", "-dir", dir, "-increments", "10")
	for role, want := range map[string]string{fullAtOnce: "opening the store of member 1", fullLater: "has failed"} {
		spares, err := filepath.Glob(filepath.Join(dir, "*", "*.spare"))
		must(t, err)
		for _, name := range spares { // with which a store can be opened for which there is no room
			must(t, os.Remove(name))
		}
		p := startProcess(t, role, "-dir", dir, "-increments", "1000000")
		if code := p.wait(); code != exitFailed {
			t.Errorf("%s: exit code %d, want %d", role, code, exitFailed)
		}
		for _, want := range []string{want, syscall.EFBIG.Error()} {
			if got := p.stderr.String(); !strings.Contains(got, want) {
				t.Errorf("%s: it says %q, want %q", role, got, want)
			}
		}
	}
	least := promised(t, dir)
	p := startProcess(t, "1", "-dir", dir, "-increments", "10")
	text, _ := p.await("going on from ")
	if value := numberIn(t, text); value < least || value > least+goroutines+actors {
		t.Errorf("after the disk was full the counter goes on from %d, want %d to %d", value, least, least+goroutines+actors)
	}
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d, want %d; it says %q", code, exitOK, p.stderr.String())
	}
}

// A terminal's Ctrl-C ends the counter in order: nothing is left to be put right at the next opening.
func TestAnInterruptedProcessEndsInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, "1", "-dir", dir, "-increments", "1000000", "-log", "info")
	if _, ok := p.await("going on from 0"); !ok {
		t.Fatalf("it has not begun, and says %q", p.stderr.String())
	}
	must(t, p.command.Process.Signal(os.Interrupt))
	if code := p.wait(); code != exitFailed || !strings.Contains(p.stderr.String(), "interrupted after") {
		t.Errorf("exit code %d, want %d; it says %q", code, exitFailed, p.stderr.String())
	}
	if got := strings.Count(p.stderr.String(), "member stopped"); got != 3 {
		t.Errorf("%d members have stopped, want 3", got)
	}
}
